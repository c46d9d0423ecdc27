"""Every public function refuses bad arguments: the message names value, place and what is allowed.

One table per module; a row is a call, the type of the error and what the message says, in order.
"""

import re
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from cbnlib import CNN, CircularConv, CNNConfig, TrainConfig, evaluate, frequencies, train
from cbnlib.book.slideshow import slideshow
from cbnlib.network.model import CoarseStage
from cbnlib.network.real_dft import RealDFT, blocks_to_coordinates, coordinates_to_blocks
from cbnlib.network.resampling import Resample, crop_noise
from cbnlib.training.ensemble import train_ensemble
from cbnlib.training.loop import Batches
from cbnlib.training.train import fit_function

Row = tuple[Callable[..., object], type[Exception], str]

X = torch.ones(4, 1, 8)
TARGETS = X.unsqueeze(0)
LABELS = torch.tensor([0, 1, 2, 1])


def network(**config: Any) -> CNN:
    return CNN(CNNConfig(**{"grid": 8, "width": 2, "depth": 2} | config), seed=0)


def classifier() -> CNN:
    return network(head="pooling", c_out=3)


def fit(model: Any = None, x: Any = X, y: Any = X, **config: Any) -> None:
    options = {"ridge": 0.1, "learning_rate": 0.1, "steps": 1} | config
    train(network() if model is None else model, x, y, TrainConfig(**options), progress=False)


def together(models: Any, x: Any = X, y: Any = TARGETS) -> None:
    train_ensemble(models, x, y, TrainConfig(0.1, 0.1, 1), progress=False)


def frozen() -> CNN:
    return network().requires_grad_(False)


def figures(*sizes: float) -> list[tuple[str, Figure]]:
    made = [(str(size), plt.figure(figsize=(size, 1))) for size in sizes]
    plt.close("all")
    return made


def config(**changes: Any) -> Callable[[], CNNConfig]:
    return lambda: CNNConfig(**{"grid": 8, "width": 2, "depth": 3} | changes)


def training(**changes: Any) -> Callable[[], TrainConfig]:
    return lambda: TrainConfig(**{"ridge": 0.1, "learning_rate": 0.1, "steps": 1} | changes)


def stage(**changes: Any) -> Callable[[], CoarseStage]:
    return lambda: CoarseStage(**{"grid": 4, "first": 2, "last": 2} | changes)


ROWS: dict[str, list[Row]] = {
    "frequencies": [
        (lambda: frequencies(8.0), ValueError, "grid axis must be an integer >= 1, got 8.0"),
        (lambda: frequencies("8"), ValueError, "grid axis must be an integer >= 1, got '8'"),
        (lambda: frequencies(None), ValueError, "grid axis must be an integer >= 1, got None"),
        (lambda: frequencies((4, 0)), ValueError, "grid axis must be an integer >= 1, got 0"),
        (lambda: frequencies((2, 2, 2)), ValueError, "grid must have 1 or 2 axes, got 3"),
    ],
    "layers": [
        (lambda: CircularConv(0, 1, 8), ValueError, "c_in must be an integer >= 1, got 0"),
        (lambda: CircularConv(1, 1.0, 8), ValueError, "c_out must be an integer >= 1, got 1.0"),
        (lambda: CircularConv(1, 1, 8.0), ValueError, "grid axis must be an integer"),
        (lambda: CircularConv(1, 1, 8, window="x"), ValueError, "window axis must be.* got 'x'"),
        (lambda: CircularConv(1, 1, 8, window=9), ValueError, "filter larger than the grid"),
        (lambda: CircularConv(1, 1, 8, bias="no"), ValueError, "bias must be True or False, got"),
        (lambda: CircularConv(1, 1, 8, gain="1"), ValueError, "gain must be finite and > 0, got '"),
        (lambda: CircularConv(1, 1, 8, parametrization=1), ValueError, "unknown parametrization 1"),
        (
            lambda: CircularConv(1, 1, 8)(X.double()),
            ValueError,
            "input .*float32 .* got .*float64",
        ),
        (lambda: CircularConv(1, 1, 8)(X.to("meta")), ValueError, "input .* cpu, got .* on meta"),
        (lambda: CircularConv(1, 1, 8)(X.numpy()), TypeError, "input must be a Tensor, got array"),
        (lambda: CircularConv(1, 1, 8).half()(X), ValueError, "weight must be float32 or float64"),
        (lambda: CircularConv(1, 1, 8).half().blocks(), ValueError, "weight .* got .*float16"),
        (lambda: CircularConv(1, 1, 8).set_blocks(None), TypeError, "blocks must be a Tensor, got"),
        (lambda: CircularConv(1, 1, 8).start_on(9), ValueError, r"coarse grid \(9,\) must fit in"),
    ],
    "model": [
        (config(grid="x"), ValueError, "grid axis must be an integer >= 1, got 'x'"),
        (config(width=None), ValueError, "width must be an integer >= 1, got None"),
        (config(depth=True), ValueError, "depth must be an integer >= 1, got True"),
        (config(c_in="1"), ValueError, "c_in must be an integer >= 1, got '1'"),
        (config(c_out=0), ValueError, "c_out must be an integer >= 1, got 0"),
        (config(head=None), ValueError, "unknown head None; allowed: equivariant, pooling"),
        (config(window=9), ValueError, r"filter larger than the grid: window \(9,\) on grid \(8,"),
        (config(window=3.0), ValueError, "window axis must be an integer >= 1, got 3.0"),
        (config(bias="no"), ValueError, "bias must be True or False, got 'no'"),
        (config(bias=None), ValueError, "bias must be True or False, got None"),
        (config(nonlinearity=[]), ValueError, r"unknown nonlinearity \[\]; allowed: none, relu"),
        (config(coarse=4), TypeError, "coarse must be a CoarseStage, got 4"),
        (config(coarse=CoarseStage(4, 2, 3)), ValueError, "last coarse layer must be <= 2, got 3"),
        (config(parametrization="x"), ValueError, "unknown parametrization 'x'; allowed: pixel, s"),
        (config(gain="1"), ValueError, "gain must be finite and > 0, got '1'"),
        (stage(grid=4.0), ValueError, "grid axis must be an integer >= 1, got 4.0"),
        (stage(first=0), ValueError, "first coarse layer must be an integer >= 1, got 0"),
        (stage(last=1), ValueError, "last coarse layer must be an integer >= 2, got 1"),
        (
            stage(method="max"),
            ValueError,
            "unknown resampling 'max'; allowed: average, crop, strid",
        ),
        (
            lambda: CNN({"grid": 8}, seed=0),
            TypeError,
            "config must be a CNNConfig, got {'grid': 8}",
        ),
        (lambda: CNN(config()(), seed="0"), ValueError, "seed must be an integer >= 0, got '0'"),
        (lambda: config()().grid_of(0), ValueError, "layer must be an integer >= 1, got 0"),
        (lambda: network()(X[:, 0]), ValueError, "input must have 3 axes .* got 2"),
        (
            lambda: network().half()(X),
            ValueError,
            "weight must be float32 or float64, got torch.fl",
        ),
    ],
    "resampling": [
        (
            lambda: Resample((8,), (4,), "max"),
            ValueError,
            "unknown resampling 'max'; allowed: avera",
        ),
        (lambda: Resample((8,), (3,), "stride"), ValueError, r"coarse grid \(3,\) must divide"),
        (lambda: Resample((8,), (4, 4), "crop"), ValueError, "must have as many axes as"),
        (lambda: Resample(8, 4, "crop", adjoint="no"), ValueError, "adjoint must be True or False"),
        (lambda: crop_noise(torch.ones(1, 1, 5), 8, 9), ValueError, r"coarse grid \(9,\) must fit"),
        (
            lambda: crop_noise(torch.ones(1, 1, 4), 8, 4),
            ValueError,
            r"blocks .* 5\), got \(1, 1, 4",
        ),
    ],
    "real_dft": [
        (lambda: RealDFT(8.0), ValueError, "grid axis must be an integer >= 1, got 8.0"),
        (lambda: RealDFT(8, torch.float16), ValueError, "dtype must be float32 or float64, got"),
        (lambda: coordinates_to_blocks(torch.ones(7), (8,)), ValueError, "8 coordinates, got 7"),
        (lambda: blocks_to_coordinates(torch.ones(8), (8,)), ValueError, "5 frequencies, got 8"),
    ],
    "train_config": [
        (training(ridge=None), ValueError, "ridge must be finite and >= 0, got None"),
        (training(ridge=True), ValueError, "ridge must be finite and >= 0, got True"),
        (training(learning_rate="1"), ValueError, "learning_rate must be finite and > 0, got '1'"),
        (training(steps=1.0), ValueError, "steps must be an integer >= 0, got 1.0"),
        (training(batch_size="x"), ValueError, "batch_size must be an integer >= 1, got 'x'"),
        (training(optimizer=None), ValueError, "unknown optimizer None; allowed: adam, sgd"),
        (training(momentum="x"), ValueError, "momentum must be finite and >= 0, got 'x'"),
        (training(momentum=1), ValueError, r"momentum must be in \[0, 1\), got 1"),
        (training(schedule=()), ValueError, "unknown schedule .*; allowed: constant, cosine"),
        (training(loss="x"), ValueError, "unknown loss 'x'; allowed: cross_entropy, square"),
        (training(seed="x"), ValueError, "seed must be an integer >= 0, got 'x'"),
        (training(seed=-1), ValueError, "seed must be an integer >= 0, got -1"),
        (training(records=None), ValueError, "records must be an integer >= 1, got None"),
        (training(snapshots=1), ValueError, "snapshots must be an integer >= 2, got 1"),
    ],
    "loop": [
        (lambda: Batches(0, 4, 0), ValueError, "samples must be an integer >= 1, got 0"),
    ],
    "training": [
        (lambda: fit(lambda x: x), TypeError, "model must be a Module, got <function"),
        (lambda: fit(frozen()), ValueError, "no parameter that requires a gradient"),
        (lambda: fit(torch.nn.LSTM(8, 8)), TypeError, "the network's output must be a Tensor, got"),
        (lambda: fit(network().half()), ValueError, "convs.0.weight must be float32 or float64, g"),
        (lambda: fit(network().to("meta")), ValueError, "convs.0.weight is on the meta device"),
        (lambda: fit(x=X.numpy()), TypeError, "x must be a Tensor, got array"),
        (lambda: fit(x=X * np.nan), ValueError, "x: 32 of 32 entries are NaN or infinite"),
        (lambda: fit(x=X.double()), ValueError, "input must have the dtype and device of the weig"),
        (lambda: fit(y=[1.0]), TypeError, r"y must be a Tensor, got \[1.0\]"),
        (lambda: fit(y=X[:2]), ValueError, "same number >= 1 of samples: 4, 2"),
        (lambda: fit(y=X[:, 0]), ValueError, r"y must have shape \(4, 1, 8\), got \(4, 8\)"),
        (
            lambda: fit(y=X.to("meta")),
            ValueError,
            "x and y must lie on one device, got cpu and meta",
        ),
        (
            lambda: fit(classifier(), y=LABELS.int(), loss="cross_entropy"),
            ValueError,
            r"y must hold integer labels in 0..2, one per sample, as torch.int64, got torch.int32",
        ),
        (
            lambda: fit(classifier(), y=LABELS + 1, loss="cross_entropy"),
            ValueError,
            r"y must hold integer labels in 0..2, .* in 1..3",
        ),
        (
            lambda: fit(network(c_out=3), y=LABELS, loss="cross_entropy"),
            ValueError,
            r"loss 'cross_entropy' needs .* head='pooling'; .* shape \(3, 8\)",
        ),
        (
            lambda: train(network(), X, X, {"steps": 1}),
            TypeError,
            "config must be a TrainConfig, got {'steps': 1}",
        ),
        (
            lambda: evaluate(network(), X, X, loss="x"),
            ValueError,
            "unknown loss 'x'; allowed: cross",
        ),
        (
            lambda: evaluate(network(), X, X, batch_size=0),
            ValueError,
            "batch_size must be an integer",
        ),
        (lambda: evaluate(None, X, X), TypeError, "model must be a Module, got None"),
        (lambda: evaluate(network(), X, LABELS), ValueError, r"y must have shape \(4, 1, 8\), got"),
        (lambda: fit_function("x"), ValueError, "unknown loss 'x'; allowed: cross_entropy, square"),
    ],
    "ensembles": [
        (lambda: together([]), ValueError, "an ensemble needs at least one network"),
        (lambda: together([None]), TypeError, "member 0 is none: it is a NoneType, not a CNN"),
        (lambda: together([frozen()]), TypeError, "member 0 is none: convs.0.weight is frozen"),
        (lambda: together([network()] * 2), ValueError, "got one of them twice"),
        (
            lambda: together([network()], X.double()),
            ValueError,
            "member 0: convs.0.weight must have",
        ),
        (lambda: together([network()], X.numpy()), TypeError, "x must be a Tensor, got array"),
        (lambda: together([network()], y=X), ValueError, r"y must have shape \(1, 4, 1, 8\), got"),
        (
            lambda: together([network()], y=X[None].double()),
            ValueError,
            "y must have the dtype and",
        ),
        (
            lambda: train_ensemble([network()], X, X[None], None),
            TypeError,
            "config must be a TrainC",
        ),
    ],
    "slideshow": [
        (lambda: slideshow([], "A description"), ValueError, "need figures of one size, got none"),
        (
            lambda: slideshow(figures(1), " "),
            ValueError,
            "a slideshow needs a description, got ' '",
        ),
        (
            lambda: slideshow(figures(1), None),
            ValueError,
            "a slideshow needs a description, got None",
        ),
        (lambda: slideshow(figures(1, 2), "x"), ValueError, r"need figures of one size, got \[\("),
        (
            lambda: slideshow(figures(1), "x", dpi=0),
            ValueError,
            "dpi must be finite and > 0, got 0",
        ),
        (lambda: slideshow([("a", None)], "x"), TypeError, "figure must be a Figure, got None"),
    ],
}
CASES = [
    pytest.param(*row, id=f"{module}: {row[2]}") for module, rows in ROWS.items() for row in rows
]


@pytest.mark.parametrize(("call", "kind", "message"), CASES)
def test_the_message_says_what_is_wrong(
    call: Callable[[], object], kind: type[Exception], message: str
) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert type(caught.value) is kind
    assert re.search(message, str(caught.value))


def test_what_equals_a_value_becomes_it() -> None:
    """So that equal experiments have equal digests."""
    one, three = np.int64(1), np.int32(3)
    plain = CNNConfig((8, 8), 3, 3, window=(3, 3), bias=True, gain=1.0)
    same = CNNConfig([np.int64(8), 8], three, three, one, one, window=3, bias=1, gain=np.float64(1))  # type: ignore[arg-type]
    assert repr(same) == repr(plain)
    assert repr(CNNConfig(8, 3, 3, window=3)) == repr(CNNConfig((8,), 3, 3, window=[3]))
    assert repr(CoarseStage(np.int64(4), one, three)) == repr(CoarseStage((4,), 1, 3))  # type: ignore[arg-type]
    numbers = TrainConfig(1, np.float64(1), three, seed=one, momentum=0)  # type: ignore[arg-type]
    assert repr(numbers) == repr(TrainConfig(1.0, 1.0, 3, seed=1, momentum=0.0))
    assert frequencies(np.int64(8)).grid == (8,)  # type: ignore[arg-type]
    assert all(type(n) is int for n in frequencies(np.array([4, 8])).grid)  # type: ignore[arg-type]
