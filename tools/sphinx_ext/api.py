r"""Sphinx extension: docstrings written in Markdown's manner, for autodoc.

`$…$` becomes a formula, `$$…$$` at the start of a line one of its own. What stands in single
backticks becomes a link if it names something public of the library, by its short or its full name,
and code otherwise. Lines of doctests, and what they print, stay as they are. The directive
`{public-names}` lists what `import cbnlib` gives. Sphinx's `default_role` alone would warn of every
name in backticks that is not public.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from numpy.typing import ArrayLike
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import stringify_annotation

PACKAGE = "cbnlib"

_PIECE = re.compile(
    r"(?P<ready>``.+?``|:[\w:]+:`[^`]+`)"
    r"|^(?P<indent> *)\$\$(?P<display>[^$]+)\$\$"
    r"|\$(?P<formula>[^$]+)\$|`(?P<code>[^`]+)`",
    re.DOTALL | re.MULTILINE,
)
_RETURNS = re.compile(r"(?P<indent>\s*)(Returns|Yields):$")
_DOCTEST = re.compile(r"^\s*>>>")


def public_modules(package: str = PACKAGE) -> list[ModuleType]:
    """The modules of a package, itself first, without those whose name begins with `_`."""
    top = importlib.import_module(package)
    found = pkgutil.walk_packages(top.__path__, f"{package}.")
    names = sorted(info.name for info in found if not info.name.rpartition(".")[2].startswith("_"))
    return [top, *map(importlib.import_module, names)]


def public_members(module: ModuleType) -> dict[str, Any]:
    """The classes and functions that a module defines, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


@cache
def targets(package: str = PACKAGE) -> Mapping[str, str]:
    """What a docstring may call the public things of a package, and their full names.

    A short name that two modules define is left out: nobody knows which one is meant. Where a
    module and something else have the same one (`frequencies`), it is not the module's; where a
    class's attribute and a function do (`weight_spectra`), it is the function's.
    """
    modules = public_modules(package)
    names = [(module.__name__, full) for module in modules for full in _full_names(module)]
    direct = {full for module, full in names if full.count(".") == module.count(".") + 1}
    attributes = _by_short_name(full for _, full in names if full not in direct)
    modules_by_name = _by_short_name(module.__name__ for module in modules)
    return modules_by_name | attributes | _by_short_name(direct)


def _by_short_name(names: Iterable[str]) -> dict[str, str]:
    """The names by each of their endings that belongs to no other of them."""
    found: dict[str, set[str]] = {}
    for full in names:
        parts = full.split(".")
        for k in range(len(parts)):
            found.setdefault(".".join(parts[k:]), set()).add(full)
    return {short: min(full) for short, full in found.items() if len(full) == 1}


def _full_names(module: ModuleType) -> Iterator[str]:
    for name, value in public_members(module).items():
        full = f"{module.__name__}.{name}"
        yield full
        if inspect.isclass(value):
            methods = (n for n in vars(value) if not n.startswith("_"))
            documented = (n for n in methods if inspect.getdoc(getattr(value, n, None)) is not None)
            yield from (f"{full}.{n}" for n in documented if _is_method(vars(value)[n]))


def _is_method(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)


def to_rst(text: str, links: Mapping[str, str]) -> str:
    """A docstring in reStructuredText.

    Args:
        text: With formulas in `$` and code in single backticks.
        links: Name in backticks to the full name of what is meant.
    """
    pieces: list[str | None] = []
    lines: list[str] = []
    doctest = False
    for line in text.split("\n"):
        starts = bool(_DOCTEST.match(line))
        inside = starts or (doctest and bool(line.strip()))
        if inside != doctest:
            pieces.append(_prose(lines, links) if inside else "\n".join(lines))
            lines, doctest = [], inside
        lines.append(line)
    pieces.append("\n".join(lines) if doctest else _prose(lines, links))
    return "\n".join(piece for piece in pieces if piece is not None)


def _prose(lines: list[str], links: Mapping[str, str]) -> str | None:
    """Lines that are no doctest; None if there are none."""
    if not lines:
        return None
    text = "\n".join(lines)

    def replace(match: re.Match[str]) -> str:
        if match["ready"]:
            return match[0]
        content = " ".join((match["display"] or match["formula"] or match["code"]).split())
        if match["display"]:
            return f"{match['indent']}.. math:: {content}"
        if match["formula"]:
            role = f":math:`{content}`"
        elif content in links:
            role = f":py:obj:`{content} <{links[content]}>`"
        else:
            role = f"``{content}``"
        before = text[match.start() - 1 : match.start()]
        after = text[match.end() : match.end() + 1]
        return "\\ " * before.isalnum() + role + "\\ " * after.isalnum()

    return _PIECE.sub(replace, text)


def without_types(lines: Sequence[str], *, attribute: bool) -> Iterator[str]:
    """A docstring in which napoleon takes no words before a colon for a type.

    It does so in the first line of what is returned and of an attribute; an empty escape there
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
    translated = to_rst("\n".join(lines), targets()).split("\n")
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


class PublicNames(SphinxDirective):
    """`{public-names}`: what is in the package's `__all__`, with links."""

    def run(self) -> list[nodes.Node]:
        """Make one line of links."""
        names = importlib.import_module(PACKAGE).__all__
        text = ", ".join(f"{{py:obj}}`{name} <{targets()[name]}>`" for name in names)
        parent = nodes.container()
        self.state.nested_parse(StringList([text], self.env.docname), 0, parent)
        return list(parent.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", translate, priority=400)  # napoleon has 500
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
