"""Wider and deeper networks of the same function, held against the network they come from."""

import pytest
import torch
from oracles import randn

from cbnlib import CNN, CNNConfig
from cbnlib.network.model import CoarseStage
from cbnlib.theory.same_function import KICK, deepened, widened

CONFIGS = {
    "circle": CNNConfig(9, width=3, depth=4, c_in=2, c_out=2),
    "plane": CNNConfig((4, 6), width=3, depth=3),
    "spectral": CNNConfig(8, width=3, depth=5, parametrization="spectral"),
    "pooling": CNNConfig(8, width=3, depth=4, c_out=5, head="pooling"),
    "no biases": CNNConfig(8, width=3, depth=2, bias=False),
    "linear": CNNConfig(8, width=3, depth=3, nonlinearity="none"),
}


def drawn(name):
    model = CNN(CONFIGS[name], seed=1).double()
    with torch.no_grad():
        for part in (*model.convs, *([model.dense] if model.dense else [])):
            if part.bias is not None:
                part.bias.copy_(randn(len(part.bias)))
    return model, randn(7, model.config.c_in, *model.config.grid)


@torch.no_grad()
def price(after, before):
    return float(after.parameter_norm() - before.parameter_norm())


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", [None, 3])
def test_wider(name, seed):
    model, x = drawn(name)
    wider = widened(model, 7, seed=seed)
    assert wider.config.width == 7
    assert (wider(x) - model(x)).abs().max() < 1e-12
    more = price(wider, model)
    blocks = sum(c.weight.detach().square().sum() for c in CNN(wider.config, seed=3).convs)
    if seed is None:
        assert more == pytest.approx(0, abs=1e-10)
    else:
        assert 0 < more < KICK**2 * float(blocks)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("more", [0, 1, 4])
def test_deeper(name, more):
    model, x = drawn(name)
    deeper = deepened(model, model.config.depth + more)
    assert deeper.config.depth == model.config.depth + more
    assert (deeper(x) - model(x)).abs().max() < 1e-12
    identities = more * 3 * torch.Size(model.config.grid).numel()
    assert price(deeper, model) == pytest.approx(identities)


def test_what_has_no_same_function():
    window = CNN(CNNConfig(8, width=2, depth=3, window=3), seed=0)
    coarse = CNN(CNNConfig(8, width=2, depth=3, coarse=CoarseStage(4, 2, 2)), seed=0)
    for model in (window, coarse):
        for change in (widened, deepened):
            with pytest.raises(ValueError, match="full-size filters on one grid"):
                change(model, 5)
    plain = CNN(CNNConfig(8, width=2, depth=3), seed=0)
    for change in (widened, deepened):
        with pytest.raises(ValueError, match="must be an integer >= "):
            change(plain, 1)
        with pytest.raises(TypeError, match="model must be a CNN"):
            change(torch.nn.Linear(2, 2), 5)
    with pytest.raises(ValueError, match="no hidden layer"):
        deepened(CNN(CNNConfig(8, width=2, depth=1), seed=0), 3)
