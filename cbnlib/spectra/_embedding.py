r"""A convolution of PyTorch as $PWE$, with $W$ circular on a grid that the stride divides (S8).

$E$ pads the image and puts it into the cyclic grid, $P$ keeps those pixels of the output that no
window reaches around the end. Hence $\sigma_i(PWE)\le\lVert E\rVert\,\sigma_i(W)$ for every $i$.
A transposed convolution is the adjoint of one that reads its output.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cbnlib.spectra._supported import TorchConv
from cbnlib.spectra._windows import Window
from cbnlib.spectra.spectrum import Kind, Spectrum


@dataclass(frozen=True)
class Geometry:
    """Geometry, per axis, by which a convolution reads its input (if transposed, its output).

    Attributes:
        padding: Pixels that are added before and after.
        mode: What is added, as `padding_mode` of `torch.nn.Conv2d`.
    """

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    transposed: bool
    output_padding: tuple[int, ...]
    groups: int
    mode: str = "zeros"

    @classmethod
    def of(cls, conv: TorchConv) -> "Geometry":
        """Return the geometry of a layer."""
        padding = conv.padding
        if isinstance(padding, str):
            same = int(padding == "same")
            spans = [
                same * (k - 1) * d for k, d in zip(conv.kernel_size, conv.dilation, strict=True)
            ]
            pairs = tuple((span // 2, span - span // 2) for span in spans)
        else:
            pairs = tuple((p, p) for p in padding)
        how = conv.transposed, conv.output_padding, conv.groups, conv.padding_mode
        return cls(conv.kernel_size, conv.stride, pairs, conv.dilation, *how)

    def apply(self, x: Tensor, weight: Tensor) -> Tensor:
        """The convolution itself, without a bias."""
        which = f"conv{'_transpose' * self.transposed}{len(self.stride)}d"
        convolution: Callable[..., Tensor] = getattr(functional, which)
        if self.transposed:
            padding = [before for before, _ in self.padding]
            how = self.stride, padding, self.output_padding, self.groups, self.dilation
            return convolution(x, weight, None, *how)
        return convolution(self.pad(x), weight, None, self.stride, 0, self.dilation, self.groups)

    def pad(self, x: Tensor) -> Tensor:
        """Signals as a convolution that is not transposed reads them."""
        around = [pixels for pair in reversed(self.padding) for pixels in pair]
        return functional.pad(x, around, "constant" if self.mode == "zeros" else self.mode)

    def products(self, weight: Tensor, grid: tuple[int, ...]) -> int:
        """How many products of two numbers the convolution of a signal takes, about."""
        stride = (1,) * len(grid) if self.transposed else self.stride
        return weight.numel() * math.prod(n // s for n, s in zip(grid, stride, strict=True))

    def spectrum(self, weight: Tensor, grid: tuple[int, ...], *, circular: bool) -> Spectrum:
        """The spectrum with a weight, exact or not, as `conv_spectrum` says.

        Args:
            weight: In the precision to compute in.
            grid: Pixels per axis of the input.
            circular: Whether to approximate where it is not exact.

        Raises:
            ValueError: If the filter or the padding does not fit the grid.
        """
        coarse, kind, norm = self.embed(grid, circular=circular)
        return Window(weight, coarse, self.stride, self.dilation, self.groups).spectrum(kind, norm)

    def embed(
        self, grid: tuple[int, ...], *, circular: bool
    ) -> tuple[tuple[int, ...], Kind, float]:
        r"""Pixels of $W$'s coarser grid, what its spectrum is to the layer, and $\lVert E\rVert$.

        It is exact if $P$ and $E$ take away nothing but zeros. Padding that repeats pixels makes
        the norm of $E$ larger than 1.
        """
        each = [self._axis(axis, n) for axis, n in enumerate(grid)]
        coarse = tuple(n for n, *_ in each)
        if all(exact for *_, exact in each):
            return coarse, "exact", 1.0
        if circular:
            kept = [1] * len(grid) if self.transposed else self.stride
            return tuple(-(-n // s) for n, s in zip(grid, kept, strict=True)), "approximation", 1.0
        return coarse, "bound", math.sqrt(math.prod(copies for _, copies, _ in each))

    def _axis(self, axis: int, n: int) -> tuple[int, int, bool]:
        """Pixels of the coarser grid, how often $E$ repeats one at most, and if that is exact."""
        stride, (before, after) = self.stride[axis], self.padding[axis]
        span = (self.kernel_size[axis] - 1) * self.dilation[axis] + 1
        if self.transposed:
            outputs, read = n, (n - 1) * stride + span + self.output_padding[axis] - before - after
        else:
            outputs, read = (n + before + after - span) // stride + 1, n
        widest = {"circular": n, "reflect": n - 1}.get(self.mode, before + after)
        if min(outputs, read) < 1 or max(before, after) > widest:
            raise ValueError(
                f"a filter of {span} pixels (dilation counted) with padding {before}, {after} of "
                f"mode {self.mode!r} does not fit the grid's axis of {n}"
            )
        if self.mode == "circular" and n % stride == 0:
            coarse = n // stride
            return coarse, -(-outputs // coarse), outputs == coarse
        coarse = outputs - 1 + -(-span // stride)
        exact = before + after == 0 and outputs == coarse
        if self.mode == "zeros":
            return coarse, 1, exact
        pixels = torch.arange(n, dtype=torch.float64).reshape(1, 1, n)
        padded = functional.pad(pixels, (before, after), mode=self.mode)
        return coarse, int(padded.long().flatten().bincount().max()), exact
