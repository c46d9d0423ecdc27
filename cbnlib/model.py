r"""The convolutional network of the book: circular convolutions and ReLUs, one bias per channel.

$\alpha_0=x,\quad\tilde\alpha_\ell=W_\ell\alpha_{\ell-1}+b_\ell\mathbf 1,\quad
\alpha_\ell=\mathrm{ReLU}(\tilde\alpha_\ell)\ (\ell<L),\quad f_\theta(x)=\tilde\alpha_L.$
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from cbnlib.checks import check_choice, check_count, check_grid, check_positive
from cbnlib.layers import CircularConv, GlobalPool

Head = Literal["equivariant", "pooling"]


@dataclass(frozen=True)
class CNNConfig:
    """What defines a network before training.

    Raises:
        ValueError: On construction, if a value is out of range; the message names it.
    """

    grid: int | Sequence[int]
    """Pixels per axis; stored as a tuple."""
    width: int
    """Channels of every hidden layer."""
    depth: int
    """L, the number of linear layers, the head included."""
    c_in: int = 1
    """Channels of the input."""
    c_out: int = 1
    """Channels of the output; with the pooling head, the number of classes."""
    head: Head = "equivariant"
    """`equivariant`: the last layer is a convolution. `pooling`: the last ReLU's output is pooled
    to its constant frequency and a dense layer follows; the output is then invariant."""
    window: int | Sequence[int] | None = None
    """Filter size per axis; None for filters as large as the grid, as in the theory."""
    bias: bool = True
    """Without biases the network is positively homogeneous, which some statements need."""
    gain: float = 1.0
    """Entries of the Fourier blocks start with variance gain / channels in. He's initialisation
    is 2; a smaller gain starts with fewer strong modes and often ends in a lower minimum."""

    def __post_init__(self) -> None:
        """Check every field, and store the grid as a tuple."""
        object.__setattr__(self, "grid", check_grid(self.grid))
        check_count("width", self.width)
        check_choice("head", self.head, get_args(Head))
        check_count("depth", self.depth, minimum=2 if self.head == "pooling" else 1)
        check_count("c_in", self.c_in)
        check_count("c_out", self.c_out)
        check_positive("gain", self.gain)


class CNN(nn.Module):
    r"""The network $f_\theta$ of a `CNNConfig`.

    With the equivariant head, $f_\theta$ commutes with every translation of the grid.

    Attributes:
        config: What it was made from.
        convs: The convolutions $W_1,\dots$ in order: $L$ of them, or $L-1$ with the pooling head.
        dense: The dense head $H$ of the pooling head, else None.
    """

    def __init__(self, config: CNNConfig, *, seed: int) -> None:
        """Draw the weights.

        Args:
            config: Sizes and head.
            seed: The weights depend on nothing but the config and this seed.
        """
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        pooling = config.head == "pooling"
        hidden = config.depth - 1
        widths = [config.c_in] + [config.width] * hidden + [config.c_out] * (not pooling)
        convs = nn.ModuleList(
            CircularConv(
                c_in,
                c_out,
                config.grid,
                window=config.window,
                bias=config.bias,
                gain=config.gain,
                generator=generator,
            )
            for c_in, c_out in pairwise(widths)
        )
        self.convs = cast("Sequence[CircularConv]", convs)
        self.pool = GlobalPool() if pooling else None
        self.dense = self._dense_head(generator) if pooling else None

    def _dense_head(self, generator: torch.Generator) -> nn.Linear:
        dense = nn.Linear(self.config.width, self.config.c_out, bias=self.config.bias)
        std = (self.config.gain / self.config.width) ** 0.5
        nn.init.normal_(dense.weight, std=std, generator=generator)
        if self.config.bias:
            nn.init.zeros_(dense.bias)
        return dense

    def pre_activations(self, x: Tensor) -> list[Tensor]:
        r"""Every $\tilde\alpha_\ell(x)$, $\ell=1,\dots,L$; the last one is $f_\theta(x)$.

        Args:
            x: Signals, shape `[batch, c_in, *grid]`.

        Returns:
            $L$ tensors of shape `[batch, c, *grid]`; the pooling head's output is `[batch, c_out]`.

        Raises:
            ValueError: If the shape of `x` does not fit the network.
        """
        layers = [self.convs[0](x)]
        for conv in self.convs[1:]:
            layers.append(conv(torch.relu(layers[-1])))
        if self.pool is not None and self.dense is not None:
            layers.append(self.dense(self.pool(torch.relu(layers[-1]))))
        return layers

    def forward(self, x: Tensor) -> Tensor:
        r"""$f_\theta(x)$ for signals of shape `[batch, c_in, *grid]`."""
        return self.pre_activations(x)[-1]

    def parameter_norm(self) -> Tensor:
        r"""$\lVert\theta\rVert^2$, the squared norm of all operators and biases, a scalar tensor.

        The parameters are scaled so that this is the plain sum of their squares.
        """
        return torch.stack([p.square().sum() for p in self.parameters()]).sum()
