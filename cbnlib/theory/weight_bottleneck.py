r"""The bottleneck in the weights (S4), with every layer near a partial isometry of rank $k$."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cbnlib._checks import check_finite, check_positive
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CNN
from cbnlib.spectra._svd import singular_vectors
from cbnlib.spectra.convolutions import layer_spectrum
from cbnlib.theory.jacobian import jacobian
from cbnlib.theory.lower_bounds import check_k

Layer = CircularConv | nn.Linear


def layers_of(model: CNN) -> list[Layer]:
    """The $L$ linear layers of a network in order, a dense head included."""
    return [*model.convs, *([] if model.dense is None else [model.dense])]


@torch.no_grad()
def operator_values(layer: Layer) -> Tensor:
    r"""The singular values $\sigma_i(W)$ of a layer as an operator, with multiplicity.

    Args:
        layer: A circular convolution, or a dense layer.

    Returns:
        Largest first. For a convolution on $N$ pixels, shape `[N * min(c_out, c_in)]`.

    Raises:
        TypeError: If the layer is of another kind.
        ValueError: If its weights hold NaN or infinity.

    Example:
        >>> layer = nn.Linear(3, 2)
        >>> _ = nn.init.eye_(layer.weight)
        >>> operator_values(layer)
        tensor([1., 1.])
    """
    if isinstance(layer, CircularConv):
        return layer_spectrum(layer).operator_values()
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"layer must be a CircularConv or nn.Linear, got {type(layer).__name__}")
    return singular_vectors(layer.weight)[1]


def mode_distance(sigma: Tensor, k: int) -> Tensor:
    r"""The squared distance of an operator to the nearest partial isometry of rank $k$.

    $$d_k(W)=\sum_{i\le k}(\sigma_i-1)^2+\sum_{i>k}\sigma_i^2=\lVert W-Q\rVert_F^2,$$

    where $Q$ keeps the top $k$ singular directions of $W$ with all values set to 1. If
    $\sigma_k>\sigma_{k+1}$, $Q$ is as translation-equivariant as $W$.

    Args:
        sigma: All singular values of $W$, in any order, shape `[r]`.
        k: Rank of the partial isometry, 1 to `r`.

    Returns:
        A scalar.

    Raises:
        ValueError: If `k` is out of range, or `sigma` has another shape or holds NaN.

    Source: statement S4 of the book.

    Example:
        >>> mode_distance(torch.tensor([1.5, 1.0, 0.5]), k=2)
        tensor(0.5000)
    """
    if sigma.ndim != 1:
        raise ValueError(f"singular values must have shape [r], got {tuple(sigma.shape)}")
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(sigma):
        raise ValueError(f"k must be an integer in 1..{len(sigma)}, got {k!r}")
    check_finite("singular values", sigma)
    ordered = sigma.sort(descending=True)[0]
    return (ordered[:k] - 1).square().sum() + ordered[k:].square().sum()


@dataclass(frozen=True, eq=False)
class WeightBottleneck:
    r"""Both sides of S4 for a network, a Jacobian and a $k$.

    Attributes:
        k: Rank of the partial isometries.
        distances: $d_k(W_\ell)$, shape `[L]`.
        bias_norms: $\lVert b_\ell\mathbf 1\rVert^2$, shape `[L]`.
        right: $C=\lVert\theta\rVert^2-Lk-2\sum_{i\le k}\log s_i$, how far the norm is above the
            lower bound S2 with this $k$.
    """

    k: int
    distances: Tensor
    bias_norms: Tensor
    right: float

    @property
    def left(self) -> float:
        r"""$\sum_\ell d_k(W_\ell)+\lVert b_\ell\mathbf 1\rVert^2$, at most `right`."""
        return float((self.distances + self.bias_norms).sum())

    @property
    def ratio(self) -> float:
        """How much of the excess is distance to $k$ modes, left over right. NaN if right <= 0."""
        return self.left / self.right if self.right > 0 else math.nan

    def radius(self, p: float = 0.5) -> float:
        r"""How far from $k$ modes at least $(1-p)L$ layers can be, $\sqrt{C/(pL)}$.

        All but fewer than $pL$ layers have $d_k(W_\ell)+\lVert b_\ell\mathbf 1\rVert^2$ at most
        its square.

        Args:
            p: The fraction of layers left out, $0<p\le1$.

        Raises:
            ValueError: If `p` is outside that range.
        """
        if check_positive("p", p) > 1:
            raise ValueError(f"p must be <= 1, got {p!r}")
        return math.sqrt(max(self.right, 0.0) / (p * len(self.distances)))

    def separates(self, p: float = 0.5) -> bool:
        r"""Whether the theorem alone forces $k$ modes apart from the rest in $(1-p)L$ layers.

        It does if the radius is below 1/2. Then $\sigma_k>\tfrac12>\sigma_{k+1}$ there. False
        does *not* mean that the layers lack the structure, only that this bound does not imply
        it. Look at `distances` then. A distance below 1/4 separates its own layer, whatever $C$ is.

        Raises:
            ValueError: If `p` is outside (0, 1].
        """
        return self.radius(p) < 0.5


@torch.no_grad()
def weight_bottleneck(model: CNN, s: Tensor, k: int) -> WeightBottleneck:
    r"""Both sides of the bound that makes near-optimal networks have a bottleneck.

    $$\sum_\ell\big[d_k(W_\ell)+\lVert b_\ell\mathbf 1\rVert^2\big]\ \le\ C=
    \lVert\theta\rVert^2-Lk-2\sum_{i\le k}\log s_i .$$

    It holds for every $x$ where $f_\theta$ is differentiable and every $k\le\mathrm{Rank}J$, with
    ReLU, pooling and down-sampling between the layers.

    Args:
        model: The network.
        s: Singular values of its Jacobian at one $x$, in any order, shape `[r]`.
        k: From 1 to the rank of $J$, counted by `cbnlib.theory.lower_bounds.rank`.

    Raises:
        ValueError: If `k` is outside 1…rank or weights hold NaN or infinity.

    Source: statement S4 of the book.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=6, width=3, depth=4, nonlinearity="none"), seed=0)
        >>> s = torch.linalg.svdvals(jacobian(model, torch.zeros(1, 1, 6)))[0]
        >>> bottleneck = weight_bottleneck(model, s, k=2)
        >>> bottleneck.left <= bottleneck.right, bottleneck.separates()
        (True, False)
    """
    if s.ndim != 1:
        raise ValueError(f"s must hold the values at one x, shape [r], got {tuple(s.shape)}")
    check_k(s, k)
    layers = layers_of(model)
    top = s.sort(descending=True)[0][:k]
    excess = model.parameter_norm() - len(layers) * k - 2 * top.log().sum()
    zero = model.parameter_norm().new_zeros(())
    biases = [zero if layer.bias is None else layer.bias.square().sum() for layer in layers]
    distances = [mode_distance(operator_values(layer), k) for layer in layers]
    return WeightBottleneck(k, torch.stack(distances), torch.stack(biases), float(excess))


@torch.no_grad()
def compressions(model: CNN, x: Tensor, k: int) -> Tensor:
    r"""Return the stretching of the top $k$ directions of $J$ along depth.

    Let $V_0$ be the span of the top $k$ right singular vectors of $J$, and
    $V_\ell=A_\ell V_{\ell-1}$. The compression of layer $\ell$ is $A_\ell$ as a map
    $V_{\ell-1}\to V_\ell$. Its singular values are $m_{\ell,1}\ge\dots\ge m_{\ell,k}>0$, and

    $$\prod_{\ell\le L}\prod_{i\le k}m_{\ell,i}=\prod_{i\le k}s_i,\qquad
    m_{\ell,i}\le\sigma_i(W_\ell),$$

    because $J=A_L\cdots A_1$ takes $V_0$ to the span of its top left singular vectors, and
    determinants multiply.

    For a network without pooling and coarse layers $A_\ell=D_\ell W_\ell$ with the 0/1 mask
    $D_\ell$. In general the map $T_\ell$ between two linear layers is the mask, then the map to the
    next layer's grid or the pooling. It belongs to the layer before it, $A_\ell=T_\ell W_\ell$ with
    $T_L=1$. The map $T_0$ of the input to the first layer's grid belongs to the first layer,
    $A_1=T_1W_1T_0$. All $T_\ell$ have norm at most 1, so $m_{\ell,i}\le\sigma_i(W_\ell)$ remains.
    With masks only, $A_\ell$ between the two spaces is $P_{V_\ell}W_\ell P_{V_{\ell-1}}$, because
    $V_\ell$ lies in the range of $D_\ell$.

    Args:
        model: The network.
        x: Signals, shape `[B, c_in, *grid]`.
        k: From 1 to the smallest rank of $J$ in the batch.

    Returns:
        $m_{\ell,i}$, shape `[B, L, k]`, largest first in each layer.

    Raises:
        ValueError: If `k` is outside 1…rank at a sample or a pre-activation is exactly 0.

    Source: statement S4 of the book.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=6, width=3, depth=4, nonlinearity="none"), seed=0)
        >>> compressions(model, torch.zeros(1, 1, 6), k=2).shape
        torch.Size([1, 4, 2])
    """
    _, s, right = singular_vectors(jacobian(model, x))
    check_k(s, k)
    outputs = model.pre_activations(x)
    basis = right[:, :k].unflatten(2, x.shape[1:])  # orthonormal, shape [B, k, c_in, *grid]
    values = []
    for index in range(len(outputs)):
        image = _step(model, outputs, index, basis)
        values.append(torch.linalg.svdvals(image.flatten(2)))
        basis = torch.linalg.qr(image.flatten(2).mT).Q.mT.reshape(image.shape)
    return torch.stack(values, dim=1)


def _step(model: CNN, outputs: list[Tensor], index: int, v: Tensor) -> Tensor:
    r"""Apply $A_\ell$, $\ell=$ `index + 1`, to directions of shape `[B, k, c, *grid]` each."""
    layer = layers_of(model)[index]
    first = model.resamples[0](v.flatten(0, 1)) if index == 0 else v.flatten(0, 1)
    image: Tensor = _linear_part(layer, first).unflatten(0, v.shape[:2])
    between: list[nn.Module] = [*model.resamples[1:], *([] if model.pool is None else [model.pool])]
    if index < len(between):
        if model.config.nonlinearity == "relu":
            image = image * (outputs[index] > 0).unsqueeze(1)
        mapped: Tensor = between[index](image.flatten(0, 1))
        image = mapped.unflatten(0, v.shape[:2])
    return image


def _linear_part(layer: Layer, v: Tensor) -> Tensor:
    """Apply a layer without its bias."""
    zero = {} if layer.bias is None else {"bias": torch.zeros_like(layer.bias)}
    image: Tensor = torch.func.functional_call(layer, zero, v)
    return image
