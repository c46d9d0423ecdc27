"""Networks that are not plain CNNs: `train` does what a plain PyTorch loop does."""

import copy
from functools import partial

import pytest
import torch
from model_cases import parameters, random_network
from oracles import randn, rng
from torch import nn
from torch.nn.utils import parametrize, prune

from cbnlib import CNN, CircularConv, CNNConfig, TrainConfig, train
from cbnlib.training.engine import Engine, obstacle
from cbnlib.training.ensemble import train_ensemble
from cbnlib.training.train import fit_function

X = randn(12, 1, 6, seed=7)
Y = randn(12, 1, 6, seed=8)
RIDGE, RATE, STEPS = 0.05, 0.01, 6


def config(**changes):
    options = {"steps": STEPS, "batch_size": 12, "optimizer": "sgd", "schedule": "constant"}
    return TrainConfig(RIDGE, RATE, **options | changes)


class Swish(CNN):
    def activate(self, pre_activation):
        return nn.functional.silu(pre_activation)


class Doubled(CNN):
    def forward(self, x):
        return 2 * super().forward(x)


class Scaled(CircularConv):
    def forward(self, x):
        return 0.5 * super().forward(x)


class Masked(nn.Module):
    def forward(self, w):
        return w * (torch.arange(w.shape[-1]) % 2)


def changed(change):
    model = random_network(grid=(6,), width=4, depth=4)
    change(model)
    return model


def of_class(kind):
    return kind(CNNConfig(6, 4, 4, gain=2.0), seed=0).double()


def transpose_strides(model):
    weight = model.convs[1].weight
    weight.data = weight.data.transpose(0, 1).contiguous().transpose(0, 1)


NETWORKS = {
    "an activation of its own": (lambda: of_class(Swish), "it is a Swish, not a CNN"),
    "a forward of its own": (lambda: of_class(Doubled), "it is a Doubled, not a CNN"),
    "a method of the object": (
        lambda: changed(lambda m: setattr(m, "activate", lambda pre_activation: pre_activation)),
        "the network has its own"),
    "frozen": (lambda: changed(lambda m: m.convs[1].weight.requires_grad_(False)),
        "convs.1.weight is frozen"),
    "tied": (lambda: changed(lambda m: setattr(m.convs[2], "weight", m.convs[1].weight)),
        "convs.2.weight is shared with another layer"),
    "a hook": (lambda: changed(lambda m: m.convs[1].register_forward_hook(lambda *a: 3 * a[2])),
        "convs.1 has a hook"),
    "a hook of a parameter": (
        lambda: changed(lambda m: m.convs[1].weight.register_hook(lambda g: 0.5 * g)),
        "convs.1.weight has a hook"),
    "transposed strides": (lambda: changed(transpose_strides), "convs.1.weight is not stored as"),
    "a parametrised weight": (
        lambda: changed(
            lambda m: parametrize.register_parametrization(m.convs[1], "weight", Masked())),
        "convs.1 is a ParametrizedCircularConv"),
    "a pruned weight": (
        lambda: changed(lambda m: prune.l1_unstructured(m.convs[1], "weight", amount=0.5)),
        "convs.1 has a hook"),
    "a class of layer": (
        lambda: changed(lambda m: setattr(m.convs[1], "__class__", Scaled)),
        "convs.1 is a Scaled"),
    "another parameter": (
        lambda: changed(lambda m: setattr(m, "extra", nn.Parameter(torch.ones(2).double()))),
        "extra is not a parameter of a CNN"),
    "another module": (
        lambda: nn.Sequential(CircularConv(1, 3, 6, generator=rng()), nn.Tanh(), nn.Flatten(),
            nn.Unflatten(1, (3, 6)), CircularConv(3, 1, 6, generator=rng())).double(),
        "it is a Sequential, not a CNN"),
}  # fmt: skip


@pytest.mark.parametrize(("optimizer", "schedule"), [("sgd", "constant"), ("adam", "cosine")])
@pytest.mark.parametrize("name", [*NETWORKS, "a plain CNN"])
def test_training_is_that_of_a_plain_loop(name, optimizer, schedule):
    make = NETWORKS[name][0] if name in NETWORKS else lambda: changed(lambda _: None)
    model, twin = make(), make()
    how = config(optimizer=optimizer, schedule=schedule)
    history = train(model, X, Y, how, progress=False)
    kind = {"sgd": partial(torch.optim.SGD, momentum=0.9), "adam": torch.optim.Adam}[optimizer]
    by_hand = kind(twin.parameters(), lr=RATE, weight_decay=2 * RIDGE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(by_hand, STEPS)
    for step in range(STEPS):
        by_hand.zero_grad()
        fit = (twin(X) - Y).square().sum() / len(X)
        fit.backward()
        by_hand.step()
        if schedule == "cosine":
            rates.step()
        norm = sum(float(p.detach().square().sum()) for p in twin.parameters())
        assert history.fit[step] == pytest.approx(float(fit.detach()), rel=1e-10)
        assert history.norm[step] == pytest.approx(norm, rel=1e-10)
    torch.testing.assert_close(parameters(model), parameters(twin), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_engine_and_ensembles_refuse_what_is_no_plain_network(name):
    make, reason = NETWORKS[name]
    assert obstacle(make()).startswith(reason)
    with pytest.raises(TypeError, match=f"the engine computes plain CNNs only: {reason}"):
        Engine(make(), fit_function("square"), 4)
    members = [changed(lambda _: None), make()]
    with pytest.raises(TypeError, match=f"but member 1 is none: {reason}"):
        train_ensemble(members, X, torch.stack([Y, Y]), config(), progress=False)


def test_plain_networks_are_the_engines():
    for options in ({}, {"head": "pooling", "c_out": 3}, {"parametrization": "spectral"}):
        model = random_network(grid=(6,), **options)
        assert obstacle(model) == obstacle(copy.deepcopy(model).float()) == ""
        assert obstacle(model.half()) == "convs.0.weight is torch.float16 on cpu"


def test_a_hook_on_all_modules_acts():
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert obstacle(changed(lambda _: None)) == "a hook acts on all modules"
    finally:
        handle.remove()


def test_looking_at_the_output_changes_nothing():
    """Dropout draws no random numbers and batch statistics do not move but by training steps."""
    model = nn.Sequential(
        CircularConv(1, 3, 6), nn.BatchNorm1d(3), nn.Dropout(), nn.Conv1d(3, 1, 1)
    )
    torch.manual_seed(5)
    train(model.double(), X, Y, config(steps=0), progress=False)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    assert model[1].num_batches_tracked == 0
    assert all(module.training for module in model.modules())


def test_zero_grad_in_between_does_not_stop_the_training():
    model, alone = (changed(lambda _: None) for _ in range(2))
    train(model, X, Y, config(), observe=lambda _, m: m.zero_grad(), progress=False)
    train(alone, X, Y, config(), progress=False)
    assert torch.equal(parameters(model), parameters(alone))


def test_the_bar_of_another_network_shows_its_norm(capsys):
    train(nn.Conv1d(1, 1, 1).double(), X, Y, config())
    assert "|θ|² " in capsys.readouterr().err
