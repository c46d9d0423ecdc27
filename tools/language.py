"""Measure how plain the English of the book and of the library's docstrings is.

    python -m tools.language                     # the notebooks and pages of the repository
    python -m tools.language notebooks/01*.md    # these (MyST sources, rendered HTML or modules)

Code, mathematics, tables, headings and names of arguments are skipped. A formula or a reference
counts as one word.
"""

import ast
import re
from inspect import cleandoc
from pathlib import Path
from statistics import median

from bs4 import BeautifulSoup

from tools.command import arguments
from tools.notebook import read_source
from tools.project import Project, files_in

LIMITS = {"semicolons": 2, "colons": 6, "words": 20, "phrases": 0}
"""The most semicolons and colons per 1,000 words, words per sentence, and phrases to avoid."""
PHRASES = re.compile(  # phrases that plainer words replaced
    r"not below half of what|says? nothing of|any more that|notebooks' stems|what takes \w+ to|"
    r"had a little|rest is,? dear|dear, too|comes? home|no failure of|\bdust\b|no longer comes for|"
    r"data term|\bmisfit"
)
NUMBER = re.compile(r"\d[\d.,:×/]*\d")
MARKUP = (  # what becomes of it, in this order
    (r"^ *(`{3,}|:{3,})(?!\{(?:div|grid|chap|drop|fig|glos|prf|warn|note)).+\n[^¶]*?^ *\1$", ""),
    (r"^\s*(\||#|%|\+\+\+|`{3}|:{3}|\([\w-]+\)=|:(?!alt)[\w-]+:).*$", "\n"),  # tables, options, …
    (r"\s*\$\$[^$]+?([.,]?)\s*\$\$(?: *\(.*?\))?\s*", r" x\1 "),
    (r"^(?![-*+|:\d])\S.*\n(?=  \S)", "\n"),  # a term of the glossary
    (r"\{(?:term|ref)\}`([^`<]+?)(?: *<[^`]*)?`|(?<!!)\[([^\]]+)\]\([^)]*\)", r"\1\2"),
    (r"(?:\{[\w:+-]+\})?`+[^`]+`+|\$[^$]+\$|https?://\S+", "x"),
    (NUMBER.pattern, "x"),
    (r"^ *([*+-] |\d+\. |:alt:)", "\n"),
    (r"\{\{.*?\}\}|!\[.*?\]\(.*?\)|</?\w[^<>]*>|[*_\\]", ""),
)
DOCSTRING = re.compile(  # its headings, the names of arguments and errors, doctests and commands
    r"^(?:[A-Z]\w+:$|Source: | +[\w*]+: )|^ *>>> .*(?:\n *\S.*)*|^ +python .*$", re.MULTILINE
)
SENTENCE = re.compile(r"(?<=[.!?])[)\"”’']*\s+")
WORD = re.compile(r"[^\W_]+(?:['’–-][^\W_]+)*")


def paragraphs(path: Path) -> list[str]:
    """The prose of a notebook, a page of text, a rendered page or docstrings, without markup."""
    parts = [path.read_text(encoding="utf-8")]
    if path.suffix == ".html":
        soup = BeautifulSoup(parts[0], "html.parser")
        for tag in soup.select("article :is(.headerlink, summary)"):
            tag.decompose()
        for tag in soup.select("article :is(.math, code)"):
            tag.replace_with("x")
        found = soup.select("article :is(p, li, dd, figcaption):not(:has(p, li), td *)")
        return [" ".join(NUMBER.sub("x", tag.text).split()) for tag in found]
    if parts[0].startswith("---\njupytext:"):
        cells = read_source(path).cells
        shown = [cell.metadata.get("mystnb", {}) for cell in cells]
        parts = [cell.source for cell in cells if cell.cell_type == "markdown"]
        parts += [figure.get("figure", {}).get("caption", "") for figure in shown]
        parts += [figure.get("image", {}).get("alt", "") for figure in shown]
    if path.suffix == ".py":
        parts = [DOCSTRING.sub("", text) for text in docstrings(parts[0])]
    for pattern, plain in MARKUP:
        parts = [re.sub(pattern, plain, part, flags=re.MULTILINE) for part in parts]
    blocks = [block for part in parts for block in part.split("\n\n")]
    return [" ".join(block.split()) for block in blocks if WORD.search(block)]


def docstrings(source: str) -> list[str]:
    """The docstrings of a module, of what it defines and of its attributes."""
    texts = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(ast.Constant(str(text))):
                texts.append(cleandoc(text))
    return texts


def measure(texts: list[str]) -> dict[str, float]:
    """What `LIMITS` bounds, and the median reading ease (Flesch) of the paragraphs."""
    from textstat import flesch_reading_ease

    text, numbers = "\n".join(texts), [len(WORD.findall(text)) for text in texts]
    words, long = max(sum(numbers), 1), [t for t, n in zip(texts, numbers, strict=True) if n > 9]
    sentences = [s for text in texts for s in SENTENCE.split(text) if len(WORD.findall(s)) > 2]
    return {
        "semicolons": 1000 * text.count(";") / words,
        "colons": 1000 * text.count(":") / words,
        "words": words / max(len(sentences), 1),
        "phrases": len(PHRASES.findall(" ".join(text.split()).lower())),
        "ease": median(map(flesch_reading_ease, long or ["x."])),
    }


def main() -> None:
    """Print a line for each page and one for all."""
    parser = arguments(__doc__)
    parser.add_argument("pages", nargs="*", type=Path)
    args = parser.parse_args()
    project = Project(args.root)
    pages = args.pages or [*project.sources(), *files_in(project.book, "*.md")]
    texts = {path.stem: paragraphs(path) for path in pages}
    texts["all"] = [text for page in list(texts.values()) for text in page]
    for name, page in texts.items():
        print(f"{name:22}", *(f"{value:7.1f} {what}" for what, value in measure(page).items()))


if __name__ == "__main__":
    main()
