r"""Formation of a bottleneck, by shares of unwanted modes over training and rates of decay.

A mode is *unwanted* where the trained network's middle does not keep it. The constant frequency is
left out, because biases carry it, too.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cbnlib._checks import check_positive
from cbnlib.spectra.snapshots import SpectraSnapshot
from cbnlib.spectra.spectrum import KEPT, Spectrum, middle_layer


def kept_rows(spectrum: Spectrum, threshold: float = KEPT) -> Tensor:
    """Which modes have a value above `threshold`, the constant left out, shape `[modes]`.

    Raises:
        ValueError: If the threshold is negative or NaN.

    Example:
        >>> kept_rows(Spectrum((4,), Tensor([[2.0], [0.9], [0.1]]))).tolist()
        [False, True, False]
    """
    check_positive("threshold", threshold, zero=True)
    return (spectrum.values.amax(dim=1) > threshold) & (spectrum.degree > 0)


def wanted_modes(snapshots: Sequence[SpectraSnapshot]) -> Tensor:
    """The modes that the middle layer keeps at the end, the constant left out, `[modes]`."""
    layers = snapshots[-1].layers
    return kept_rows(layers[middle_layer(len(layers)) - 1])


def unwanted_values(snapshots: Sequence[SpectraSnapshot], layer: int) -> np.ndarray:
    """Largest singular value of each unwanted mode of a layer over training.

    Args:
        snapshots: Spectra over training, all layers on one grid.
        layer: Counted from 1.

    Returns:
        Shape `[snapshots, unwanted modes]`.
    """
    values = torch.stack([shot.layers[layer - 1].values[:, 0] for shot in snapshots])
    off = ~wanted_modes(snapshots) & (snapshots[0].layers[layer - 1].degree > 0)
    return np.asarray(values[:, off], dtype=float)


def overlap(a: Tensor, b: Tensor) -> float:
    """Modes in both sets as a share of those in either, 1 if both are empty.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> overlap(Tensor([1, 1, 0]).bool(), Tensor([0, 1, 0]).bool())
        0.5
    """
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {tuple(a.shape)} and {tuple(b.shape)}")
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 1.0


def unwanted_share(spectrum: Spectrum, wanted: Tensor) -> float:
    r"""Share of the sum of squares that lies at unwanted modes, the constant left out of both.

    Args:
        spectrum: Spectrum of a layer's weights or activations.
        wanted: Which of its modes are wanted, shape `[modes]`.

    Returns:
        A number in $[0,1]$, 0 if there is nothing beside the constant.

    Raises:
        ValueError: If there is not one entry per mode.
    """
    if wanted.shape != spectrum.degree.shape:
        raise ValueError(f"need {len(spectrum.degree)} modes, got shape {tuple(wanted.shape)}")
    squares = spectrum.values.double().square().sum(dim=1) * spectrum.multiplicity
    squares = squares.where(spectrum.degree > 0, 0)
    total = float(squares.sum())
    return float(squares.where(~wanted, 0).sum()) / total if total else 0.0


def falls_below(steps: Sequence[int], values: ArrayLike, level: float) -> float:
    """The step from which on a quantity stays below a level, interpolated between observations.

    Args:
        steps: When it was observed, ascending.
        values: Positive, one per step. Between two of them their logarithm is taken as linear.
        level: Positive.

    Returns:
        The first step if it always is below, infinity if it is not below at the end.

    Raises:
        ValueError: If there is no step, not one number per step, or the level is not positive.

    Example:
        >>> falls_below([0, 10, 20, 30], [1.0, 0.01, 1.0, 0.01], 0.1)
        25.0
    """
    check_positive("level", level)
    if not len(steps) or np.shape(values) != np.shape(steps) or np.isnan(values).any():
        raise ValueError(f"need one number per step, at least one, got {values!r} at {steps!r}")
    y = np.log(np.maximum(np.asarray(values, dtype=float), 1e-300)) - np.log(level)
    above = np.flatnonzero(y >= 0)
    if not above.size:
        return float(steps[0])
    last = int(above[-1])
    if last == len(y) - 1:
        return float("inf")
    return float(np.interp(0, [y[last + 1], y[last]], [steps[last + 1], steps[last]]))


def decay_rates(values: ArrayLike, time: ArrayLike) -> np.ndarray:
    r"""The $r$ of $\sigma=\sigma_0e^{-rt}$ for several quantities, by least squares on logarithms.

    Args:
        values: Positive, shape `[times, quantities]`.
        time: Shape `[times]`, at least two different ones.

    Returns:
        Shape `[quantities]`.

    Raises:
        ValueError: If a number is NaN or infinite, or there are not two different times.

    Example:
        >>> decay_rates([[1.0, 1.0], [0.5, 1.0]], [0.0, np.log(2)])
        array([1., 0.])
    """
    finite = np.isfinite(values).all() and np.isfinite(time).all()
    if not finite or len(np.unique(time)) < 2 or len(np.asarray(values)) != len(np.asarray(time)):
        raise ValueError(f"need numbers at two different times or more, got {values!r} at {time!r}")
    y = np.log(np.maximum(np.asarray(values, dtype=float), 1e-300))
    slope: np.ndarray = -np.polyfit(np.asarray(time, dtype=float), y, 1)[0] + 0.0
    return slope
