r"""The DFT of real signals as an orthogonal matrix, applied by matrix products.

A real signal on $N$ pixels has $N$ real Fourier coordinates: $\hat x(\omega)$ itself at a
self-conjugate frequency, and $\sqrt2\,\mathrm{Re}\,\hat x(\omega)$,
$\sqrt2\,\mathrm{Im}\,\hat x(\omega)$ for one of each pair $\pm\omega$. The map is orthogonal, so
its inverse and its gradient are its transpose.

Signals lie *pixel-major*, `[pixels, ...]`: then the transform is a product from the left by small
matrices, and its result has the frequency in front, as the product by a filter's Fourier blocks
needs it. Nothing is ever transposed. On the grids of this book that is faster than an FFT followed
by a transposition; the cost per pixel grows like $n$ instead of $\log n$.

In the plane there are two ways to the same coordinates: on small grids few calls are best, on
larger ones, from `FOLDED_FROM` pixels per axis on, few multiplications.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol

import torch
from torch import Tensor

from cbnlib._checks import check_grid, check_precision
from cbnlib.network.frequencies import frequencies

FOLDED_FROM = 20
"""Grids with at least so many pixels along both axes are transformed folded."""

Call = Callable[[], object]


class RealDFT:
    r"""The orthogonal DFT of real signals on a grid.

    The coordinates come in the order: real and imaginary part of each pair, one pair after the
    other, then the self-conjugate frequencies, the constant one first.

    Attributes:
        grid: Pixels per axis.
        pixels: $N$, the number of coordinates.
        order: The pixel that lies at each place of a signal, shape `[N]`, pixels counted with the
            last axis fastest; None if they lie as they are counted.
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
            ValueError: If the grid does not have one or two axes of at least one pixel, or the
                dtype is neither float32 nor float64.
        """
        self.grid = check_grid(grid)
        self.pixels = torch.Size(self.grid).numel()
        kind = check_precision("dtype", torch.empty(0, dtype=dtype, device=device))
        if len(self.grid) == 1:
            self._omega, self.pairs = _line_frequencies(self.grid[0])
            self._way: _Way = _Line(self.grid[0], kind)
        else:
            n1, n2 = self.grid
            self._omega, self.pairs = _plane_frequencies(n1, n2)
            folded = min(n1, n2) >= FOLDED_FROM
            self._way = _FoldedPlane(n1, n2, kind) if folded else _Plane(n1, n2, kind)
        self.rows = self._way.rows

    @property
    def omega(self) -> Tensor:
        """A copy of the table: the transform itself may be shared."""
        return self._omega.clone()

    @property
    def order(self) -> Tensor | None:
        """A copy, too."""
        return None if self._way.order is None else self._way.order.clone()

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Call:
        """What computes the Fourier coordinates of signals, in fixed places in memory.

        Args:
            x: Where the signals lie, shape `[pixels, K]`, contiguous, the pixels in their `order`.
            out: Where the coordinates go, shape `[rows, K]`, contiguous.
            scratch: Working memory of at least `rows * K` elements.

        Returns:
            A function without arguments, to be called as often as the signals change.
        """
        return self._way.transform(x, out, scratch)

    def invert(self, x_hat: Tensor, out: Tensor, scratch: Tensor) -> Call:
        """What computes signals from their Fourier coordinates: the transpose of `transform`.

        Args:
            x_hat: Where the coordinates lie, shape `[rows, K]`, contiguous; finite in the rows from
                `pixels` on.
            out: Where the signals go, shape `[pixels, K]`, contiguous, the pixels in their `order`.
            scratch: Working memory of at least `rows * K` elements.

        Returns:
            A function without arguments.
        """
        return self._way.invert(x_hat, out, scratch)


class _Way(Protocol):
    """How a `RealDFT` is computed; the names mean what they mean there."""

    order: Tensor | None
    rows: int

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Call: ...

    def invert(self, x_hat: Tensor, out: Tensor, scratch: Tensor) -> Call: ...


class _Line:
    """One axis: the whole matrix at once."""

    def __init__(self, n: int, kind: Tensor) -> None:
        self.order: Tensor | None = None
        self.rows = n
        self._matrix = _axis_dft(n).to(kind)

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Call:
        return partial(torch.mm, self._matrix, x, out=out)

    def invert(self, x_hat: Tensor, out: Tensor, scratch: Tensor) -> Call:
        return partial(torch.mm, self._matrix.mT, x_hat, out=out)


class _Plane:
    """Two products: a real one along the last axis, then a complex one along the first.

    After the first step, a *slot* holds two real columns: real and imaginary part of a column
    of the half spectrum, or (in the last slot) the two columns that are real, those of
    frequency 0 and, on an even axis, n/2.
    """

    def __init__(self, n1: int, n2: int, kind: Tensor) -> None:
        self.order: Tensor | None = None
        self._grid = n1, n2
        first, last = _axis_dft(n1), _axis_dft(n2)
        pairs_1, own_1, pairs_2, own_2 = (
            len(_half(n1)),
            len(_own(n1)),
            len(_half(n2)),
            len(_own(n2)),
        )
        slots = pairs_2 + 1
        along = last.new_zeros(slots, 2, n2)
        along[:pairs_2] = last[: 2 * pairs_2].view(pairs_2, 2, n2)
        along[pairs_2, :own_2] = last[2 * pairs_2 :]
        across = last.new_zeros(slots, 2 * n1, n1, 2)
        angle = _angles(_folded_order(n1), n1)
        cosine, sine = angle.cos() / n1**0.5, angle.sin() / n1**0.5
        rotation = torch.stack([cosine, sine, -sine, cosine], dim=-1).view(n1, n1, 2, 2)
        across[:pairs_2] = rotation.transpose(1, 2).reshape(2 * n1, n1, 2)
        for i in range(own_2):
            across[pairs_2, 2 * pairs_1 * i : 2 * pairs_1 * (i + 1), :, i] = first[: 2 * pairs_1]
            start = 2 * pairs_1 * own_2 + own_1 * i
            across[pairs_2, start : start + own_1, :, i] = first[2 * pairs_1 :]
        self.rows = slots * 2 * n1
        # Both orders of the intermediate columns let each product read its operand as it lies.
        self._along = along.transpose(0, 1).reshape(1, 2 * slots, n2).to(kind)
        self._across = across.reshape(slots, 2 * n1, 2 * n1).to(kind)
        self._across_back = across.transpose(2, 3).reshape(slots, 2 * n1, 2 * n1).to(kind).mT
        self._along_back = along.reshape(1, 2 * slots, n2).to(kind).mT

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Call:
        n1, n2 = self._grid
        slots, width = len(self._across), x.shape[1]
        columns = _part(scratch, n1, 2 * slots, width)
        by_slot = columns.view(2 * n1, slots, width).transpose(0, 1)
        along, signals = self._along.expand(n1, -1, -1), x.view(n1, n2, width)
        coordinates = out.view(slots, 2 * n1, width)
        return _in_turn(
            partial(torch.bmm, along, signals, out=columns),
            partial(torch.bmm, self._across, by_slot, out=coordinates),
        )

    def invert(self, x_hat: Tensor, out: Tensor, scratch: Tensor) -> Call:
        n1, n2 = self._grid
        slots, width = len(self._across), x_hat.shape[1]
        columns = _part(scratch, slots, 2 * n1, width)
        by_row = columns.view(2 * slots, n1, width).transpose(0, 1)
        back, coordinates = self._along_back.expand(n1, -1, -1), x_hat.view(slots, 2 * n1, width)
        signals = out.view(n1, n2, width)
        return _in_turn(
            partial(torch.bmm, self._across_back, coordinates, out=columns),
            partial(torch.bmm, back, by_row, out=signals),
        )


class _FoldedPlane:
    r"""Products by cosines and by sines along each axis, of folded signals.

    *Folding.* A cosine sees only the even part of a signal along an axis, a sine only the odd part:
    $$\sum_jx_j\cos\tfrac{2\pi kj}n=\sum_{j=0,\,n/2}x_j\cos\tfrac{2\pi kj}n
    +\sum_{0<j<n/2}(x_j+x_{n-j})\cos\tfrac{2\pi kj}n,\qquad
    \sum_jx_j\sin\tfrac{2\pi kj}n=\sum_{0<j<n/2}(x_j-x_{n-j})\sin\tfrac{2\pi kj}n,$$
    two products of half the size in place of one. The pixels of an axis lie in the order of
    `_folded_order`, so that $x_j$ and $x_{n-j}$ have the same place in two contiguous blocks.

    *Pairs.* Products of real waves along the axes give the complex waves by sums and differences,
    $$\cos(a\pm b)=\cos a\cos b\mp\sin a\sin b,\qquad\sin(a\pm b)=\sin a\cos b\pm\cos a\sin b,$$
    for half of the multiplications of a complex product along the first axis.

    The steps alternate between two places in memory, the result's and the scratch. A product
    is fastest if it writes one block: what belongs to cosines along the last axis, `[n1, even, K]`,
    lies in front of what belongs to sines, `[n1, odd, K]` (`_by_parity`).
    """

    def __init__(self, n1: int, n2: int, kind: Tensor) -> None:
        self.rows = n1 * n2
        order = _folded_order(n1).unsqueeze(1) * n2 + _folded_order(n2)
        self.order: Tensor | None = order.flatten().to(kind.device)
        self._first, self._last = _FoldedAxis(n1, kind), _FoldedAxis(n2, kind)
        # A sum of two products of orthonormal waves needs a factor 1/√2. All waves that are paired
        # along the last axis get it; `_links` takes it back where there is nothing to sum.
        self._last.cosines[self._last.paired] *= 0.5**0.5
        self._last.sines *= 0.5**0.5

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Call:
        first, last = self._first, self._last
        signals, folded = (part.view(first.n, last.n, -1) for part in (x, _part(scratch, *x.shape)))
        halves, products = self._by_parity(out), self._by_parity(_part(scratch, *x.shape))
        calls: list[Call] = [
            partial(folded[first.own].copy_, signals[first.own]),
            *_sum_and_difference(
                signals[first.paired], signals[first.odd], folded[first.paired], folded[first.odd]
            ),
            *_in_place(folded[:, last.paired], folded[:, last.odd]),
            _along_last(last.cosines, folded[:, last.even], halves[0]),
            _along_last(last.sines, folded[:, last.odd], halves[1]),
        ]
        for half, product in zip(halves, products, strict=True):
            for matrix, rows in ((first.cosines, first.even), (first.sines, first.odd)):
                calls.append(_along_first(matrix, half[rows], product[rows]))
        sums, copies = self._links(products, out)
        for a, b, total, difference in sums:
            calls += _sum_and_difference(a, b, total, difference)
        calls += [partial(torch.mul, a, factor, out=b) for a, b, factor in copies]
        return _in_turn(*calls)

    def invert(self, x_hat: Tensor, out: Tensor, scratch: Tensor) -> Call:
        first, last = self._first, self._last
        products, halves = self._by_parity(_part(scratch, *out.shape)), self._by_parity(out)
        sums, copies = self._links(products, x_hat)
        calls: list[Call] = [partial(torch.mul, b, factor, out=a) for a, b, factor in copies]
        for a, b, total, difference in sums:
            calls += _sum_and_difference(total, difference, a, b)
        for half, product in zip(halves, products, strict=True):
            for matrix, rows in ((first.cosines, first.even), (first.sines, first.odd)):
                calls.append(_along_first(matrix.mT, product[rows], half[rows]))
        (even, odd), signals = products, out.view(first.n, last.n, -1)
        calls += [
            _along_last(last.cosines.mT, halves[0], even),
            _along_last(last.sines.mT, halves[1], odd),
            partial(signals[:, last.own].copy_, even[:, last.own]),
            *_sum_and_difference(
                even[:, last.paired], odd, signals[:, last.paired], signals[:, last.odd]
            ),
            *_in_place(signals[first.paired], signals[first.odd]),
        ]
        return _in_turn(*calls)

    def _by_parity(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The places of what is even and of what is odd along the last axis."""
        n1, pairs, width = self._first.n, self._last.pairs, memory.shape[1]
        even, odd = memory.split([len(memory) - n1 * pairs, n1 * pairs])
        return even.view(n1, -1, width), odd.view(n1, pairs, width)

    def _links(
        self, products: tuple[Tensor, Tensor], coordinates: Tensor
    ) -> tuple[list[tuple[Tensor, ...]], list[tuple[Tensor, Tensor, float]]]:
        """How products of waves and Fourier coordinates belong together.

        Returns:
            `(a, b, a + b, a - b)`: two products and two coordinates; `(a, b, factor)`: a product
            and the coordinate that is `factor` times it.
        """
        first, last = self._first, self._last
        cosines, sines = (half.transpose(0, 1) for half in products)  # columns first, as wanted
        own, paired = cosines[last.own], cosines[last.paired]
        in_pairs, in_own, selfs = coordinates.split(
            [2 * last.pairs * first.n, 2 * len(own) * first.pairs, len(own) * len(_own(first.n))]
        )
        by_column = in_pairs.view(last.pairs, first.n, 2, -1)
        in_column = in_own.view(len(own), first.pairs, 2, -1)
        plus, minus, alone = (by_column[:, k] for k in (first.paired, first.odd, first.own))
        sums: list[tuple[Tensor, ...]] = [
            (paired[:, first.paired], sines[:, first.odd], minus[:, :, 0], plus[:, :, 0]),
            (sines[:, first.paired], paired[:, first.odd], plus[:, :, 1], minus[:, :, 1]),
        ]
        copies = [
            (paired[:, first.own], alone[:, :, 0], 2**0.5),
            (sines[:, first.own], alone[:, :, 1], 2**0.5),
            (own[:, first.paired], in_column[:, :, 0], 1.0),
            (own[:, first.odd], in_column[:, :, 1], 1.0),
            (own[:, first.own], selfs.view(len(own), -1, selfs.shape[1]), 1.0),
        ]
        return sums, copies


class _FoldedAxis:
    """The transform along one axis of signals in folded order.

    Attributes:
        n: Pixels.
        pairs: Pairs of frequencies, and of pixels that are mirror images.
        own: Places of the pixels that are their own mirror images, and of the cosines of
            self-conjugate frequencies.
        paired: Places of the pixels 0 < j < n/2, and of the cosines of paired frequencies.
        odd: Places of their mirror images, and of the sines.
        even: `own` and `paired`.
        cosines: Orthonormal coordinates of a folded signal's even part.
        sines: Those of its odd part.
    """

    def __init__(self, n: int, kind: Tensor) -> None:
        self.n, self.pairs = n, len(_half(n))
        own, even = len(_own(n)), n - self.pairs
        self.own, self.paired = slice(0, own), slice(own, even)
        self.even, self.odd = slice(0, even), slice(even, n)
        cosines, sines = _axis_dft(n)[: 2 * self.pairs].view(-1, 2, n).unbind(1)
        selfs, places = _axis_dft(n)[2 * self.pairs :], _folded_order(n)
        self.cosines = torch.cat([selfs, cosines])[:, places[self.even]].to(kind)
        self.sines = sines[:, places[self.paired]].to(kind)


def _along_last(matrix: Tensor, columns: Tensor, out: Tensor) -> Call:
    """A product along the middle axis of `[n1, k, K]`."""
    return partial(torch.bmm, matrix.expand(len(columns), -1, -1), columns, out=out)


def _along_first(matrix: Tensor, rows: Tensor, out: Tensor) -> Call:
    """A product along the first axis of `[k, n2, K]`."""
    return partial(torch.mm, matrix, rows.flatten(1), out=out.flatten(1))


def _sum_and_difference(a: Tensor, b: Tensor, total: Tensor, difference: Tensor) -> list[Call]:
    """`a + b` and `a - b`, written elsewhere."""
    return [partial(torch.add, a, b, out=total), partial(torch.sub, a, b, out=difference)]


def _in_place(a: Tensor, b: Tensor) -> list[Call]:
    """`a + b` in place of `a`; then `a - b`, which is the sum less 2b, in place of `b`."""
    return [partial(a.add_, b), partial(torch.sub, a, b, alpha=2, out=b)]


def _in_turn(*calls: Call) -> Call:
    """These calls, one after the other, as one."""

    def run() -> None:
        for call in calls:
            call()

    return run


def _part(scratch: Tensor, *shape: int) -> Tensor:
    """The first elements of a working memory, in a shape."""
    return scratch[: torch.Size(shape).numel()].view(shape)


def _own(n: int) -> list[int]:
    """The self-conjugate frequencies of an axis, and the pixels that are their own mirror image."""
    return [0] if n % 2 else [0, n // 2]


def _half(n: int) -> list[int]:
    """One frequency, or pixel, of each pair."""
    return list(range(1, (n + 1) // 2))


def _folded_order(n: int) -> Tensor:
    """The frequencies, or pixels, of an axis: the own ones, the half, and their mirror images."""
    return torch.tensor(_own(n) + _half(n) + [n - k for k in _half(n)])


def _line_frequencies(n: int) -> tuple[Tensor, int]:
    """The frequencies of a `RealDFT` with one axis, and the number of pairs."""
    return torch.tensor(_half(n) + _own(n)).unsqueeze(1), len(_half(n))


def _plane_frequencies(n1: int, n2: int) -> tuple[Tensor, int]:
    """The frequencies of a `RealDFT` with two axes, and the number of pairs.

    Column by column: first all of each paired column, then the pairs within a self-conjugate one.
    """
    omega = [(k1, k2) for k2 in _half(n2) for k1 in _folded_order(n1).tolist()]
    omega += [(k1, k2) for k2 in _own(n2) for k1 in _half(n1)]
    selfs = [(k1, k2) for k2 in _own(n2) for k1 in _own(n1)]
    return torch.tensor(omega + selfs), len(omega)


def _angles(k: Tensor, n: int) -> Tensor:
    """The angles 2πkp/n at all pixels p, in float64."""
    return (torch.outer(k, torch.arange(n)) % n).to(torch.float64) * (2 * torch.pi / n)


def _axis_dft(n: int) -> Tensor:
    """The matrix of a `RealDFT` with one axis, in float64."""
    omega, pairs = _line_frequencies(n)
    angle = _angles(omega[:, 0], n)
    waves = torch.stack([angle[:pairs].cos(), -angle[:pairs].sin()], dim=1) * 2**0.5
    matrix: Tensor = torch.cat([waves.view(2 * pairs, n), angle[pairs:].cos()]) / n**0.5
    return matrix


@lru_cache(maxsize=64)
def real_dft(grid: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> RealDFT:
    """The transform of a grid, made once."""
    with torch.device("cpu"):  # whatever the caller's default device is: the result is kept
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
    with torch.device("cpu"):
        return _match(grid)


def _match(grid: tuple[int, ...]) -> _Stored:
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
        blocks: Complex coefficients, shape `[F, ...]`; of the two members of a pair that are both
            stored, the first one counts.
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
