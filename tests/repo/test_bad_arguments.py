"""Every public function refuses bad arguments: the message names value, place and what is allowed.

A row is a call, the type of the error and what the message says; `...` stands for anything.
"""

import math
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from cbnlib import (
    CNN,
    CircularConv,
    CNNConfig,
    Experiment,
    Spectrum,
    TaskSpec,
    TrainConfig,
    evaluate,
    frequencies,
    layer_spectrum,
    obtain,
    run_experiment,
    run_task,
    train,
    weight_spectra,
)
from cbnlib.book.explorer import explore
from cbnlib.book.explorer_page import Explorer
from cbnlib.book.plots import plot_heat_map
from cbnlib.book.slideshow import slideshow
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
from cbnlib.network.real_dft import RealDFT, blocks_to_coordinates, coordinates_to_blocks
from cbnlib.network.resampling import Resample, crop_noise
from cbnlib.runs.compact import compact
from cbnlib.runs.experiment import single
from cbnlib.runs.sweep import grid_of, sweep
from cbnlib.spectra.activations import pre_activation_spectra
from cbnlib.spectra.bottleneck import KeptMode, kept_modes, measure_bottleneck
from cbnlib.spectra.convolutions import filter_spectrum, spectrum_of_blocks
from cbnlib.spectra.extremes import conv_extremes
from cbnlib.spectra.modules import conv_spectrum, module_spectra
from cbnlib.spectra.over_time import decay_rates, falls_below, kept_rows, overlap, unwanted_share
from cbnlib.spectra.spectrum import middle_half
from cbnlib.tasks import (
    bump,
    bumps_at,
    digits,
    filtered_noise,
    load_task,
    low_pass,
    mnist,
    motion,
    reshaped_bump,
    shape_texture,
)
from cbnlib.theory.activation_bottleneck import ntk_trace, off_mode_energy
from cbnlib.theory.explicit_network import bottleneck_network, cbn_rank
from cbnlib.theory.jacobian import jacobian, tangent_jacobian
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
from cbnlib.training.ensemble import train_ensemble
from cbnlib.training.loop import Batches
from cbnlib.training.schedule import ridge_decay
from cbnlib.training.train import fit_function

V, T = ValueError, TypeError
NAN = math.nan
X = torch.randn(4, 1, 8, generator=torch.Generator().manual_seed(0))
TARGETS = X.unsqueeze(0)
LABELS = torch.tensor([0, 1, 2, 1])
W = torch.ones(2, 2, 3)
ONES = torch.ones(2)
RANK2 = torch.tensor([2.0, 1.0, 1e-20], dtype=torch.float64)
S = Spectrum((8,), torch.ones(5, 2))
MODE = KeptMode((1,), 2, 1)


def network(**config):
    return CNN(CNNConfig(**{"grid": 8, "width": 2, "depth": 3} | config), seed=0)


M, POOLING, WINDOW = network(), network(head="pooling"), network(window=3)
NETWORK, TRAINING = CNNConfig(8, 2, 2), TrainConfig(0.01, 0.01, 1)
E = single("bump", {"n": 8, "samples": 4}, NETWORK, TRAINING)
NONE, TEXT = None, "no"
SPEC = TaskSpec("bump", {"n": 8})


def classifier():
    return network(head="pooling", c_out=3)


def frozen():
    return network().requires_grad_(False)


def with_nan(model):
    model.convs[1].weight.data[0, 0, 0] = NAN
    return model


def holed(values):
    values = values.clone()
    values[0, 0, 0] = NAN
    return values


def conv(**options):
    return nn.Conv1d(
        **{"in_channels": 1, "out_channels": 1, "kernel_size": 3, "padding": 1} | options
    )


def nan_conv():
    made = conv()
    nn.init.constant_(made.weight, NAN)
    return made


def conv2(**options):
    return nn.Conv2d(4, 2, **{"kernel_size": 3, "padding": 1, "padding_mode": "circular"} | options)


def along(*omega, channels=1):
    return Coordinate(omega, torch.ones(channels) + 0j)


def config(**changes):
    return lambda: CNNConfig(**{"grid": 8, "width": 2, "depth": 3} | changes)


def training(**changes):
    return lambda: TrainConfig(**{"ridge": 0.1, "learning_rate": 0.1, "steps": 1} | changes)


def stage(**changes):
    return lambda: CoarseStage(**{"grid": 4, "first": 2, "last": 2} | changes)


def fit(model=None, x=X, y=X, **changes):
    model = network() if model is None else model
    train(model, x, y, training(**changes)(), progress=False)


def together(models, x=X, y=TARGETS):
    train_ensemble(models, x, y, training()(), progress=False)


def figures(*sizes):
    made = [(str(size), plt.figure(figsize=(size, 1))) for size in sizes]
    plt.close("all")
    return made


ROWS = [
    # frequencies
    (lambda: frequencies(8.0), V, "grid axis must be an integer >= 1, got 8.0"),
    (lambda: frequencies((4, 0)), V, "grid axis must be an integer >= 1, got 0"),
    (lambda: frequencies((2, 2, 2, 2)), V, "grid must have 1 to 3 axes, got 4"),
    # layers
    (lambda: CircularConv(0, 1, 8), V, "c_in must be an integer >= 1, got 0"),
    (lambda: CircularConv(1, 1.0, 8), V, "c_out must be an integer >= 1, got 1.0"),
    (lambda: CircularConv(1, 1, 8.0), V, "grid axis must be an integer"),
    (lambda: CircularConv(1, 1, 8, window="x"), V, "window axis must be... got 'x'"),
    (lambda: CircularConv(1, 1, 8, window=9), V, "filter larger than the grid"),
    (lambda: CircularConv(1, 1, 8, bias="no"), V, "bias must be True or False, got"),
    (lambda: CircularConv(1, 1, 8, gain="1"), V, "gain must be finite and > 0, got '"),
    (lambda: CircularConv(1, 1, 8, parametrization=1), V, "unknown parametrization 1"),
    (lambda: CircularConv(1, 1, 8)(X.double()), V, "input ...float32 ... got ...float64"),
    (lambda: CircularConv(1, 1, 8)(X.to("meta")), V, "input ... cpu, got ... on meta"),
    (lambda: CircularConv(1, 1, 8)(X.numpy()), T, "input must be a Tensor, got array"),
    (lambda: CircularConv(1, 1, 8).half()(X), V, "weight must be float32 or float64"),
    (lambda: CircularConv(1, 1, 8).half().blocks(), V, "weight ... got ...float16"),
    (lambda: CircularConv(1, 1, 8).set_blocks(None), T, "blocks must be a Tensor, got"),
    (lambda: CircularConv(1, 1, 8).start_on(9), V, "coarse grid (9,) must fit in"),
    # model
    (config(grid="x"), V, "grid axis must be an integer >= 1, got 'x'"),
    (config(width=None), V, "width must be an integer >= 1, got None"),
    (config(depth=True), V, "depth must be an integer >= 1, got True"),
    (config(c_in="1"), V, "c_in must be an integer >= 1, got '1'"),
    (config(c_out=0), V, "c_out must be an integer >= 1, got 0"),
    (config(head=None), V, "unknown head None; allowed: equivariant, pooling"),
    (config(window=9), V, "filter larger than the grid: window (9,) on grid (8,"),
    (config(window=3.0), V, "window axis must be an integer >= 1, got 3.0"),
    (config(bias="no"), V, "bias must be True or False, got 'no'"),
    (config(nonlinearity=[]), V, "unknown nonlinearity []; allowed: none, relu"),
    (config(coarse=4), T, "coarse must be a CoarseStage, got 4"),
    (config(coarse=CoarseStage(4, 2, 3)), V, "last coarse layer must be <= 2, got 3"),
    (config(parametrization="x"), V, "unknown parametrization 'x'; allowed: pixel, s"),
    (config(gain="1"), V, "gain must be finite and > 0, got '1'"),
    (stage(grid=4.0), V, "grid axis must be an integer >= 1, got 4.0"),
    (stage(first=0), V, "first coarse layer must be an integer >= 1, got 0"),
    (stage(last=1), V, "last coarse layer must be an integer >= 2, got 1"),
    (stage(method="max"), V, "unknown resampling 'max'; allowed: average, crop, strid"),
    (lambda: CNN({"grid": 8}, seed=0), T, "config must be a CNNConfig, got {'grid': 8}"),
    (lambda: CNN(config()(), seed="0"), V, "seed must be an integer >= 0, got '0'"),
    (lambda: config()().grid_of(0), V, "layer must be an integer >= 1, got 0"),
    (lambda: network()(X[:, 0]), V, "input must have 3 axes ... got 2"),
    (lambda: network().half()(X), V, "weight must be float32 or float64, got torch.fl"),
    # resampling
    (lambda: Resample((8,), (4,), "max"), V, "unknown resampling 'max'; allowed: avera"),
    (lambda: Resample((8,), (3,), "stride"), V, "coarse grid (3,) must divide"),
    (lambda: Resample((8,), (4, 4), "crop"), V, "must have as many axes as"),
    (lambda: Resample(8, 4, "crop", adjoint="no"), V, "adjoint must be True or False"),
    (lambda: crop_noise(torch.ones(1, 1, 5), 8, 9), V, "coarse grid (9,) must fit"),
    (lambda: crop_noise(torch.ones(1, 1, 4), 8, 4), V, "blocks ... 5), got (1, 1, 4"),
    # real_dft
    (lambda: RealDFT(8.0), V, "grid axis must be an integer >= 1, got 8.0"),
    (lambda: RealDFT(8, torch.float16), V, "dtype must be float32 or float64, got"),
    (lambda: coordinates_to_blocks(torch.ones(7), (8,)), V, "8 coordinates, got 7"),
    (lambda: blocks_to_coordinates(torch.ones(8), (8,)), V, "5 frequencies, got 8"),
    # train_config
    (training(ridge=True), V, "ridge must be finite and >= 0, got True"),
    (training(learning_rate="1"), V, "learning_rate must be finite and > 0, got '1'"),
    (training(steps=1.0), V, "steps must be an integer >= 0, got 1.0"),
    (training(batch_size="x"), V, "batch_size must be an integer >= 1, got 'x'"),
    (training(optimizer=None), V, "unknown optimizer None; allowed: adam, sgd"),
    (training(momentum="x"), V, "momentum must be finite and >= 0, got 'x'"),
    (training(momentum=1), V, "momentum must be in [0, 1), got 1"),
    (training(schedule=()), V, "unknown schedule ...; allowed: constant, cosine"),
    (training(loss="x"), V, "unknown loss 'x'; allowed: cross_entropy, square"),
    (training(seed="x"), V, "seed must be an integer >= 0, got 'x'"),
    (training(records=None), V, "records must be an integer >= 1, got None"),
    (training(snapshots=1), V, "snapshots must be an integer >= 2, got 1"),
    # loop
    (lambda: Batches(0, 4, 0), V, "samples must be an integer >= 1, got 0"),
    # training
    (lambda: fit(lambda x: x), T, "model must be a Module, got <function"),
    (lambda: fit(frozen()), V, "no parameter that requires a gradient"),
    (lambda: fit(torch.nn.LSTM(8, 8)), T, "the network's output must be a Tensor, got"),
    (lambda: fit(network().half()), V, "convs.0.weight must be float32 or float64, g"),
    (lambda: fit(network().to("meta")), V, "convs.0.weight is on the meta device"),
    (lambda: fit(x=X.numpy()), T, "x must be a Tensor, got array"),
    (lambda: fit(x=X.double()), V, "input must have the dtype and device of the weig"),
    (lambda: fit(y=[1.0]), T, "y must be a Tensor, got [1.0]"),
    (lambda: fit(y=X[:2]), V, "same number >= 1 of samples: 4, 2"),
    (lambda: fit(y=X[:, 0]), V, "y must have shape (4, 1, 8), got (4, 8)"),
    (lambda: fit(y=X.to("meta")), V, "x and y must lie on one device, got cpu and meta"),
    (lambda: fit(classifier(), y=LABELS.int(), loss="cross_entropy"), V,
     "y must hold integer labels in 0..2, one per sample, as torch.int64, got torch.int32"),
    (lambda: fit(classifier(), y=LABELS + 1, loss="cross_entropy"), V,
     "y must hold integer labels in 0..2, ... in 1..3"),
    (lambda: fit(network(c_out=3), y=LABELS, loss="cross_entropy"), V,
     "loss 'cross_entropy' needs ... head='pooling'; ... shape (3, 8)"),
    (lambda: train(network(), X, X, {"steps": 1}), T,
     "config must be a TrainConfig, got {'steps': 1}"),
    (lambda: evaluate(network(), X, X, loss="x"), V, "unknown loss 'x'; allowed: cross"),
    (lambda: evaluate(network(), X, X, batch_size=0), V, "batch_size must be an integer"),
    (lambda: evaluate(None, X, X), T, "model must be a Module, got None"),
    (lambda: evaluate(network(), X, LABELS), V, "y must have shape (4, 1, 8), got"),
    (lambda: fit_function("x"), V, "unknown loss 'x'; allowed: cross_entropy, square"),
    # ensembles
    (lambda: together([]), V, "an ensemble needs at least one network"),
    (lambda: together([None]), T, "member 0 is none: it is a NoneType, not a CNN"),
    (lambda: together([frozen()]), T, "member 0 is none: convs.0.weight is frozen"),
    (lambda: together([network()] * 2), V, "got one of them twice"),
    (lambda: together([network()], X.double()), V, "member 0: convs.0.weight must have"),
    (lambda: together([network()], X.numpy()), T, "x must be a Tensor, got array"),
    (lambda: together([network()], y=X), V, "y must have shape (1, 4, 1, 8), got"),
    (lambda: together([network()], y=X[None].double()), V, "y must have the dtype and"),
    (lambda: train_ensemble([network()], X, X[None], None), T, "config must be a TrainC"),
    # slideshow
    (lambda: slideshow([], "A description"), V, "need figures of one size, got none"),
    (lambda: slideshow(figures(1), " "), V, "a slideshow needs a description, got ' '"),
    (lambda: slideshow(figures(1), None), V, "a slideshow needs a description, got None"),
    (lambda: slideshow(figures(1, 2), "x"), V, "need figures of one size, got [("),
    (lambda: slideshow(figures(1), "x", dpi=0), V, "dpi must be finite and > 0, got 0"),
    (lambda: slideshow([("a", None)], "x"), T, "figure must be a Figure, got None"),
    # spectra
    (lambda: Spectrum((8,), [[1.0]]), T, "values must be a Tensor, got [[1.0]]"),
    (lambda: S.gap("1"), V, "threshold must be finite and >= 0, got '1'"),
    (lambda: layer_spectrum(M), T, "layer must be a CircularConv, got CNN("),
    (lambda: weight_spectra(conv()), T, "model must be a CNN, got Conv1d(1, 1"),
    (lambda: module_spectra("x", X), T, "model must be a Module, got 'x'"),
    (lambda: Spectrum((8,), torch.ones(1, 2)), V, "(8,) must be real, of shape [5, dir"),
    (lambda: Spectrum((8,), torch.ones(5)), V, "one row per mode; got torch.float32 of"),
    (lambda: Spectrum((8,), torch.ones(5, 2) + 0j), V, "got torch.complex64 of shape (5"),
    (lambda: Spectrum((2,) * 4, torch.ones(5, 2)), V, "grid must have 1 to 3 axes, got"),
    (lambda: Spectrum((8,), torch.full((5, 2), NAN)), V, "values: 10 of 10 entries are N"),
    (lambda: S.real_dimensions(-1), V, "threshold must be finite and >= 0, got -1"),
    (lambda: S.kept_by_degree(-1), V, "threshold must be finite and >= 0, got -1"),
    (lambda: kept_modes(S, NAN), V, "threshold must be finite and >= 0, got nan"),
    (lambda: spectrum_of_blocks(torch.ones(2, 2, 4) + 0j, (8,)), V, "(5,), got (2, 2, 4)"),
    (lambda: spectrum_of_blocks(torch.ones(5) + 0j, (8,)), V, "(5,), got (5,)"),
    (lambda: filter_spectrum(torch.ones(3), 8), V, "window () does not fit the grid (8,)"),
    (lambda: filter_spectrum(W, 2), V, "window (3,) does not fit the grid (2,)"),
    (lambda: filter_spectrum(W.half(), 8), V, "torch.float32 or torch.float64, got torch.f"),
    (lambda: filter_spectrum(W.long(), 8), V, "got torch.int64 for a weight of torch.int64"),
    (lambda: filter_spectrum(W + 0j, 8, dtype=torch.float32), V, "weight of torch.complex"),
    (lambda: filter_spectrum(W.to("meta"), 8), V, "filter is on the meta device"),
    (lambda: layer_spectrum(network().to("meta").convs[0]), V, "weight is on the meta"),
    (lambda: weight_spectra(network().half()), V, "weight of layer 1: the precision must"),
    (lambda: middle_half(0), V, "depth must be an integer >= 1, got 0"),
    (lambda: pre_activation_spectra(M, X[:0]), V, "samples must be an integer >= 1, got 0"),
    (lambda: pre_activation_spectra(M, X[..., 1:]), V, "grid (8,), got (7,)"),
    (lambda: conv_spectrum(conv(device="meta"), 8), V, "weight is on the meta device"),
    (lambda: conv_spectrum(conv(dtype=torch.half), 8), V, "weight: the precision must be"),
    (lambda: conv_spectrum(conv(dtype=torch.cfloat), 8), V, "weight: the precision must be"),
    (lambda: conv_spectrum(conv(padding=0), 2), V, "filter of 3 ... the grid's axis of 2"),
    (lambda: Spectrum((8,), torch.ones(5, 2), "sure"), V, "unknown kind 'sure'; allowed: approx"),
    (lambda: conv_spectrum(conv(), "8"), V, "grid axis must be an integer >= 1, got '8'"),
    (lambda: conv_spectrum(conv(), (8, 8)), V, "Conv1d acts on 1 axes, grid (8, 8)"),
    (lambda: conv_spectrum(nn.LazyConv1d(1, 3, padding=1), 8), V, "(_infer_parameters)"),
    (lambda: conv_spectrum(M.convs[0], 9), V, "acts on the grid (8,), got (9,)"),
    (lambda: conv_spectrum(nn.Linear(1, 1), 8), T, "need a convolution of torch.nn, got torch"),
    (lambda: module_spectra(nn.ReLU(), X), V, "pass through ReLU met no convolution"),
    (lambda: module_spectra(nn.Sequential(conv(), nan_conv()), X), V, "layer '1': weight: 3 of 3"),
    (lambda: module_spectra(conv(), X, dtype=torch.half), V, "layer '': weight: the precis"),
    # uses
    (lambda: measure_bottleneck([1, 2]), T, "spectrum must be a Spectrum, got 1"),
    (lambda: measure_bottleneck([]), V, "spectra must hold at least one layer"),
    (lambda: measure_bottleneck([S, layer_spectrum(network(grid=(2, 2)).convs[0])]), V, "axes"),
    (lambda: mode_mask(S, [KeptMode((9,), 2, 1)]), V, "no mode (9,) on the grid (8,)"),
    (lambda: mode_mask(S, [KeptMode((1,), 2, 3)]), V, "±1×3 of a layer with 2 directions"),
    (lambda: second_directions(S, [KeptMode((1,), 2, -1)]), V, "±1×-1 of a layer with 2"),
    (lambda: random_mask(S.values > 0, S.multiplicity, 99, torch.Generator()), V, "99 real"),
    (lambda: random_mask(S.values > 0, S.multiplicity, -1, torch.Generator()), V, "got -1"),
    (lambda: with_directions(M, {9: S.values > 0}), V, "layer must be <= 3, got 9"),
    (lambda: with_directions(M, {1: S.values > 0}), V, "shape (5, 2) for values (5, 1)"),
    (lambda: keep_modes(M, [0], [MODE]), V, "layer must be an integer >= 1, got 0"),
    (lambda: remove_modes(WINDOW, [2], [MODE]), V, "and window (3,)"),
    (lambda: M.forward_from(4, X), V, "layer must be <= 3, got 4"),
    (lambda: POOLING.forward_from(3, X), V, "layer must be <= 2, got 3"),
    (lambda: unread_share(M.convs[0], [KeptMode((9,), 2, 1)], X), V, "no mode (9,)"),
    (lambda: layer_at(M, 9), V, "layer must be <= 3, got 9"),
    (lambda: compress(M, (1, 2), 9), V, "coarse grid (9,) must not exceed the grid (8,)"),
    (lambda: compress(M, (2, 1), 4), V, "last coarse layer must be an integer >= 2, got 1"),
    (lambda: compress(M, (1,), 4), V, "the first and the last one, got (1,)"),
    (lambda: compress(WINDOW, (1, 2), 4), V, "full-size filters can be compressed"),
    (lambda: refine(M), V, "only a network with a coarse stage"),
    (lambda: multiplications(M, [0]), V, "layer must be an integer >= 1, got 0"),
    (lambda: factored_multiplications(M, [9], [MODE]), V, "layer must be <= 3, got 9"),
    (lambda: coefficients(X, [1, 2]), V, "frequency (1, 2) does not fit the grid (8,)"),
    (lambda: coefficients(X, [9]), V, "frequency (9,) does not fit the grid (8,)"),
    (lambda: Coordinate.leading(X, [1, 1]), V, "frequency (1, 1) does not fit the grid"),
    (lambda: along(1, channels=2)(X), V, "1 channels do not fit a direction of shape (2,)"),
    (lambda: coherence(torch.ones(3) + 0j, torch.ones(4)), V, "shapes differ: (3,) and (4,)"),
    (lambda: swap_modes(X, X[:2], [[1]]), V, "shapes differ: (4, 1, 8) and (2, 1, 8)"),
    (lambda: swap_modes(X, X, [[9]]), V, "frequency (9,) does not fit the grid (8,)"),
    (lambda: M.forward_from(0, X), V, "layer must be an integer >= 1, got 0"),
    (lambda: kept_coordinates(M.convs[0], NAN), V, "threshold must be finite and >= 0"),
    (lambda: with_coordinate(X, along(1), ONES), V, "4 signals need as many values, got (2,"),
    (lambda: with_coordinate(X, along(9), torch.ones(4)), V, "frequency (9,) does not fit"),
    (lambda: with_coordinate(X, along(0), torch.ones(4) * 1j), V, "at (0,) must be real"),
    (lambda: kept_rows(S, NAN), V, "threshold must be finite and >= 0, got nan"),
    (lambda: overlap(ONES > 0, X > 0), V, "shapes differ: (2,) and (4, 1, 8)"),
    (lambda: unwanted_share(S, ONES > 0), V, "need 5 modes, got shape (2,)"),
    (lambda: falls_below([], [], 1.0), V, "need one number per step, at least one, got []"),
    (lambda: falls_below([1], [1, 2], 1.0), V, "need one number per step"),
    (lambda: falls_below([1], [NAN], 1.0), V, "need one number per step"),
    (lambda: falls_below([1], [1.0], 0.0), V, "level must be finite and > 0, got 0.0"),
    (lambda: ridge_decay(TrainConfig(0.1, 0.1, 2)), V, "must be 'sgd', got 'adam'"),
    (lambda: ridge_decay(TrainConfig(10, 1.0, 2, optimizer="sgd")), V, "with rate 1.0 and rid"),
    (lambda: decay_rates([[1.0]], [0.0]), V, "at two different times or more, got [[1.0]]"),
    (lambda: decay_rates([[1.0], [NAN]], [0.0, 1.0]), V, "need numbers at two different"),
    (lambda: decay_rates([[1.0]], [0.0, 1.0]), V, "need numbers at two different times"),
    (lambda: plot_heat_map(None, []), V, "need spectra on one grid, got []"),
    # theory
    (lambda: cbn_rank([], 8), V, "at least one channel"),
    (lambda: cbn_rank([[(1, 1)]], 8), V, "a frequency on grid (8,) has 1 axes, got (1, 1)"),
    (lambda: cbn_rank([[1.5]], 8), T, "'float' object cannot be interpreted as an integer"),
    (lambda: bottleneck_network([[0]], 8, 0, 1.0), V, "depth must be an integer >= 1, got 0"),
    (lambda: bottleneck_network([[0]], 8, 2, 0), V, "bound must be finite and > 0, got 0"),
    (lambda: jacobian(M, X[0]), V, "input must have 3 axes"),
    (lambda: jacobian(M, X * NAN), V, "x: 32 of 32 entries are NaN"),
    (lambda: tangent_jacobian(X, X[..., 1:]), V, "those of J, (4, 1, 8); got (4, 1, 7)"),
    (lambda: linear_cost(X, 3), V, "must have shape [values], got (4, 1, 8)"),
    (lambda: linear_cost(ONES, 0), V, "L must be an integer >= 1, got 0"),
    (lambda: linear_cost(ONES, 2, tolerance=-1), V, "tolerance must be finite and >= 0"),
    (lambda: linear_cost_expansion(-ONES, 2), V, "singular values must be >= 0, got -1.0"),
    (lambda: balanced_factorisation(ONES, 2), V, "shape [c_out, c_in, *grid], got (2,)"),
    (lambda: balanced_factorisation(W.long(), 2), V, "(floating point), got torch.int64"),
    (lambda: end_to_end_blocks(M), V, "must be linear, got nonlinearity 'relu'"),
    (lambda: schatten(torch.ones(2).long(), 2), V, "r >= 1, got torch.int64 of shape (2,)"),
    (lambda: norm_lower_bound(ONES, 2.0), V, "L must be an integer >= 1, got 2.0"),
    (lambda: norm_lower_bound(torch.ones(0), 2), V, "got torch.float32 of shape (0,)"),
    (lambda: rank(torch.ones(())), V, "got torch.float32 of shape ()"),
    (lambda: rank(ONES * NAN), V, "singular values: 2 of 2 entries are NaN"),
    (lambda: signal_scales(0, 1.0, 3), V, "rank must be an integer >= 1, got 0"),
    (lambda: signal_scales(1, -1.0, 3), V, "energy must be finite and >= 0, got -1.0"),
    (lambda: bias_scales(1, 1.0, 0), V, "L must be an integer >= 1, got 0"),
    (lambda: sharpness(M, X * NAN, X, ridge=0), V, "x: 32 of 32 entries are NaN"),
    (lambda: sharpness(M, X, X * NAN, ridge=0), V, "y: 32 of 32 entries are NaN"),
    (lambda: sharpness(M, X, X[:2], ridge=0), V, "samples: 4, 2"),
    (lambda: sharpness(M, X, X, ridge=-1), V, "ridge must be finite and >= 0, got -1"),
    (lambda: sharpness(M, X, X, ridge=0, loss="x"), V, "unknown loss 'x'; allowed: cross"),
    (lambda: sharpness(M, X, X, ridge=0, tolerance=0), V, "tolerance must be finite and > 0"),
    (lambda: sharpness(M, X, X, ridge=0, preconditioner=[ONES]), V, "shapes [(2,)] does not"),
    (lambda: adam_preconditioner(M, X, X, TrainConfig(0.1, 0.1, 2, optimizer="sgd")), V,
     "only Adam has a preconditioner, got 'sgd'"),
    (lambda: adam_preconditioner(M, X, X, TrainConfig(0.1, 0.1, 2), steps=0), V,
     "steps must be an integer >= 1, got 0"),
    (lambda: operator_values(conv()), T, "CircularConv or nn.Linear, got Conv1d"),
    (lambda: mode_distance(ONES, 3), V, "k must be an integer in 1..2, got 3"),
    (lambda: mode_distance(ONES, 0), V, "k must be an integer in 1..2, got 0"),
    (lambda: mode_distance(ONES, True), V, "k must be an integer in 1..2, got True"),
    (lambda: weight_bottleneck(M, RANK2, 2.0), V, "in 1..2 (the rank), got 2.0"),
    (lambda: mode_distance(X, 1), V, "shape [r], got (4, 1, 8)"),
    (lambda: mode_distance(ONES * NAN, 1), V, "singular values: 2 of 2 entries are NaN"),
    (lambda: weight_bottleneck(M, X, 1), V, "shape [r], got (4, 1, 8)"),
    (lambda: weight_bottleneck(M, -ONES, 1), V, "singular values must be >= 0, got -1.0"),
    (lambda: weight_bottleneck(M, ONES, 1).radius(2), V, "p must be <= 1, got 2"),
    (lambda: weight_bottleneck(M, ONES, 1).separates(0), V, "p must be finite and > 0"),
    (lambda: compressions(M, X, 99), V, "k must be an integer in 1.."),
    (lambda: weight_bottleneck(M, ONES, 1).radius(0.0), V, "p must be finite and > 0"),
    (lambda: off_mode_energy(M, X, -1), V, "layer 1: k must be an integer in 0..8"),
    (lambda: off_mode_energy(M, X, 9), V, "in 0..8 (its non-zero singular values), got 9"),
    (lambda: off_mode_energy(M, X, True), V, "got True"),
    (lambda: off_mode_energy(M, X, [0, 0, 9]), V, "layer 3: k must be an integer in 0..8"),
    (lambda: off_mode_energy(M, X, 2.5), V, "non-zero singular values), got 2.5"),
    (lambda: off_mode_energy(M, X, [1, 1]), V, "k must be one number or 3, one per layer; got 2"),
    (lambda: ntk_trace(WINDOW, X), V, "only full-size filters (window None), got (3,)"),
    (lambda: end_to_end_blocks(network(nonlinearity="none", coarse=CoarseStage(4, 2, 2))), V,
     "no coarse stage"),
    # runs
    (lambda: compact(M.convs[0], budget=-1), V, "budget must be finite and >= 0, got -1"),
    (lambda: run_task(TEXT, NETWORK, TRAINING), T, "task must be a Task, got 'no'"),
    (lambda: run_task(bump(8, 2), TEXT, TRAINING), T, "network must be a CNNConfig"),
    (lambda: run_task(bump(8, 2), NETWORK, NONE), T, "training must be a TrainConfig"),
    (lambda: run_experiment(TEXT), T, "experiment must be a Experiment, got 'no'"),
    (lambda: run_task(replace(bump(8, 2), loss="cross_entropy"), NETWORK, TRAINING), V,
     "needs loss 'cross_entropy', got 'square'"),
    (lambda: run_task(bump(8, 2), CNNConfig(9, 2, 2), TRAINING), V, "on grid (9,), got (8,)"),
    (lambda: run_experiment(replace(E, tasks=(SPEC, TaskSpec("bump", {"n": 8, "seed": 1})))), V,
     "the tasks of an ensemble must have the same inputs"),
    (lambda: run_experiment(replace(E, training=training(loss="cross_entropy")())), V,
     "needs loss 'square', got 'cross_entropy'"),
    (lambda: run_experiment(E, progress=TEXT), V, "progress must be True or False"),
    (lambda: run_experiment(E, checkpoint_seconds=-1), V, "checkpoint_seconds must be"),
    (lambda: obtain(TEXT, records=[], workspace=None), T, "experiment must be a"),
    (lambda: obtain(E, records="records", workspace=None), T, "records must be a list"),
    (lambda: sweep(E, "x"), T, "experiments must be a list of them"),
    (lambda: sweep(["bump"], "x"), T, "experiment must be a Experiment, got 'bump'"),
    (lambda: sweep([E], "x", progress=2), V, "progress must be True or False"),
    (lambda: sweep([E], "x", workers=0), V, "workers must be an integer >= 1, got 0"),
    (lambda: sweep([E], "x", retries=-1), V, "retries must be an integer >= 0, got -1"),
    (lambda: sweep([E], "x", workers=2, scheduler="tcp://127.0.0.1:1"), V, "either workers or a"),
    (lambda: grid_of(E, breadth=[1]), V, "unknown axis 'breadth'; allowed: ...depth...width"),
    (lambda: grid_of(E, depth=[]), V, "number of values of axis 'depth' must be ... got 0"),
    (lambda: grid_of(E, ridge=[-1.0]), V, "ridge must be finite and >= 0, got -1"),
    (lambda: grid_of(replace(E, seeds=(0, 1)), seed=[2]), V, "a base with one seed, got (0, 1)"),
    (lambda: grid_of(TEXT, depth=[2]), T, "base must be a Experiment"),
    (lambda: grid_of(E, depth=3), V, "values of axis 'depth' must be a list or tuple"),
    (lambda: grid_of(E, loss="square"), V, "values of axis 'loss' must be a list"),
    (lambda: TaskSpec("bump", TEXT), T, "options of task 'bump' must be a dict, got 'no'"),
    (lambda: TaskSpec("bumps", {}), V, "unknown task 'bumps'; allowed: bump"),
    (lambda: TaskSpec("bump", {"m": 8}), V, "option of task 'bump' 'm'; allowed: n, samples, seed"),
    (lambda: TaskSpec("mnist", {"folder": "x"}), V, "unknown option of task 'mnist' 'folder'"),
    (lambda: TaskSpec("low_pass", {"grid": 8}), V, "task 'low_pass' needs the option 'supports'"),
    (lambda: TaskSpec("bump", {"n": torch.tensor(1)}), V, "are no JSON: ... not JSON serial"),
    (lambda: TaskSpec("bump", {"sharpness": NAN}), V, "are no JSON: Out of range float values"),
    (lambda: TaskSpec("bump", {"n": TEXT}).load(), V, "n must be an integer"),
    (lambda: TaskSpec("bump", {"sharpness": NONE}).load(), V, "sharpness must be finite"),
    (lambda: Experiment(SPEC, NETWORK, TRAINING, (0,)), T, "tasks must be a list or tuple"),
    (lambda: Experiment((TEXT,), NETWORK, TRAINING, (0,)), T, "task must be a TaskSpec"),
    (lambda: Experiment((SPEC,), TEXT, TRAINING, (0,)), T, "network must be a CNNConfig"),
    (lambda: Experiment((SPEC,), NETWORK, TEXT, (0,)), T, "training must be a TrainConfig"),
    (lambda: Experiment((SPEC,), NETWORK, TRAINING, 3), T, "seeds must be a list or tuple"),
    (lambda: replace(E, seeds=()), V, "at least one task and one seed"),
    (lambda: replace(E, tasks=()), V, "at least one task and one seed"),
    (lambda: replace(E, seeds=(-1,)), V, "seed must be an integer >= 0, got -1"),
    (lambda: replace(E, label=3), T, "label must be a str, got 3"),
    (lambda: single("bump", {}, NETWORK, NONE), T, "training must be a TrainConfig"),
    (lambda: Experiment.from_facts(TEXT), V, "facts must be a dict, got 'no'"),
    (lambda: load_task("bumps"), V, "unknown task 'bumps'; allowed: bump"),
    (lambda: bump(8.0), V, "n must be an integer >= 1, got 8.0"),
    (lambda: bump(8, sharpness=TEXT), V, "sharpness must be finite and > 0, got 'no'"),
    (lambda: reshaped_bump(8, unit_energy=TEXT), V, "unit_energy must be True or False"),
    (lambda: low_pass([[0]], 8, relu=TEXT), V, "relu must be True or False, got 'no'"),
    (lambda: filtered_noise([1.0], 8), V, "8 pixels need 5 gains, got 1"),
    (lambda: digits(10), V, "digit must be in 0..9 or None, got 10"),
    (lambda: digits(margin=-1), V, "margin must be an integer >= 0, got -1"),
    (lambda: mnist(size=5), V, "size must divide 28, got 5"),
    (lambda: mnist(split=TEXT), V, "unknown split 'no'; allowed: test, train"),
    (lambda: mnist(folder=Path("nowhere")), FileNotFoundError, "no train-images-idx3-ubyte.gz"),
    (lambda: explore([], "a", b""), V, "need one run per depth"),
    (lambda: Explorer({}, {}, " ", b""), V, "an explorer needs a description"),
    # more of network
    (lambda: frequencies(()), V, "grid must have 1 to 3 axes"),
    (lambda: RealDFT((2, 2, 2)), V, "grid must have 1 or 2 axes, got 3"),
    (config(depth=1, head="pooling"), V, "depth must be an integer >= 2, got 1"),
    (config(grid=(2, 2, 2)), V, "grid must have 1 or 2 axes"),
    (config(window=(3, 3)), V, "window must have 1 axes"),
    (lambda: network(coarse=CoarseStage(3, 2, 2, "stride")), V, "(3,) must divide the grid"),
    (lambda: network(coarse=CoarseStage(9, 2, 2)), V, "(9,) must not exceed the grid (8,)"),
    (lambda: network(coarse=CoarseStage((4, 4), 2, 2)), V, "must have as many axes"),
    (lambda: network(c_in=2)(torch.ones(1, 3, 8)), V, "input must have 2 channels, got 3"),
    (lambda: M(X[..., :5]), V, "input must live on grid (8,), got (5,)"),
    (lambda: CircularConv(1, 1, 8).start_on((4, 4)), V, "(4, 4) must fit in the grid (8,)"),
    (lambda: WINDOW.convs[0].start_on(4), V, "a filter of size (3,) cannot start on another grid"),
    (lambda: WINDOW.convs[0].set_blocks(WINDOW.convs[0].blocks()), V, "window (3,)"),
    (lambda: CircularConv(2, 3, (4, 4)).set_blocks(torch.ones(3, 2, 4, 4) + 0j), V,
     "blocks of shape (3, 2, 4, 4) do not fit"),
    (lambda: CircularConv(2, 3, (4, 4), window=3, parametrization="spectral"), V,
     "a spectral filter has no window, got (3, 3)"),
    # more of training
    (lambda: fit(x=holed(X)), V, "x: 1 of 32 entries are NaN"),
    (lambda: fit(y=holed(X)), V, "y: 1 of 32 entries are NaN"),
    (lambda: fit(x=X[:0], y=X[:0]), V, "same number >= 1 of samples: 0, 0"),
    (lambda: fit(with_nan(network())), V, "convs.1.weight: 1 of 32 entries are NaN or infinite"),
    (lambda: together([network(), network(width=3)], y=torch.stack([X, X])), V,
     "all of the same config"),
    (lambda: train_ensemble([network()], X, X[None], training(loss="cross_entropy")()), V,
     "needs loss 'square'"),
    # more of spectra
    (lambda: filter_spectrum(W, (4, 4)), V, "window (3,) does not fit the grid (4, 4)"),
    (lambda: filter_spectrum(W, 4, dtype=torch.half), V, "torch.float64, got torch.float16"),
    (lambda: filter_spectrum(holed(torch.ones(20, 20, 3)), 41), V, "filter: 1 of ... NaN or inf"),
    (lambda: filter_spectrum(holed(torch.ones(20, 20, 40)), 41), V, "filter: 1 of ... NaN or inf"),
    (lambda: filter_spectrum(torch.full((2, 2, 3), 3e38), 41), V, "Fourier blocks: ... NaN or in"),
    (lambda: filter_spectrum(torch.full((2, 2, 40), 3e38), 41), V, "Fourier blocks: ... NaN or in"),
    (lambda: pre_activation_spectra(M, holed(X)), V, "x: 1 of 32 entries are NaN"),
    (lambda: layer_spectrum(with_nan(network()).convs[1]), V, "weight: 1 of 32 entries are NaN"),
    (lambda: weight_spectra(with_nan(network())), V, "weight of layer 2: 1 of 32 entries are NaN"),
    (lambda: conv_spectrum(conv2(padding=8), (8, 4)), V, "padding 8, 8 of mode 'circular' does"),
    (lambda: conv_spectrum(conv2(padding=4, padding_mode="reflect"), (8, 4)), V, "'reflect' does"),
    (lambda: conv_spectrum(nn.ConvTranspose2d(1, 1, 1, padding=1), (2, 1)), V, "axis of 2"),
    (lambda: conv_extremes(nn.Linear(1, 1), 8), T, "need a convolution of torch.nn, got torch"),
    (lambda: conv_extremes(conv2(), (8,)), V, "Conv2d acts on 2 axes"),
    # more of interventions
    (lambda: compress(compress(M, (2, 2), 4), (2, 2), 4), V, "on one grid"),
    (lambda: refine(network(coarse=CoarseStage(4, 2, 2, "stride"))), V, "can be refined"),
    # more of theory
    (lambda: cbn_rank([[0], [1]], 8), V, "channel 1 ... (1,) without its negative (-1,)"),
    (lambda: cbn_rank([[(2, 1)]], (4, 4)), V, "(2, 1) without its negative (2, -1)"),
    (lambda: cbn_rank([[0]], (4, 4, 4)), V, "1 or 2 axes"),
    (lambda: bottleneck_network([[1]], 8, 4, 1.5), V, "without its negative"),
    (lambda: bottleneck_network([[0]], 8, 1, 1.5, relu_output=True), V, "depth ... >= 2, got 1"),
    (lambda: linear_cost_expansion(ONES * NAN, 3), V, "singular values: 2 of 2 ... NaN"),
    (lambda: balanced_factorisation(torch.ones(1, 0, 4), 3), V, "got (1, 0, 4)"),
    (lambda: balanced_factorisation(W * 1j, 3), V, "must be real ...complex64"),
    (lambda: balanced_factorisation(W * NAN, 3), V, "filter: 12 of 12 ... NaN"),
    (lambda: end_to_end_blocks(network(nonlinearity="none", head="pooling")), V,
     "equivariant head"),
    (lambda: best_k_bound(RANK2, 4, 3), V, "k must be an integer in 1..2 (the rank), got 3"),
    (lambda: best_k_bound(RANK2, 4, 0), V, "in 1..2 ...got 0"),
    (lambda: best_k_bound(RANK2, 4, True), V, "in 1..2 ...got True"),
    (lambda: norm_lower_bound(-RANK2, 3), V, "singular values must be >= 0"),
    (lambda: norm_lower_bound(RANK2 / 0, 3), V, "singular values: 3 of 3 entries are NaN or inf"),
    (lambda: schatten(RANK2, 0.0), V, "p must be finite and > 0, got 0.0"),
    (lambda: tangent_jacobian(RANK2, RANK2), V, "tangent must have shape [B, t, inputs]"),
    (lambda: tangent_jacobian(RANK2.expand(1, 2, 3), RANK2.expand(1, 2, 3)), V,
     "tangent vectors of sample 0 are dependent"),
    (lambda: sharpness(M, X, X, ridge=0, preconditioner=[p * 0 - 1 for p in M.parameters()]), V,
     "must be positive, its least entry is -1.0"),
    (lambda: weight_bottleneck(M, torch.ones(1) * NAN, 1), V, "singular values: 1 of 1 entries"),
    (lambda: compressions(network(bias=False), X * 0, 1), V,
     "sample 0: a pre-activation of layer 1 is exactly 0"),
    (lambda: ntk_trace(network(bias=False), X * 0), V,
     "sample 0: a pre-activation of layer 1 is exactly 0"),
    (lambda: ntk_trace(M, X * NAN), V, "x: 32 of 32 entries are NaN"),
    (lambda: off_mode_energy(M, X * NAN, 1), V, "x: 32 of 32 entries are NaN"),
    # more of tasks
    (lambda: low_pass([[1]], 8), V, "frequency ...1... without its negative"),
    (lambda: low_pass([[0]], 8, samples=0), V, "samples must be an integer >= 1, got 0"),
    (lambda: reshaped_bump(scale=0.0), V, "scale must be finite and > 0, got 0.0"),
    (lambda: filtered_noise([1.0] * 4, 7, samples=6), V, "samples must be an integer >= 7, got 6"),
    (lambda: filtered_noise([1.0, 1.0, 1.0, NAN], 7), V, "gains: 1 of 4 entries"),
    (lambda: mnist(-1), V, "digit must be in 0..9 or None, got -1"),
    (lambda: mnist(size=0), V, "size must divide 28, got 0"),
    (lambda: bumps_at(torch.zeros(3), (4, 4), sharpness=1.0), V,
     "position must have shape [samples, 2] on grid (4, 4)"),
    (lambda: bumps_at(torch.zeros(3, 1), (4, 4), sharpness=1.0), V,
     "position must have shape [samples, 2]"),
    (lambda: motion(samples=2, speeds=(2.0, 1.0)), V,
     "speeds must be finite, 0 <= low <= high, got (2.0, 1.0)"),
    (lambda: motion(samples=2, speeds=(-1.0, 1.0)), V, "speeds must be finite"),
    (lambda: motion(samples=2, speeds=(0.0, math.inf)), V, "speeds must be finite"),
    (lambda: motion(samples=2, speeds=(1.0,)), V, "speeds must be finite"),
    (lambda: motion(samples=2, gravity=NAN), V, "gravity must be finite, got nan"),
    (lambda: motion(samples=2, frames=1), V, "frames must be an integer >= 2, got 1"),
    (lambda: motion(samples=0), V, "samples must be an integer >= 1, got 0"),
    (lambda: motion(samples=2, sharpness=0.0), V, "sharpness must be finite and > 0"),
    (lambda: shape_texture(8, 2, carrier=0), V, "carrier must be a frequency of the grid"),
    (lambda: shape_texture(8, 2, carrier=5), V, "carrier must be a frequency of the grid"),
    (lambda: shape_texture(8, 2, carrier=(1, 2)), V, "carrier must be a frequency of the grid"),
    (lambda: shape_texture(8, 2, carrier=()), V, "carrier must be a frequency of the grid"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), ROWS, ids=range(len(ROWS)))
def test_the_message_says_what_is_wrong(call, error, words):
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        call()
    assert type(caught.value) is error
    assert re.search(".*".join(map(re.escape, words.split("..."))), str(caught.value))


def test_what_equals_a_value_becomes_it():
    """So that equal experiments have equal digests."""
    one, three = np.int64(1), np.int32(3)
    plain = CNNConfig((8, 8), 3, 3, window=(3, 3), bias=True, gain=1.0)
    same = CNNConfig([np.int64(8), 8], three, three, one, one, window=3, bias=1, gain=np.float64(1))
    assert repr(same) == repr(plain)
    assert repr(CNNConfig(8, 3, 3, window=3)) == repr(CNNConfig((8,), 3, 3, window=[3]))
    assert repr(CoarseStage(np.int64(4), one, three)) == repr(CoarseStage((4,), 1, 3))
    numbers = TrainConfig(1, np.float64(1), three, seed=one, momentum=0)
    assert repr(numbers) == repr(TrainConfig(1.0, 1.0, 3, seed=1, momentum=0.0))
    assert frequencies(np.int64(8)).grid == (8,)
    assert all(type(n) is int for n in frequencies(np.array([4, 8])).grid)


def test_mnist_that_cannot_be_downloaded_is_one_sentence(monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("name resolution failed, pool of connections, " * 20)

    monkeypatch.setattr("pooch.retrieve", offline)
    with pytest.raises(FileNotFoundError, match=r"ConnectionError.*mnist_folder") as caught:
        mnist(0)
    assert caught.value.__suppress_context__
    assert len(caught.value._render_traceback_()) == 1
