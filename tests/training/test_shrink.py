"""Shrinking: the proximal step of the nuclear norm, and training with it."""

import pytest
import torch
from oracles import dense_matrix_of
from torch import nn
from training_cases import assert_a_stopped_training_goes_on, batches, data, network

from cbnlib import CNN, CNNConfig, TrainConfig, train
from cbnlib.training.budget import SHRINK_EVERY, shrink
from cbnlib.training.ensemble import train_ensemble
from cbnlib.training.schedule import learning_rates
from cbnlib.training.train import fit_function

HOW = {"ridge": 0.01, "learning_rate": 0.01, "steps": 45, "batch_size": 4}
SHRUNK = {"layers": (2, 3), "shrink": 0.1, "release": 0.7}


def dense(conv):
    return dense_matrix_of(conv, conv.c_in, conv.grid)


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
@pytest.mark.parametrize("grid", [7, 8, (4, 5)], ids=str)
def test_it_is_the_soft_threshold_of_the_dense_operator(grid, parametrization):
    conv = network(grid, parametrization).convs[1]
    u, s, vh = torch.linalg.svd(dense(conv))
    amount = float(s.median())
    shrink([conv], amount)
    expected = (u * (s - amount).clamp(min=0)) @ vh
    assert (dense(conv) - expected).abs().max() < 1e-12 * float(s.max())


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
def test_training_is_gradient_steps_with_a_threshold_between(parametrization):
    config, (x, y) = TrainConfig(**HOW, **SHRUNK), data(8)
    model, plain = network(8, parametrization), network(8, parametrization)
    train(model, x, y, config, progress=False)
    optimizer = torch.optim.Adam(plain.parameters(), weight_decay=2 * config.ridge)
    until, drawn = round(0.7 * 45), batches(config, len(x))
    for step, rate in enumerate(learning_rates(config), start=1):
        batch = next(drawn)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        fit_function("square")(plain(x[batch]), y[batch]).backward()
        optimizer.step()
        if step % SHRINK_EVERY == 0 and step < until:
            shrink(plain.convs[1:3], config.shrink * (1 - step / until))
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-9
    assert config.stretches == (45,)


@pytest.mark.parametrize("step", [9, 10, 31])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, step):
    assert_a_stopped_training_goes_on(TrainConfig(**HOW, **SHRUNK), step, tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shrink": -0.1}, "shrink must be finite and >= 0, got -0.1"),
        ({"shrink": float("nan")}, "shrink must be finite"),
        ({"layers": None}, "needs layers"),
        ({"shrink": 0.0}, "layers need one of them"),
        ({"budget": "DC×1"}, "budget and shrink do not go together"),
    ],
)
def test_bad_configs(change, told):
    with pytest.raises(ValueError, match=told):
        TrainConfig(**HOW, **SHRUNK | change)


def test_bad_amounts():
    with pytest.raises(ValueError, match="amount must be finite and >= 0, got -1"):
        shrink(network(8).convs, -1)


@pytest.mark.parametrize(
    ("config", "layers", "told"),
    [
        ({}, (2, 5), r"must lie in 1..4, got \(2, 5\)"),
        ({"window": 3, "parametrization": "pixel"}, (2, 3), "smaller than its grid"),
    ],
)
def test_layers_that_cannot_shrink(config, layers, told):
    model, training = network(8, **config), TrainConfig(**HOW, **SHRUNK | {"layers": layers})
    with pytest.raises(ValueError, match=told):
        train(model, *data(8), training, progress=False)


def test_other_networks_are_refused():
    plain = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular").double()
    with pytest.raises(TypeError, match="shrink needs a CNN, got Conv1d"):
        train(plain, *data(8), TrainConfig(**HOW, **SHRUNK), progress=False)
    models = [CNN(CNNConfig(8, 3, 4), seed=s).double() for s in range(2)]
    with pytest.raises(ValueError, match="an ensemble trains without shrink, got 0"):
        train_ensemble(models, *data(8), TrainConfig(**HOW, **SHRUNK), progress=False)
