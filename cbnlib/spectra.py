r"""Singular values per frequency: of layers, and of activations over a data set.

LAPACK takes a batch of blocks on one core; here it is cut into slices that the cores share. Slices
also bound the memory: beside the half spectrum only some MiB per core are in use, however many
frequencies there are.
"""

import copy
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from threading import Barrier
from typing import Any, TypeVar

import torch
from torch import Tensor

from cbnlib.checks import (
    PRECISIONS,
    check_count,
    check_finite,
    check_grid,
    check_positive,
    check_type,
)
from cbnlib.frequencies import frequencies
from cbnlib.layers import CircularConv
from cbnlib.model import CNN

T = TypeVar("T")

_SLICE_ENTRIES = 2**15
"""Block entries in one slice, about a millisecond's work: so no core waits long for another."""

_GROUP_BYTES = 128 * 2**20
"""Half spectra of equal layers that are decomposed together; a larger layer is taken alone."""

_POOL_ENTRIES = 2**13
"""Below this many block entries, threads cost more than they give."""

_DIRECT_TAPS = 32
"""Up to this many taps the sum over them, slice by slice, is faster than the FFT of the grid."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    r"""Singular values of a translation-equivariant map (or of a data matrix), mode by mode.

    One row per *mode*: a self-conjugate frequency, or one representative of a pair $\pm\omega$.

    Attributes:
        grid: Pixels per axis.
        values: Singular values, largest first, shape `[modes, directions]`.
        upper_bound: Whether the values are only upper bounds, as with zero padding (S8): the i-th
            largest of `operator_values()` is at least the i-th singular value of the layer.

    Raises:
        ValueError: On construction, if the values have another shape, or one is NaN or infinite.
    """

    grid: tuple[int, ...]
    values: Tensor
    upper_bound: bool = False

    def __post_init__(self) -> None:
        """Check the values, and store the grid as a tuple."""
        object.__setattr__(self, "grid", check_grid(self.grid))
        modes = len(frequencies(self.grid).modes)
        values = check_type("values", self.values, Tensor)
        if values.ndim != 2 or len(values) != modes or not values.is_floating_point():
            raise ValueError(
                f"values on the grid {self.grid} must be real, of shape [{modes}, directions], one "
                f"row per mode; got {values.dtype} of shape {tuple(values.shape)}"
            )
        check_finite("singular values", self.values)

    @property
    def omega(self) -> Tensor:
        """Frequency vectors, shape `[modes, axes]`."""
        return self._at_modes(frequencies(self.grid).omega)

    @property
    def degree(self) -> Tensor:
        r"""$\lvert\omega_1\rvert+\lvert\omega_2\rvert$, shape `[modes]`."""
        return self._at_modes(frequencies(self.grid).degree)

    @property
    def multiplicity(self) -> Tensor:
        """Real dimensions of one singular direction, 1 or 2, shape `[modes]`."""
        return self._at_modes(frequencies(self.grid).multiplicity)

    def _at_modes(self, of_frequencies: Tensor) -> Tensor:
        return of_frequencies[frequencies(self.grid).modes].to(self.values.device)

    def real_dimensions(self, threshold: float) -> int:
        """Real dimensions whose singular value exceeds `threshold`.

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        return int(((self.values > threshold).sum(dim=1) * self.multiplicity).sum())

    def gap(self, threshold: float) -> tuple[float, float]:
        """The smallest singular value above `threshold` and the largest one not above it.

        Returns:
            `(smallest kept, largest other)`; infinity and 0 stand for "there is none".

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        kept = self.values > threshold
        smallest = self.values[kept].min() if kept.any() else float("inf")
        largest = self.values[~kept].max() if not kept.all() else 0.0
        return float(smallest), float(largest)

    def kept_by_degree(self, threshold: float) -> dict[int, int]:
        r"""How many singular directions of each degree exceed `threshold`.

        A pair $\pm\omega$ counts once per direction, as in "3 constant frequencies, 4 of degree 1".

        Returns:
            Degree to count, lowest degree first, without zeros.

        Raises:
            ValueError: If the threshold is negative or NaN.
        """
        check_positive("threshold", threshold, zero=True)
        per_mode = (self.values > threshold).sum(dim=1)
        counts = {int(d): int(per_mode[self.degree == d].sum()) for d in self.degree.unique()}
        return {d: count for d, count in counts.items() if count}

    def largest(self) -> Tensor:
        """The largest singular value at every frequency of the whole grid, in the order of `fftn`.

        Returns:
            Tensor of shape `grid`, symmetric under negation of the frequency.
        """
        full = self.values.new_zeros(self.grid)
        for omega in (self.omega, -self.omega):  # negative indices wrap around
            full[omega.unbind(dim=1)] = self.values[:, 0]
        return full

    def operator_values(self) -> Tensor:
        r"""$\sigma_i$ over all of $\hat G$: every value as often as its real dimensions.

        Returns:
            Singular values, largest first, shape `[N * directions]`.
        """
        return (
            self.values.repeat_interleave(self.multiplicity, dim=0)
            .flatten()
            .sort(descending=True)[0]
        )


@torch.no_grad()
def spectrum_of_blocks(blocks: Tensor, grid: tuple[int, ...]) -> Spectrum:
    r"""Spectrum of a map given by its Fourier blocks, in their precision.

    Args:
        blocks: $\hat W(\omega)$ at the stored frequencies, shape `[c_out, c_in, *half_grid]`.
        grid: Pixels per axis.

    Raises:
        ValueError: If the shape does not fit the grid, or a block holds NaN or infinity.
    """
    grid = check_grid(grid)
    if blocks.ndim < 3 or blocks.shape[2:] != frequencies(grid).half_grid:
        raise ValueError(
            f"blocks on the grid {grid} must have shape [c_out, c_in, *half_grid] with half_grid "
            f"{frequencies(grid).half_grid}, got {tuple(blocks.shape)}"
        )
    return Spectrum(grid, _values_of_halves(blocks.unsqueeze(0), grid)[0])


@torch.no_grad()
def filter_spectrum(
    w: Tensor, grid: int | Sequence[int], *, dtype: torch.dtype | None = None
) -> Spectrum:
    r"""Spectrum of the circular convolution with a filter given in pixels.

    Where the taps lie changes only the phase of the blocks, so a window may stand anywhere.

    Args:
        w: The plain filter, not in operator scale, shape `[c_out, c_in, *window]`.
        grid: Pixels per axis, at least the window's.
        dtype: Precision of the computation, `torch.float32` or `torch.float64`; None for the
            filter's own. The values are off by about 1e-6 or 1e-15 times the largest one.

    Raises:
        ValueError: If the window does not fit the grid, the filter is on the meta device, complex,
            or holds NaN or infinity, or the precision is another one.

    Reference: Sedghi, Gupta and Long (ICLR 2019) for the use of the FFT.

    Example:
        >>> blur = torch.full((1, 1, 3), 1 / 3)
        >>> filter_spectrum(blur, 6).values.flatten()  # frequencies 0, ±1, ±2, 3
        tensor([1.0000, 0.6667, 0.0000, 0.3333])
    """
    axes = check_grid(grid)
    window = tuple(w.shape[2:])
    if len(window) != len(axes) or any(k > n for k, n in zip(window, axes, strict=True)):
        raise ValueError(f"a filter with window {window} does not fit the grid {axes}")
    w = w.detach().to(check_weight("filter", w, dtype))
    if math.prod(window) > _DIRECT_TAPS:
        return spectrum_of_blocks(_transform(w, axes), axes)
    phases = _phases(window, axes).to(w)
    taps = w.flatten(2).flatten(0, 1).mT

    def blocks_at(rows: Tensor) -> Tensor:
        real, imaginary = (part[rows] @ taps for part in phases)
        return torch.complex(real, imaginary).reshape(-1, *w.shape[:2])

    return Spectrum(axes, _singular_values(blocks_at, phases.shape[1], w.shape[:2]))


@torch.no_grad()
def layer_spectra(
    layers: Sequence[CircularConv], *, dtype: torch.dtype | None = None
) -> list[Spectrum]:
    r"""`layer_spectrum` of many layers in one call; those of equal shape go through together.

    Args:
        layers: Convolutions of any shapes.
        dtype: Precision of the computation, as in `layer_spectrum`.

    Raises:
        ValueError: If weights are on the meta device or hold NaN or infinity, or the precision is
            another one.
    """
    for number, layer in enumerate(layers, start=1):
        which = f" of layer {number}" if len(layers) > 1 else ""
        check_weight(f"weight{which}", check_type("layer", layer, CircularConv).weight, dtype)
    spectra: dict[int, Spectrum] = {}
    for group in _groups(layers):
        grid = layers[group[0]].grid
        halves = _blocks_of_equal([layers[i] for i in group], dtype)
        for i, values in zip(group, _values_of_halves(halves, grid), strict=True):
            spectra[i] = Spectrum(grid, values)
    return [spectra[i] for i in range(len(layers))]


def layer_spectrum(layer: CircularConv, *, dtype: torch.dtype | None = None) -> Spectrum:
    r"""The singular values $\sigma_i(\hat W(\omega))$ of a layer's Fourier blocks.

    They are those of the operator on $\mathbb R^{c\times G}$, counted with
    `Spectrum.multiplicity`; the bias has no part in them.

    Args:
        layer: The convolution.
        dtype: Precision of the computation, `torch.float32` or `torch.float64`; None for the
            weights' own. The values are off by about 1e-6 or 1e-15 times the largest one.

    Raises:
        ValueError: If the weights hold NaN or infinity, or the precision is another one.

    Reference: Sedghi, Gupta and Long (ICLR 2019) for the use of the FFT.

    Example:
        >>> layer = CircularConv(2, 3, (4, 4), generator=torch.Generator().manual_seed(0))
        >>> layer_spectrum(layer).values.shape  # 10 modes on 16 pixels
        torch.Size([10, 2])
    """
    return layer_spectra([layer], dtype=dtype)[0]


def middle_half(depth: int) -> slice:
    """The middle half of the layers, as a slice of a list of them, first layer first.

    Args:
        depth: L, the number of layers.

    Raises:
        ValueError: If it is no integer >= 1.

    Example:
        >>> [1, 2, 3, 4, 5, 6, 7, 8][middle_half(8)]
        [3, 4, 5, 6]
    """
    check_count("depth", depth)
    return slice(depth // 4, 3 * depth // 4)


def weight_spectra(model: CNN, *, dtype: torch.dtype | None = None) -> list[Spectrum]:
    """`layer_spectrum` of every convolution of a network, first layer first."""
    return layer_spectra(check_type("model", model, CNN).convs, dtype=dtype)


def weight_spectra_over_time(
    models: Sequence[CNN], *, dtype: torch.dtype | None = None
) -> list[Tensor]:
    """The singular values of a network's convolutions at several times of its training.

    Args:
        models: The network at each time.
        dtype: Precision of the computation, as in `layer_spectrum`.

    Returns:
        One tensor per convolution, first layer first, shape `[times, modes, directions]`: at each
        time the `values` of its `layer_spectrum`.

    Raises:
        ValueError: If there is no network or their configs differ, weights hold NaN or infinity,
            or the precision is another one.
    """
    if not models or any(model.config != models[0].config for model in models):
        raise ValueError("need at least one network, and all of the same config")
    spectra = layer_spectra([conv for model in models for conv in model.convs], dtype=dtype)
    depth = len(models[0].convs)
    return [torch.stack([s.values for s in spectra[i::depth]]) for i in range(depth)]


@torch.no_grad()
def activation_spectra(model: CNN, x: Tensor, *, batch_size: int = 512) -> list[Spectrum]:
    r"""Spectra of the pre-activations over a data set.

    At each frequency the coefficients $\hat{\tilde\alpha}_\ell(\omega)$ of all samples form a
    matrix samples × channels; the values are its singular values divided by the root of the
    number of samples, i.e. root-mean-square amplitudes along channel directions. They are not
    centred: the constant frequency holds the mean.

    Pre-activations, because there the bottleneck is linear; ReLU may leave its span (S5).

    Args:
        model: The network; of the pooling head only the convolutions count.
        x: Inputs, shape `[samples, c_in, *grid]`.
        batch_size: Samples per pass; bounds the memory, does not change the result.

    Returns:
        One spectrum per convolution, with `min(samples, channels)` directions each.

    Raises:
        ValueError: If there is no sample, the batch size is no integer >= 1, the shape does not fit
            or the data hold NaN.
    """
    check_count("samples", len(x))
    check_count("batch_size", batch_size)
    check_finite("x", x)
    triangles: list[Tensor | None] = [None] * len(model.convs)
    for batch in x.split(batch_size):
        layers = model.pre_activations(batch)[: len(triangles)]
        triangles = [_accumulate(r, a) for r, a in zip(triangles, layers, strict=True)]
    return [
        Spectrum(conv.grid, _values_at_modes(r, conv.grid) / len(x) ** 0.5)
        for conv, r in zip(model.convs, triangles, strict=True)
        if r is not None
    ]


def _accumulate(triangle: Tensor | None, activations: Tensor) -> Tensor:
    """QR of the coefficients seen so far, per frequency: keeps their singular values exactly."""
    axes = tuple(range(2, activations.ndim))
    a_hat = torch.fft.rfftn(activations, dim=axes, norm="ortho").flatten(2).permute(2, 0, 1)
    rows = a_hat if triangle is None else torch.cat([triangle, a_hat], dim=1)
    updated: Tensor = torch.linalg.qr(rows, mode="r").R
    if not updated.is_meta and not updated.isfinite().all():  # underflow, as in `_values`
        check_finite("activations", activations)
        updated = torch.linalg.qr(_without_dust(rows), mode="r").R
    return updated


def _values_at_modes(matrices: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Singular values of matrices given at the stored frequencies, `[modes, directions]`."""
    modes = frequencies(grid).modes
    return _singular_values(lambda rows: matrices[modes[rows]], len(modes), matrices.shape[1:])


def check_weight(name: str, w: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """Return the precision to compute in, if a weight can be computed with.

    Args:
        name: What the error calls the weight.
        w: The weight.
        dtype: The precision asked for; None for the weight's own.

    Raises:
        ValueError: If the weight is on the meta device, complex, NaN or infinite, or the precision
            is neither `torch.float32` nor `torch.float64`.
    """
    precision = dtype or w.dtype
    if precision not in PRECISIONS or w.is_complex():
        raise ValueError(
            f"{name}: the precision must be torch.float32 or torch.float64, got {precision} for a "
            f"weight of {w.dtype}; for a real weight, choose it by `dtype`"
        )
    check_finite(name, w)
    return precision


def _transform(w: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Fourier blocks of a filter, `[c_out, c_in, *half_grid]`: `rfftn`, shared by the cores."""
    shape = (*w.shape[:2], *frequencies(grid).half_grid)
    blocks = torch.empty(shape, dtype=w.dtype.to_complex(), device=w.device)

    def fill(part: Tensor, out: Tensor) -> None:
        torch.fft.rfftn(part, s=grid, dim=tuple(range(2, w.ndim)), out=out)

    cores = torch.get_num_threads()
    _on_cores(fill, w.chunk(cores), blocks.chunk(cores))
    return blocks


def _blocks_of_equal(layers: Sequence[CircularConv], dtype: torch.dtype | None) -> Tensor:
    """Fourier blocks of layers of equal shape, `[layers, c_out, c_in, *half_grid]`."""
    first = layers[0]
    precision = dtype or first.weight.dtype
    shape = (len(layers), first.c_out, first.c_in, *frequencies(first.grid).half_grid)
    blocks = torch.empty(shape, dtype=precision.to_complex(), device=first.weight.device)

    def fill(layer: CircularConv, out: Tensor) -> None:
        if layer.weight.dtype != precision:
            layer = copy.deepcopy(layer).to(precision)
        out.copy_(layer.blocks())

    _on_cores(fill, layers, blocks)
    return blocks


def _groups(layers: Sequence[CircularConv]) -> Iterator[list[int]]:
    """Indices of layers with equal blocks, in groups that are together of a bounded size."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for i, layer in enumerate(layers):
        key = (layer.c_out, layer.c_in, layer.grid, layer.weight.dtype, layer.weight.device)
        alike.setdefault(key, []).append(i)
    for (c_out, c_in, grid, *_), members in alike.items():
        half_spectrum = 8 * c_out * c_in * math.prod(grid)  # in float64
        most = max(1, _GROUP_BYTES // half_spectrum)
        yield from (members[i : i + most] for i in range(0, len(members), most))


def _values_of_halves(halves: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Singular values of maps given by half spectra `[maps, c_out, c_in, *half_grid]`.

    Returns:
        Shape `[maps, modes, directions]`.
    """
    per_frequency, modes = halves.flatten(3).permute(0, 3, 1, 2), frequencies(grid).modes

    def blocks_at(rows: Tensor) -> Tensor:
        return per_frequency[rows // len(modes), modes[rows % len(modes)]]

    values = _singular_values(blocks_at, len(halves) * len(modes), halves.shape[1:3])
    return values.reshape(len(halves), len(modes), -1)


def _phases(window: tuple[int, ...], grid: tuple[int, ...]) -> Tensor:
    r"""Real and imaginary part of $e^{-2\pi i\,\omega\cdot q/n}$, `[2, modes, taps]`, float64."""
    freqs = frequencies(grid)
    taps = torch.cartesian_prod(*(torch.arange(k) for k in window)).reshape(-1, len(grid))
    turns = (freqs.omega[freqs.modes] / torch.tensor(grid, dtype=torch.float64)) @ taps.double().T
    return torch.stack([torch.cos(2 * torch.pi * turns), -torch.sin(2 * torch.pi * turns)])


def _singular_values(
    blocks_at: Callable[[Tensor], Tensor], count: int, shape: Sequence[int]
) -> Tensor:
    """Singular values of many blocks, in slices that the cores share.

    Args:
        blocks_at: Makes the blocks with these numbers, shape `[len(numbers), *shape]`.
        count: How many blocks there are.
        shape: Rows and columns of a block.

    Returns:
        Shape `[count, min(shape)]`, largest first.
    """
    size = math.prod(shape)
    if count * size < _POOL_ENTRIES:
        return _values(blocks_at(torch.arange(count)))
    share = -(-count // (2 * torch.get_num_threads()))
    slices = torch.arange(count).split(min(share, max(1, _SLICE_ENTRIES // size)))
    return torch.cat(_on_cores(lambda rows: _values(blocks_at(rows)), slices))


def _values(matrices: Tensor) -> Tensor:
    """Singular values of a batch, also where underflow makes the decomposition give up.

    Raises:
        ValueError: If an entry is NaN or infinite.
    """
    with suppress(torch.linalg.LinAlgError):  # type: ignore[attr-defined]  # undeclared there
        values: Tensor = torch.linalg.svdvals(matrices)
        if values.isfinite().all():
            return values
    check_finite("Fourier blocks", matrices)
    again: Tensor = torch.linalg.svdvals(_without_dust(matrices))
    return again


def singular_vectors(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""$U$, $\sigma$ and $V^*$ of a batch of matrices, also where underflow disturbs the library.

    Args:
        matrices: Real or complex, shape `[..., rows, columns]`.

    Raises:
        ValueError: If an entry is NaN or infinite.
    """
    check_finite("matrices", matrices)
    u, s, vh = torch.linalg.svd(_without_dust(matrices), full_matrices=False)
    return u, s, vh


def _without_dust(matrices: Tensor) -> Tensor:
    """The matrices with 0 for entries too small to count beside the largest of their matrix.

    What they square to, or what they are, falls below the smallest normal number, and then the
    decomposition may return NaN in single precision. A ridge makes such entries: the weights of a
    dead channel decay as far as numbers go. The values change by less than rounding does.
    """
    complex_ones = matrices.is_complex()
    entries = torch.view_as_real(matrices.resolve_conj()) if complex_ones else matrices
    size, kind = entries.abs(), torch.finfo(matrices.dtype)
    axes = (-3, -2, -1) if complex_ones else (-2, -1)
    largest = size.amax(dim=axes, keepdim=True)
    dust = size < (kind.eps**2 * largest).clamp_min(kind.tiny)
    cleaned = entries.masked_fill(dust, 0)
    return torch.view_as_complex(cleaned) if complex_ones else cleaned


def _on_cores(function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
    """`map`, with each core working on one call; a single call has all cores.

    The caller takes its share: were it only to wait, the system might wake all workers on the core
    that it leaves. A worker's operations run on one thread, or the cores would be shared out twice.
    """
    calls = list(zip(*arguments, strict=True))
    threads = torch.get_num_threads()
    if threads == 1 or len(calls) == 1:
        return [function(*call) for call in calls]
    results: dict[int, T] = {}
    left = iter(enumerate(calls))  # shared: taking the next one is atomic

    def work() -> None:
        for i, call in left:
            results[i] = function(*call)

    helpers = [_pool(threads - 1).submit(work) for _ in range(min(threads, len(calls)) - 1)]
    torch.set_num_threads(1)
    try:
        work()
    finally:
        torch.set_num_threads(threads)
        wait(helpers)
    for helper in helpers:
        helper.result()
    return [results[i] for i in range(len(calls))]


@lru_cache(maxsize=1)
def _pool(workers: int) -> ThreadPoolExecutor:
    """Workers that have all started: only then is the process's number of threads put back."""
    threads = torch.get_num_threads()
    pool, all_started = ThreadPoolExecutor(workers, initializer=_start_worker), Barrier(workers)
    list(pool.map(lambda _: all_started.wait(), range(workers)))
    torch.set_num_threads(threads)
    return pool


def _start_worker() -> None:
    torch.get_num_threads()  # here a thread takes over the process's number, later it would
    torch.set_num_threads(1)  # overwrite this one, which in turn changes the process's number
    torch.set_grad_enabled(False)  # is on in every new thread


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
