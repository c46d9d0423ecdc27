"""The page of the explorer: sliders, charts and a reading in words, in a frame of its own.

Everything stands in the page, Vega included, and nothing is asked of another host. The frame keeps
the page's styles and the book's apart; where it can, it takes over the book's theme and its own
height. Charts are drawn as SVG, so that the style sheet colours them.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from string import Template
from typing import Any

from cbnlib._extras import extra

with extra("book"):
    import matplotlib as mpl
    import vl_convert


FOLDED = {"light": (0.0, 0.6), "dark": (1.0, 0.3)}
"""Where on the colour scale viridis the lowest and the highest degree lie, in each theme."""


@dataclass(frozen=True)
class Explorer:
    """Charts that follow sliders; the value of a notebook cell shows it.

    Attributes:
        data: What `cbnlib.book.explorer.explorer_data` returned.
        charts: Vega-Lite specifications by name, their parameters bound to the page's sliders.
        description: What there is to see, for those who cannot see it.
        picture: A PNG to show where HTML cannot be shown.

    Raises:
        ValueError: On construction, if there is no description.
    """

    data: Mapping[str, Any]
    charts: Mapping[str, Mapping[str, Any]]
    description: str
    picture: bytes

    def __post_init__(self) -> None:
        """Check the description."""
        if not self.description.strip():
            raise ValueError("an explorer needs a description")

    def page(self) -> str:
        """The page that the frame shows."""
        return _PAGE.substitute(
            style=_style(self.data["degrees"]),
            vega=_vega(),
            data=_in_script(self.data),
            charts=_in_script(self.charts),
            script=_SCRIPT,
            last_depth=len(self.data["depths"]) - 1,
            last_ridge=len(self.data["ridges"]) - 1,
            last_time=len(self.data["steps"]) - 1,
            depth=(len(self.data["depths"]) - 1) // 2,
            ridge=(len(self.data["ridges"]) - 1) // 2,
        )

    def html(self) -> str:
        """The frame with its page."""
        return (
            f'<iframe title="{_attribute(self.description)}" style="{_FRAME}" '
            f'srcdoc="{_attribute(self.page())}"></iframe>\n'
            "<noscript>The sliders need JavaScript. The next figure shows where each run ends."
            "</noscript>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """For notebooks: where HTML cannot be shown, the picture is."""
        return {
            "text/html": self.html(),
            "image/png": base64.b64encode(self.picture).decode(),
            "text/plain": self.description,
        }


@cache
def _vega() -> str:
    """Vega-Lite as a script that defines `window.vegaEmbed`."""
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    if "</script" in script:
        raise ValueError("Vega's script would end its tag")
    return script


def _in_script(value: object) -> str:
    """JSON that can stand in a script."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _attribute(text: str) -> str:
    """Text as the value of an attribute in double quotes; angle brackets may stand there."""
    return text.replace("&", "&amp;").replace('"', "&quot;")


def _style(degrees: int) -> str:
    """The style sheet with the colours of the degrees in both themes."""
    viridis = mpl.colormaps["viridis"]
    colours = {}
    for theme, (low, high) in FOLDED.items():
        steps = (low + (high - low) * d / max(1, degrees - 1) for d in range(degrees))
        colours[theme] = ";".join(
            f"--degree-{d}:{mpl.colors.to_hex(viridis(step))}" for d, step in enumerate(steps)
        )
    return _STYLE.substitute(colours)


_FRAME = "width:100%;height:1010px;border:0;display:block"

_STYLE = Template("""
:root { --text: #222; --paper: #fff; --line: #767676; --grid: #ddd; color-scheme: light; $light }
:root[data-theme=dark] {
  --text: #e6e6e6; --paper: #121212; --line: #8a8a8a; --grid: #333; color-scheme: dark; $dark
}
body { margin: 0; padding: 4px; background: var(--paper); color: var(--text);
  font: 16px/1.45 system-ui, sans-serif; }
.sliders { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr));
  gap: 4px 24px; margin: 0 0 8px; }
.sliders label { display: flex; justify-content: space-between; }
.sliders input { width: 100%; height: 28px; margin: 0; }
.sliders output { font-variant-numeric: tabular-nums; font-weight: 600; }
h2 { font-size: 1rem; margin: 12px 0 0; }
p { margin: 0 0 4px; font-size: 0.9rem; }
.reading { border-left: 3px solid var(--line); padding-left: 8px; min-height: 3em; }
@media (max-width: 560px) { .reading { min-height: 6em; } }
.chart { width: 100%; }
.chart svg { display: block; max-width: 100%; }
svg text { fill: var(--text); }
svg .mark-rule line, svg .role-axis-domain line, svg .role-axis-tick line { stroke: var(--line); }
svg .role-axis-grid line { stroke: var(--grid); }
svg .mark-line path { stroke: var(--text); fill: none; }
svg .role-legend-symbol path { stroke-width: 1.5px; }
#loss .role-legend-symbol path { stroke: var(--text); }
#kept .role-mark.mark-symbol path { fill: var(--text); }
""")

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Explorer</title><style>$style</style></head>
<body>
<div class="sliders">
<div><label for="depth">depth L <output id="depth-says"></output></label>
<input type="range" id="depth" min="0" max="$last_depth" value="$depth"></div>
<div><label for="ridge">ridge λ <output id="ridge-says"></output></label>
<input type="range" id="ridge" min="0" max="$last_ridge" value="$ridge"></div>
<div><label for="time">gradient step <output id="time-says"></output></label>
<input type="range" id="time" min="0" max="$last_time" value="0"></div>
</div>
<p class="reading" id="reading" aria-live="polite"></p>
<h2>Singular values by layer</h2>
<p>Marker and colour: degree. On top: real dimensions kept, that is, above ½ (dotted).</p>
<div class="chart" id="values"></div>
<h2>What training minimises</h2>
<p>The two parts of the loss, on a logarithmic scale. The step axis has a square-root scale,
which gives room to the first steps. Both lines begin at the first record, after step 0, because
the data loss is a mean over the steps since the last record. The vertical line is the
chosen time.</p>
<div class="chart" id="loss"></div>
<h2>Real dimensions kept by layer L/2</h2>
<p>From step 0 on, at the stored times (dots). The vertical scale is logarithmic in one more than
the number, so that 0 has a place.</p>
<div class="chart" id="kept"></div>
<script>(() => {$vega})()</script>
<script>const data = $data;
const charts = $charts;
$script</script>
</body></html>
""")

# Takes the book's theme where the frame may look at it, else the system's.
_SCRIPT = """
const get = name => document.getElementById(name);
const at = name => Number(get(name).value);
const book = (() => { try { return parent.document.documentElement; } catch { return null; } })();
const dark = matchMedia('(prefers-color-scheme: dark)');
function theme() {
  const chosen = book?.dataset.theme ?? (dark.matches ? 'dark' : 'light');
  document.documentElement.dataset.theme = chosen;
}
function height() {
  if (frameElement) frameElement.style.height = document.body.scrollHeight + 8 + 'px';
}
function say() {
  const [depth, ridge, step] = [data.depths[at('depth')], data.ridges[at('ridge')],
    data.steps[at('time')]];
  for (const [name, value] of Object.entries({depth, ridge, time: step})) {
    get(name + '-says').textContent = value;
    get(name).setAttribute('aria-valuetext', value);
  }
  const run = at('depth') * data.ridges.length + at('ridge');
  const now = data.snapshots.find(row => row.run === run && row.time === at('time'));
  const inside = now.degrees.length ? 'degrees ' + now.degrees.join(', ') : 'nothing';
  const middle = Math.floor(depth / 2);
  get('reading').textContent = `Depth ${depth}, ridge ${ridge}, step ${step}: by layer, `
    + `${now.kept.join(', ')} real dimensions are kept. Layer ${middle} keeps ${inside}.`;
}
async function draw() {
  const options = {renderer: 'svg', actions: false, mode: 'vega-lite'};
  for (const [name, chart] of Object.entries(charts)) {
    const {snapshots, histories} = structuredClone(data);
    const datasets = {...chart.datasets, snapshots, histories};
    await vegaEmbed(get(name), {...chart, datasets}, options);
  }
  height();
}
theme();
dark.addEventListener('change', theme);
if (book) new MutationObserver(theme).observe(book, {attributeFilter: ['data-theme']});
for (const name of ['depth', 'ridge', 'time']) get(name).addEventListener('input', say);
addEventListener('resize', height);
say();
draw();
"""
