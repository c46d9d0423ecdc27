r"""Ways to compute the DFT of real signals by matrix products: one, two, or two folded ones.

Each is a class with the attributes and methods of the same names as `RealDFT`.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

Call = Callable[[], object]


class Product:
    """The whole matrix at once."""

    def __init__(self, matrix: Tensor, order: Tensor | None = None) -> None:
        self.order, self.rows = order, len(matrix)
        self._matrix = matrix

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Call:
        return partial(torch.mm, self._matrix, x, out=out)

    def invert(self, x_hat: Tensor, out: Tensor, scratch: Tensor) -> Call:
        return partial(torch.mm, self._matrix.mT, x_hat, out=out)


class Plane:
    """A real product along the last axis, then a complex one along the first.

    After the first step, a *slot* holds two real columns. These are the real and imaginary part
    of a column of the half spectrum. The last slot holds the two columns that are real, those
    of frequency 0 and, on an even axis, n/2.
    """

    def __init__(self, n1: int, n2: int, kind: Tensor) -> None:
        self.order: Tensor | None = None
        self._grid = n1, n2
        first, last = axis_dft(n1), axis_dft(n2)
        pairs_1, own_1 = len(_half(n1)), len(_own(n1))
        pairs_2, own_2 = len(_half(n2)), len(_own(n2))
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
        columns = part(scratch, n1, 2 * slots, width)
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
        columns = part(scratch, slots, 2 * n1, width)
        by_row = columns.view(2 * slots, n1, width).transpose(0, 1)
        back, coordinates = self._along_back.expand(n1, -1, -1), x_hat.view(slots, 2 * n1, width)
        signals = out.view(n1, n2, width)
        return _in_turn(
            partial(torch.bmm, self._across_back, coordinates, out=columns),
            partial(torch.bmm, back, by_row, out=signals),
        )


class FoldedPlane:
    r"""Products by cosines and by sines along each axis, of folded signals.

    *Folding.* Along an axis, a cosine sees only the even part of a signal, a sine only the odd.
    $$\sum_jx_j\cos\tfrac{2\pi kj}n=\sum_{j=0,\,n/2}x_j\cos\tfrac{2\pi kj}n
    +\sum_{0<j<n/2}(x_j+x_{n-j})\cos\tfrac{2\pi kj}n,\qquad
    \sum_jx_j\sin\tfrac{2\pi kj}n=\sum_{0<j<n/2}(x_j-x_{n-j})\sin\tfrac{2\pi kj}n.$$
    So two products of half the size replace one. The pixels of an axis lie in the order of
    `_folded_order`, so that $x_j$ and $x_{n-j}$ have the same place in two contiguous blocks.

    *Pairs.* Products of real waves along the axes give the complex waves by sums and differences.
    $$\cos(a\pm b)=\cos a\cos b\mp\sin a\sin b,\qquad\sin(a\pm b)=\sin a\cos b\pm\cos a\sin b.$$
    This takes half of the multiplications of a complex product along the first axis.

    The steps alternate between two places in memory, the result's and the scratch. A product
    is fastest if it writes one block. So the part of the cosines along the last axis,
    `[n1, even, K]`, lies in front of the part of the sines, `[n1, odd, K]` (`_by_parity`).
    """

    def __init__(self, n1: int, n2: int, kind: Tensor) -> None:
        self.rows = n1 * n2
        order = _folded_order(n1).unsqueeze(1) * n2 + _folded_order(n2)
        self.order: Tensor | None = order.flatten().to(kind.device)
        self._first, self._last = _FoldedAxis(n1, kind), _FoldedAxis(n2, kind)
        # A sum of two products of orthonormal waves needs a factor 1/√2. All waves that are paired
        # along the last axis get it. `_links` takes it back where there is nothing to sum.
        self._last.cosines[self._last.paired] *= 0.5**0.5
        self._last.sines *= 0.5**0.5

    def transform(self, x: Tensor, out: Tensor, scratch: Tensor) -> Call:
        first, last = self._first, self._last
        room = part(scratch, *x.shape)
        signals, folded = (memory.view(first.n, last.n, -1) for memory in (x, room))
        halves, products = self._by_parity(out), self._by_parity(room)
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
        products, halves = self._by_parity(part(scratch, *out.shape)), self._by_parity(out)
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
        """Relate products of waves to Fourier coordinates.

        Returns:
            Two products and two coordinates, `(a, b, a + b, a - b)`. A product and the coordinate
            that is `factor` times it, `(a, b, factor)`.
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
        sines: Coordinates of its odd part.
    """

    def __init__(self, n: int, kind: Tensor) -> None:
        self.n, self.pairs = n, len(_half(n))
        own, even = len(_own(n)), n - self.pairs
        self.own, self.paired = slice(0, own), slice(own, even)
        self.even, self.odd = slice(0, even), slice(even, n)
        cosines, sines = axis_dft(n)[: 2 * self.pairs].view(-1, 2, n).unbind(1)
        selfs, places = axis_dft(n)[2 * self.pairs :], _folded_order(n)
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
    """`a + b` in place of `a`, then `a - b`, which is the sum less 2b, in place of `b`."""
    return [partial(a.add_, b), partial(torch.sub, a, b, alpha=2, out=b)]


def _in_turn(*calls: Call) -> Call:
    """These calls, one after the other, as one."""

    def run() -> None:
        for call in calls:
            call()

    return run


def part(memory: Tensor, *shape: int) -> Tensor:
    """The first elements of a working memory, in a shape."""
    return memory[: torch.Size(shape).numel()].view(shape)


def _own(n: int) -> list[int]:
    """The self-conjugate frequencies of an axis, and the pixels that are their own mirror image."""
    return [0] if n % 2 else [0, n // 2]


def _half(n: int) -> list[int]:
    """One frequency, or pixel, of each pair."""
    return list(range(1, (n + 1) // 2))


def _folded_order(n: int) -> Tensor:
    """Own frequencies (or pixels) of an axis, then one of each pair, then the mirror images."""
    return torch.tensor(_own(n) + _half(n) + [n - k for k in _half(n)])


def line_frequencies(n: int) -> tuple[Tensor, int]:
    """The frequencies of a `RealDFT` with one axis, and the number of pairs."""
    return torch.tensor(_half(n) + _own(n)).unsqueeze(1), len(_half(n))


def plane_frequencies(n1: int, n2: int) -> tuple[Tensor, int]:
    """The frequencies of a `RealDFT` with two axes, and the number of pairs.

    First come all of each paired column, then the pairs within a self-conjugate column.
    """
    omega = [(k1, k2) for k2 in _half(n2) for k1 in _folded_order(n1).tolist()]
    omega += [(k1, k2) for k2 in _own(n2) for k1 in _half(n1)]
    selfs = [(k1, k2) for k2 in _own(n2) for k1 in _own(n1)]
    return torch.tensor(omega + selfs), len(omega)


def _angles(k: Tensor, n: int) -> Tensor:
    """The angles 2πkp/n at all pixels p, in float64."""
    return (torch.outer(k, torch.arange(n)) % n).to(torch.float64) * (2 * torch.pi / n)


def axis_dft(n: int) -> Tensor:
    """The matrix of a `RealDFT` with one axis, in float64."""
    omega, pairs = line_frequencies(n)
    angle = _angles(omega[:, 0], n)
    waves = torch.stack([angle[:pairs].cos(), -angle[:pairs].sin()], dim=1) * 2**0.5
    matrix: Tensor = torch.cat([waves.view(2 * pairs, n), angle[pairs:].cos()]) / n**0.5
    return matrix
