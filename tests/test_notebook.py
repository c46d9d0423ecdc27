"""What notebooks share: the profile, and numbers for the prose."""

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from cbnlib.notebook import check_profile, environment, glue


def test_profiles() -> None:
    assert [check_profile(p) for p in ("quick", "paper")] == ["quick", "paper"]
    with pytest.raises(ValueError, match="unknown profile 'full'; allowed: paper, quick"):
        check_profile("full")


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What reaches the book, in place of its glue."""
    kept: dict[str, Any] = {}
    module = ModuleType("myst_nb")
    module.glue = lambda name, value, display: kept.update({name: value})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "myst_nb", module)
    return kept


def test_glue_stores_plain_python_numbers(stored: dict[str, Any]) -> None:
    for name, value in {"a": np.float64(1.5), "b": torch.tensor(2), "c": 3, "d": "x"}.items():
        glue(name, value)
    assert stored == {"a": 1.5, "b": 2, "c": 3, "d": "x"}
    assert [type(v) for v in stored.values()] == [float, int, int, str]


def test_glue_refuses_what_is_no_result(stored: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"glue\('loss'\): the value is nan"):
        glue("loss", float("nan"))
    assert stored == {}


def test_notebooks_run_without_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "myst_nb", None)  # import fails
    glue("a", 1.0)


def test_environment_names_versions() -> None:
    assert environment()["torch"] == torch.__version__
