"""The reference: docstrings in Sphinx's language, and nothing public left out."""

import importlib
import inspect
import pkgutil
import re

import pytest

import cbnlib
from tools.project import ROOT
from tools.sphinx_ext.api import targets, to_rst, without_types

PAGES = sorted((ROOT / "book" / "api").glob("*.md"))


def public_modules():
    """The modules of the library, itself first, without those whose name begins with `_`."""
    found = pkgutil.walk_packages(cbnlib.__path__, "cbnlib.")
    names = sorted(info.name for info in found if not info.name.rpartition(".")[2].startswith("_"))
    return [cbnlib, *map(importlib.import_module, names)]


def public_members(module):
    """The classes and functions that a module defines, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a $x_1$ and `CNN`.", "a :math:`x_1` and :public:`CNN`."),
        ("`other.name`, `<a>`", ":public:`other.name`, ``<a>``"),
        ("``$ready$`` and :math:`x`", "``$ready$`` and :math:`x`"),
        ("$a\n  +b$", ":math:`a +b`"),
        ("One\n\n  $$a\n  <b,$$\n\ntwo", "One\n\n  .. math:: a <b,\n\ntwo"),
        ("$k$th, n$x$", ":math:`k`\\ th, n\\ :math:`x`"),
        ("`x`\n\n>>> f(`y`)\n'$a$'\n\n`z`", ":public:`x`\n\n>>> f(`y`)\n'$a$'\n\n:public:`z`"),
        (">>> 1\n1", ">>> 1\n1"),
        ("", ""),
    ],
)
def test_docstrings_become_restructured_text(text, expected):
    assert to_rst(text) == expected


def test_words_before_a_colon_are_no_type():
    lines = ["Two: words.", "", "Returns:", "    Rows: many."]
    assert list(without_types(lines, attribute=True)) == [
        "\\ ",
        *lines[:3],
        "    \\ ",
        lines[3],
    ]
    assert list(without_types(lines[:1], attribute=False)) == lines[:1]


def test_a_name_leads_to_the_one_thing_that_it_can_mean():
    found = targets(
        (
            ("p.a", "module"),
            ("p.a.same", "function"),
            ("p.b.same", "function"),
            ("p.b.C", "class"),
            ("p.b.C.only", "method"),
            ("p.b.C.a", "property"),
            ("p.b.C.size", "attribute"),
            ("p.only", "function"),
        )
    )
    for name, full in {
        "only": "p.only",
        "a": "p.b.C.a",
        "p.a": "p.a",
        "C.only": "p.b.C.only",
    }.items():
        assert found[name] == full
    assert found["a.same"] == "p.a.same"
    assert not {"same", "size"} & found.keys()


def test_every_public_module_has_its_place():
    named = [
        name
        for page in PAGES
        for name in re.findall(r"\.\. automodule:: (\S+)", page.read_text(encoding="utf-8"))
    ]
    assert sorted(named) == [module.__name__ for module in public_modules()[1:]]


def test_what_the_package_offers_can_be_linked():
    kinds = [
        (f"{module.__name__}.{name}", "class" if inspect.isclass(value) else "function")
        for module in public_modules()
        for name, value in public_members(module).items()
    ]
    full = targets(tuple(kinds))
    for name in cbnlib.__all__:
        module, _, attribute = full[name].rpartition(".")
        assert getattr(importlib.import_module(module), attribute) is getattr(cbnlib, name)


def test_the_pages_are_in_the_book():
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    assert PAGES
    for page in PAGES:
        assert f"- file: api/{page.stem}\n" in toc
