r"""Maps between a grid and a coarser one (S6), of norm at most 1, and their adjoints."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from cbnlib._checks import check_choice, check_flag, check_grid
from cbnlib.network.frequencies import frequencies

Method = Literal["crop", "stride", "average"]


class Resample(nn.Module):
    r"""Take signals from a grid to a coarser one, or back by the adjoint map.

    * `crop` keeps the frequencies $\lvert\omega_i\rvert<n_i'/2$, with unitary transforms on both
      grids. It is a partial isometry (for even $n_i'$ the coarse Nyquist frequency stays zero).
      Pixel values grow by $\sqrt{N/N'}$.
    * `stride` keeps every $s$-th pixel. Its norm is 1.
    * `average` takes the mean over blocks of $s^d$ pixels. Its norm is $s^{-d/2}$.

    S2 and S4 hold with each of them. The maps commute only with translations of the coarse grid.
    """

    def __init__(
        self,
        fine: tuple[int, ...],
        coarse: tuple[int, ...],
        method: Method,
        *,
        adjoint: bool = False,
    ) -> None:
        """Set up the map from `fine` to `coarse`, or its adjoint.

        Raises:
            ValueError: If the method is unknown, an axis of `coarse` exceeds that of `fine`, or
                (except for `crop`) does not divide it.
        """
        super().__init__()
        self.fine, self.coarse = check_grid(fine), check_grid(coarse)
        self.method = check_choice("resampling", method, get_args(Method))
        self.adjoint = check_flag("adjoint", adjoint)
        if len(self.fine) != len(self.coarse):
            raise ValueError(f"coarse grid {self.coarse} must have as many axes as {self.fine}")
        for n, m in zip(self.fine, self.coarse, strict=True):
            if m > n or (method != "crop" and n % m):
                need = "not exceed" if method == "crop" else "divide"
                raise ValueError(f"coarse grid {self.coarse} must {need} the grid {self.fine}")
        self.steps = tuple(n // m for n, m in zip(self.fine, self.coarse, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        """Map signals `[batch, c, *fine]` to `[batch, c, *coarse]`, or back for the adjoint."""
        if self.method == "crop":
            return self._crop(x)
        return self._spread(x) if self.adjoint else self._reduce(x)

    def _crop(self, x: Tensor) -> Tensor:
        source, target = (self.coarse, self.fine) if self.adjoint else (self.fine, self.coarse)
        axes = tuple(range(-len(source), 0))
        kept = [_low_frequencies(m) for m in self.coarse]
        x_hat = torch.fft.fftn(x, dim=axes, norm="ortho")
        y_hat = x_hat.new_zeros(*x.shape[:2], *target)
        y_hat[_index(kept, target)] = x_hat[_index(kept, source)]
        y: Tensor = torch.fft.ifftn(y_hat, dim=axes, norm="ortho").real
        return y

    def _reduce(self, x: Tensor) -> Tensor:
        if self.method == "stride":
            return x[self._every]
        blocks: Tensor = x.unflatten(2, (self.coarse[0], self.steps[0]))
        if len(self.steps) == 2:
            blocks = blocks.unflatten(4, (self.coarse[1], self.steps[1]))
        means: Tensor = blocks.mean(dim=tuple(range(3, blocks.ndim, 2)))
        return means

    def _spread(self, x: Tensor) -> Tensor:
        if self.method == "stride":
            y = x.new_zeros(*x.shape[:2], *self.fine)
            y[self._every] = x
            return y
        for axis, step in enumerate(self.steps, start=2):
            x = x.repeat_interleave(step, dim=axis)
        return x / math.prod(self.steps)

    @property
    def _every(self) -> tuple[slice, ...]:
        """Every `s`-th pixel of a batch of signals."""
        return (slice(None), slice(None), *(slice(None, None, step) for step in self.steps))


def crop_noise(blocks: Tensor, fine: tuple[int, ...], coarse: tuple[int, ...]) -> Tensor:
    r"""The Fourier blocks of white noise on a grid, as those of white noise on a coarser one.

    The coarse grid's frequencies keep their blocks. One with $\omega_i=n_i'/2$ may be its own
    negative on the coarse grid and not on the fine one. Its block becomes the real part times
    $\sqrt2$. So independent entries of one variance stay independent, with the same variance.

    Args:
        blocks: Complex, at the stored frequencies of the fine grid, `[c_out, c_in, *half_grid]`.
        fine: Pixels per axis.
        coarse: Pixels per axis, on none more than the fine grid has.

    Returns:
        The blocks at the stored frequencies of the coarse grid.

    Raises:
        ValueError: If the coarse grid has another number of axes or is finer on one of them, or
            the blocks are not those of the fine grid.
    """
    source, target = frequencies(fine), frequencies(coarse)
    fine, coarse = source.grid, target.grid
    if len(coarse) != len(fine) or any(m > n for m, n in zip(coarse, fine, strict=True)):
        raise ValueError(f"coarse grid {coarse} must fit in the grid {fine}")
    if tuple(blocks.shape[2:]) != source.half_grid:
        expected = ("c_out", "c_in", *source.half_grid)
        raise ValueError(f"blocks must have shape {expected}, got {tuple(blocks.shape)}")
    rows = source.rows(target.omega[target.modes])
    at_modes = blocks.flatten(2).movedim(-1, 0)[rows]
    becomes_real = (target.multiplicity[target.modes] == 1) & (source.multiplicity[rows] != 1)
    at_modes[becomes_real] = (2**0.5 * at_modes[becomes_real].real).to(at_modes.dtype)
    stored = target.complete(at_modes).movedim(0, -1)
    return stored.reshape(*blocks.shape[:2], *target.half_grid)


def _low_frequencies(m: int) -> Tensor:
    """The frequencies below the coarse grid's Nyquist, -(m-1)//2 .. (m-1)//2."""
    reach = (m - 1) // 2
    return torch.arange(-reach, reach + 1)


def _index(kept: list[Tensor], grid: tuple[int, ...]) -> tuple[object, ...]:
    wrapped = [omega % n for omega, n in zip(kept, grid, strict=True)]
    return (..., *torch.meshgrid(*wrapped, indexing="ij"))
