r"""The converse of S5: networks whose weights have the bottleneck and whose activations do not.

A *detour* is a constant in a spare channel. It leaves the modes that the middle layers keep,
grows behind them, and the last layer does not read it. The function stays the same, and the norm
almost the same. The sharpness tells the two networks apart.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor

from cbnlib._checks import check_count, check_positive
from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CNN
from cbnlib.spectra.convolutions import weight_spectra
from cbnlib.spectra.spectrum import KEPT, middle_half
from cbnlib.theory.activation_bottleneck import off_mode_energy
from cbnlib.theory.same_function import widened


@dataclass(frozen=True, eq=False)
class Detour:
    r"""A network of the same function with a constant in a spare channel.

    Attributes:
        model: The network, in float64, with one channel more.
        excess: Increase of the squared norm.
        constant: $A_{L-1}$, the mean of the detour's constant where the last layer receives it.
        curvature: A lower bound of its sharpness without the ridge's $2\lambda$.
    """

    model: CNN
    excess: float
    constant: float
    curvature: float


@torch.no_grad()
def detour(
    model: CNN, x: Tensor, layers: Sequence[int], *, share: float = 0.5, excess: float = 0.0
) -> Detour:
    r"""Lead a constant off the modes of some middle layers, and let it grow behind them.

    Let $c_\ell$ be the mean over the samples of $\hat\alpha_{\ell-1}(0)$ in the network's own
    channels and $A_\ell$ the constant in the spare one. The middle half ends with layer $b$.

    * In each given layer a bias $p_\ell$ makes the constant, $A_\ell=p_\ell$. It is as large as
      the share needs.
    * Behind $b$, the channel's row in layer $\ell$ has squared norm $u$ and is parallel to
      $(c_\ell,A_{\ell-1},1)$, so that $A_\ell^2=u\,(\lVert c_\ell\rVert^2+A_{\ell-1}^2+1)$.
    * Nothing else reads the channel.

    Then the function is the same, $\lVert\theta'\rVert^2=\lVert\theta\rVert^2+\sum p_\ell^2+
    (L-1-b)\,u$, the singular values of the middle layers are the same, and the sharpness is at
    least $2\,(\lVert c_L\rVert^2+A_{L-1}^2+1)+2\lambda$.

    Why: the output's constant is linear in the bias of the last layer and in the weights by which
    this layer reads constants. So the Hessian of the data loss there is $2\,\mathrm E[vv^T]$, where
    $v$ holds all of these constants and the 1. It is at least $2\,\mathrm E[v]\,\mathrm E[v]^T$.

    Args:
        model: A network with full-size filters on one grid, biases and the equivariant head.
        x: Signals over which the means are taken, shape `[B, c_in, *grid]`.
        layers: Layers of the middle half, counted from 1, which the constant leaves.
        share: Part of the pre-activations there to put off the kept modes, in root mean squares.
        excess: Squared norm to spend in all. Nothing grows if the biases leave nothing of it, or
            no layer lies between the middle half and the last one.

    Raises:
        TypeError: If it is not a `CNN`.
        ValueError: If the network is of another kind, a layer is not in the middle half, the share
            is not below 1, or the excess is negative.

    Source: the detour in the book's statements chapter (S5).

    Example:
        >>> from cbnlib import CNNConfig
        >>> network = CNN(CNNConfig(8, width=2, depth=6), seed=0)
        >>> x = torch.randn(9, 1, 8, generator=torch.Generator().manual_seed(0))
        >>> found = detour(network, x, [3], excess=20.0)
        >>> bool((found.model(x.double()) - network.double()(x.double())).abs().max() < 1e-12)
        True
        >>> print(f"{found.excess:.6f}")
        20.000000
    """
    wider = widened(deepcopy(model).double(), model.config.width + 1)
    config, x = wider.config, x.double()
    if not config.bias or config.head != "equivariant":
        raise ValueError(f"a detour needs biases and the equivariant head, got {config}")
    middle = range(1, config.depth + 1)[middle_half(config.depth)]
    for layer in layers:
        if check_count("layer", layer) not in middle:
            raise ValueError(f"layer must be in the middle half {[*middle]}, got {layer}")
    if check_positive("share", share, zero=True) >= 1:
        raise ValueError(f"share must be below 1, got {share}")
    p = _biases(wider, x, share)
    biases = {layer: p[layer - 1] for layer in layers}
    spent = sum(bias**2 for bias in biases.values())
    behind = range(middle[-1] + 1, config.depth)
    rest = max(check_positive("excess", excess, zero=True) - spent, 0.0) if behind else 0.0
    for layer, bias in biases.items():
        wider.convs[layer - 1].bias[-1] = bias  # type: ignore[index]
    for layer in behind:
        direction = torch.cat([_constants(wider, x, layer), x.new_ones(1)])
        row = direction * (rest / len(behind)) ** 0.5 / direction.norm()
        conv = wider.convs[layer - 1]
        blocks = conv.blocks().flatten(2)
        blocks[-1, :, 0] = row[:-1].to(blocks)
        conv.set_blocks(blocks.unflatten(2, frequencies(conv.grid).half_grid))
        conv.bias[-1] = row[-1]  # type: ignore[index]
    last = _constants(wider, x, config.depth)
    curvature = 2 * (1 + float(last.square().sum()))
    return Detour(wider, spent + rest, float(last[-1]), curvature)


def _biases(model: CNN, x: Tensor, share: float) -> list[float]:
    """The bias for each layer that puts this share of its outputs off the kept modes."""
    kept = [spectrum.real_dimensions(KEPT) for spectrum in weight_spectra(model)]
    off = off_mode_energy(model, x, kept)
    total, outside = (part.square().mean(dim=0) for part in (off.total, off.energy))
    squares = (share**2 * total - outside) / (1 - share**2)
    return squares.clamp(min=0).sqrt().tolist()


def _constants(model: CNN, x: Tensor, layer: int) -> Tensor:
    r"""The mean of $\hat\alpha_{\ell-1}(0)$, by channel."""
    received = model.activations(x)[0][layer - 1].flatten(2)
    constants: Tensor = received.sum(dim=2).mean(dim=0) / received.shape[2] ** 0.5
    return constants
