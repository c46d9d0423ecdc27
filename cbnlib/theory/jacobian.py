"""Jacobians of a network at its data and along a data manifold (S2)."""

import torch
from torch import Tensor

from cbnlib._checks import check_finite
from cbnlib.network.model import CNN
from cbnlib.theory.lower_bounds import rank


@torch.no_grad()
def jacobian(model: CNN, x: Tensor) -> Tensor:
    r"""The Jacobian $J=Jf_\theta(x)$ at each sample of a batch.

    $$J=T_LW_LT_{L-1}W_{L-1}\cdots T_1W_1T_0,$$

    where $T_\ell$ holds the 0/1 mask of the ReLU and, where there is one, the map to the next
    layer's grid or the pooling. The rows are computed by reverse differentiation.

    Args:
        model: The network.
        x: Signals, shape `[B, c_in, *grid]`.

    Returns:
        Tensor of shape `[B, outputs, inputs]`. Signals are flattened in the order
        channel, pixels. Element `[b, o, i]` is the derivative of output `o` by input `i`.

    Raises:
        ValueError: If the shape of `x` does not fit, `x` holds NaN or infinity, or a
            pre-activation is exactly 0. There autograd's product need not be the Jacobian of a
            linear region.

    Source: statement S2 of the book.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=6, width=3, depth=2), seed=0)
        >>> jacobian(model, torch.randn(4, 1, 6, generator=torch.Generator().manual_seed(0))).shape
        torch.Size([4, 6, 6])
    """
    check_finite("x", x)
    pre_activations = model.pre_activations(x)
    check_no_kink(model, pre_activations)
    # Not `jacfwd`: it loads TorchScript, which Python 3.14 does not have.
    per_sample = torch.func.jacrev(lambda sample: model(sample.unsqueeze(0)).flatten())
    rows: Tensor = torch.func.vmap(per_sample)(x)
    return rows.flatten(2)


def check_no_kink(model: CNN, pre_activations: list[Tensor]) -> None:
    r"""Check that no $\tilde\alpha_\ell$, $\ell<L$, of a ReLU network has an entry exactly 0.

    Args:
        model: The network.
        pre_activations: $\tilde\alpha_1,\dots,\tilde\alpha_L$ of a batch.

    Raises:
        ValueError: If one has. The message names the sample (from 0) and the layer (from 1).
    """
    if model.config.nonlinearity != "relu":
        return
    for layer, values in enumerate(pre_activations[:-1], start=1):
        samples = (values == 0).flatten(1).any(dim=1).nonzero()
        if len(samples):
            raise ValueError(
                f"the Jacobian is not defined at sample {int(samples[0])}: "
                f"a pre-activation of layer {layer} is exactly 0"
            )


def tangent_jacobian(J: Tensor, tangent: Tensor) -> Tensor:
    r"""The Jacobian along given directions, $J P_T$ with $T$ the span of tangent vectors.

    The vectors are orthonormalised to $Q$, and $JQ$ has the non-zero singular values of $JP_T$.
    Those are at most those of $J$, so the bounds of S2 hold with them. On a thin set such as a
    data manifold only they say something about the function.

    Args:
        J: Jacobians, shape `[B, outputs, inputs]`.
        tangent: Tangent vectors at each sample, flattened signals, shape `[B, t, inputs]`.

    Returns:
        $JQ$, shape `[B, outputs, t]`.

    Raises:
        ValueError: If the shapes do not fit, or the vectors of a sample are linearly dependent.

    Source: statement S2 of the book.

    Example:
        >>> J, tangent = torch.eye(3).unsqueeze(0), torch.tensor([[[0.0, 5.0, 0.0]]])
        >>> torch.linalg.svdvals(tangent_jacobian(J, tangent))
        tensor([[1.]])
    """
    fits = tangent.ndim == J.ndim == 3 and tangent.shape[::2] == J.shape[::2]
    if not fits:
        raise ValueError(
            f"tangent must have shape [B, t, inputs] with B and inputs those of J, "
            f"{tuple(J.shape)}; got {tuple(tangent.shape)}"
        )
    vectors = tangent / tangent.norm(dim=2, keepdim=True).clamp_min(torch.finfo(J.dtype).tiny)
    dependent = (rank(torch.linalg.svdvals(vectors)) < tangent.shape[1]).nonzero()
    if len(dependent):
        raise ValueError(f"the tangent vectors of sample {int(dependent[0])} are dependent")
    along: Tensor = J @ torch.linalg.qr(vectors.mT).Q
    return along
