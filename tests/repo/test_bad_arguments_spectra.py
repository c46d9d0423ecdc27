"""Public functions of spectra, surgery and theory refuse bad arguments, and say what is allowed.

A row is a call, the type of the error and what the message says.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from cbnlib import CNN, CNNConfig, Spectrum, TrainConfig, layer_spectrum, weight_spectra
from cbnlib.book.plots import plot_heat_map
from cbnlib.interventions.coordinates import (
    Coordinate,
    coefficients,
    coherence,
    kept_coordinates,
    swap_modes,
    with_coordinate,
)
from cbnlib.interventions.regrid import compress, factored_multiplications, multiplications, refine
from cbnlib.interventions.surgery import (
    keep_modes,
    layer_at,
    mode_mask,
    random_mask,
    remove_modes,
    second_directions,
    unread_share,
    with_directions,
)
from cbnlib.network.model import CoarseStage
from cbnlib.spectra.activations import activation_spectra
from cbnlib.spectra.bottleneck import KeptMode, kept_modes, measure_bottleneck
from cbnlib.spectra.convolutions import (
    filter_spectrum,
    spectrum_of_blocks,
    weight_spectra_over_time,
)
from cbnlib.spectra.modules import conv_spectrum, module_spectra
from cbnlib.spectra.over_time import decay_rates, falls_below, kept_rows, overlap, unwanted_share
from cbnlib.spectra.spectrum import middle_half
from cbnlib.theory.activation_bottleneck import ntk_trace, off_mode_energy
from cbnlib.theory.explicit_network import bottleneck_network, cbn_rank
from cbnlib.theory.jacobian import constant_input_spectrum, jacobian, tangent_jacobian
from cbnlib.theory.linear_cost import (
    balanced_factorisation,
    end_to_end_blocks,
    linear_cost,
    linear_cost_expansion,
)
from cbnlib.theory.lower_bounds import best_k_bound, norm_lower_bound, rank, schatten
from cbnlib.theory.scales import bias_scales, signal_scales
from cbnlib.theory.sharpness import adam_preconditioner, sharpness
from cbnlib.theory.weight_bottleneck import (
    compressions,
    mode_distance,
    operator_values,
    weight_bottleneck,
)
from cbnlib.training.schedule import ridge_decay

Row = tuple[Callable[..., object], type[Exception], str]

NAN = math.nan
X = torch.randn(3, 1, 8, generator=torch.Generator().manual_seed(0))
W = torch.ones(2, 2, 3)
ONES = torch.ones(2)
S = Spectrum((8,), torch.ones(5, 2))
MODE = KeptMode((1,), 2, 1)


def network(**config: Any) -> CNN:
    return CNN(CNNConfig(**{"grid": 8, "width": 2, "depth": 3} | config), seed=0)


M, POOLING, WINDOW = network(), network(head="pooling"), network(window=3)


def conv(**options: Any) -> nn.Conv1d:
    return nn.Conv1d(
        **{"in_channels": 1, "out_channels": 1, "kernel_size": 3, "padding": 1} | options
    )


def along(*omega: int, channels: int = 1) -> Coordinate:
    return Coordinate(omega, torch.ones(channels) + 0j)


SPECTRA: list[Row] = [
    (lambda: Spectrum((8,), [[1.0]]), TypeError, "values must be a Tensor, got [[1.0]]"),  # type: ignore[arg-type]
    (lambda: S.gap("1"), ValueError, "threshold must be finite and >= 0, got '1'"),  # type: ignore[arg-type]
    (lambda: layer_spectrum(M), TypeError, "layer must be a CircularConv, got CNN("),  # type: ignore[arg-type]
    (lambda: weight_spectra(conv()), TypeError, "model must be a CNN, got Conv1d(1, 1"),  # type: ignore[arg-type]
    (lambda: module_spectra("x", X), TypeError, "model must be a Module, got 'x'"),  # type: ignore[arg-type]
    (lambda: Spectrum((8,), torch.ones(1, 2)), ValueError, "(8,) must be real, of shape [5, dir"),
    (lambda: Spectrum((8,), torch.ones(5)), ValueError, "one row per mode; got torch.float32 of"),
    (lambda: Spectrum((8,), torch.ones(5, 2) + 0j), ValueError, "got torch.complex64 of shape (5"),
    (lambda: Spectrum((8, 8, 8), torch.ones(5, 2)), ValueError, "grid must have 1 or 2 axes, got"),
    (lambda: Spectrum((8,), torch.full((5, 2), NAN)), ValueError, "values: 10 of 10 entries are N"),
    (lambda: S.gap(NAN), ValueError, "threshold must be finite and >= 0, got nan"),
    (lambda: S.real_dimensions(-1), ValueError, "threshold must be finite and >= 0, got -1"),
    (lambda: S.kept_by_degree(-1), ValueError, "threshold must be finite and >= 0, got -1"),
    (lambda: kept_modes(S, NAN), ValueError, "threshold must be finite and >= 0, got nan"),
    (lambda: spectrum_of_blocks(torch.ones(2, 2, 4) + 0j, (8,)), ValueError, "(5,), got (2, 2, 4)"),
    (lambda: spectrum_of_blocks(torch.ones(5) + 0j, (8,)), ValueError, "(5,), got (5,)"),
    (lambda: filter_spectrum(torch.ones(3), 8), ValueError, "window () does not fit the grid (8,)"),
    (lambda: filter_spectrum(W, 2), ValueError, "window (3,) does not fit the grid (2,)"),
    (
        lambda: filter_spectrum(W.half(), 8),
        ValueError,
        "torch.float32 or torch.float64, got torch.f",
    ),
    (
        lambda: filter_spectrum(W.long(), 8),
        ValueError,
        "got torch.int64 for a weight of torch.int64",
    ),
    (
        lambda: filter_spectrum(W + 0j, 8, dtype=torch.float32),
        ValueError,
        "weight of torch.complex",
    ),
    (lambda: filter_spectrum(W.to("meta"), 8), ValueError, "filter is on the meta device"),
    (lambda: filter_spectrum(W * NAN, 8), ValueError, "filter: 12 of 12 entries are NaN"),
    (
        lambda: layer_spectrum(network().to("meta").convs[0]),
        ValueError,
        "weight is on the meta",
    ),
    (lambda: weight_spectra(network().half()), ValueError, "weight of layer 1: the precision must"),
    (lambda: weight_spectra_over_time([]), ValueError, "at least one network"),
    (lambda: weight_spectra_over_time([M, WINDOW]), ValueError, "all of the same config"),
    (lambda: middle_half(0), ValueError, "depth must be an integer >= 1, got 0"),
    (lambda: activation_spectra(M, X[:0]), ValueError, "samples must be an integer >= 1, got 0"),
    (
        lambda: activation_spectra(M, X, batch_size=0),
        ValueError,
        "batch_size must be an integer >= 1",
    ),
    (lambda: activation_spectra(M, X * NAN), ValueError, "x: 24 of 24 entries are NaN"),
    (lambda: activation_spectra(M, X[..., 1:]), ValueError, "grid (8,), got (7,)"),
    (lambda: conv_spectrum(conv(device="meta"), 8), ValueError, "weight is on the meta device"),
    (lambda: conv_spectrum(conv(dtype=torch.half), 8), ValueError, "weight: the precision must be"),
    (
        lambda: conv_spectrum(conv(padding="valid"), 8),
        ValueError,
        "padding 'valid' changes the size",
    ),
    (
        lambda: conv_spectrum(conv(stride=2), 8),
        ValueError,
        "only stride 1 is supported, got stride (2",
    ),
    (lambda: conv_spectrum(conv(), "8"), ValueError, "grid axis must be an integer >= 1, got '8'"),
    (lambda: conv_spectrum(conv(), (8, 8)), ValueError, "Conv1d acts on 1 axes, grid (8, 8)"),
    (lambda: conv_spectrum(nn.LazyConv1d(1, 3, padding=1), 8), ValueError, "(_infer_parameters)"),
    (lambda: conv_spectrum(M.convs[0], 9), ValueError, "acts on the grid (8,), got (9,)"),
    (
        lambda: conv_spectrum(nn.Linear(1, 1), 8),
        TypeError,
        "need a torch.nn.Conv1d or Conv2d, got Lin",
    ),
    (lambda: module_spectra(nn.ReLU(), X), ValueError, "pass through ReLU met no convolution"),
    (
        lambda: module_spectra(conv(), X, dtype=torch.half),
        ValueError,
        "layer '': weight: the precis",
    ),
]

USES: list[Row] = [
    (lambda: measure_bottleneck([1, 2]), TypeError, "spectrum must be a Spectrum, got 1"),  # type: ignore[list-item]
    (lambda: measure_bottleneck([]), ValueError, "spectra must hold at least one layer"),
    (
        lambda: measure_bottleneck([S, layer_spectrum(network(grid=(2, 2)).convs[0])]),
        ValueError,
        "axes",
    ),
    (lambda: mode_mask(S, [KeptMode((9,), 2, 1)]), ValueError, "no mode (9,) on the grid (8,)"),
    (lambda: mode_mask(S, [KeptMode((1,), 2, 3)]), ValueError, "±1×3 of a layer with 2 directions"),
    (lambda: second_directions(S, [KeptMode((1,), 2, -1)]), ValueError, "±1×-1 of a layer with 2"),
    (
        lambda: random_mask(S.values > 0, S.multiplicity, 99, torch.Generator()),
        ValueError,
        "99 real",
    ),
    (
        lambda: random_mask(S.values > 0, S.multiplicity, -1, torch.Generator()),
        ValueError,
        "got -1",
    ),
    (lambda: with_directions(M, {9: S.values > 0}), ValueError, "layer must be <= 3, got 9"),
    (lambda: with_directions(M, {1: S.values > 0}), ValueError, "shape (5, 2) for values (5, 1)"),
    (lambda: keep_modes(M, [0], [MODE]), ValueError, "layer must be an integer >= 1, got 0"),
    (lambda: remove_modes(WINDOW, [2], [MODE]), ValueError, "and window (3,)"),
    (lambda: M.forward_from(4, X), ValueError, "layer must be <= 3, got 4"),
    (lambda: POOLING.forward_from(3, X), ValueError, "layer must be <= 2, got 3"),
    (lambda: unread_share(M.convs[0], [KeptMode((9,), 2, 1)], X), ValueError, "no mode (9,)"),
    (lambda: layer_at(M, 9), ValueError, "layer must be <= 3, got 9"),
    (lambda: compress(M, (1, 2), 9), ValueError, "coarse grid (9,) must not exceed the grid (8,)"),
    (
        lambda: compress(M, (2, 1), 4),
        ValueError,
        "last coarse layer must be an integer >= 2, got 1",
    ),
    (lambda: compress(M, (1,), 4), ValueError, "the first and the last one, got (1,)"),  # type: ignore[arg-type]
    (lambda: compress(WINDOW, (1, 2), 4), ValueError, "full-size filters can be compressed"),
    (lambda: refine(M), ValueError, "only a network with a coarse stage"),
    (lambda: multiplications(M, [0]), ValueError, "layer must be an integer >= 1, got 0"),
    (lambda: factored_multiplications(M, [9], [MODE]), ValueError, "layer must be <= 3, got 9"),
    (lambda: coefficients(X, [1, 2]), ValueError, "frequency (1, 2) does not fit the grid (8,)"),
    (lambda: coefficients(X, [9]), ValueError, "frequency (9,) does not fit the grid (8,)"),
    (lambda: Coordinate.leading(X, [1, 1]), ValueError, "frequency (1, 1) does not fit the grid"),
    (
        lambda: along(1, channels=2)(X),
        ValueError,
        "1 channels do not fit a direction of shape (2,)",
    ),
    (
        lambda: coherence(torch.ones(3) + 0j, torch.ones(4)),
        ValueError,
        "shapes differ: (3,) and (4,)",
    ),
    (lambda: swap_modes(X, X[:2], [[1]]), ValueError, "shapes differ: (3, 1, 8) and (2, 1, 8)"),
    (lambda: swap_modes(X, X, [[9]]), ValueError, "frequency (9,) does not fit the grid (8,)"),
    (lambda: M.forward_from(0, X), ValueError, "layer must be an integer >= 1, got 0"),
    (lambda: kept_coordinates(M.convs[0], NAN), ValueError, "threshold must be finite and >= 0"),
    (
        lambda: with_coordinate(X, along(1), ONES),
        ValueError,
        "3 signals need as many values, got (2,",
    ),
    (
        lambda: with_coordinate(X, along(9), torch.ones(3)),
        ValueError,
        "frequency (9,) does not fit",
    ),
    (lambda: with_coordinate(X, along(0), torch.ones(3) * 1j), ValueError, "at (0,) must be real"),
    (lambda: kept_rows(S, NAN), ValueError, "threshold must be finite and >= 0, got nan"),
    (lambda: overlap(ONES > 0, X > 0), ValueError, "shapes differ: (2,) and (3, 1, 8)"),
    (lambda: unwanted_share(S, ONES > 0), ValueError, "need 5 modes, got shape (2,)"),
    (
        lambda: falls_below([], [], 1.0),
        ValueError,
        "need one number per step, at least one, got []",
    ),
    (lambda: falls_below([1], [1, 2], 1.0), ValueError, "need one number per step"),
    (lambda: falls_below([1], [NAN], 1.0), ValueError, "need one number per step"),
    (lambda: falls_below([1], [1.0], 0.0), ValueError, "level must be finite and > 0, got 0.0"),
    (lambda: ridge_decay(TrainConfig(0.1, 0.1, 2)), ValueError, "must be 'sgd', got 'adam'"),
    (
        lambda: ridge_decay(TrainConfig(10, 1.0, 2, optimizer="sgd")),
        ValueError,
        "with rate 1.0 and rid",
    ),
    (
        lambda: decay_rates([[1.0]], [0.0]),
        ValueError,
        "at two different times or more, got [[1.0]]",
    ),
    (lambda: decay_rates([[1.0], [NAN]], [0.0, 1.0]), ValueError, "need numbers at two different"),
    (lambda: decay_rates([[1.0]], [0.0, 1.0]), ValueError, "need numbers at two different times"),
    (lambda: plot_heat_map(None, []), ValueError, "need spectra on one grid, got []"),  # type: ignore[arg-type]
]

THEORY: list[Row] = [
    (lambda: cbn_rank([], 8), ValueError, "at least one channel"),
    (lambda: cbn_rank([[1]], 8), ValueError, "the frequency (1,) without its negative (-1,)"),
    (
        lambda: cbn_rank([[(1, 1)]], 8),
        ValueError,
        "a frequency on grid (8,) has 1 axes, got (1, 1)",
    ),
    (lambda: cbn_rank([[1.5]], 8), TypeError, "'float' object cannot be interpreted as an integer"),  # type: ignore[list-item]
    (
        lambda: bottleneck_network([[0]], 8, 0, 1.0),
        ValueError,
        "depth must be an integer >= 1, got 0",
    ),
    (lambda: bottleneck_network([[0]], 8, 2, 0), ValueError, "bound must be finite and > 0, got 0"),
    (lambda: jacobian(M, X[0]), ValueError, "input must have 3 axes"),
    (lambda: jacobian(M, X * NAN), ValueError, "x: 24 of 24 entries are NaN"),
    (
        lambda: constant_input_spectrum(POOLING, 1.0),
        ValueError,
        "only a network with the equivariant",
    ),
    (
        lambda: constant_input_spectrum(M, ONES),
        ValueError,
        "one number or 1, one per channel; got sh",
    ),
    (lambda: constant_input_spectrum(M, NAN), ValueError, "level: 1 of 1 entries are NaN"),
    (lambda: tangent_jacobian(X, X[..., 1:]), ValueError, "those of J, (3, 1, 8); got (3, 1, 7)"),
    (lambda: linear_cost(X, 3), ValueError, "must have shape [values], got (3, 1, 8)"),
    (lambda: linear_cost(ONES, 0), ValueError, "L must be an integer >= 1, got 0"),
    (lambda: linear_cost(ONES, 2, tolerance=-1), ValueError, "tolerance must be finite and >= 0"),
    (lambda: linear_cost_expansion(-ONES, 2), ValueError, "singular values must be >= 0, got -1.0"),
    (lambda: balanced_factorisation(ONES, 2), ValueError, "shape [c_out, c_in, *grid], got (2,)"),
    (lambda: balanced_factorisation(W.long(), 2), ValueError, "(floating point), got torch.int64"),
    (lambda: end_to_end_blocks(M), ValueError, "must be linear, got nonlinearity 'relu'"),
    (lambda: schatten(ONES, NAN), ValueError, "p must be finite and > 0, got nan"),
    (
        lambda: schatten(torch.ones(2).long(), 2),
        ValueError,
        "r >= 1, got torch.int64 of shape (2,)",
    ),
    (lambda: norm_lower_bound(ONES, 2.0), ValueError, "L must be an integer >= 1, got 2.0"),  # type: ignore[arg-type]
    (lambda: norm_lower_bound(torch.ones(0), 2), ValueError, "got torch.float32 of shape (0,)"),
    (lambda: best_k_bound(ONES, 2, 3), ValueError, "in 1..2 (the rank), got 3"),
    (lambda: rank(torch.ones(())), ValueError, "got torch.float32 of shape ()"),
    (lambda: rank(ONES * NAN), ValueError, "singular values: 2 of 2 entries are NaN"),
    (lambda: signal_scales(0, 1.0, 3), ValueError, "rank must be an integer >= 1, got 0"),
    (lambda: signal_scales(1, -1.0, 3), ValueError, "energy must be finite and >= 0, got -1.0"),
    (lambda: bias_scales(1, 1.0, 0), ValueError, "L must be an integer >= 1, got 0"),
    (lambda: sharpness(M, X * NAN, X, ridge=0), ValueError, "x: 24 of 24 entries are NaN"),
    (lambda: sharpness(M, X, X * NAN, ridge=0), ValueError, "y: 24 of 24 entries are NaN"),
    (lambda: sharpness(M, X, X[:2], ridge=0), ValueError, "samples: 3, 2"),
    (lambda: sharpness(M, X, X, ridge=-1), ValueError, "ridge must be finite and >= 0, got -1"),
    (lambda: sharpness(M, X, X, ridge=0, loss="x"), ValueError, "unknown loss 'x'; allowed: cross"),  # type: ignore[arg-type]
    (
        lambda: sharpness(M, X, X, ridge=0, tolerance=0),
        ValueError,
        "tolerance must be finite and > 0",
    ),
    (
        lambda: sharpness(M, X, X, ridge=0, preconditioner=[ONES]),
        ValueError,
        "shapes [(2,)] does not",
    ),
    (
        lambda: adam_preconditioner(M, X, X, TrainConfig(0.1, 0.1, 2, optimizer="sgd")),
        ValueError,
        "only Adam has a preconditioner, got 'sgd'",
    ),
    (
        lambda: adam_preconditioner(M, X, X, TrainConfig(0.1, 0.1, 2), steps=0),
        ValueError,
        "steps must be an integer >= 1, got 0",
    ),
    (lambda: operator_values(conv()), TypeError, "CircularConv or nn.Linear, got Conv1d"),  # type: ignore[arg-type]
    (lambda: mode_distance(ONES, 3), ValueError, "k must be an integer in 1..2, got 3"),
    (lambda: mode_distance(X, 1), ValueError, "shape [r], got (3, 1, 8)"),
    (lambda: mode_distance(ONES * NAN, 1), ValueError, "singular values: 2 of 2 entries are NaN"),
    (lambda: weight_bottleneck(M, X, 1), ValueError, "shape [r], got (3, 1, 8)"),
    (lambda: weight_bottleneck(M, -ONES, 1), ValueError, "singular values must be >= 0, got -1.0"),
    (lambda: weight_bottleneck(M, ONES, 1).radius(2), ValueError, "p must be <= 1, got 2"),
    (lambda: weight_bottleneck(M, ONES, 1).separates(0), ValueError, "p must be finite and > 0"),
    (lambda: compressions(M, X, 99), ValueError, "k must be an integer in 1.."),
    (lambda: off_mode_energy(M, X, -1), ValueError, "layer 1: k must be an integer in 0..8"),
    (lambda: off_mode_energy(M, X, 2.5), ValueError, "non-zero singular values), got 2.5"),  # type: ignore[arg-type]
    (
        lambda: off_mode_energy(M, X, [1, 1]),
        ValueError,
        "k must be one number or 3, one per layer; got 2",
    ),
    (lambda: ntk_trace(WINDOW, X), ValueError, "only full-size filters (window None), got (3,)"),
    (
        lambda: end_to_end_blocks(network(nonlinearity="none", coarse=CoarseStage(4, 2, 2))),
        ValueError,
        "no coarse stage",
    ),
]


@pytest.mark.parametrize(("call", "error", "words"), [*SPECTRA, *USES, *THEORY])
def test_bad_arguments(call: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        call()
