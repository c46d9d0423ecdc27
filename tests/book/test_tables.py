"""How notebooks show the values of their tables."""

import math

import numpy as np
import pandas as pd
import pytest

from cbnlib.book.tables import mix, set_tables, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.150000, "0.15"),
        (99.94, "99.9"),
        (99.96, "100"),
        (-123.4, "-123"),
        (2385.4, "2,385"),
        (2.5e6, "2.5e+06"),
        (np.float64(0.5), "0.5"),
        (np.int64(1234567), "1234567"),
        (np.bool_(False), "no"),
        (-math.inf, "−∞"),
        (None, "None"),
    ],
)
def test_values_are_short(value, text):
    assert short(value) == text


def test_tables_show_short_values_and_a_dash_for_none():
    names = ("display.float_format", "styler.format.formatter", "styler.format.na_rep")
    with pd.option_context(*[part for name in names for part in (name, pd.get_option(name))]):
        set_tables()
        table = pd.DataFrame(
            {"loss": [0.15, math.nan], "rate": [1e-3, 2.0], "learned": [True, False]}
        )
        styled = table.style.hide(axis="index").to_html()
        plain = table.to_html()
    for text in ("0.15<", "–<", "0.001<", ">2<", "yes<", "no<"):
        assert text in styled
    assert "0.150000" not in styled
    assert ">0.15<" in plain


def test_a_mix_counts_every_degree_up_to_the_highest():
    assert mix({0: 1, 2: 3}) == "1 + 0 + 3"
