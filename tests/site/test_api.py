"""The reference: docstrings in Sphinx's language, and nothing public left out."""

import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

import cbnlib

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "book" / "api").glob("*.md"))


@pytest.fixture(scope="module")
def api():
    spec = importlib.util.spec_from_file_location("api", ROOT / "tools" / "sphinx_ext" / "api.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["api"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["api"]


LINKS = {"CNN": "cbnlib.network.model.CNN"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a $x_1$ and `CNN`.", "a :math:`x_1` and :py:obj:`CNN <cbnlib.network.model.CNN>`."),
        ("`other.name`", "``other.name``"),
        ("``$ready$`` and :math:`x`", "``$ready$`` and :math:`x`"),
        ("$a\n  +b$", ":math:`a +b`"),
        ("One\n\n  $$a\n  <b,$$\n\ntwo", "One\n\n  .. math:: a <b,\n\ntwo"),
        ("$k$th, n$x$", ":math:`k`\\ th, n\\ :math:`x`"),
        ("`x`\n\n>>> f(`y`)\n'$a$'\n\n`z`", "``x``\n\n>>> f(`y`)\n'$a$'\n\n``z``"),
        (">>> 1\n1", ">>> 1\n1"),
        ("", ""),
    ],
)
def test_docstrings_become_restructured_text(api, text, expected):
    assert api.to_rst(text, LINKS) == expected


def test_words_before_a_colon_are_no_type(api):
    lines = ["Two: words.", "", "Returns:", "    Rows: many."]
    assert list(api.without_types(lines, attribute=True)) == [
        "\\ ",
        *lines[:3],
        "    \\ ",
        lines[3],
    ]
    assert list(api.without_types(lines[:1], attribute=False)) == lines[:1]


def test_names_that_two_modules_define_are_no_links(api, tmp_path, monkeypatch):
    (tmp_path / "twice").mkdir()
    (tmp_path / "twice" / "__init__.py").write_text("")
    for name in ("a", "b", "_hidden"):
        text = f"def same(): ...\ndef only_{name.strip('_')}(): ...\n"
        (tmp_path / "twice" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert {k: v for k, v in api.targets("twice").items() if "same" in k or "only" in k} == {
        "only_a": "twice.a.only_a",
        "only_b": "twice.b.only_b",
        "a.only_a": "twice.a.only_a",
        "b.only_b": "twice.b.only_b",
        "a.same": "twice.a.same",
        "b.same": "twice.b.same",
        **{f"twice.{m}.{f}": f"twice.{m}.{f}" for m in "ab" for f in ("same", f"only_{m}")},
    }


def test_every_public_module_has_its_place(api):
    named = [
        name
        for page in PAGES
        for name in re.findall(r"\.\. automodule:: (\S+)", page.read_text(encoding="utf-8"))
    ]
    assert sorted(named) == [module.__name__ for module in api.public_modules()[1:]]


def test_every_public_name_is_described(api):
    """autodoc leaves out what has no docstring; the rest of a named module it describes."""
    for module in api.public_modules():
        assert module.__doc__, module.__name__
        for name, value in api.public_members(module).items():
            assert value.__doc__, f"{module.__name__}.{name}"


def test_what_the_package_offers_can_be_linked(api):
    full = api.targets()
    for name in cbnlib.__all__:
        module, _, attribute = full[name].rpartition(".")
        assert getattr(importlib.import_module(module), attribute) is getattr(cbnlib, name)


def test_the_pages_are_in_the_book():
    toc = (ROOT / "book" / "_toc.yml").read_text(encoding="utf-8")
    assert PAGES
    for page in PAGES:
        assert f"- file: api/{page.stem}\n" in toc
