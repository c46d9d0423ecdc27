r"""The sharpness, a curvature of the loss that limits the learning rate (S5)."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cbnlib._checks import check_count, check_positive
from cbnlib._extras import extra
from cbnlib.network.model import CNN
from cbnlib.training.config import Loss, TrainConfig
from cbnlib.training.engine import Engine
from cbnlib.training.loop import History, TrainingDivergedError, largest_norm
from cbnlib.training.schedule import make_optimizer
from cbnlib.training.train import check_data, fit_function, train

ADAM_BETA_1 = 0.9
"""Decay of Adam's first moment, torch's default, with which the book trains."""


def stability_threshold(training: TrainConfig) -> float:
    r"""The sharpness above which full-batch training cannot settle.

    On a quadratic with curvature $s$ a step multiplies the distance to the minimum by a matrix
    whose spectral radius exceeds 1 if and only if $s$ is above

    * $2/\eta$ for gradient descent,
    * $2(1+\mu)/\eta$ with heavy-ball momentum $\mu$,
    * $\frac{2(1+\beta_1)}{(1-\beta_1)\eta}=38/\eta$ for Adam with $\beta_1=0.9$ and $s$ the
      *preconditioned* sharpness. Its averaged gradient is a heavy ball of rate $(1-\beta_1)\eta$.

    Args:
        training: Optimiser, rate and momentum. The rate is taken as constant.

    Source: statement S5 of the book. J. Cohen et al., Gradient Descent on Neural Networks
    Typically Occurs at the Edge of Stability (2021), for Adam Adaptive Gradient Methods at the Edge
    of Stability (2022).

    Example:
        >>> gd = TrainConfig(0.0, 0.1, 10, optimizer="sgd", momentum=0.0)
        >>> stability_threshold(gd), round(stability_threshold(TrainConfig(0.0, 0.1, 10)))
        (20.0, 380)
    """
    if training.optimizer == "adam":
        return 2 * (1 + ADAM_BETA_1) / ((1 - ADAM_BETA_1) * training.learning_rate)
    return 2 * (1 + training.momentum) / training.learning_rate


def sharpness(
    model: CNN,
    x: Tensor,
    y: Tensor,
    *,
    ridge: float,
    loss: Loss = "square",
    preconditioner: Sequence[Tensor] | None = None,
    tolerance: float = 1e-8,
) -> float:
    r"""The largest eigenvalue of the Hessian $H$ of the training loss, ridge included.

    It is found by Lanczos' method on products of the Hessian with vectors, in float64 whatever the
    model's dtype. The loss is smooth almost everywhere. At a kink of a ReLU, $H$ is one-sided.

    At an exact fit of the square loss, `y = model(x)`, it is $\frac2\#\lambda_{\max}(K)+2\lambda$
    with $K$ the Gram matrix of the tangent kernel over all samples and outputs. There the
    Hessian is $\frac2\#\sum_x(\partial f/\partial\theta)^T\partial f/\partial\theta+2\lambda I$.

    Args:
        model: The network $\theta$.
        x: All inputs, shape `[samples, c_in, *grid]`.
        y: Targets, as in `cbnlib.training.train`.
        ridge: $\lambda$ of $\lambda\lVert\theta\rVert^2$.
        loss: The data loss.
        preconditioner: A positive diagonal $P$, one tensor per parameter. The result is then that
            of $P^{-1/2}HP^{-1/2}$, the *preconditioned* sharpness.
        tolerance: Relative, of Lanczos' method. A curve needs less than a threshold does.

    Raises:
        ValueError: If the data are not finite or do not fit the network. Also if the ridge is
            negative, the tolerance is not positive, or the preconditioner does not fit the
            parameters or is not positive.

    Source: statement S5 of the book.

    Example:
        A linear map of one pixel, loss $(w-2)^2+0.1\,(w^2+b^2)$ at $x=1$ if $b=0$:

        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=1, width=1, depth=1, bias=False), seed=0)
        >>> one = torch.ones(1, 1, 1)
        >>> round(sharpness(model, one, 2 * one, ridge=0.1), 6)
        2.2
    """
    check_positive("ridge", ridge, zero=True)
    check_positive("tolerance", tolerance)
    distance, exact = fit_function(loss), deepcopy(model).double()
    x, y = x.double(), y.double() if y.is_floating_point() else y
    check_data(exact, x, y, loss)
    parameters = list(exact.parameters())
    scale = _inverse_root(preconditioner, parameters)
    slope = torch.autograd.grad(
        distance(exact(x), y) + ridge * exact.parameter_norm(), parameters, create_graph=True
    )
    gradient = torch.cat([part.flatten() for part in slope])

    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        direction = scale * torch.from_numpy(vector).to(scale).reshape(-1)
        parts = torch.autograd.grad(gradient, parameters, direction, retain_graph=True)
        return (scale * torch.cat([part.flatten() for part in parts])).numpy(force=True)

    return _largest_eigenvalue(product, len(gradient), tolerance)


def sharpness_during(
    model: CNN,
    x: Tensor,
    y: Tensor,
    training: TrainConfig,
    steps: Collection[int],
    *,
    tolerance: float = 1e-3,
) -> list[tuple[int, float]]:
    """Train a network and measure its sharpness on the way.

    Measuring does not change the network. It ends where `cbnlib.training.train` brings it. If
    training fails, the values measured until then are returned.

    Args:
        model: The network, which is trained in place.
        x: All inputs.
        y: Targets.
        training: Ridge, optimiser, schedule, steps and seed.
        steps: Steps after which to measure, 0 being the initialisation. Those beyond the
            last are ignored.
        tolerance: As in `sharpness`.

    Returns:
        Step and sharpness, in order.

    Raises:
        ValueError: As in `sharpness` and `train`.

    Example:
        >>> from cbnlib import CNNConfig
        >>> model = CNN(CNNConfig(grid=4, width=2, depth=2), seed=0)
        >>> x = torch.randn(8, 1, 4, generator=torch.Generator().manual_seed(0))
        >>> training = TrainConfig(0.01, 0.01, 20, optimizer="sgd", momentum=0.0)
        >>> [step for step, _ in sharpness_during(model, x, x, training, [0, 10, 20])]
        [0, 10, 20]
    """
    seen: list[tuple[int, float]] = []
    limit = float(largest_norm(model.parameter_norm().detach()))

    def look(step: int, network: CNN) -> None:
        norm = float(network.parameter_norm().detach())
        if not norm <= limit:  # NaN is not, either
            raise TrainingDivergedError(f"the norm is {norm:.1e} at step {step}", History())
        how: dict[str, Any] = {"ridge": training.ridge, "loss": training.loss}
        seen.append((step, sharpness(network, x, y, tolerance=tolerance, **how)))

    with contextlib.suppress(TrainingDivergedError):
        train(model, x, y, training, observe=look, observe_at=steps, progress=False)
    return seen


def _inverse_root(preconditioner: Sequence[Tensor] | None, parameters: Sequence[Tensor]) -> Tensor:
    """$P^{-1/2}$ as one vector, ones without a preconditioner."""
    if preconditioner is None:
        return torch.ones_like(torch.cat([p.flatten() for p in parameters]))
    both = preconditioner, parameters
    shapes, expected = ([tuple(p.shape) for p in tensors] for tensors in both)
    if shapes != expected:
        raise ValueError(f"a preconditioner of shapes {shapes} does not fit parameters {expected}")
    diagonal = torch.cat([p.flatten() for p in preconditioner]).to(parameters[0])
    if not bool((diagonal > 0).all()):
        raise ValueError(f"a preconditioner must be positive, its least entry is {diagonal.min()}")
    return diagonal.rsqrt()


def _largest_eigenvalue(
    product: Callable[[NDArray[np.float64]], NDArray[np.float64]], size: int, tolerance: float
) -> float:
    """The algebraically largest eigenvalue of a symmetric matrix known by its products."""
    if size == 1:  # Lanczos' method needs room for two vectors
        return float(product(np.ones(1))[0])
    with extra("theory"):
        from scipy.sparse.linalg import LinearOperator, eigsh  # type: ignore[import-untyped]
    matrix = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)
    if not product(start).any():  # the matrix is 0, as without a ridge at weights that are all 0
        return 0.0
    how = {"which": "LA", "ncv": min(12, size), "tol": tolerance, "return_eigenvectors": False}
    (value,) = eigsh(matrix, k=1, v0=start, **how)  # ncv: a dozen products mostly suffice
    return float(value)


def adam_preconditioner(
    model: CNN, x: Tensor, y: Tensor, training: TrainConfig, *, steps: int = 2000
) -> tuple[CNN, list[Tensor]]:
    r"""Train on with Adam, and return its preconditioner with the network where it then is.

    Adam divides its averaged gradient by $P=\sqrt{\hat v}+\epsilon$, entry by entry. A finished
    run no longer has it. Its average reaches back about 1000 steps ($\beta_2=0.999$). So two
    thousand more steps, full-batch and at the constant rate of `training`, almost give that of a
    run that was never interrupted.

    Args:
        model: A trained network, which is not changed.
        x: All inputs.
        y: Targets.
        training: Ridge, loss and rate of the Adam run.
        steps: How many steps more.

    Returns:
        The network after them, and $P$, one tensor per parameter.

    Raises:
        ValueError: If the run's optimiser is not Adam, or there is no step.
    """
    if training.optimizer != "adam":
        raise ValueError(f"only Adam has a preconditioner, got {training.optimizer!r}")
    check_count("steps", steps)
    later = deepcopy(model)
    parameters = list(later.parameters())
    optimizer = make_optimizer(parameters, training)
    engine = Engine(later, fit_function(training.loss), len(x))
    for _ in range(steps):
        engine.gradients(x, y)
        optimizer.step()
    (group,) = optimizer.param_groups
    correction = 1 - group["betas"][1] ** steps
    moments = [optimizer.state[p]["exp_avg_sq"] for p in parameters]
    for parameter in parameters:
        parameter.grad = None
    return later, [(v / correction).sqrt() + group["eps"] for v in moments]
