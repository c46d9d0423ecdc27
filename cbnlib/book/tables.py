"""How a table of a notebook shows its values."""

import math
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np

from cbnlib._extras import extra

with extra("book"):
    import pandas as pd


def set_tables() -> None:
    """Let tables, styled or not, show their values as `short` does and a dash where there is none.

    Where more digits are meant, a table says so with its own format.
    """
    pd.set_option("display.float_format", short)
    pd.set_option("styler.format.formatter", short)
    pd.set_option("styler.format.na_rep", "–")


def short(value: object) -> str:
    """A value as text: three significant digits (whole from 100 on), yes or no, or the text itself.

    Example:
        >>> [short(value) for value in (0.15, 41.963, 1641.8, 1.25e-9, math.inf)]
        ['0.15', '42', '1,642', '1.25e-09', '∞']
        >>> [short(value) for value in (True, 2000, "DC×1")]
        ['yes', '2000', 'DC×1']
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, Real) or isinstance(value, Integral):
        return str(value)
    number = float(value)
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return f"{number:,.0f}" if 99.95 <= abs(number) < 1e6 else f"{number:.3g}"


def mix(counts: Mapping[int, int]) -> str:
    """How many directions there are at degree 0, 1, 2, and so on.

    Example:
        >>> mix({0: 3, 1: 4, 2: 1}), mix({0: 1, 3: 2}), mix({})
        ('3 + 4 + 1', '1 + 0 + 0 + 2', 'none')
    """
    degrees = range(max(counts, default=-1) + 1)
    return " + ".join(str(counts.get(degree, 0)) for degree in degrees) or "none"
