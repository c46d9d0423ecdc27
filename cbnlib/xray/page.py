"""The page of figures and tables, in one file that needs nothing from the internet."""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from cbnlib._template import fill
from cbnlib.spectra.spectrum import Kind
from cbnlib.xray.analyse import XRay
from cbnlib.xray.measure import Curve

_WIDTH, _HEIGHT = 150, 70
"""Size of a small figure, in its own units."""
_DECADES = 3


def page(found: XRay) -> str:
    """The page as HTML, light and dark, with the numbers of `XRay.to_json`.

    Args:
        found: What was found in a network.
    """
    counts = Counter(layer.kind for layer in found.layers)
    return fill(
        Path(__file__).with_name("template.html"),
        escape=True,
        found=found,
        kinds={kind: counts[kind] for kind in get_args(Kind) if counts[kind]},
        cell=_cell,
        draw=_draw,
        width=_WIDTH,
        height=_HEIGHT,
        logarithmic=f"The height is logarithmic, over {_DECADES} decades.",
        whole="the network itself",
    )


def _cell(value: Any) -> str:  # noqa: ANN401  # of a column
    """A value of a table as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "×".join(map(str, value))
    if isinstance(value, float):
        return format(value, ".0f" if value >= 1000 else ".3g")
    return str(value)


def _draw(curve: Curve, *, logarithmic: bool) -> dict[str, Any]:
    """The last degree, the outline of the band and the line of the median, as points of SVG."""
    top, last = max(curve.largest) or 1.0, max(1, curve.degree[-1])

    def height(value: float) -> float:
        if not logarithmic:
            return _HEIGHT * value / top
        return _HEIGHT * (1 + math.log10(max(value / top, 10**-_DECADES)) / _DECADES)

    def points(values: Iterable[float]) -> list[str]:
        pairs = zip(curve.degree, values, strict=True)
        return [f"{_WIDTH * d / last:.4g},{_HEIGHT - height(v):.4g}" for d, v in pairs]

    area = [*points(curve.largest), *reversed(points(curve.smallest))]
    return {"last": last, "area": " ".join(area), "line": " ".join(points(curve.median))}
