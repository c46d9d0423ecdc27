"""Networks for the bounds S2, S4 and S5: random and briefly trained, in float64, of every kind."""

from functools import cache
from typing import Any

import torch
from model_cases import random_network
from oracles import dense_matrix, dense_matrix_of, randn
from torch import Tensor

from cbnlib import CNN, CircularConv, TrainConfig, train
from cbnlib.network.model import CoarseStage

torch.set_num_threads(1)  # the layers are tiny: threads only get in each other's way

CONFIGS: dict[str, dict[str, Any]] = {
    "odd": {"grid": 7, "depth": 4},
    "even": {"grid": 6, "depth": 4, "c_out": 2},
    "shallow": {"grid": 5, "depth": 1, "c_in": 2},
    "deep": {"grid": 6, "depth": 8},
    "image": {"grid": (3, 4), "c_in": 2},
    "even image": {"grid": (4, 4), "depth": 4},
    "windowed": {"grid": (5, 4), "window": 3},
    "no bias": {"grid": 7, "bias": False},
    "linear": {"grid": 6, "nonlinearity": "none", "depth": 5},
    "pooling": {"grid": 7, "head": "pooling", "c_out": 3, "depth": 4},
    "pooled image": {"grid": (4, 3), "head": "pooling", "c_out": 3},
    "crop": {"grid": 7, "depth": 5, "coarse": CoarseStage(grid=4, first=2, last=3)},
    "crop image": {"grid": (5, 6), "depth": 4, "coarse": CoarseStage((3, 4), 2, 3)},
    "stride": {"grid": 6, "depth": 4, "coarse": CoarseStage(3, 1, 2, "stride")},
    "stride image": {"grid": (4, 6), "depth": 4, "coarse": CoarseStage((2, 3), 2, 3, "stride")},
    "average": {"grid": 8, "depth": 4, "coarse": CoarseStage(4, 2, 2, "average")},
    "average image": {"grid": (4, 4), "depth": 4, "coarse": CoarseStage((2, 2), 1, 2, "average")},
    "coarse pooling": {
        "grid": (4, 4),
        "depth": 4,
        "head": "pooling",
        "c_out": 3,
        "coarse": CoarseStage((2, 2), 2, 3, "average"),
    },
}

CASES = [(name, trained) for name in CONFIGS for trained in (False, True)]


def inputs(model: CNN, samples: int = 3, seed: int = 7) -> Tensor:
    first = model.config
    shape = (samples, first.c_in, *first.grid_of(first.depth + 1))
    return randn(shape, seed=seed)


@cache
def network(name: str, trained: bool) -> CNN:
    model = random_network(**CONFIGS[name])
    if trained:
        x = inputs(model, samples=32, seed=3)
        y = randn(model(x).shape, seed=4)
        options = TrainConfig(ridge=1e-2, learning_rate=5e-3, steps=60)
        train(model, x, y, options, progress=False)
    return model


@torch.no_grad()
def projector_network(keep: list[int], depth: int, *, scale: float = 1.0, **config: Any) -> CNN:
    """Every layer passes the stored frequencies `keep` of a 1-D grid, times `scale`, no bias."""
    model = random_network(width=1, depth=depth, bias=False, **config)
    for conv in model.convs:
        n = conv.grid[0]
        blocks = torch.zeros(1, 1, n // 2 + 1, dtype=torch.complex128)
        blocks[..., keep] = scale
        conv.weight.copy_(torch.fft.irfft(blocks, n, norm="ortho"))
    return model


@torch.no_grad()
def dense_factors(model: CNN, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    r"""The matrices $W_\ell$ and $T_0,\dots,T_{L-1}$ at one sample, from their definitions."""
    weights = [dense_matrix(conv) for conv in model.convs]
    maps = []
    for index, conv in enumerate(model.convs):
        before: tuple[int, ...] = model.config.grid_of(index if index else model.config.depth + 1)
        maps.append(dense_matrix_of(model.resamples[index], conv.c_in, before))
    if model.dense is not None:
        weights.append(model.dense.weight)
        last = model.convs[-1]
        maps.append(dense_matrix_of(lambda a: a.flatten(2).sum(2), last.c_out, last.grid))
        maps[-1] /= torch.Size(last.grid).numel() ** 0.5
    for index, values in enumerate(model.pre_activations(x.unsqueeze(0))[:-1], start=1):
        if model.config.nonlinearity == "relu":
            maps[index] = maps[index] * (values > 0).flatten().to(maps[index].dtype)
    return weights, maps


def dense_operator(layer: CircularConv | torch.nn.Linear) -> Tensor:
    return dense_matrix(layer) if isinstance(layer, CircularConv) else layer.weight.detach()
