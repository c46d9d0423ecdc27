r"""The circular convolution, stored in the scale in which weight decay is the operator norm."""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from cbnlib._checks import (
    check_alike,
    check_choice,
    check_count,
    check_flag,
    check_grid,
    check_positive,
    check_precision,
    check_signal,
    check_type,
)
from cbnlib.network.frequencies import frequencies
from cbnlib.network.real_dft import blocks_to_coordinates, coordinates_to_blocks
from cbnlib.network.resampling import crop_noise

Parametrization = Literal["pixel", "spectral"]


class CircularConv(nn.Module):
    r"""Translation-equivariant linear layer $\tilde\alpha=Wx+b\mathbf 1$ on a cyclic grid.

    $(Wx)(p)=\sum_q w(q)\,x(p-q)$ is a circular convolution, diagonal over frequencies:
    $\widehat{Wx}(\omega)=\hat W(\omega)\,\hat x(\omega)$ with blocks
    $\hat W(\omega)=\sum_q w(q)\,e^{-2\pi i\,\omega\cdot q/n}\in\mathbb C^{c_{out}\times c_{in}}$.

    The parameters are $v=\sqrt N\,w$ (`weight`) and $\beta=\sqrt N\,b$ (`bias`). Then the norm of
    the *operator* is the plain norm of the parameters, $\lVert W\rVert_F^2=\lVert v\rVert^2$ and
    $\lVert b\mathbf 1\rVert^2=\lVert\beta\rVert^2$. The unitary DFT of $v$ is $\hat W$, and $\beta$
    adds to the constant frequency.

    In the *spectral* parametrisation (Rippel, Snoek and Adams, NeurIPS 2015) the weight is kept as
    its $N$ real Fourier coordinates, an orthogonal change of basis (module `real_dft`). Maps, norm
    and gradient flow are the same, and no step transforms the filter. Gradient descent takes the
    same path. Adam takes another one, as it scales every coordinate by itself.

    This class is the readable definition. `cbnlib.training.engine` computes the same faster.

    Attributes:
        weight: $v$, shape `[c_out, c_in, *window]`. Along an axis with window `k` the taps are
            at $q=-\lfloor k/2\rfloor,\dots,k-1-\lfloor k/2\rfloor$ (mod $n$). In the spectral
            parametrisation the Fourier coordinates of $v$, shape `[N, c_out, c_in]`.
        bias: $\beta$, shape `[c_out]`, or None.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        c_in: int,
        c_out: int,
        grid: int | Sequence[int],
        *,
        window: int | Sequence[int] | None = None,
        bias: bool = True,
        gain: float = 1.0,
        parametrization: Parametrization = "pixel",
        generator: torch.Generator | None = None,
    ) -> None:
        r"""Draw the weights at random and set the bias to zero.

        Args:
            c_in: Channels of the input.
            c_out: Channels of the output.
            grid: Pixels per axis, one or two axes.
            window: Size of the filter per axis, None for the whole grid.
            bias: Whether there is a bias per channel.
            gain: The entries of the blocks $\hat W(\omega)$ start with variance `gain / c_in`.
            parametrization: `pixel` or `spectral`, see above.
            generator: Source of randomness, None for torch's global one.

        Raises:
            ValueError: If a count is < 1, the gain is not positive, or the window has another
                number of axes than the grid or is larger than it. In the spectral parametrisation
                also if it is smaller, as every filter there is as large as the grid.
        """
        super().__init__()
        self.c_in, self.c_out = check_count("c_in", c_in), check_count("c_out", c_out)
        self.grid = check_grid(grid)
        self.window = self.grid if window is None else check_window(window, self.grid)
        pixels = torch.Size(self.grid).numel()
        taps = torch.Size(self.window).numel()
        variance = check_positive("gain", gain) / self.c_in * pixels / taps
        check_choice("parametrization", parametrization, get_args(Parametrization))
        self.parametrization = parametrization
        shape: tuple[int, ...] = (self.c_out, self.c_in, *self.window)
        if parametrization == "spectral":
            if self.window != self.grid:
                raise ValueError(f"a spectral filter has no window, got {self.window}")
            shape = (pixels, self.c_out, self.c_in)
        self.weight = nn.Parameter(torch.randn(shape, generator=generator) * variance**0.5)
        self.bias = nn.Parameter(torch.zeros(self.c_out)) if check_flag("bias", bias) else None

    def start_on(self, coarse: int | Sequence[int]) -> "CircularConv":
        r"""A layer on a coarser grid that starts like this one, if this one was just drawn.

        It has the same blocks at the frequencies that both grids share. So the entries of its
        blocks start with the same variance (`crop_noise` says how at a Nyquist frequency).

        Args:
            coarse: Pixels per axis.

        Raises:
            ValueError: If this layer's filters are smaller than its grid, or the other grid has
                another number of axes or is finer on one of them.
        """
        if self.window != self.grid:
            raise ValueError(f"a filter of size {self.window} cannot start on another grid")
        layer = CircularConv(
            self.c_in,
            self.c_out,
            coarse,
            bias=self.bias is not None,
            parametrization=self.parametrization,
            generator=torch.Generator(),  # its numbers are not used
        )
        if not self.weight.is_meta:  # which has a shape and no numbers
            layer.set_blocks(crop_noise(self.blocks().detach(), self.grid, layer.grid))
        return layer

    @property
    def axes(self) -> tuple[int, ...]:
        """The pixel axes of a filter or of a batch of signals, counted from the end."""
        return tuple(range(-len(self.grid), 0))

    def blocks(self) -> Tensor:
        r"""Fourier blocks $\hat W(\omega)$ at the stored frequencies.

        Returns:
            Complex tensor of shape `[c_out, c_in, *half_grid]`, the last axis halved as in `rfftn`.

        Raises:
            ValueError: If the weight is in half precision, for which there is no such transform.
        """
        v = check_precision("weight", self.weight)
        if self.parametrization == "spectral":
            stored = coordinates_to_blocks(v, self.grid).movedim(0, -1)
            return stored.reshape(self.c_out, self.c_in, *frequencies(self.grid).half_grid)
        if self.window != self.grid:
            missing = [n - k for n, k in zip(self.grid, self.window, strict=True)]
            pad = [side for extra in reversed(missing) for side in (0, extra)]
            v = nn.functional.pad(v, pad).roll([-(k // 2) for k in self.window], self.axes)
        blocks: Tensor = torch.fft.rfftn(v, dim=self.axes, norm="ortho")
        return blocks

    def modes(self) -> Tensor:
        r"""Fourier blocks $\hat W(\omega)$ at the modes, one of each pair $\pm\omega$.

        Returns:
            Complex tensor of shape `[modes, c_out, c_in]`, in the order of `Frequencies.modes`.
        """
        at_modes: Tensor = self.blocks().flatten(2).movedim(-1, 0)[frequencies(self.grid).modes]
        return at_modes

    def set_modes(self, at_modes: Tensor) -> None:
        r"""Set the weight so that its Fourier blocks at the modes are these.

        Args:
            at_modes: Blocks, as `modes` returns them.

        Raises:
            ValueError: As `set_blocks`.
        """
        freqs = frequencies(self.grid)
        stored = freqs.complete(at_modes.to(self.weight.dtype.to_complex()))
        self.set_blocks(stored.movedim(0, -1).unflatten(-1, freqs.half_grid))

    @torch.no_grad()
    def set_blocks(self, blocks: Tensor) -> None:
        r"""Set the weight so that its Fourier blocks are these.

        Args:
            blocks: $\hat W(\omega)$ at the stored frequencies, as `blocks` returns them.

        Raises:
            ValueError: If the shape does not fit, or the window is smaller than the grid.
        """
        shape = (self.c_out, self.c_in, *frequencies(self.grid).half_grid)
        check_type("blocks", blocks, Tensor)
        if tuple(blocks.shape) != shape or self.window != self.grid:
            raise ValueError(
                f"blocks of shape {tuple(blocks.shape)} do not fit a layer with blocks {shape} "
                f"and window {self.window}"
            )
        if self.parametrization == "spectral":
            stored = blocks.flatten(2).movedim(-1, 0)
            self.weight.copy_(blocks_to_coordinates(stored, self.grid))
        else:
            self.weight.copy_(torch.fft.irfftn(blocks, s=self.grid, dim=self.axes, norm="ortho"))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to signals of shape `[batch, c_in, *grid]`.

        Raises:
            TypeError: If `x` is not a tensor.
            ValueError: If the shape, dtype or device of `x` does not fit, or the weight is in half
                precision.
        """
        check_signal(x, self.c_in, self.grid)
        check_alike("input", x, "the weight", check_precision("weight", self.weight))
        x_hat = torch.fft.rfftn(x, dim=self.axes, norm="ortho")
        y_hat = torch.einsum("oi...,bi...->bo...", self.blocks(), x_hat)
        y: Tensor = torch.fft.irfftn(y_hat, s=self.grid, dim=self.axes, norm="ortho")
        if self.bias is not None:
            b = self.bias / torch.Size(self.grid).numel() ** 0.5
            y = y + b.reshape(-1, *(1 for _ in self.grid))
        return y

    def extra_repr(self) -> str:
        """Describe the layer's shape in `print(model)`."""
        return f"{self.c_in}, {self.c_out}, grid={self.grid}, window={self.window}"


def check_window(window: int | Sequence[int], grid: tuple[int, ...]) -> tuple[int, ...]:
    """Return the size of a filter along each axis of a grid.

    Raises:
        ValueError: If a size is not a positive integer or exceeds the grid, or their number is not
            that of the axes.
    """
    given = tuple(window) if isinstance(window, Iterable) else (window,) * len(grid)
    sizes = tuple(check_count("window axis", k) for k in given)
    if len(sizes) != len(grid):
        raise ValueError(f"window must have {len(grid)} axes like grid {grid}, got {sizes}")
    if any(k > n for k, n in zip(sizes, grid, strict=True)):
        raise ValueError(f"filter larger than the grid: window {sizes} on grid {grid}")
    return sizes


class GlobalPool(nn.Module):
    r"""Global pooling to the constant frequency, an operator of norm 1.

    Maps `[batch, c, *grid]` to `[batch, c]`: $\hat x(0)=\sqrt N\cdot$ the mean over pixels.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Sum over pixels, divided by the root of their number."""
        pixels = x.flatten(2)
        pooled: Tensor = pixels.sum(dim=2) / pixels.shape[2] ** 0.5
        return pooled
