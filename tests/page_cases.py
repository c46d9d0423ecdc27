"""The frame of a page: all that the browser check wants of one, around some content."""

PAGE = """\
<!DOCTYPE html><html lang="en"><head><title>A page</title>
<style>html {{ --pst-color-background: white; --pst-color-text-base: black }}
[data-theme=dark] {{ --pst-color-background: #14181e; --pst-color-text-base: #ced6dd;
  --pst-color-text-muted: #9ca4af }}
body {{ background: var(--pst-color-background); color: var(--pst-color-text-base) }}
a {{ color: inherit }} :is(a, button, input):focus {{ outline: 3px solid }}</style></head>
<body><div id="pst-skip-link"><a href="#main">Skip</a></div><main id="main"><h1>A page</h1>
<div class="bd-article-container">{content}</div><a class="right-next" href="page.html">Next</a>
<button class="theme-switch-button">Colours</button>
<input type="search" aria-label="Search"></main>
<script>
const search = document.querySelector('[type=search]'), {{dataset}} = document.documentElement;
document.addEventListener('keydown', e => {{ if (e.ctrlKey) search.focus(); }});
document.querySelector('.theme-switch-button').addEventListener('click', () => {{
  dataset.theme = dataset.theme === 'dark' ? 'light' : 'dark'; }});
const system = matchMedia('(prefers-color-scheme: dark)');
system.addEventListener('change', e => {{ dataset.theme = e.matches ? 'dark' : 'light'; }});
</script></body></html>"""
