r"""Sphinx extension for autodoc, with docstrings written in Markdown's manner.

`$…$` becomes a formula, `$$…$$` at the start of a line one of its own. What stands in single
backticks becomes a link if it names something public of the library, by its short or its full name,
and code otherwise. Lines of doctests, and what they print, stay as they are. The directive
`{public-names}` lists what `import cbnlib` gives. Sphinx's own role for names would warn of every
one that is not public.
"""

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from docutils import nodes
from docutils.statemachine import StringList
from numpy.typing import ArrayLike
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.roles import XRefRole
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

PACKAGE = "cbnlib"
ROLE = "public"
MEMBERS = ("method", "classmethod", "staticmethod", "property")
DIRECT = ("class", "exception", "function")

_PIECE = re.compile(
    r"(?P<ready>``.+?``|:[\w:]+:`[^`]+`|^ *>>>.+?(?=\n\s*\n|\Z))"
    r"|^(?P<indent> *)\$\$(?P<display>[^$]+)\$\$"
    r"|\$(?P<formula>[^$]+)\$|`(?P<code>[^`]+)`",
    re.DOTALL | re.MULTILINE,
)
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_RETURNS = re.compile(r"(?P<indent>\s*)(Returns|Yields):$")


def to_rst(text: str) -> str:
    """A docstring in reStructuredText, in which names have the role `public`.

    Args:
        text: With formulas in `$` and code in single backticks.
    """

    def replace(match: re.Match[str]) -> str:
        if match["ready"]:
            return match[0]
        content = " ".join((match["display"] or match["formula"] or match["code"]).split())
        if match["display"]:
            return f"{match['indent']}.. math:: {content}"
        if match["formula"]:
            role = f":math:`{content}`"
        elif _NAME.fullmatch(content):
            role = f":{ROLE}:`{content}`"
        else:
            role = f"``{content}``"
        before = text[match.start() - 1 : match.start()]
        after = text[match.end() : match.end() + 1]
        return "\\ " * before.isalnum() + role + "\\ " * after.isalnum()

    return _PIECE.sub(replace, text)


def without_types(lines: Sequence[str], *, attribute: bool) -> Iterator[str]:
    """A docstring in which napoleon takes no words before a colon for a type.

    It does so in the first line of what is returned and of an attribute. An empty escape there
    stops it, and is not seen on the page.
    """
    if attribute:
        yield "\\ "
    for line in lines:
        yield line
        if found := _RETURNS.match(line):
            yield found["indent"] + "    \\ "


def translate(
    _app: Sphinx, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Translate a docstring in place, before napoleon reads its sections."""
    translated = to_rst("\n".join(lines)).split("\n")
    attribute = what in ("attribute", "data", "property")
    lines[:] = without_types(translated, attribute=attribute)


def shorten(
    _app: Sphinx,
    _what: str,
    _name: str,
    _object: object,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Write `ArrayLike` in a signature, not the long union that it stands for."""
    long = stringify_annotation(ArrayLike, "smart")
    return signature and signature.replace(long, "ArrayLike"), returns


@cache
def targets(kinds: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """What a docstring may call the public things, and their full names.

    A short name that two modules define is left out, because nobody knows which one is meant. Where
    a module and something else have the same one (`frequencies`), it is not the module's. Where a
    class's attribute and a function do (`weight_spectra`), it is the function's.

    Args:
        kinds: Full names, and what they are to Sphinx.
    """
    found: dict[str, str] = {}
    for group in (("module",), MEMBERS, DIRECT):
        meant: dict[str, set[str]] = {}
        for full in (full for full, kind in kinds if kind in group):
            parts = full.split(".")
            for k in range(len(parts)):
                meant.setdefault(".".join(parts[k:]), set()).add(full)
        found |= {short: min(names) for short, names in meant.items() if len(names) == 1}
    return found


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, _shown: nodes.Element
) -> nodes.Element | None:
    """Link a name to what is described under it, or show it as code if nothing is."""
    if node["reftype"] != ROLE:
        return None
    domain, name = env.get_domain("py"), node["reftarget"]
    known = targets(tuple((full, about.objtype) for full, about in domain.objects.items()))  # type: ignore[attr-defined]
    if name not in known:
        return nodes.literal("", name)
    code = nodes.literal("", name, classes=["xref", "py", "py-obj"])
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", known[name], node, code)


class PublicNames(SphinxDirective):
    """`{public-names}` lists what is in the package's `__all__`, with links."""

    def run(self) -> list[nodes.Node]:
        """Make one line of links."""
        names = importlib.import_module(PACKAGE).__all__
        text = ", ".join(f"{{{ROLE}}}`{name}`" for name in names)
        parent = nodes.container()
        self.state.nested_parse(StringList([text], self.env.docname), 0, parent)
        return list(parent.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_role(ROLE, XRefRole())
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", translate, priority=400)  # napoleon has 500
    app.connect("autodoc-process-signature", shorten)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
