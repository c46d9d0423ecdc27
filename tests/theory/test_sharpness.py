"""The largest curvature of the loss against dense Hessians and dense kernels, float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_cases import parameters, random_network
from oracles import randn, rng

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


def case(name, loss="square"):
    model = random_network(**CONFIGS[name] | {"width": 2, "gain": 1.0})
    c_in = model.config.c_in
    x = randn(4, c_in, *model.convs[0].grid, seed=1)
    if loss == "cross_entropy":
        return model, x, torch.tensor([0, 2, 1, 0])
    y = model(x).detach()
    return model, x, y + randn(y.shape, seed=2)


def dense_hessian(model, x, y, loss="square"):
    """Entry by entry, by differentiating the written-out loss twice."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    theta = parameters(model)

    def regularised(vector):
        parts = vector.split([shape.numel() for shape in shapes])
        named = {n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        output = torch.func.functional_call(model, named, (x,))
        fit = fit_function(loss)(output, y)
        return fit + RIDGE * vector.square().sum()

    return torch.autograd.functional.hessian(regularised, theta)


def flat(parts):
    return torch.cat([part.flatten() for part in parts])


LOSSES = [*((name, "square") for name in CONFIGS), ("classifier", "cross_entropy")]


@pytest.mark.parametrize(("name", "loss"), LOSSES)
def test_sharpness_is_the_largest_eigenvalue_of_the_hessian(name, loss):
    model, x, y = case(name, loss)
    expected = float(torch.linalg.eigvalsh(dense_hessian(model, x, y, loss))[-1])
    assert sharpness(model, x, y, ridge=RIDGE, loss=loss) == pytest.approx(expected, rel=1e-6)


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
    before = parameters(single)
    exact = sharpness(single, x.float(), y.float(), ridge=RIDGE)
    assert torch.equal(parameters(single), before)
    assert all(parameter.grad is None for parameter in single.parameters())
    assert exact == sharpness(single.double(), x.float(), y.float(), ridge=RIDGE)


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
    twin, _, _ = case("circle")
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3)
    for _ in range(5):
        optimizer.zero_grad()
        loss = fit_function("square")(twin(x), y) + RIDGE * twin.parameter_norm()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(parameters(later), parameters(twin))
    moments = flat([optimizer.state[p]["exp_avg_sq"] for p in twin.parameters()])
    expected = (moments / (1 - 0.999**5)).sqrt() + 1e-8
    torch.testing.assert_close(flat(preconditioner), expected, rtol=1e-7, atol=1e-12)
    assert torch.equal(parameters(model), parameters(case("circle")[0]))


def test_sharpness_during_is_that_of_runs_that_stop_there():
    model, x, y = case("circle")
    how = {"optimizer": "sgd", "momentum": 0.5, "schedule": "constant"}
    training = TrainConfig(RIDGE, 0.02, 9, **how)
    seen = sharpness_during(model, x, y, training, {0, 4, 9, 50}, tolerance=1e-8)
    assert [step for step, _ in seen] == [0, 4, 9]
    for steps, measured in seen:
        stopped, _, _ = case("circle")
        train(stopped, x, y, replace(training, steps=steps), progress=False)
        assert measured == pytest.approx(sharpness(stopped, x, y, ridge=RIDGE), rel=1e-6)
    assert torch.equal(parameters(model), parameters(stopped))


def test_sharpness_during_ends_where_training_fails():
    model, x, y = case("circle")
    training = TrainConfig(RIDGE, 50.0, 40, optimizer="sgd", momentum=0.0, schedule="constant")
    seen = sharpness_during(model, x, y, training, range(41))
    assert seen
    assert len(seen) < 41
    assert all(np.isfinite(value) for _, value in seen)
