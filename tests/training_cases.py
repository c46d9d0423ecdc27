"""What acts during training: networks and data, the order of samples, a run that is stopped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from model_cases import parameters, random_network
from oracles import rng
from torch import nn

from cbnlib import CNN, TrainConfig, train
from cbnlib.runs.checkpoint import Checkpointer


def network(grid, parametrization="spectral", **config):
    """A random network in double precision, with spectral coordinates by default."""
    given = {"grid": grid, "width": 3, "depth": 4, "parametrization": parametrization} | config
    return random_network(**given)


def data(grid, samples=10):
    """Noise, and as targets the same a pixel further."""
    shape = (grid,) if isinstance(grid, int) else grid
    x = torch.randn(samples, 1, *shape, dtype=torch.float64, generator=rng(5))
    return x, x.roll(1, -1)


def batches(config: TrainConfig, samples: int) -> Iterator[list[int]]:
    """The samples of each step of a training."""
    generator, order = rng(config.seed), list[int]()
    while True:
        if len(order) < config.batch_size:
            order = torch.randperm(samples, generator=generator).tolist()
        yield order[: config.batch_size]
        order = order[config.batch_size :]


def assert_a_stopped_training_goes_on(config: TrainConfig, step: int, folder: Path) -> None:
    """Stopped after a step, it ends with the bits of one that was not."""
    whole, stopped, again = (network(8) for _ in range(3))
    x, y = data(8)
    expected = train(whole, x, y, config, progress=False)

    def stop(now: int, _: nn.Module) -> None:
        if now == step + 1:
            raise KeyboardInterrupt

    def goes_on(model: CNN, **options: Any) -> Any:
        saved = Checkpointer(folder, "0", seconds=0)
        return train(model, x, y, config, progress=False, checkpoint=saved, **options)

    with pytest.raises(KeyboardInterrupt):
        goes_on(stopped, observe=stop)
    assert vars(goes_on(again)) == vars(expected)
    assert torch.equal(parameters(again), parameters(whole))
