"""The fast training step: the numbers of the plain network, and nothing else."""

import pytest
import torch
from model_cases import random_network
from oracles import rng
from torch import nn

from cbnlib import CircularConv, TrainConfig, train
from cbnlib.network.model import CoarseStage
from cbnlib.network.real_dft import FOLDED_FROM
from cbnlib.training.engine import Engine
from cbnlib.training.train import fit_function

BATCH = 5
NETWORKS = {
    "1-D": {"grid": 6},
    "1-D, odd": {"grid": 7, "c_in": 2, "c_out": 3},
    "2-D": {"grid": (6, 8)},
    "2-D, odd": {"grid": (5, 7), "bias": False},
    "one layer": {"grid": (4, 5), "depth": 1},
    "one pixel": {"grid": (1, 1), "depth": 2},
    "two pixels": {"grid": 2, "depth": 2},
    "linear": {"grid": (6, 6), "nonlinearity": "none"},
    "pooling": {"grid": (8, 8), "head": "pooling", "c_out": 4},
    "crop": {"grid": (8, 8), "depth": 5, "coarse": CoarseStage((4, 4), 2, 4)},
    "average, to the pooling": {
        "grid": (8, 8),
        "head": "pooling",
        "c_out": 4,
        "coarse": CoarseStage((4, 4), 1, 3, "average"),
    },
    "28×28": {"grid": (28, 28), "depth": 3},
    "folded, odd": {"grid": (FOLDED_FROM + 1, FOLDED_FROM), "c_in": 2, "c_out": 3},
    "folded, pooling": {"grid": (20, 23), "head": "pooling", "c_out": 4},
    "folded, crop": {"grid": (20, 20), "depth": 5, "coarse": CoarseStage((10, 10), 2, 4)},
    "folded, both grids": {"grid": (42, 40), "depth": 3, "coarse": CoarseStage((21, 20), 2, 2)},
}
CASES = [
    pytest.param(config | {"parametrization": parametrization}, id=f"{name}, {parametrization}")
    for name, config in NETWORKS.items()
    for parametrization in ("pixel", "spectral")
] + [
    pytest.param({"grid": (8, 7), "window": 3}, id="window"),
    pytest.param({"grid": (20, 21), "window": (3, 4)}, id="window, folded"),
]


def network(config, dtype=torch.float64):
    return random_network(**{"depth": 4, "width": 3} | config).to(dtype)


def data(model, seed):
    config, generator = model.config, rng(seed)
    dtype = next(model.parameters()).dtype
    grid = config.grid if isinstance(config.grid, tuple) else (config.grid,)
    x = torch.randn(BATCH, config.c_in, *grid, dtype=dtype, generator=generator)
    if config.head == "pooling":
        return x, torch.randint(config.c_out, (BATCH,), generator=generator)
    return x, torch.randn(BATCH, config.c_out, *grid, dtype=dtype, generator=generator)


def data_term(model):
    return fit_function("cross_entropy" if model.config.head == "pooling" else "square")


def gradients(model):
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("config", CASES)
def test_loss_output_and_gradients_are_those_of_the_plain_network(config):
    model = network(config)
    engine = Engine(model, data_term(model), BATCH)
    for seed in (1, 2):  # the second step finds the memory as the first one left it
        x, y = data(model, seed)
        fit, output = engine.gradients(x, y)
        found = gradients(model)
        plain = model(x)
        loss = data_term(model)(plain, y)
        torch.testing.assert_close(output, plain.detach(), rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(fit, loss.detach(), rtol=1e-11, atol=0)
        exact = torch.autograd.grad(loss, list(model.parameters()))
        for mine, true in zip(found, exact, strict=True):
            assert float((mine - true).norm()) <= 1e-10 * float(true.norm())


@pytest.mark.parametrize("grid", [(14, 14), (20, 20), (22, 21)], ids=str)
def test_single_precision_is_as_good_as_the_plain_network(grid):
    config = {"grid": grid, "width": 8, "parametrization": "spectral"}
    double, single = network(config), network(config, dtype=torch.float32)
    x, y = data(double, 2)  # no pre-activation so near to 0 that rounding changes its sign
    exact = torch.autograd.grad(data_term(double)(double(x), y), list(double.parameters()))
    Engine(single, data_term(single), BATCH).gradients(x.float(), y.float())
    fast = gradients(single)
    plain = torch.autograd.grad(
        data_term(single)(single(x.float()), y.float()), list(single.parameters())
    )
    errors = []
    for found in (fast, plain):
        pairs = zip(found, exact, strict=True)
        errors.append(max(float((g - e).norm() / e.norm()) for g, e in pairs))
    assert errors[0] < 2e-6
    assert errors[0] < 3 * errors[1]


@pytest.mark.parametrize("grid", [(6, 6), (20, 20)], ids=str)
def test_a_step_allocates_no_signal(grid):
    """Each step works where the first one did: views that were taken before see the new values."""
    model = network({"grid": grid, "parametrization": "spectral"})
    engine = Engine(model, data_term(model), BATCH)
    places = [p.grad.data_ptr() for p in model.parameters() if p.grad is not None]
    before = engine.layers[1].activations.data_ptr()
    engine.gradients(*data(model, 1))
    engine.gradients(*data(model, 2))
    assert places == [p.grad.data_ptr() for p in model.parameters() if p.grad is not None]
    assert engine.layers[1].activations.data_ptr() == before


def test_gradient_descent_takes_the_same_path_in_both_parametrizations():
    pixel, spectral = (
        network({"grid": (4, 6), "width": 8, "parametrization": p}) for p in ("pixel", "spectral")
    )
    for a, b in zip(pixel.convs, spectral.convs, strict=True):
        b.set_blocks(a.blocks())
        if a.bias is not None and b.bias is not None:
            b.bias.data.copy_(a.bias)
    x, y = data(pixel, 3)
    torch.testing.assert_close(spectral(x), pixel(x))
    config = TrainConfig(0.02, 0.02, 6, optimizer="sgd", batch_size=3)
    histories = [train(model, x, y, config, progress=False) for model in (pixel, spectral)]
    assert histories[0].norm[-1] != pytest.approx(histories[0].norm[0], rel=1e-3)
    assert histories[0].norm == pytest.approx(histories[1].norm, rel=1e-10)
    for a, b in zip(pixel.convs, spectral.convs, strict=True):
        torch.testing.assert_close(a.blocks(), b.blocks(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
@pytest.mark.parametrize("grid", [(5,), (4, 6), (3, 5)], ids=str)
def test_set_blocks_and_blocks_are_inverse(grid, parametrization):
    layers = [
        CircularConv(2, 3, grid, parametrization=p, generator=rng(i)).double()
        for i, p in enumerate((parametrization, "pixel"))
    ]
    layers[0].set_blocks(layers[1].blocks())
    torch.testing.assert_close(layers[0].blocks(), layers[1].blocks())
    norms = [float(layer.weight.detach().norm()) for layer in layers]
    assert norms[0] == pytest.approx(norms[1])


def test_the_engine_does_not_change_what_the_network_is():
    model = network({"grid": (6,)})
    before = {k: v.clone() for k, v in model.state_dict().items()}
    Engine(model, data_term(model), BATCH).gradients(*data(model, 1))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert isinstance(model.resamples[0], nn.Identity)
