"""The page's network against cbnlib, in float64: transform, loss, gradient, spectra, training."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from cbnlib import CNN, CNNConfig, TrainConfig, train, weight_spectra
from cbnlib.network.real_dft import RealDFT
from cbnlib.spectra.bottleneck import measure_bottleneck
from cbnlib.spectra.spectrum import KEPT, Spectrum, middle_half, middle_layer
from cbnlib.tasks import bump, low_pass
from cbnlib.training.budget import Budget, start_within
from cbnlib.training.loop import Batches
from cbnlib.training.train import fit_function

pytestmark = pytest.mark.usefixtures("one_thread")

GRIDS, DEPTHS, WIDTHS = (1, 2, 5, 8, 16), (1, 2, 4, 7), (1, 2, 5)
SIZES = [
    (n, depth, width, bias, c_in, c_out)
    for n, depth, width, bias in product(GRIDS, DEPTHS, WIDTHS, (True, False))
    for c_in, c_out in (((1, 1) if (n + depth + width) % 2 else (2, 3)),)
]


def make(n, depth, width, bias=True, c_in=1, c_out=1, *, seed=0, samples=4):
    """A network of the library in float64 with data, and the same for the page."""
    config = CNNConfig(n, width, depth, c_in, c_out, bias=bias, parametrization="spectral")
    model = CNN(config, seed=seed).double()
    generator = torch.Generator().manual_seed(seed)
    x, y = (
        torch.randn(samples, c, n, generator=generator, dtype=torch.float64) for c in (c_in, c_out)
    )
    if bias:
        for conv in model.convs:
            conv.bias.data.normal_(generator=generator)
    channels = [c_in, *[width] * (depth - 1), c_out]
    sizes = {"n": n, "channels": channels, "bias": bias, "parameters": flat(model)}
    return model, x, y, sizes | {"x": rows(x), "y": rows(y)}


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()]).tolist()


def rows(signals):
    return signals.flatten(1).tolist()


def close(found, expected, tolerance):
    expected = torch.as_tensor(expected, dtype=torch.float64)
    scale = max(1.0, float(expected.abs().max()))
    assert torch.as_tensor(found, dtype=torch.float64).sub(expected).abs().max() < tolerance * scale


def test_the_transform_is_that_of_the_library(run):
    signals = {n: torch.randn(n, dtype=torch.float64) for n in (1, 2, 3, 4, 7, 12, 16)}
    found = run("transform", [{"n": n, "x": x.tolist()} for n, x in signals.items()])
    for (n, x), seen in zip(signals.items(), found, strict=True):
        out = torch.zeros(n, 1, dtype=torch.float64)
        RealDFT(n, torch.float64).transform(x[:, None], out, torch.zeros_like(out))()
        close(seen["there"], out[:, 0], 1e-14)
        close(seen["back"], x, 1e-14)


def test_loss_gradients_and_spectra_are_those_of_the_library(run):
    assert len(SIZES) >= 50
    made = [make(*size, seed=seed) for seed, size in enumerate(SIZES)]
    found = run("network", [case for *_, case in made])
    for (model, x, y, _), seen in zip(made, found, strict=True):
        loss = fit_function("square")(model(x), y)
        loss.backward()
        close(seen["loss"], loss.detach(), 1e-9)
        close(seen["norm"], model.parameter_norm().detach(), 1e-9)
        close(seen["gradient"], torch.cat([p.grad.flatten() for p in model.parameters()]), 1e-9)
        for layer, spectrum in zip(seen["spectra"], weight_spectra(model), strict=True):
            close(layer, spectrum.values, 1e-9)


def test_small_and_equal_singular_values_are_as_exact(run):
    cases, expected = [], []
    for seed in range(10):
        generator = torch.Generator().manual_seed(seed)
        size = int(torch.randint(1, 13, (), generator=generator)), 6
        a = torch.randn(*size, dtype=torch.complex128, generator=generator)
        u, s, vh = torch.linalg.svd(a, full_matrices=False)
        s = s.clone()
        s[1:] = 10.0 ** -torch.arange(4, 4 + len(s) - 1) if seed % 2 else 1.0
        a = (u * s) @ vh
        cases.append({"rows": size[0], "columns": size[1]})
        cases[-1] |= {"re": a.real.T.flatten().tolist(), "im": a.imag.T.flatten().tolist()}
        expected.append(torch.linalg.svdvals(a))
    for seen, values in zip(run("singularValues", cases), expected, strict=True):
        close(seen, values, 1e-13)


BUDGET = "DC×2, ±1×1, ±3×2"
RUNS = [(16, 8, 6, None), (16, 2, 12, None), (7, 4, 3, None), (16, 6, 4, BUDGET), (8, 5, 3, "±2×1")]


@pytest.mark.parametrize(("n", "depth", "width", "budget"), RUNS)
def test_a_hundred_steps_of_adam_end_where_those_of_the_library_do(run, n, depth, width, budget):
    model, x, y, case = make(n, depth, width, samples=64)
    training = TrainConfig(1e-2, 3e-3, 100, batch_size=32)
    draw = Batches(len(x), 32, training.seed).draw
    case |= {"rate": 3e-3, "ridge": 1e-2, "steps": 100}
    case["batches"] = [draw().tolist() for _ in range(100)]
    if budget:
        kept, middle = Budget.parse(budget, n), middle_half(depth)
        case["layers"] = (middle.start + 1, middle.stop)
        case["budget"] = kept.ranks.tolist()
        training = replace(training, budget=budget, layers=case["layers"])
        start_within(model, kept, training.layers, grow=None)
        case["parameters"] = flat(model)
    history = train(model, x, y, training, progress=False)
    [seen] = run("train", [case])
    close(seen["losses"], history.fit, 1e-6)
    close(seen["parameters"], flat(model), 1e-6)


PRESETS = {
    "bump": bump(16, 256),
    "pass-1": low_pass([[-1, 1]], 16, 256),
    "pass-2": low_pass([[-2, 2]], 16, 256),
}


@pytest.mark.parametrize("target", PRESETS)
def test_a_preset_ends_with_the_kept_modes_of_the_library(tab, run, target):
    settings = tab.evaluate("() => $settings.DEFAULTS")
    depth, steps, task = settings["depth"], settings["steps"], PRESETS[target]
    assert target in tab.evaluate("() => Object.keys($settings.TARGETS)")
    config = CNNConfig(16, settings["width"], depth, 1, 1, parametrization="spectral")
    model = CNN(config, seed=4).double()
    x, y = task.x.double(), task.y.double()
    training = TrainConfig(settings["ridge"], settings["rate"], steps, batch_size=32)
    draw = Batches(len(x), 32, training.seed).draw
    case = {"n": 16, "channels": [1, *[settings["width"]] * (depth - 1), 1], "bias": True}
    case |= {"parameters": flat(model), "x": rows(x), "y": rows(y)}
    case |= {name: settings[name] for name in ("rate", "ridge", "steps")}
    case["batches"] = [draw().tolist() for _ in range(steps)]
    train(model, x, y, training, progress=False)
    [seen] = run("train", [case])
    expected = weight_spectra(model)
    for layer in range(depth)[middle_half(depth)]:
        found = Spectrum((16,), torch.tensor(seen["spectra"][layer], dtype=torch.float64))
        close(found.values, expected[layer].values, 0.05)  # rounding grows over so many steps
        smallest_kept, largest_other = expected[layer].gap()
        assert smallest_kept > KEPT + 0.1 > KEPT - 0.1 > largest_other
        assert ((found.values > KEPT) == (expected[layer].values > KEPT)).all()
    found = run("bottleneck", [{"n": 16, "spectra": seen["spectra"]}])[0]
    assert found["dimensions"] == measure_bottleneck(expected).real_dimensions


def test_an_aligned_start_has_the_spectra_and_the_strength_of_the_library(run):
    model, _, _, case = make(16, 8, 6)
    budget, layers = Budget.parse(BUDGET, 16), (3, 6)
    [seen] = run("align", [case | {"budget": budget.ranks.tolist(), "layers": layers}])
    start_within(model, budget, layers, grow=None)
    for layer, spectrum in zip(seen["spectra"], weight_spectra(model), strict=True):
        close(layer, spectrum.values, 1e-9)  # the vectors' phases are free
    assert seen["product"] == pytest.approx(float(passes(model, layers)), rel=1e-9)


def passes(model, layers):
    """The norm of the product of the held layers' blocks at ω = 1."""
    blocks = [conv.blocks()[..., 1] for conv in model.convs[layers[0] - 1 : layers[1]]]
    return torch.linalg.multi_dot(blocks[::-1]).detach().norm()


def test_the_middle_half_and_layer_are_those_of_the_library(tab, run):
    found = tab.evaluate("() => [...Array(13).keys()].map(L => $budget.heldLayers(L))")
    assert [slice(first - 1, last) for first, last in found[2:]] == [
        middle_half(depth) for depth in range(2, 13)
    ]
    found = tab.evaluate("() => [...Array(13).keys()].map(L => $bottleneck.middleLayer(L))")
    assert found[2:] == [middle_layer(depth) for depth in range(2, 13)]


def test_the_bottleneck_is_that_of_the_library(run):
    cases, expected = [], []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        n, depth = int(generator.choice([5, 8, 16])), int(generator.integers(2, 9))
        values = generator.uniform(0, 0.6, (depth, n // 2 + 1, 3)) * (seed % 3 > 0)
        values[:, : generator.integers(1, 3), 0] += 0.8
        values[generator.integers(depth)] *= generator.uniform(0.5, 2)
        values = -np.sort(-values)
        cases.append({"n": n, "spectra": values.tolist()})
        found = measure_bottleneck([Spectrum((n,), torch.tensor(v)) for v in values])
        expected.append((found, n))
    assert len({found.layers is None for found, _ in expected}) == 2
    for seen, (found, n) in zip(run("bottleneck", cases), expected, strict=True):
        assert (seen is None) == (found.layers is None)
        if seen:
            assert (seen["first"], seen["last"]) == found.layers
            assert seen["dimensions"] == found.real_dimensions
            directions = {mode.omega[0] % n: mode.directions for mode in found.modes}
            assert {omega: k for omega, k in enumerate(seen["counts"]) if k} == directions
