"""The largest curvature of the loss against dense Hessians and dense kernels, float64."""

import numpy as np
import pytest
import torch
from model_cases import random_network
from oracles import rng

from cbnlib import TrainConfig
from cbnlib.theory.sharpness import (
    adam_preconditioner,
    sharpness,
    sharpness_during,
    stability_threshold,
)
from cbnlib.training.train import fit_function, train

CONFIGS = {
    "circle": {"grid": 5},
    "torus": {"grid": (2, 3), "c_in": 2, "c_out": 2},
    "spectral": {"grid": 4, "parametrization": "spectral"},
    "no bias": {"grid": 4, "bias": False},
    "classifier": {"grid": 4, "head": "pooling", "c_out": 3},
}
RIDGE = 0.05


def case(name):
    model = random_network(**CONFIGS[name] | {"width": 2, "gain": 1.0})
    c_in = model.config.c_in
    x = torch.randn(4, c_in, *model.convs[0].grid, generator=rng(1), dtype=torch.float64)
    y = model(x).detach()
    y = y + torch.randn(y.shape, generator=rng(2), dtype=torch.float64)
    return model, x, y


def dense_hessian(model, x, y, loss="square"):
    """Entry by entry, by differentiating the written-out loss twice."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    theta = torch.cat([p.detach().flatten() for p in model.parameters()])

    def regularised(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        named = {n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        output = torch.func.functional_call(model, named, (x,))
        fit = fit_function(loss)(output, y)
        return fit + RIDGE * vector.square().sum()

    return torch.autograd.functional.hessian(regularised, theta)


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


@pytest.mark.parametrize("name", CONFIGS)
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(name):
    model, x, y = case(name)
    expected = float(torch.linalg.eigvalsh(dense_hessian(model, x, y))[-1])
    assert sharpness(model, x, y, ridge=RIDGE) == pytest.approx(expected, rel=1e-6)


def test_sharpness_of_a_classifier():
    model, x, _ = case("classifier")
    labels = torch.tensor([0, 2, 1, 0])
    hessian = dense_hessian(model, x, labels, "cross_entropy")
    expected = float(torch.linalg.eigvalsh(hessian)[-1])
    measured = sharpness(model, x, labels, ridge=RIDGE, loss="cross_entropy")
    assert measured == pytest.approx(expected, rel=1e-6)


def test_sharpness_with_a_preconditioner():
    model, x, y = case("circle")
    diagonal = [0.1 + torch.rand(p.shape, generator=rng(3)).double() for p in model.parameters()]
    root = flat(diagonal).sqrt()
    hessian = dense_hessian(model, x, y) / (root[:, None] * root)
    expected = float(torch.linalg.eigvalsh(hessian)[-1])
    measured = sharpness(model, x, y, ridge=RIDGE, preconditioner=diagonal)
    assert measured == pytest.approx(expected, rel=1e-6)


def test_the_model_is_left_alone():
    model, x, y = case("circle")
    single = model.float()
    before = [p.detach().clone() for p in single.parameters()]
    exact = sharpness(single, x.float(), y.float(), ridge=RIDGE)
    for parameter, old in zip(single.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.grad is None
    assert exact == sharpness(single.double(), x.float(), y.float(), ridge=RIDGE)


@pytest.mark.parametrize("name", CONFIGS)
def test_at_an_exact_fit_it_is_that_of_the_tangent_kernel(name):
    model, x, _ = case(name)
    parameters, outputs = list(model.parameters()), model(x)
    rows = [torch.autograd.grad(o, parameters, retain_graph=True) for o in outputs.flatten()]
    J = torch.stack([flat(row) for row in rows])
    expected = 2 / len(x) * float(torch.linalg.eigvalsh(J @ J.T)[-1]) + 2 * RIDGE
    measured = sharpness(model, x, outputs.detach(), ridge=RIDGE)
    assert measured == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0.0), ("sgd", 0.8), ("adam", 0.9)])
@pytest.mark.parametrize("share", [0.99, 1.01])
def test_training_is_stable_just_below_the_threshold(optimizer, momentum, share):
    """On a parabola; Adam with a preconditioner that stays 1."""
    rate = 0.1
    training = TrainConfig(0.0, rate, 1, optimizer=optimizer, momentum=momentum)
    curvature = share * stability_threshold(training)
    theta, average = 1.0, 0.0
    for _ in range(3000):
        slope = curvature * theta
        average = 0.9 * average + 0.1 * slope if optimizer == "adam" else momentum * average + slope
        theta -= rate * average
    assert (abs(theta) > 1) == (share > 1)


def test_adam_preconditioner_is_that_of_a_run_that_went_on():
    model, x, y = case("circle")
    training = TrainConfig(RIDGE, 1e-3, 1, schedule="constant")
    later, preconditioner = adam_preconditioner(model, x, y, training, steps=5)
    twin = random_network(**CONFIGS["circle"] | {"width": 2, "gain": 1.0})
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        loss = fit_function("square")(twin(x), y) + RIDGE * twin.parameter_norm()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(flat(list(later.parameters())), flat(list(twin.parameters())))
    moments = flat([optimizer.state[p]["exp_avg_sq"] for p in twin.parameters()])
    expected = (moments / (1 - 0.999**5)).sqrt() + 1e-8
    torch.testing.assert_close(flat(preconditioner), expected, rtol=1e-7, atol=1e-12)
    assert torch.equal(flat(list(model.parameters())), flat(list(case("circle")[0].parameters())))


def test_sharpness_during_is_that_of_runs_that_stop_there():
    _, x, y = case("circle")

    def fresh():
        return random_network(**CONFIGS["circle"] | {"width": 2, "gain": 1.0})

    def training(steps):
        how = {"optimizer": "sgd", "momentum": 0.5, "schedule": "constant"}
        return TrainConfig(RIDGE, 0.02, steps, **how)

    model = fresh()
    seen = sharpness_during(model, x, y, training(9), {0, 4, 9, 50}, tolerance=1e-8)
    assert [step for step, _ in seen] == [0, 4, 9]
    for steps, measured in seen:
        stopped = fresh()
        train(stopped, x, y, training(steps), progress=False)
        assert measured == pytest.approx(sharpness(stopped, x, y, ridge=RIDGE), rel=1e-6)
    assert torch.equal(flat(list(model.parameters())), flat(list(stopped.parameters())))


def test_sharpness_during_ends_where_training_fails():
    model, x, y = case("circle")
    training = TrainConfig(RIDGE, 50.0, 40, optimizer="sgd", momentum=0.0, schedule="constant")
    seen = sharpness_during(model, x, y, training, range(41))
    assert seen
    assert len(seen) < 41
    assert all(np.isfinite(value) for _, value in seen)
