"""What every notebook of the book needs around its experiment."""

import math
import platform
from typing import Literal, get_args

import numpy as np
import torch

from cbnlib.checks import check_choice

Profile = Literal["quick", "paper"]


def check_profile(profile: str) -> Profile:
    """Return the profile if it is one.

    Raises:
        ValueError: If it is neither `quick` nor `paper`.
    """
    check_choice("profile", profile, get_args(Profile))
    return "quick" if profile == "quick" else "paper"


def start(profile: str) -> Profile:
    """Check the profile, set the figures' style, and fix what the bits of a run depend on.

    One thread: the layers are small, so more would not help, and the sums keep their order.

    Returns:
        The profile.

    Raises:
        ValueError: If the profile is unknown.
    """
    from cbnlib.plots import set_style

    checked = check_profile(profile)
    set_style()
    torch.set_num_threads(1)
    return checked


def glue(name: str, value: object) -> None:
    """Store a number or text under a name, for the prose of the book to quote.

    Outside the book (no `myst_nb` installed) this does nothing, so the notebook runs anywhere.
    Scalars of NumPy and torch are turned into Python's, because the book cannot format them.

    Raises:
        ValueError: If the number is NaN or infinite: such a result must not reach the prose.
    """
    plain = value.item() if isinstance(value, np.generic | torch.Tensor) else value
    if isinstance(plain, float) and not math.isfinite(plain):
        raise ValueError(f"glue({name!r}): the value is {plain}")
    try:
        from myst_nb import glue as store
    except ImportError:
        return
    store(name, plain, display=False)


def environment() -> dict[str, str]:
    """What produced the numbers: versions, processor and threads, ready to print."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
    }
