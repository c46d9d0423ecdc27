r"""Spectra of circular convolutions with a filter given in pixels, at any stride.

A stride keeps every $s$-th pixel of the output, which makes the frequencies $\nu+jm$ of the finer
grid equal on the coarser one, of $m$ pixels. With unitary transforms on both, the operator has at
each $\nu$ one block $\prod_is_i^{-1/2}\,[\hat W(\nu),\hat W(\nu+m),\dots]$ (S7).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cbnlib.network.frequencies import frequencies
from cbnlib.spectra._svd import in_slices, on_cores, singular_values, singular_vectors
from cbnlib.spectra.spectrum import Kind, Spectrum

_DIRECT_TAPS = 32
"""Up to this many taps the sum over them, slice by slice, is faster than the FFT of the grid."""


@dataclass(frozen=True, eq=False)
class Window:
    """A circular convolution of which every `stride`-th pixel is kept.

    Taps that fall onto the same pixel, because the window is larger than the grid, add up.

    Attributes:
        w: The plain filter, shape `[c_out, c_in / groups, *window]`.
        grid: Pixels per axis of the coarser grid, that of the output.
        stride: Pixels of the finer grid per pixel of `grid`, per axis.
        dilation: Distance of the taps, per axis.
        groups: Blocks of channels that do not mix.
    """

    w: Tensor
    grid: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    def spectrum(self, kind: Kind = "exact", factor: float = 1.0) -> Spectrum:
        """The singular values, times a factor, and, except for a bound, the shares.

        Args:
            kind: What the spectrum is to the layer that it is made for.
            factor: A positive number.
        """
        shared, shares = self._aliases > 1 and kind != "bound", None
        shape = (self.groups, len(self.w) // self.groups, self.w.shape[1] * self._aliases)
        if self._is_of_patches:
            values, shares = self._of_patches(shared)
        elif shared:
            parts = in_slices(self._with_shares, len(self._members), math.prod(shape))
            values, shares = (torch.cat(part) for part in zip(*parts, strict=True))
        else:
            blocks = self._transform() if self._fft_is_faster else self.blocks
            values = singular_values(blocks, len(self._members), shape)
        values, order = values.flatten(1).sort(dim=1, descending=True)  # of all groups together
        if shares is not None:
            shares = shares.flatten(1, 2).take_along_dim(order.unsqueeze(2), dim=1)
        return Spectrum(self.grid, values * factor, kind, self.stride, shares)

    @property
    def _aliases(self) -> int:
        return math.prod(self.stride)

    @property
    def _window(self) -> tuple[int, ...]:
        return tuple(self.w.shape[2:])

    @cached_property
    def _members(self) -> Tensor:
        """Frequencies of the finer grid, shape `[modes, aliases, axes]`."""
        freqs = frequencies(self.grid)
        return freqs.aliases(self.stride)[freqs.modes]

    @cached_property
    def _terms(self) -> Tensor:
        """Shape `[taps, c_out * c_in / groups]`."""
        return self.w.flatten(2).flatten(0, 1).mT / math.sqrt(self._aliases)

    def _sum_over_taps(self, rows: Tensor, terms: Tensor) -> Tensor:
        r"""$\sum_qe^{-2\pi i\,\omega\cdot q/n}\,t_q$ of `[taps, T]`, as `[rows, aliases, T]`."""
        q = torch.cartesian_prod(*map(torch.arange, self._window)).reshape(-1, len(self.grid))
        q, n = q * torch.tensor(self.dilation), torch.tensor(self.grid) * torch.tensor(self.stride)
        turns = 2 * torch.pi * self._members[rows].double() @ (q.double() / n).mT
        return torch.complex(turns.cos().to(terms) @ terms, -turns.sin().to(terms) @ terms)

    def blocks(self, rows: Tensor) -> Tensor:
        """Blocks of some modes, `[rows, groups, c_out / groups, aliases * c_in / groups]`."""
        by_member = self._sum_over_taps(rows, self._terms)
        shape = (*by_member.shape[:2], self.groups, -1, self.w.shape[1])
        return by_member.reshape(shape).permute(0, 2, 3, 1, 4).flatten(3)

    def _with_shares(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        _, values, vh = singular_vectors(self.blocks(rows))
        return values, vh.abs().square().unflatten(-1, (self._aliases, -1)).sum(-1)

    @property
    def _is_of_patches(self) -> bool:
        """Whether no pixel is read twice, so the same matrix acts on each patch by itself."""
        return all(
            (k - 1) * d < s
            for k, d, s in zip(self._window, self.dilation, self.stride, strict=True)
        )

    def _of_patches(self, shared: bool) -> tuple[Tensor, Tensor | None]:
        matrix = self.w.unflatten(0, (self.groups, -1)).flatten(2)
        modes, taps = len(self._members), math.prod(self._window)
        if not shared or taps == 1:
            if matrix.shape[1] < matrix.shape[2]:  # LAPACK takes wide real matrices slowly
                matrix = matrix.mT
            values = singular_values(lambda rows: matrix[rows], self.groups, matrix.shape[1:])
            values = values.expand(modes, -1, -1)
            even = values.new_full((1,), 1 / self._aliases).expand(*values.shape, self._aliases)
            return values, even if shared else None
        _, values, vh = singular_vectors(matrix)
        vh = vh.unflatten(-1, (-1, taps))

        def shares(rows: Tensor) -> Tensor:
            parts = self._sum_over_taps(rows, vh.flatten(0, 2).mT).abs().square()
            by_direction = parts.reshape(*parts.shape[:2], *vh.shape[:3]).sum(-1)
            return by_direction.movedim(1, -1) / self._aliases

        parts = in_slices(shares, modes, vh.shape[:3].numel() * self._aliases)
        return values.expand(modes, -1, -1), torch.cat(parts)

    @property
    def _fft_is_faster(self) -> bool:
        spread_out = math.prod((*self.stride, *self.dilation)) > 1
        fits = all(k <= n for k, n in zip(self._window, self.grid, strict=True))
        return fits and not spread_out and math.prod(self._window) > _DIRECT_TAPS

    def _transform(self) -> Callable[[Tensor], Tensor]:
        """Compute the same as `blocks` by one `rfftn` that the cores share."""
        freqs = frequencies(self.grid)
        shape = (*self.w.shape[:2], *freqs.half_grid)
        blocks = torch.empty(shape, dtype=self.w.dtype.to_complex(), device=self.w.device)

        def fill(part: Tensor, out: Tensor) -> None:
            torch.fft.rfftn(part, s=self.grid, dim=tuple(range(2, self.w.ndim)), out=out)

        cores = torch.get_num_threads()
        on_cores(fill, self.w.chunk(cores), blocks.chunk(cores))
        at_frequencies, modes = blocks.flatten(2).permute(2, 0, 1), freqs.modes
        shape = (-1, self.groups, len(self.w) // self.groups, self.w.shape[1])
        return lambda rows: at_frequencies[modes[rows]].reshape(shape)
