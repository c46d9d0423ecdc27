"""Sphinx extension for a search that forgives spellings and shows extracts from a disk.

* A word with hyphens is indexed as its parts and as one word. *down-sampling*, *down* and
  *downsampling* all find it, and who types the hyphen finds both spellings.
* British words are indexed in their American spelling, too.
* The search page loads the running text of all pages as a script, because from a disk no page may
  read another one. `offline.js` takes its extracts from there.

Pagefind and other indexes are fetched by scripts, which fails for a copy on a disk.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

HYPHENS = "-\u2010\u2011"
COMPOUND = re.compile(rf"\b\w+(?:[{HYPHENS}]\w+)+")
AMERICAN = (
    (re.compile(r"is(e[drs]?|ing|ations?|ers)$"), r"iz\1"),
    (re.compile(r"our(|s|ed|ing|al|hoods?)$"), r"or\1"),
    (re.compile(r"(cent|met|lit)re(s?)$"), r"\1er\2"),
    (re.compile(r"(label|model|travel)l(ed|ing)$"), r"\1\2"),
)
SPLITTER = """
var splitQuery = (query) => {
  const [stemmer, index] = [new Stemmer(), Search._index];
  const known = (word) => [index.terms, index.titleterms].some(
    (terms) => Object.hasOwn(terms, stemmer.stemWord(word.toLowerCase())));
  const joined = (compound) => {
    const word = compound.replace(/[-\\u2010\\u2011]/g, "");
    return known(word) ? word : compound;
  };
  return query
    .replace(/[\\p{L}\\p{N}_]+(?:[-\\u2010\\u2011][\\p{L}\\p{N}_]+)+/gu, joined)
    .split(/[^\\p{L}\\p{N}_\\p{Emoji_Presentation}]+/gu)
    .filter((word) => word);
};
"""
TEXTS = "search-texts.js"
"""In the site's `_static`. Only the search page loads it."""

NOT_TOLD = {"cell_input", "cell_output", "provenance"}


class ForgivingEnglish(SearchEnglish):
    """English, in more than one spelling."""

    js_splitter_code = SPLITTER

    def split(self, text: str) -> list[str]:
        """The words of a text, and the other spellings of them."""
        words = super().split(text)
        return [*words, *joined(text), *filter(None, map(american, words))]


def joined(text: str) -> list[str]:
    """The words with hyphens, written without.

    >>> joined("down-sampling in 2-D, on 2024-05-01")
    ['downsampling', '2D']
    """
    words = (re.sub(f"[{HYPHENS}]", "", word) for word in COMPOUND.findall(text))
    return [word for word in words if not word.isdigit()]


def american(word: str) -> str:
    """The word in American spelling, empty if it is spelled the same there, as far as one sees.

    >>> american("regularised"), american("neighbouring"), american("centre"), american("labelled")
    ('regularized', 'neighboring', 'center', 'labeled')
    >>> american("frequency")
    ''
    """
    for british, other in AMERICAN:
        if british.search(word):
            return british.sub(other, word)
    return ""


def running_text(doctree: nodes.document) -> str:
    """The paragraphs of a page, without code, outputs and formulas."""
    told = (p for p in doctree.findall(nodes.paragraph) if not _left_out(p))
    return " ".join(" ".join(map(_words, told)).split())


def _left_out(node: nodes.Node | None) -> bool:
    while node is not None:
        if isinstance(node, nodes.Element) and NOT_TOLD.intersection(node.get("classes", [])):
            return True
        node = node.parent
    return False


def _words(node: nodes.Node) -> str:
    if isinstance(node, nodes.math | nodes.math_block | nodes.raw):
        return "…"
    if isinstance(node, nodes.Text):
        return str(node.astext())
    return "".join(map(_words, node.children))


class Texts:
    """The running texts of the pages, by name, as they are written."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def collect(
        self,
        app: Sphinx,
        pagename: str,
        _template: str,
        _context: object,
        doctree: nodes.document | None,
    ) -> None:
        """Keep the text of a page, and let the search page load all of them."""
        if doctree is not None:
            self.of[pagename] = running_text(doctree)
        elif pagename == "search":
            app.add_js_file(TEXTS)

    def write(self, app: Sphinx, exception: Exception | None) -> None:
        """Write them into the site."""
        if exception is None and app.builder.format == "html":
            content = json.dumps(self.of, ensure_ascii=False, separators=(",", ":"))
            path = Path(app.outdir) / "_static" / TEXTS
            path.write_text(f"const searchTexts = {content};\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.add_search_language(ForgivingEnglish)
    texts = Texts()
    app.connect("html-page-context", texts.collect)
    app.connect("build-finished", texts.write)
    return {"parallel_read_safe": True, "parallel_write_safe": False}  # texts are collected here
