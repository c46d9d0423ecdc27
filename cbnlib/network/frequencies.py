r"""Frequencies of a cyclic pixel grid, and how to count them.

A real signal on a grid $G=\mathbb Z_{n_1}\times\dots$ of one to three axes with $N$ pixels is known
from half of its Fourier coefficients. `torch.fft.rfftn` returns this half, the *stored* entries.
They have the non-negative frequencies on the last axis, and all on the others. Two different
weights follow from the half that is not stored. Mixing them up is the classic error.

* `Frequencies.weight` belongs to **sums over all stored entries** (norms, traces).
* `Frequencies.multiplicity` belongs to **lists of modes** (ranks, counts, tables).
"""

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from cbnlib._checks import check_grid

Support = Iterable[int | Sequence[int]]
"""Frequencies of one channel: vectors, or integers on a 1-D grid."""

Vector = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Frequencies:
    r"""The stored (half-spectrum) frequencies of a grid, in the order of a flattened `rfftn`.

    Attributes:
        grid: Pixels per axis.
        omega: Integer frequency vectors with entries in $(-n_i/2, n_i/2]$, shape `[F, axes]`.
            (`fftfreq` writes $-n/2$ where we write $+n/2$.)
        degree: $\sum_i\lvert\omega_i\rvert$, shape `[F]`, 0 for the constant one.
        weight: 1 where the entry's column (last axis) is 0 or, for even $n_{last}$, the last one.
            2 elsewhere, where the conjugate is not stored. Shape `[F]`, sums to $N$.
        multiplicity: Real dimensions carried by one channel direction at this entry. It is 1 if
            $\omega=-\omega$ and 2 for the representative of a pair $\pm\omega$. If both members
            of a pair are stored, the other one has 0. Shape `[F]`, sums to $N$.
    """

    grid: tuple[int, ...]
    omega: Tensor
    degree: Tensor
    weight: Tensor
    multiplicity: Tensor

    @property
    def modes(self) -> Tensor:
        """Indices of the entries with multiplicity > 0, one per pair. Shape `[M]`."""
        return self.multiplicity.nonzero().squeeze(1)

    @property
    def half_grid(self) -> tuple[int, ...]:
        """Shape of what `torch.fft.rfftn` returns, with the last axis halved."""
        return (*self.grid[:-1], self.grid[-1] // 2 + 1)

    @property
    def products(self) -> int:
        r"""Real multiplications by which filters act on one channel, $\sum_\omega m(\omega)^2$.

        With one channel in and one out, $\hat W(\omega)\hat x(\omega)$ is a real product where
        $\omega=-\omega$. For each pair $\pm\omega$ it is a complex one, four real ones. Transforms
        are not counted.

        Example:
            >>> frequencies(16).products  # 1 + 7·4 + 1
            30
        """
        return int(self.multiplicity.square().sum())

    def rows(self, omega: Tensor) -> Tensor:
        """Return the indices of frequencies among the stored ones.

        Args:
            omega: Stored frequencies of this grid or of a coarser one, shape `[K, axes]`.

        Returns:
            Indices into `omega`, `degree`, ..., shape `[K]`.

        Example:
            >>> f = frequencies((6, 6))
            >>> f.omega[f.rows(torch.tensor([[-2, 1], [0, 3]]))].tolist()
            [[-2, 1], [0, 3]]
        """
        row = torch.zeros_like(omega[:, 0])
        for k, n, stored in zip(omega.unbind(1), self.grid, self.half_grid, strict=True):
            row = row * stored + k % n
        return row

    def aliases(self, stride: Sequence[int]) -> Tensor:
        r"""The frequencies of a finer grid that keeping every `s`-th pixel makes equal (S7).

        Args:
            stride: $s$, pixels of the finer grid per pixel of this one, per axis.

        Returns:
            $\nu+jn$ for $j_i=0,\dots,s_i-1$, with entries in $(-s_in_i/2, s_in_i/2]$, for every
            $\nu$ of `omega`: shape `[F, s_1 * s_2 * ..., axes]`.

        Example:
            >>> frequencies(4).aliases([2]).tolist()  # 8 pixels: 0 and 4, 1 and -3, 2 and -2
            [[[0], [4]], [[1], [-3]], [[2], [-2]]]
        """
        n, s = self.omega.new_tensor(self.grid), self.omega.new_tensor(stride)
        j = torch.cartesian_prod(*map(torch.arange, stride)).reshape(-1, len(self.grid))
        omega = (self.omega.unsqueeze(1) + j * n) % (s * n)
        return torch.where(2 * omega > s * n, omega - s * n, omega)

    def complete(self, at_modes: Tensor) -> Tensor:
        """Copy each mode's entry to all stored frequencies of that mode.

        Where both members of a pair are stored, the second gets the complex conjugate.

        Args:
            at_modes: Shape `[M, ...]`, in the order of `modes`.

        Returns:
            Shape `[F, ...]`.

        Example:
            >>> f = frequencies((3, 3))  # of (1, 0) and (-1, 0), the first is the mode
            >>> f.complete(torch.tensor([1, 0, 1j, 0, 0])).tolist()[::2]
            [(1+0j), 1j, -1j]
        """
        stored = at_modes.new_zeros(len(self.omega), *at_modes.shape[1:])
        stored[self.modes] = at_modes
        second = (self.multiplicity == 0).nonzero().squeeze(1)
        negative = (-self.omega[second]) % self.omega.new_tensor(self.grid)
        # Both members stand only in a column that is its own mirror image, so the first is stored.
        stored[second] = stored[self.rows(negative)].conj()
        return stored


@lru_cache(maxsize=64)
def _frequencies(grid: tuple[int, ...]) -> Frequencies:
    with torch.device("cpu"):  # whatever the caller's default device is: the result is kept
        axes = [_signed(n) for n in grid[:-1]] + [torch.arange(grid[-1] // 2 + 1)]
        omega = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, len(grid))
        # Column 0 and an even axis' last column are their own mirror images. Both members of a
        # pair stand there, and only the last axis decides it. The first other axis tells the
        # members apart.
        mirrored = (2 * omega) % torch.tensor(grid) == 0
        second = torch.zeros(len(omega), dtype=torch.bool)
        for axis in reversed(range(len(grid) - 1)):
            second = torch.where(mirrored[:, axis], second, omega[:, axis] < 0)
        multiplicity = torch.where(mirrored.all(dim=1), 1, 2)
        multiplicity[mirrored[:, -1] & second] = 0
        weight = torch.where(mirrored[:, -1], 1, 2)
        return Frequencies(grid, omega, omega.abs().sum(dim=1), weight, multiplicity)


def _signed(n: int) -> Tensor:
    """The frequencies of one full axis in `fft` order, with +n/2 for the middle of an even one."""
    omega = torch.arange(n)
    return torch.where(omega > n // 2, omega - n, omega)


def frequencies(grid: int | Sequence[int]) -> Frequencies:
    """Return the stored frequencies of a grid with their degrees and weights.

    Args:
        grid: Pixels per axis, one to three axes, or an integer for one.

    Returns:
        The frequencies in the order of `torch.fft.rfftn(x, dim=axes).flatten()`.

    Raises:
        ValueError: If the grid does not have one to three axes of at least one pixel.

    Source: the counting rules of the book's setting chapter.

    Example:
        On 4 pixels, 0 and the Nyquist frequency 2 are real, and 1 stands for the pair ±1:

        >>> f = frequencies(4)
        >>> f.omega.flatten().tolist(), f.multiplicity.tolist()
        ([0, 1, 2], [1, 2, 1])
        >>> f = frequencies((4, 4))  # in 2-D, (2, 1) is not self-conjugate: -(2, 1) = (2, -1)
        >>> int(f.weight.sum()), int(f.multiplicity.sum()), (f.multiplicity == 1).sum().item()
        (16, 16, 4)
    """
    cached = _frequencies(check_grid(grid, 3))
    tables = (cached.omega, cached.degree, cached.weight, cached.multiplicity)
    return Frequencies(cached.grid, *(table.clone() for table in tables))


def check_supports(supports: Sequence[Support], grid: tuple[int, ...]) -> list[set[Vector]]:
    """The distinct frequencies of each channel, as vectors with entries in (-n/2, n/2].

    Args:
        supports: Frequencies per channel.
        grid: Pixels per axis.

    Raises:
        ValueError: If there is no channel, a frequency has another number of axes than the grid,
            or its negative is missing.
    """
    if len(supports) == 0:
        raise ValueError("supports must name the frequencies of at least one channel")
    kept = []
    for channel, support in enumerate(supports):
        kept.append({signed_frequency(omega, grid) for omega in support})
        for omega in kept[-1]:
            negative = signed_frequency([-k for k in omega], grid)
            if negative not in kept[-1]:
                raise ValueError(
                    f"channel {channel} has the frequency {omega} without its negative {negative}"
                )
    return kept


def signed_frequency(omega: int | Sequence[int], grid: tuple[int, ...]) -> Vector:
    """A frequency mod n, with entries in (-n/2, n/2]."""
    entries = tuple(omega) if isinstance(omega, Iterable) else (omega,)
    if len(entries) != len(grid):
        raise ValueError(f"a frequency on grid {grid} has {len(grid)} axes, got {entries}")
    reduced = (operator.index(k) % n for k, n in zip(entries, grid, strict=True))
    return tuple(k - n if 2 * k > n else k for k, n in zip(reduced, grid, strict=True))
