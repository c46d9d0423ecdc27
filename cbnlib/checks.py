"""Checks of user input: each returns the clean value or raises an error that names the bad one."""

from collections.abc import Collection, Sequence

import torch
from torch import Tensor


def check_grid(grid: int | Sequence[int]) -> tuple[int, ...]:
    """Return the grid as a tuple of one or two positive integers.

    Raises:
        ValueError: If there are not one or two axes, or an axis is not a positive integer.
    """
    axes = (grid,) if isinstance(grid, int) else tuple(grid)
    if len(axes) not in (1, 2):
        raise ValueError(f"grid must have 1 or 2 axes, got {len(axes)}: {axes}")
    for n in axes:
        check_count("grid axis", n)
    return axes


def check_count(name: str, value: int, minimum: int = 1) -> int:
    """Return ``value`` if it is an integer of at least ``minimum``.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return value


def check_positive(name: str, value: float, *, zero: bool = False) -> float:
    """Return ``value`` if it is a finite number > 0 (>= 0 if ``zero``).

    Raises:
        ValueError: If it is not.
    """
    if not (value >= 0 if zero else value > 0) or value == float("inf"):
        raise ValueError(f"{name} must be finite and {'>=' if zero else '>'} 0, got {value!r}")
    return value


def check_choice(name: str, value: str, allowed: Collection[str]) -> str:
    """Return ``value`` if it is one of ``allowed``.

    Raises:
        ValueError: If it is not; the message lists what is allowed.
    """
    if value not in allowed:
        raise ValueError(f"unknown {name} {value!r}; allowed: {', '.join(sorted(allowed))}")
    return value


def check_finite(name: str, values: Tensor) -> Tensor:
    """Return ``values`` if no entry is NaN or infinite.

    Raises:
        ValueError: If one is; the message counts them.
    """
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise ValueError(f"{name}: {bad} of {values.numel()} entries are NaN or infinite")
    return values


def check_signal(x: Tensor, channels: int, grid: tuple[int, ...]) -> Tensor:
    """Return ``x`` if it is a batch of signals, shape ``[batch, channels, *grid]``.

    Raises:
        ValueError: If the number of axes, the channels or the grid differ.
    """
    if x.ndim != 2 + len(grid):
        raise ValueError(
            f"input must have {2 + len(grid)} axes [batch, channels, *grid] on grid {grid}, "
            f"got {x.ndim}: shape {tuple(x.shape)}"
        )
    if x.shape[1] != channels:
        raise ValueError(f"input must have {channels} channels, got {x.shape[1]}")
    if tuple(x.shape[2:]) != grid:
        raise ValueError(f"input must live on grid {grid}, got {tuple(x.shape[2:])}")
    return x
