"""An ensemble against its members trained one by one."""

import copy

import pytest
import torch
from model_cases import random_network
from oracles import rng

from cbnlib import TrainConfig, train
from cbnlib.ensembles import train_ensemble

X = torch.randn(10, 1, 6, dtype=torch.float64, generator=rng())
Y = torch.randn(3, 10, 1, 6, dtype=torch.float64, generator=rng(1))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_members_end_as_if_trained_alone(optimizer: str) -> None:
    config = TrainConfig(0.1, 0.01, 6, batch_size=4, optimizer=optimizer, seed=5)  # type: ignore[arg-type]
    together = [random_network(seed=s, grid=(6,)) for s in range(3)]
    alone = copy.deepcopy(together)
    history = train_ensemble(together, X, Y, config, progress=False)
    norms = []
    for model, other, y in zip(together, alone, Y, strict=True):
        norms.append(train(other, X, y, config, progress=False).norm[-1])
        for a, b in zip(model.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
    assert history.norm[-1] == pytest.approx(sum(norms) / 3)


def test_bad_input() -> None:
    config = TrainConfig(0.1, 0.01, 2)
    models = [random_network(grid=(6,)), random_network(grid=(6,), width=2)]
    with pytest.raises(ValueError, match="all of the same config"):
        train_ensemble(models, X, Y[:2], config)
    with pytest.raises(ValueError, match=r"y must have shape \(1, 10, 1, 6\), got \(3, 10, 1, 6\)"):
        train_ensemble(models[:1], X, Y, config)
    with pytest.raises(ValueError, match="needs loss 'square'"):
        train_ensemble(models[:1], X, Y[:1], TrainConfig(0.1, 0.01, 2, loss="cross_entropy"))
