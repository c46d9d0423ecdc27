r"""The DFT of real signals as an orthogonal matrix, applied by matrix products.

A real signal on $N$ pixels has $N$ real Fourier coordinates. These are $\hat x(\omega)$ itself at a
self-conjugate frequency, and $\sqrt2\,\mathrm{Re}\,\hat x(\omega)$,
$\sqrt2\,\mathrm{Im}\,\hat x(\omega)$ for one of each pair $\pm\omega$. The map is orthogonal, so
its inverse and its gradient are its transpose.

Signals lie *pixel-major*, `[pixels, ...]`, so the transform is a product from the left by small
matrices. Its result has the frequency in front, as the product by a filter's Fourier blocks needs
it. Nothing is ever transposed. On the grids of this book that is faster than an FFT followed
by a transposition, although the cost per pixel grows like $n$ instead of $\log n$.

In the plane there are two ways to the same coordinates. On small grids few calls are best. On
larger ones, from `FOLDED_FROM` pixels per axis on, few multiplications are best.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cbnlib._checks import check_grid, check_precision
from cbnlib.network._dft_ways import (
    Call,
    FoldedPlane,
    Plane,
    Product,
    axis_dft,
    line_frequencies,
    plane_frequencies,
)
from cbnlib.network.frequencies import frequencies

FOLDED_FROM = 20
"""Grids with at least this many pixels along both axes use the folded transform."""


class RealDFT:
    r"""The orthogonal DFT of real signals on a grid.

    First come the real and imaginary part of each pair, one pair after the other. Then come the
    self-conjugate frequencies, the constant one first.

    Attributes:
        grid: Pixels per axis.
        pixels: $N$, the number of coordinates.
        order: The pixel that lies at each place of a signal, shape `[N]`, pixels counted with the
            last axis fastest. None if they lie as they are counted.
        pairs: Number of pairs $\pm\omega$. The coordinates from `2 * pairs` on are self-conjugate.
        omega: The frequency of each pair, then of each self-conjugate one, shape
            `[pairs + selfs, axes]`, entries modulo the grid.
        rows: Rows that a buffer of coordinates needs, $N$ or a few more, which stay zero.
        count: Number of coordinates, $N$.
    """

    def __init__(
        self,
        grid: int | Sequence[int],
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Set up the matrices.

        Args:
            grid: Pixels per axis, one or two axes.
            dtype: Data type of the signals.
            device: Device of the signals.

        Raises:
            ValueError: If the grid does not have one or two axes of at least one pixel, or the
                dtype is neither float32 nor float64.
        """
        self.grid = check_grid(grid)
        self.pixels = torch.Size(self.grid).numel()
        kind = check_precision("dtype", torch.empty(0, dtype=dtype, device=device))
        if len(self.grid) == 1:
            self._omega, self.pairs = line_frequencies(self.grid[0])
            self._way: Product | Plane | FoldedPlane = Product(axis_dft(self.grid[0]).to(kind))
        else:
            n1, n2 = self.grid
            self._omega, self.pairs = plane_frequencies(n1, n2)
            folded = min(n1, n2) >= FOLDED_FROM
            self._way = FoldedPlane(n1, n2, kind) if folded else Plane(n1, n2, kind)
        self.rows, self.count = self._way.rows, self.pixels

    @property
    def omega(self) -> Tensor:
        """A copy of the table, as the transform itself may be shared."""
        return self._omega.clone()

    @property
    def order(self) -> Tensor | None:
        """A copy, too."""
        return None if self._way.order is None else self._way.order.clone()

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Call:
        """Return a function that computes the Fourier coordinates of signals in fixed memory.

        Args:
            x: The signals, shape `[pixels, K]`, contiguous, the pixels in their `order`.
            out: Memory for the coordinates, shape `[rows, K]`, contiguous.
            scratch: Working memory of at least `rows * K` elements.

        Returns:
            A function without arguments, to be called as often as the signals change.
        """
        return self._way.transform(x, out, scratch)

    def invert(self, x_hat: Tensor, out: Tensor, scratch: Tensor) -> Call:
        """Return a function that computes signals from their coordinates, `transform` transposed.

        Args:
            x_hat: The coordinates, shape `[rows, K]`, contiguous, finite in the rows from
                `pixels` on.
            out: Memory for the signals, shape `[pixels, K]`, contiguous, pixels in their `order`.
            scratch: Working memory of at least `rows * K` elements.

        Returns:
            A function without arguments.
        """
        return self._way.invert(x_hat, out, scratch)


class PartialDFT(RealDFT):
    r"""Some of the coordinates of a `RealDFT`, by one small matrix, for signals of few modes.

    `pairs`, `omega`, `rows` and `count` are about these coordinates alone. To invert, the others
    are 0.

    Attributes:
        coordinates: Which coordinates of the full transform, in its order, shape `[count]`.
    """

    def __init__(self, full: RealDFT, modes: Tensor, dtype: torch.dtype) -> None:
        """Set up the matrix.

        Args:
            full: The transform of the grid.
            modes: Rows of its `omega`, ascending.
            dtype: Data type of the signals.
        """
        exact = real_dft(full.grid, torch.float64, torch.device("cpu"))
        pairs, selfs = modes[modes < full.pairs], modes[modes >= full.pairs]
        both = torch.stack([2 * pairs, 2 * pairs + 1], dim=1).flatten()
        self.coordinates = torch.cat([both, selfs + full.pairs])
        self.grid, self.pixels, self.pairs = full.grid, full.pixels, len(pairs)
        self._omega = full.omega[modes]
        self.rows = self.count = len(self.coordinates)
        places = torch.eye(full.pixels, dtype=torch.float64)
        matrix = places.new_zeros(exact.rows, full.pixels)
        exact.transform(places, matrix, torch.zeros_like(matrix))()
        # The order of the full transform, so that signals can go from one to the other.
        self._way = Product(matrix[self.coordinates].to(dtype), full.order)


@lru_cache(maxsize=64)
def real_dft(grid: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> RealDFT:
    """The transform of a grid, made once."""
    with torch.device("cpu"):  # whatever the caller's default device is: the result is kept
        return RealDFT(grid, dtype, device)


@dataclass(frozen=True, eq=False)
class _Stored:
    """Relation between the stored frequencies of `rfftn` and the real coordinates.

    Attributes:
        pairs: Number of pairs of frequencies.
        place: For each stored frequency the pair or self-conjugate frequency it belongs to.
        sign: For each stored frequency 1, or -1 if the coordinates are those of its conjugate.
        first: For each pair and self-conjugate frequency the first stored one that belongs to it.
    """

    pairs: int
    place: Tensor
    sign: Tensor
    first: Tensor


@lru_cache(maxsize=64)
def _stored(grid: tuple[int, ...]) -> _Stored:
    with torch.device("cpu"):
        dft, sizes = RealDFT(grid), torch.tensor(grid)
        places = {tuple(omega): i for i, omega in enumerate(dft.omega.tolist())}
        place, sign = [], []
        first: dict[int, int] = {}
        for i, omega in enumerate(frequencies(grid).omega):
            here, there = (tuple((s * omega % sizes).tolist()) for s in (1, -1))
            place.append(places[here if here in places else there])
            sign.append(1.0 if here in places else -1.0)
            first.setdefault(place[-1], i)
        order = torch.tensor([first[i] for i in range(len(places))])
        return _Stored(dft.pairs, torch.tensor(place), torch.tensor(sign), order)


def coordinates_to_blocks(w_hat: Tensor, grid: tuple[int, ...]) -> Tensor:
    r"""Complex coefficients at the stored frequencies from real Fourier coordinates.

    Args:
        w_hat: Coordinates, shape `[N, ...]`.
        grid: Pixels per axis.

    Returns:
        Complex tensor of shape `[F, ...]`, in the order of a flattened `rfftn`.

    Raises:
        ValueError: If their number is not that of the grid's pixels.
    """
    stored = _stored(grid)
    if len(w_hat) != torch.Size(grid).numel():
        raise ValueError(
            f"grid {grid} needs {torch.Size(grid).numel()} coordinates, got {len(w_hat)}"
        )
    halves = w_hat[: 2 * stored.pairs].unflatten(0, (stored.pairs, 2)) / 2**0.5
    selfs = w_hat[2 * stored.pairs :]
    real = torch.cat([halves[:, 0], selfs])[stored.place]
    imaginary = torch.cat([halves[:, 1], torch.zeros_like(selfs)])[stored.place]
    return torch.complex(real, _times(imaginary, stored.sign))


def blocks_to_coordinates(blocks: Tensor, grid: tuple[int, ...]) -> Tensor:
    r"""Real Fourier coordinates from the complex coefficients at the stored frequencies.

    Args:
        blocks: Complex coefficients, shape `[F, ...]`. Where both members of a pair are stored,
            the first one counts.
        grid: Pixels per axis.

    Returns:
        Real tensor of shape `[N, ...]`.

    Raises:
        ValueError: If their number is not that of the grid's stored frequencies.
    """
    stored = _stored(grid)
    if len(blocks) != len(stored.place):
        raise ValueError(f"grid {grid} stores {len(stored.place)} frequencies, got {len(blocks)}")
    picked, pairs = blocks[stored.first], stored.pairs
    imaginary = _times(picked.imag, stored.sign[stored.first])
    halves = torch.stack([picked.real[:pairs], imaginary[:pairs]], dim=1) * 2**0.5
    return torch.cat([halves.flatten(0, 1), picked.real[pairs:]])


def _times(values: Tensor, factors: Tensor) -> Tensor:
    """Each row of `values` times its factor."""
    return values * factors.to(values).view(-1, *(1 for _ in values.shape[1:]))
