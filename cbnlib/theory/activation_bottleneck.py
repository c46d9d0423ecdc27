r"""The bottleneck in the activations (S5), and the tangent kernel that bounds their size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cbnlib._checks import check_finite
from cbnlib.network.frequencies import frequencies
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CNN
from cbnlib.spectra._svd import singular_vectors
from cbnlib.theory.jacobian import check_no_kink
from cbnlib.theory.lower_bounds import rank
from cbnlib.theory.weight_bottleneck import Layer, layers_of, operator_values


@dataclass(frozen=True, eq=False)
class OffModeEnergy:
    r"""Both sides of S5, per sample and layer.

    Attributes:
        energy: $\lVert(I-\Pi_\ell)\tilde\alpha_\ell(x)\rVert$, shape `[B, L]`. (An amplitude, not
            its square.)
        bound: $\sigma_{k+1}(W_\ell)\lVert\alpha_{\ell-1}(x)\rVert+\lVert(I-\Pi_\ell)b_\ell\mathbf
            1\rVert$, shape `[B, L]`.
        total: $\lVert\tilde\alpha_\ell(x)\rVert$ to compare with, shape `[B, L]`.
    """

    energy: Tensor
    bound: Tensor
    total: Tensor


@torch.no_grad()
def off_mode_energy(model: CNN, x: Tensor, k: int | Sequence[int]) -> OffModeEnergy:
    r"""Residual of the pre-activations outside the top $k$ modes of their layer.

    $$\lVert(I-\Pi_\ell)\tilde\alpha_\ell(x)\rVert\le\sigma_{k+1}(W_\ell)\,
    \lVert\alpha_{\ell-1}(x)\rVert+\lVert(I-\Pi_\ell)b_\ell\mathbf 1\rVert,$$

    where $\Pi_\ell$ projects onto the top $k$ left singular directions of $W_\ell$, counted in
    real dimensions. It is applied frequency by frequency. It is real and translation-equivariant
    because $\sigma_k>\sigma_{k+1}$ keeps both members of every conjugate pair.

    Args:
        model: The network. $\alpha_{\ell-1}$ is the input of layer $\ell$, resampled or pooled.
        x: Signals, shape `[B, c_in, *grid]`.
        k: How many directions, one number or one per layer. With 0 none is kept.

    Raises:
        ValueError: If `k` is not an integer from 0 to the layer's number of non-zero singular
            values, or cuts a conjugate pair. Also if the projector is not determined, that is if
            $\sigma_k-\sigma_{k+1}\le\sqrt\epsilon\,\sigma_1$ with the $\epsilon$ of the dtype.
            The message names the layer (from 1) and the values.

    Source: statement S5 of the book.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=6, width=3, depth=2), seed=0)
        >>> x = torch.randn(4, 1, 6, generator=torch.Generator().manual_seed(0))
        >>> result = off_mode_energy(model, x, k=1)
        >>> result.energy.shape, bool((result.energy <= result.bound).all())
        (torch.Size([4, 2]), True)
    """
    check_finite("x", x)
    layers, (inputs, outputs) = layers_of(model), model.activations(x)
    ks = list(k) if isinstance(k, Sequence) else [k] * len(layers)
    if len(ks) != len(layers):
        raise ValueError(f"k must be one number or {len(layers)}, one per layer; got {len(ks)}")
    energy, bound = [], []
    for number, layer in enumerate(layers, start=1):
        received, after, above = inputs[number - 1], *_cut(number, layer, ks[number - 1])
        bias = layer(torch.zeros_like(received[:1]))
        energy.append(_off_modes(layer, outputs[number - 1], above))
        bound.append(after * received.flatten(1).norm(dim=1) + _off_modes(layer, bias, above))
    total = [output.flatten(1).norm(dim=1) for output in outputs]
    return OffModeEnergy(*(torch.stack(columns, dim=1) for columns in (energy, bound, total)))


def _cut(number: int, layer: Layer, k: int) -> tuple[float, float]:
    r"""$\sigma_{k+1}$ of a layer, and a threshold half-way to $\sigma_k$."""
    sigma = operator_values(layer)
    nonzero = int(rank(sigma))
    if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k <= nonzero:
        raise ValueError(
            f"layer {number}: k must be an integer in 0..{nonzero} (its non-zero singular values), "
            f"got {k!r}"
        )
    if k == 0:
        return float(sigma[0]), math.inf
    last, after = float(sigma[k - 1]), float(sigma[k]) if k < len(sigma) else 0.0
    if last - after <= torch.finfo(sigma.dtype).eps ** 0.5 * float(sigma[0]):
        raise ValueError(
            f"layer {number}: the top {k} modes are not determined, or cut a conjugate pair: "
            f"σ_{k} = {last:.6g} and σ_{k + 1} = {after:.6g} must differ"
        )
    return after, (last + after) / 2


def _off_modes(layer: Layer, a: Tensor, above: float) -> Tensor:
    r"""$\lVert(I-\Pi)a\rVert$, $\Pi$ onto the left singular directions of values > `above`.

    Args:
        layer: The layer.
        a: Outputs of it, shape `[B, c_out, *grid]` or `[B, c_out]`.
        above: A threshold between two different singular values.

    Returns:
        Norms, shape `[B]`.
    """
    if isinstance(layer, CircularConv):
        grid = layer.grid
        blocks = layer.blocks().flatten(2).permute(2, 0, 1)  # shape [F, c_out, c_in]
        a_hat = torch.fft.rfftn(a, dim=layer.axes, norm="ortho").flatten(2).permute(2, 1, 0)
        weight = frequencies(grid).weight.to(a)
    else:
        blocks, a_hat, weight = layer.weight.unsqueeze(0), a.T.unsqueeze(0), a.new_ones(1)
    U, S, _ = singular_vectors(blocks)
    kept = U * (above < S).unsqueeze(1)
    off = a_hat - kept @ (kept.mH @ a_hat)  # shape [F, c_out, B]
    squares = off.abs().square().sum(dim=1)
    norms: Tensor = (weight @ squares).sqrt()
    return norms


def ntk_trace(model: CNN, x: Tensor) -> Tensor:
    r"""The trace of the tangent kernel at each sample, layer by layer.

    $\mathrm{Tr}\,\mathrm{NTK}(x,x)=\lVert\partial f/\partial\theta\rVert_F^2$, the sum over all
    outputs. With full-size filters and the parameters $v,\beta$ of `CircularConv`,

    $$\mathrm{Tr}\,\mathrm{NTK}(x,x)=\sum_\ell\Big[\sum_{\omega\in\hat G}\lVert B_\ell(\omega)
    \rVert_F^2\,\lVert\hat\alpha_{\ell-1}(\omega)\rVert^2+\lVert B_\ell(0)\rVert_F^2\Big],\qquad
    B_\ell=\frac{\partial f}{\partial\tilde\alpha_\ell}F^*.$$

    Why: $\hat v=\hat W$ is unitary in $v$, and $\partial f/\partial\hat W(\omega)$ is the outer
    product of a row of $B_\ell(\omega)$ and $\hat\alpha_{\ell-1}(\omega)$. Sums run over the stored
    half spectrum with `Frequencies.weight`. A dense head adds
    $\lVert\partial f/\partial\tilde\alpha_L\rVert_F^2\,(\lVert\alpha_{L-1}\rVert^2+1)$. Without
    biases the last term (the 1) is absent.

    Args:
        model: A network with full-size filters.
        x: Signals, shape `[B, c_in, *grid]`.

    Returns:
        Traces per layer, shape `[B, L]`. Their sum over layers is the trace.

    Raises:
        ValueError: If the filters are windowed, or a pre-activation is exactly 0.

    Source: statement S5 of the book.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=6, width=3, depth=2), seed=0)
        >>> ntk_trace(model, torch.randn(4, 1, 6)).shape
        torch.Size([4, 2])
    """
    if any(conv.window != conv.grid for conv in model.convs):
        raise ValueError(f"only full-size filters (window None), got {model.config.window}")
    with torch.enable_grad():
        inputs, outputs = model.activations(check_finite("x", x).detach().requires_grad_())
        check_no_kink(model, outputs)
        gradients = _output_gradients(outputs)
    pairs = zip(layers_of(model), inputs, gradients, strict=True)
    return torch.stack([_layer_trace(layer, a.detach(), g) for layer, a, g in pairs], dim=1)


def _output_gradients(outputs: list[Tensor]) -> tuple[Tensor, ...]:
    r"""$\partial f/\partial\tilde\alpha_\ell$ for all $\ell$, shapes `[outputs, B, c, *grid]`."""
    f = outputs[-1].flatten(1)
    units = torch.eye(f.shape[1]).to(f).unsqueeze(1).expand(-1, len(f), -1)
    return torch.autograd.grad(f, outputs, units, is_grads_batched=True)


def _layer_trace(layer: Layer, a: Tensor, g: Tensor) -> Tensor:
    """One layer's term, from its inputs `[B, c_in, *grid]` and gradients, shape `[B]`."""
    has_bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        dense: Tensor = g.square().sum(dim=(0, 2)) * (a.square().sum(dim=1) + has_bias)
        return dense
    weight = frequencies(layer.grid).weight.to(a)
    energy = torch.fft.rfftn(a, dim=layer.axes, norm="ortho").abs().square().sum(dim=1).flatten(1)
    B = torch.fft.rfftn(g, dim=layer.axes, norm="ortho").abs().square().sum(dim=(0, 2)).flatten(1)
    trace: Tensor = (weight * B * energy).sum(dim=1) + has_bias * B[:, 0]
    return trace
