"""A claim whose values are to be at most 5."""

from typing import Any

from cbnlib.book.claims import Claim


def stated(
    value: float | tuple[float, ...] = 1.0, prediction: str = "Few are kept.", **changes: Any
) -> Claim:
    values = value if isinstance(value, tuple) else (value,)
    about = {"paper": "C1", "task": "bump", "quantity": "dimensions", "figure": "fig-kept"}
    return Claim(**about | {"prediction": prediction, "values": values, "at_most": 5} | changes)
