r"""How a bottleneck forms: shares of unwanted modes over training, and the decay that SGD predicts.

A mode is *unwanted* where the trained network's middle does not keep it. The constant frequency is
left out, because biases carry it, too.
"""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike
from torch import Tensor

from cbnlib.checks import check_positive
from cbnlib.loop import learning_rates
from cbnlib.records.contents import Run
from cbnlib.spectra import Spectrum
from cbnlib.train_config import TrainConfig


def kept_rows(spectrum: Spectrum, threshold: float = 0.5) -> Tensor:
    """Which modes have a value above `threshold`, the constant left out; shape `[modes]`.

    Raises:
        ValueError: If the threshold is negative or NaN.

    Example:
        >>> kept_rows(Spectrum((4,), Tensor([[2.0], [0.9], [0.1]]))).tolist()
        [False, True, False]
    """
    check_positive("threshold", threshold, zero=True)
    return (spectrum.values.amax(dim=1) > threshold) & (spectrum.degree > 0)


def wanted_modes(run: Run) -> Tensor:
    """The modes that layer L/2 keeps at the end of a run, the constant left out; `[modes]`."""
    return kept_rows(run.spectra[-1].layers[run.network.depth // 2 - 1])


def unwanted_values(run: Run, layer: int) -> np.ndarray:
    """Largest singular value of each unwanted mode of a layer over training.

    Args:
        run: With spectra over training, all layers on one grid.
        layer: Counted from 1.

    Returns:
        Shape `[snapshots, unwanted modes]`.
    """
    values = torch.stack([shot.layers[layer - 1].values[:, 0] for shot in run.spectra])
    off = ~wanted_modes(run) & (run.spectra[0].layers[layer - 1].degree > 0)
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
        spectrum: Of a layer's weights or activations.
        wanted: Which of its modes are wanted, shape `[modes]`.

    Returns:
        A number in $[0,1]$; 0 if there is nothing beside the constant.

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
        values: Positive, one per step; between two of them their logarithm is taken as linear.
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


def ridge_decay(training: TrainConfig) -> np.ndarray:
    r"""$-\log$ of what SGD's ridge alone leaves of a parameter after each number of steps.

    Without a data term a step is $m\leftarrow\mu m+2\lambda v$, $v\leftarrow v-\eta_tm$, with
    $\eta_t$ the rate and $\mu$ the momentum: to leading order $v_t=v_0e^{-2\lambda S}$ with
    $S=\sum_t\eta_t/(1-\mu)$. This is the recursion itself.

    Args:
        training: With the optimiser `sgd`, a ridge, and a rate small enough that the parameter
            falls steadily.

    Returns:
        Shape `[steps + 1]`, from 0 upwards.

    Raises:
        ValueError: If the optimiser is another one (Adam divides by the size of past gradients,
            which the ridge alone does not know), or the rate is so large that the parameter
            changes its sign.

    Example:
        >>> training = TrainConfig(0.5, 0.1, 2, optimizer="sgd", momentum=0.0, schedule="constant")
        >>> np.exp(-ridge_decay(training)).round(3)
        array([1.  , 0.9 , 0.81])
    """
    if training.optimizer != "sgd":
        raise ValueError(f"the optimiser must be 'sgd', got {training.optimizer!r}")
    left, moment = [1.0], 0.0
    for rate in learning_rates(training):
        moment = training.momentum * moment + 2 * training.ridge * left[-1]
        left.append(left[-1] - rate * moment)
    if min(left) <= 0:
        raise ValueError(
            f"with rate {training.learning_rate} and ridge {training.ridge} the parameter changes "
            "its sign; need a smaller rate or ridge"
        )
    decay: np.ndarray = -np.log(left)
    return decay + 0.0


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


def plot_heat_map(ax: Axes, spectra: Sequence[Spectrum], *, relative: bool = False) -> AxesImage:
    """Draw layer × mode: the largest value at each mode, on a logarithmic scale from 0.001 to 1.

    Args:
        ax: Where to draw.
        spectra: One per layer, all on one grid.
        relative: Whether each layer is divided by its largest value beside the constant, as
            suits activations.

    Returns:
        The image, for a colour bar. Its rows are the modes, lowest degree first.

    Raises:
        ValueError: If there is no spectrum, or they are on several grids.
    """
    if len({spectrum.grid for spectrum in spectra}) != 1:
        raise ValueError(f"need spectra on one grid, got {[spectrum.grid for spectrum in spectra]}")
    columns = []
    for spectrum in spectra:
        largest = spectrum.values[:, 0]
        scale = largest.where(spectrum.degree > 0, 0).max().clamp_min(1e-30) if relative else 1.0
        columns.append((largest / scale).numpy(force=True))
    degree = spectra[0].degree.numpy(force=True)
    order = np.argsort(degree, kind="stable")
    rows: list[int] = []  # where a degree begins, as far as there is room for its number
    for row in np.searchsorted(degree[order], np.unique(degree)):
        if not rows or row - rows[-1] >= len(order) / 11:
            rows.append(int(row))
    ax.set(xlabel=r"layer $\ell$", ylabel="degree")
    ax.set_xticks(range(1, len(spectra) + 1))
    ax.set_yticks(rows, [str(d) for d in degree[order][rows]])
    return ax.imshow(
        np.stack(columns, axis=1)[order].clip(min=1e-9),
        cmap=sns.color_palette("mako_r", as_cmap=True),
        norm=LogNorm(1e-3, 1, clip=True),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, len(spectra) + 0.5, -0.5, len(order) - 0.5),
    )
