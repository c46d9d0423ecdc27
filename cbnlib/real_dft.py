r"""The DFT of real signals as an orthogonal matrix, applied by matrix products.

A real signal on $N$ pixels has $N$ real Fourier coordinates: $\hat x(\omega)$ itself at a
self-conjugate frequency, and $\sqrt2\,\mathrm{Re}\,\hat x(\omega)$,
$\sqrt2\,\mathrm{Im}\,\hat x(\omega)$ for one of each pair $\pm\omega$. The map is orthogonal, so
its inverse and its gradient are its transpose.

Signals lie *pixel-major*, `[*grid, ...]`: then the transform is a product from the left by small
matrices, and its result has the frequency in front, as the product by a filter's Fourier blocks
needs it. Nothing is ever permuted. On the grids of this book that is faster than an FFT followed
by a transposition; the cost per pixel grows like $n$ instead of $\log n$.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor

from cbnlib.checks import check_grid
from cbnlib.frequencies import frequencies


class RealDFT:
    r"""The orthogonal DFT of real signals on a grid.

    The coordinates come in the order: real and imaginary part of each pair, one pair after the
    other, then the self-conjugate frequencies, the constant one first.

    Attributes:
        grid: Pixels per axis.
        pixels: $N$, the number of coordinates.
        pairs: Number of pairs $\pm\omega$; the coordinates from `2 * pairs` on are self-conjugate.
        omega: The frequency of each pair, then of each self-conjugate one, shape
            `[pairs + selfs, axes]`, entries modulo the grid.
        rows: Rows that a buffer of coordinates needs: $N$, or a few more, which stay zero.
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
            dtype: Of the signals.
            device: Where they lie.

        Raises:
            ValueError: If the grid does not have one or two axes of at least one pixel.
        """
        self.grid = check_grid(grid)
        self.pixels = torch.Size(self.grid).numel()
        if len(self.grid) == 1:
            matrix, omega, self.pairs = _axis_dft(self.grid[0])
            self.omega, self.rows = omega.unsqueeze(1), self.pixels
            self._matrix = matrix
        else:
            self._set_up_plane(*self.grid)
        for name, matrix in list(vars(self).items()):
            if isinstance(matrix, Tensor) and matrix.is_floating_point():
                setattr(self, name, matrix.to(dtype).to(device))

    def _set_up_plane(self, n1: int, n2: int) -> None:
        """Matrices of the two steps: along the last axis, then along the first.

        After the first step, a *slot* holds two real columns: real and imaginary part of a column
        of the half spectrum, or (in the last slot) the two columns that are real, those of
        frequency 0 and, on an even axis, n/2.
        """
        last, columns, pairs = _axis_dft(n2)
        slots = pairs + 1
        along = last.new_zeros(slots, 2, n2)
        along[:pairs] = last[: 2 * pairs].view(pairs, 2, n2)
        along[pairs, : len(columns) - pairs] = last[2 * pairs :]
        first, steps, n1_pairs = _axis_dft(n1)
        across = last.new_zeros(slots, 2 * n1, n1, 2)
        angle = _angles(torch.arange(n1), n1)
        cosine, sine = angle.cos() / n1**0.5, angle.sin() / n1**0.5
        rotation = torch.stack([cosine, sine, -sine, cosine], dim=-1).view(n1, n1, 2, 2)
        across[:pairs] = rotation.transpose(1, 2).reshape(2 * n1, n1, 2)
        own = range(len(columns) - pairs)
        for i in own:
            across[pairs, 2 * n1_pairs * i : 2 * n1_pairs * (i + 1), :, i] = first[: 2 * n1_pairs]
            selfs = n1 - 2 * n1_pairs
            start = 2 * n1_pairs * len(own) + selfs * i
            across[pairs, start : start + selfs, :, i] = first[2 * n1_pairs :]
        omega = [(k1, int(k2)) for k2 in columns[:pairs] for k1 in range(n1)]
        for part in (steps[:n1_pairs], steps[n1_pairs:]):
            omega += [(int(k1), int(k2)) for k2 in columns[pairs:] for k1 in part]
        self.pairs = pairs * n1 + len(own) * n1_pairs
        self.omega, self.rows = torch.tensor(omega), slots * 2 * n1
        # Both orders of the intermediate columns let each product read its operand as it lies.
        self._along = along.transpose(0, 1).reshape(1, 2 * slots, n2)
        self._across = across.reshape(slots, 2 * n1, 2 * n1)
        self._across_back = across.transpose(2, 3).reshape(slots, 2 * n1, 2 * n1).mT
        self._along_back = along.reshape(1, 2 * slots, n2).mT

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Callable[[], object]:
        """What computes the Fourier coordinates of signals, in fixed places in memory.

        Args:
            x: Where the signals lie, shape `[pixels, K]`, contiguous.
            out: Where the coordinates go, shape `[rows, K]`, contiguous.
            scratch: Working memory of at least `rows * K` elements.

        Returns:
            A function without arguments, to be called as often as the signals change.
        """
        if len(self.grid) == 1:
            return partial(torch.mm, self._matrix, x, out=out)
        n1, n2 = self.grid
        slots, width = len(self._across), x.shape[1]
        columns = _part(scratch, n1, 2 * slots, width)
        by_slot = columns.view(2 * n1, slots, width).transpose(0, 1)
        along, signals = self._along.expand(n1, -1, -1), x.view(n1, n2, width)
        coordinates = out.view(slots, 2 * n1, width)

        def run() -> None:
            torch.bmm(along, signals, out=columns)
            torch.bmm(self._across, by_slot, out=coordinates)

        return run

    def invert(self, x_hat: Tensor, out: Tensor, scratch: Tensor) -> Callable[[], object]:
        """What computes signals from their Fourier coordinates: the transpose of `transform`.

        Args:
            x_hat: Where the coordinates lie, shape `[rows, K]`, contiguous; finite in the rows from
                `pixels` on.
            out: Where the signals go, shape `[pixels, K]`, contiguous.
            scratch: Working memory of at least `rows * K` elements.

        Returns:
            A function without arguments.
        """
        if len(self.grid) == 1:
            return partial(torch.mm, self._matrix.mT, x_hat, out=out)
        n1, n2 = self.grid
        slots, width = len(self._across), x_hat.shape[1]
        columns = _part(scratch, slots, 2 * n1, width)
        by_row = columns.view(2 * slots, n1, width).transpose(0, 1)
        back, coordinates = self._along_back.expand(n1, -1, -1), x_hat.view(slots, 2 * n1, width)
        signals = out.view(n1, n2, width)

        def run() -> None:
            torch.bmm(self._across_back, coordinates, out=columns)
            torch.bmm(back, by_row, out=signals)

        return run


def _part(scratch: Tensor, *shape: int) -> Tensor:
    """The first elements of a working memory, in a shape."""
    return scratch[: torch.Size(shape).numel()].view(shape)


def _angles(k: Tensor, n: int) -> Tensor:
    """The angles 2πkp/n at all pixels p, in float64."""
    return (torch.outer(k, torch.arange(n)) % n).to(torch.float64) * (2 * torch.pi / n)


def _axis_dft(n: int) -> tuple[Tensor, Tensor, int]:
    """The orthogonal DFT along one axis in float64, its frequencies, and the number of pairs."""
    pairs = (n - 1) // 2
    selfs = [0] if n % 2 else [0, n // 2]
    k = torch.tensor([*range(1, pairs + 1), *selfs])
    angle = _angles(k, n)
    waves = torch.stack([angle[:pairs].cos(), -angle[:pairs].sin()], dim=1) * 2**0.5
    matrix = torch.cat([waves.view(2 * pairs, n), angle[pairs:].cos()]) / n**0.5
    return matrix, k, pairs


@lru_cache(maxsize=64)
def real_dft(grid: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> RealDFT:
    """The transform of a grid, made once."""
    return RealDFT(grid, dtype, device)


@dataclass(frozen=True, eq=False)
class _Stored:
    """How the stored frequencies of `rfftn` and the real coordinates belong together.

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
    """
    stored = _stored(grid)
    halves = w_hat[: 2 * stored.pairs].unflatten(0, (stored.pairs, 2)) / 2**0.5
    selfs = w_hat[2 * stored.pairs :]
    real = torch.cat([halves[:, 0], selfs])[stored.place]
    imaginary = torch.cat([halves[:, 1], torch.zeros_like(selfs)])[stored.place]
    return torch.complex(real, _times(imaginary, stored.sign))


def blocks_to_coordinates(blocks: Tensor, grid: tuple[int, ...]) -> Tensor:
    r"""Real Fourier coordinates from the complex coefficients at the stored frequencies.

    Args:
        blocks: Complex coefficients, shape `[F, ...]`; of the two members of a pair that are both
            stored, the first one counts.
        grid: Pixels per axis.

    Returns:
        Real tensor of shape `[N, ...]`.
    """
    stored = _stored(grid)
    picked, pairs = blocks[stored.first], stored.pairs
    imaginary = _times(picked.imag, stored.sign[stored.first])
    halves = torch.stack([picked.real[:pairs], imaginary[:pairs]], dim=1) * 2**0.5
    return torch.cat([halves.flatten(0, 1), picked.real[pairs:]])


def _times(values: Tensor, factors: Tensor) -> Tensor:
    """Each row of `values` times its factor."""
    return values * factors.to(values).view(-1, *(1 for _ in values.shape[1:]))
