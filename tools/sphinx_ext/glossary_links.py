"""Sphinx extension that links the first occurrence of each glossary term on a page to the glossary.

Only running text counts. That leaves out headings, captions, code, formulas, outputs of cells,
references, text that is a link already, and containers of class `no-term-links`. A plural in *s*
counts as its term. The terms are those of the `{glossary}` directive, whose own page stays as it
is. No maintained extension links terms that are not marked up.
"""

import re
from collections.abc import Iterable, Mapping

from docutils import nodes
from sphinx.application import Sphinx

NOT_RUNNING = (
    nodes.caption,
    nodes.citation,
    nodes.image,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.reference,
    nodes.term,
    nodes.thead,
    nodes.title,
)
NOT_LINKED = {"cell_input", "cell_output", "no-term-links"}
CSS_CLASS = "term-link"


def term_pattern(terms: Iterable[str]) -> re.Pattern[str]:
    """What matches a term as whole words in any case, the longest one that fits.

    >>> term_pattern(["mode", "kept mode"]).findall("All kept modes, and a model")
    ['kept mode']
    """
    longest_first = sorted(terms, key=lambda term: (-len(term), term))
    spaced = [re.escape(term).replace(r"\ ", r"\s+") for term in longest_first]
    return re.compile(rf"\b({'|'.join(spaced)})(?:s\b|\b)", re.IGNORECASE)


def link_terms(tree: nodes.Node, targets: Mapping[str, str]) -> None:
    """Link the first occurrence of each term in a page's running text, in place.

    Args:
        tree: The page.
        targets: For each term, in lower case, where the link leads. Terms with the same target
            count as one.
    """
    pattern = term_pattern(targets)
    linked = {link.get("refuri") for link in tree.findall(nodes.reference)}
    for text in list(tree.findall(nodes.Text)):
        if is_running(text):
            pieces = list(_pieces(text.astext(), pattern, targets, linked))
            if len(pieces) > 1:
                text.parent.replace(text, pieces)


def is_running(text: nodes.Node) -> bool:
    """Whether a text belongs to the page's running text."""
    node, in_paragraph = text.parent, False
    while node is not None:
        if isinstance(node, NOT_RUNNING) or NOT_LINKED.intersection(node.get("classes", [])):
            return False
        in_paragraph |= isinstance(node, nodes.paragraph)
        node = node.parent
    return in_paragraph


def _pieces(
    text: str, pattern: re.Pattern[str], targets: Mapping[str, str], linked: set[str | None]
) -> Iterable[nodes.Node]:
    done = 0
    for found in pattern.finditer(text):
        uri = targets[" ".join(found[1].lower().split())]
        if uri not in linked:
            linked.add(uri)
            yield nodes.Text(text[done : found.start()])
            yield nodes.reference("", found[0], refuri=uri, internal=True, classes=[CSS_CLASS])
            done = found.end()
    yield nodes.Text(text[done:])


def link_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Link the terms on a page, unless it is the glossary's own."""
    if app.builder.format != "html":
        return
    objects = app.env.get_domain("std").get_objects()
    terms = [(name, page, anchor) for name, _, kind, page, anchor, _ in objects if kind == "term"]
    targets = {
        name.lower(): f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
        for name, page, anchor in terms
    }
    if targets and docname not in {page for _, page, _ in terms}:
        link_terms(doctree, targets)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("doctree-resolved", link_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
