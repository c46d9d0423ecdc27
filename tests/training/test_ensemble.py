"""An ensemble against its members trained one by one."""

import copy

import pytest
import torch
from model_cases import parameters, random_network
from oracles import randn

from cbnlib import TrainConfig, TrainingDivergedError, train
from cbnlib.training.ensemble import train_ensemble

X = randn(10, 1, 6)
Y = randn(3, 10, 1, 6, seed=1)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_members_end_as_if_trained_alone(optimizer):
    config = TrainConfig(0.1, 0.01, 6, batch_size=4, optimizer=optimizer, seed=5)
    together = [random_network(seed=s, grid=(6,)) for s in range(3)]
    alone = copy.deepcopy(together)
    history = train_ensemble(together, X, Y, config, progress=False)
    norms = []
    for model, other, y in zip(together, alone, Y, strict=True):
        norms.append(train(other, X, y, config, progress=False).norm[-1])
        torch.testing.assert_close(parameters(model), parameters(other), rtol=1e-9, atol=1e-11)
    assert history.norm[-1] == pytest.approx(sum(norms) / 3)


def diverging(y, member):
    wild = y.clone()
    wild[member] *= 1e80  # the steps of SGD are as large as its errors
    return wild


def test_a_member_that_diverges_leaves_the_others_alone():
    config = TrainConfig(0.1, 0.01, 8, batch_size=4, optimizer="sgd", seed=5, records=8)
    failing, healthy = ([random_network(seed=s, grid=(6,)) for s in range(3)] for _ in range(2))
    history = train_ensemble(failing, X, diverging(Y, 1), config, progress=False)
    expected = train_ensemble(healthy, X, Y, config, progress=False)
    pair = [random_network(seed=s, grid=(6,)) for s in (0, 2)]
    without = train_ensemble(pair, X, Y[[0, 2]], config, progress=False)
    assert not all(p.isfinite().all() for p in failing[1].parameters())
    for i in (0, 2):
        assert torch.equal(parameters(failing[i]), parameters(healthy[i]))
    assert len(history.step) == len(expected.step) == 8
    assert history.loss[-1] == pytest.approx(without.loss[-1], rel=1e-9)
    assert history.norm[-1] == pytest.approx(without.norm[-1], rel=1e-9)
    assert history.loss[-1] != pytest.approx(expected.loss[-1], rel=1e-3)


def test_an_ensemble_fails_when_every_member_has_failed():
    config = TrainConfig(0.1, 0.01, 8, batch_size=4, optimizer="sgd", seed=5)
    members = [random_network(seed=s, grid=(6,)) for s in range(2)]
    with pytest.raises(TrainingDivergedError, match=r"at step \d, in all 2 members: try a smaller"):
        train_ensemble(members, X, 1e80 * Y[:2], config, progress=False)


def test_members_that_collapse_to_a_constant_stop_nobody():
    config = TrainConfig(4.0, 0.05, 30, batch_size=10, optimizer="sgd", momentum=0.0)
    members = [random_network(seed=s, grid=(6,)) for s in range(2)]
    history = train_ensemble(members, X, torch.stack([X, X]), config, progress=False)
    assert history.step[-1] == 30
    assert members[0](X).var(dim=0).max() < 1e-10
