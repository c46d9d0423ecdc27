r"""The convolutional network of the book: circular convolutions and ReLUs, one bias per channel.

$\alpha_0=x,\quad\tilde\alpha_\ell=W_\ell\alpha_{\ell-1}+b_\ell\mathbf 1,\quad
\alpha_\ell=\mathrm{ReLU}(\tilde\alpha_\ell)\ (\ell<L),\quad f_\theta(x)=\tilde\alpha_L.$
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from cbnlib._checks import (
    Grid,
    check_choice,
    check_count,
    check_flag,
    check_positive,
    check_type,
    hold,
)
from cbnlib.network.layers import CircularConv, GlobalPool, Parametrization, check_window
from cbnlib.network.resampling import Method, Resample

Head = Literal["equivariant", "pooling"]
Nonlinearity = Literal["relu", "none"]


@dataclass(frozen=True)
class CoarseStage:
    """Middle layers that act on a coarser grid (S6).

    Raises:
        ValueError: On construction, if the layers are no range of layers or the method is unknown.
    """

    grid: Grid = Grid()  # noqa: RUF009
    """Pixels per axis of the coarse grid, an integer or several, stored as a tuple."""
    first: int  # type: ignore[misc]  # `Grid` is no default
    """First layer on it, counted from 1."""
    last: int  # type: ignore[misc]  # `Grid` is no default
    """Last layer on it."""
    method: Method = "crop"
    """Method that takes signals to the coarse grid. The adjoint map takes them back."""

    def __post_init__(self) -> None:
        """Check every field."""
        first = check_count("first coarse layer", self.first)
        hold(self, first=first, last=check_count("last coarse layer", self.last, minimum=first))
        check_choice("resampling", self.method, get_args(Method))


@dataclass(frozen=True)
class CNNConfig:
    """Configuration of a network before training.

    Raises:
        ValueError: On construction, if a value is out of range. The message names it.
        TypeError: If `coarse` is neither None nor a `CoarseStage`.
    """

    grid: Grid = Grid()  # noqa: RUF009
    """Pixels per axis, an integer or several, stored as a tuple."""
    width: int  # type: ignore[misc]  # `Grid` is no default
    """Channels of every hidden layer."""
    depth: int  # type: ignore[misc]  # `Grid` is no default
    """L, the number of linear layers, the head included."""
    c_in: int = 1
    """Channels of the input."""
    c_out: int = 1
    """Channels of the output. With the pooling head, the number of classes."""
    head: Head = "equivariant"
    """With `equivariant` the last layer is a convolution. With `pooling` the last ReLU's output is
    pooled to its constant frequency and a dense layer follows, so the output is invariant."""
    window: int | Sequence[int] | None = None
    """Filter size per axis, stored as a tuple. With None, filters are as large as the grid, as in
    the theory."""
    bias: bool = True
    """Without biases the network is positively homogeneous, which some statements need."""
    nonlinearity: Nonlinearity = "relu"
    """`none` makes a linear network, for S1."""
    coarse: CoarseStage | None = None
    """Middle layers on a coarser grid. The network then commutes with coarse translations only."""
    parametrization: Parametrization = "pixel"
    """Coordinates of the convolutions' weights, `pixel` or `spectral` (`CircularConv`)."""
    gain: float = 1.0
    """Entries of the Fourier blocks start with variance gain / channels in. He's initialisation
    is 2. A smaller gain starts with fewer strong modes and often ends in a lower minimum."""

    def __post_init__(self) -> None:
        """Check every field, and store the window as a tuple, numbers as Python's own."""
        check_choice("head", self.head, get_args(Head))
        check_choice("nonlinearity", self.nonlinearity, get_args(Nonlinearity))
        check_choice("parametrization", self.parametrization, get_args(Parametrization))
        hold(
            self,
            width=check_count("width", self.width),
            depth=check_count("depth", self.depth, minimum=2 if self.head == "pooling" else 1),
            c_in=check_count("c_in", self.c_in),
            c_out=check_count("c_out", self.c_out),
            window=None if self.window is None else check_window(self.window, self.grid),
            bias=check_flag("bias", self.bias),
            gain=check_positive("gain", self.gain),
        )
        if self.coarse is not None:
            last = check_type("coarse", self.coarse, CoarseStage).last
            # An equivariant network's output is on the full grid. Pooling takes any.
            if last > self.depth - 1:
                raise ValueError(f"last coarse layer must be <= {self.depth - 1}, got {last}")

    def grid_of(self, layer: int) -> tuple[int, ...]:
        """Grid of a layer, counted from 1."""
        check_count("layer", layer)
        coarse = self.coarse and self.coarse.first <= layer <= self.coarse.last
        return self.coarse.grid if self.coarse and coarse else self.grid


class CNN(nn.Module):
    r"""The network $f_\theta$ of a `CNNConfig`.

    With the equivariant head, $f_\theta$ commutes with every translation of the grid.

    Attributes:
        config: Its configuration.
        convs: The convolutions $W_1,\dots$ in order, $L$ of them, or $L-1$ with the pooling head.
        dense: The dense head $H$ of the pooling head, else None.
    """

    def __init__(self, config: CNNConfig, *, seed: int) -> None:
        """Draw the weights.

        If the filters are as large as the grid, the layers on the coarse grid are drawn on the full
        one. So networks that differ in their coarse stage alone start from the same blocks at all
        frequencies that they share.

        Args:
            config: Sizes and head.
            seed: The weights depend on nothing but the config and this seed.

        Raises:
            TypeError: If the config is not a `CNNConfig`.
            ValueError: If the seed is negative, or the coarse grid does not fit the full one.
        """
        super().__init__()
        self.config = check_type("config", config, CNNConfig)
        generator = torch.Generator().manual_seed(check_count("seed", seed, minimum=0))
        pooling = config.head == "pooling"
        hidden = config.depth - 1
        widths = [config.c_in] + [config.width] * hidden + [config.c_out] * (not pooling)
        resamples = nn.ModuleList(self._resample(layer) for layer in range(1, len(widths)))
        convs = nn.ModuleList(
            self._draw(layer, c_in, c_out, generator)
            for layer, (c_in, c_out) in enumerate(pairwise(widths), start=1)
        )
        self.convs = cast("Sequence[CircularConv]", convs)
        self.resamples = resamples
        self.pool = GlobalPool() if pooling else None
        self.dense = self._dense_head(generator) if pooling else None

    def _draw(self, layer: int, c_in: int, c_out: int, generator: torch.Generator) -> CircularConv:
        config, grid = self.config, self.config.grid_of(layer)
        # A filter with a window has as many taps on either grid, so it is drawn where it is.
        drawn_on = grid if config.window is not None else config.grid
        conv = CircularConv(
            c_in,
            c_out,
            drawn_on,
            window=config.window,
            bias=config.bias,
            gain=config.gain,
            parametrization=config.parametrization,
            generator=generator,
        )
        return conv if drawn_on == grid else conv.start_on(grid)

    def _resample(self, layer: int) -> nn.Module:
        """Return the module that resamples signals to a layer's grid, before that layer."""
        coarse, full = self.config.coarse, self.config.grid
        here = self.config.grid_of(layer)
        before = self.config.grid_of(layer - 1) if layer > 1 else full
        if coarse is None or here == before:
            return nn.Identity()
        return Resample(full, coarse.grid, coarse.method, adjoint=here == full)

    def _dense_head(self, generator: torch.Generator) -> nn.Linear:
        dense = nn.Linear(self.config.width, self.config.c_out, bias=self.config.bias)
        std = (self.config.gain / self.config.width) ** 0.5
        nn.init.normal_(dense.weight, std=std, generator=generator)
        if self.config.bias:
            nn.init.zeros_(dense.bias)
        return dense

    def activations(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        r"""Return the input and the output of every linear layer.

        Args:
            x: Signals, shape `[batch, c_in, *grid]`.

        Returns:
            The inputs of the $L$ layers ($\alpha_{\ell-1}$, resampled if the grid changes, pooled
            before a dense head) and their outputs $\tilde\alpha_\ell$, the last of which is
            $f_\theta(x)$. Signals have shape `[batch, c, *grid]`, a dense head's input and output
            `[batch, c]`.

        Raises:
            ValueError: If the shape of `x` does not fit the network.
        """
        return self._activations(x, 1)

    def _activations(self, signal: Tensor, first: int) -> tuple[list[Tensor], list[Tensor]]:
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []
        for conv, resample in list(zip(self.convs, self.resamples, strict=True))[first - 1 :]:
            inputs.append(resample(self.activate(outputs[-1]) if outputs else signal))
            outputs.append(conv(inputs[-1]))
        if self.pool is not None and self.dense is not None:
            inputs.append(self.pool(self.activate(outputs[-1])))
            outputs.append(self.dense(inputs[-1]))
        return inputs, outputs

    def activate(self, pre_activation: Tensor) -> Tensor:
        """The nonlinearity: ReLU, or nothing in a linear network."""
        return torch.relu(pre_activation) if self.config.nonlinearity == "relu" else pre_activation

    def pre_activations(self, x: Tensor) -> list[Tensor]:
        r"""Every $\tilde\alpha_\ell(x)$, $\ell=1,\dots,L$, the outputs of `activations`."""
        return self.activations(x)[1]

    def forward(self, x: Tensor) -> Tensor:
        r"""$f_\theta(x)$ for signals of shape `[batch, c_in, *grid]`."""
        return self.pre_activations(x)[-1]

    def forward_from(self, layer: int, signal: Tensor) -> Tensor:
        r"""The output of the network if a layer receives this signal.

        To decode a pre-activation $\tilde\alpha_\ell$, activate it and go on with the next layer:
        `model.forward_from(l + 1, model.activate(pre_activation))`.

        Args:
            layer: $\ell$, the number of a convolution, counted from 1.
            signal: $\alpha_{\ell-1}$, shape `[batch, c, *grid]` on the grid of the layer before.

        Raises:
            ValueError: If there is no such convolution, or the signal does not fit it.
        """
        if check_count("layer", layer) > len(self.convs):
            raise ValueError(f"layer must be <= {len(self.convs)}, got {layer}")
        return self._activations(signal, layer)[1][-1]

    def parameter_norm(self) -> Tensor:
        r"""$\lVert\theta\rVert^2$, the squared norm of all operators and biases, a scalar tensor.

        The parameters are scaled so that this is the plain sum of their squares.
        """
        return torch.stack([p.square().sum() for p in self.parameters()]).sum()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A network in evaluation mode. Afterwards each module is in the mode it was in before."""
    modes = [(m, m.training) for m in model.modules() if hasattr(m, "training")]  # frozen: has none
    try:
        with suppress(NotImplementedError):  # of an exported program, whose mode is fixed
            model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training
