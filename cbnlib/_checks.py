"""Checks of user input, which return the clean value or raise an error that names the bad one."""

import math
from collections.abc import Collection, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar, overload

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
PRECISIONS = (torch.float32, torch.float64)


def hold(config: object, **clean: object) -> None:
    """Set fields of a frozen dataclass to clean values, when it is constructed."""
    for name, value in clean.items():
        object.__setattr__(config, name, value)


def check_type(name: str, value: object, kind: type[T]) -> T:
    """Return ``value`` if it is an instance of ``kind``.

    Raises:
        TypeError: If it is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, got {value!r:.80}")
    return value


def check_grid(grid: object, most: int = 2) -> tuple[int, ...]:
    """Return the grid as a tuple of positive integers, one per axis.

    Raises:
        ValueError: If there is no axis or more than ``most``, or an axis is not a positive integer.
    """
    axes = tuple(grid) if isinstance(grid, Iterable) else (grid,)
    if not 1 <= len(axes) <= most:
        allowed = "1 or 2" if most == 2 else f"1 to {most}"
        raise ValueError(f"grid must have {allowed} axes, got {len(axes)}: {axes}")
    return tuple(check_count("grid axis", n) for n in axes)


class Grid:
    """A field of a frozen dataclass that takes an integer or several, and holds a tuple.

    Raises:
        ValueError: On construction of the dataclass, as `check_grid`.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember what the field is called."""
        self.name = name

    @overload
    def __get__(self, config: None, owner: type) -> "Grid": ...

    @overload
    def __get__(self, config: object, owner: type) -> tuple[int, ...]: ...

    def __get__(self, config: Any, owner: type) -> Any:
        """The tuple. The class itself has none, so the field has no default."""
        if config is None:
            raise AttributeError(self.name)
        return config.__dict__[self.name]

    def __set__(self, config: object, grid: int | Sequence[int]) -> None:
        """Check the grid and hold it. A frozen dataclass sets a field only once."""
        config.__dict__[self.name] = check_grid(grid)


def check_count(name: str, value: object, minimum: int = 1) -> int:
    """Return ``value`` as an `int` if it is an integer, Python's or NumPy's, >= ``minimum``.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")
    return int(value)


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` as a `bool` if it is True, False, 1 or 0.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, Integral | np.bool_) or value not in (0, 1):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def check_positive(name: str, value: object, *, zero: bool = False) -> float:
    """Return ``value`` as a `float` if it is a finite number > 0 (>= 0 if ``zero``).

    Raises:
        ValueError: If it is not.
    """
    number = float(value) if type(value) is not bool and isinstance(value, Real) else math.nan
    if not math.isfinite(number) or not (number >= 0 if zero else number > 0):
        raise ValueError(f"{name} must be finite and {'>=' if zero else '>'} 0, got {value!r}")
    return number


def check_choice(name: str, value: str, allowed: Collection[str]) -> str:
    """Return ``value`` if it is one of ``allowed``.

    Raises:
        ValueError: If it is not. The message lists what is allowed.
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"unknown {name} {value!r}; allowed: {', '.join(sorted(allowed))}")
    return value


def check_finite(name: str, values: Tensor) -> Tensor:
    """Return ``values`` if no entry is NaN or infinite.

    Raises:
        TypeError: If it is not a tensor.
        ValueError: If an entry is NaN or infinite, or the tensor has no values.
    """
    if check_type(name, values, Tensor).is_meta:
        raise ValueError(f"{name} is on the meta device, so it has no values")
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise ValueError(f"{name}: {bad} of {values.numel()} entries are NaN or infinite")
    return values


def check_precision(name: str, values: Tensor) -> Tensor:
    """Return ``values`` if they are in single or double precision.

    Raises:
        ValueError: If they are not.
    """
    if values.dtype not in PRECISIONS:
        raise ValueError(f"{name} must be float32 or float64, got {values.dtype}")
    return values


def check_alike(name: str, values: Tensor, other: str, reference: Tensor) -> Tensor:
    """Return ``values`` if they have the dtype and the device of ``reference``.

    Raises:
        ValueError: If they do not.
    """
    if (values.dtype, values.device) != (reference.dtype, reference.device):
        raise ValueError(
            f"{name} must have the dtype and device of {other}, {reference.dtype} on "
            f"{reference.device}, got {values.dtype} on {values.device}"
        )
    return values


def check_signal(x: Tensor, channels: int, grid: tuple[int, ...]) -> Tensor:
    """Return ``x`` if it is a batch of signals, shape ``[batch, channels, *grid]``.

    Raises:
        TypeError: If it is not a tensor.
        ValueError: If the number of axes, the channels or the grid differ.
    """
    check_type("input", x, Tensor)
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
