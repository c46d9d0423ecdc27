"""The measured bottleneck on planted networks, on random ones, and on a trained one."""

import math
import random
from dataclasses import FrozenInstanceError

import pytest
import torch
from oracles import rng

from cbnlib import CNN, CNNConfig, Spectrum, TrainConfig, frequencies, run_task, weight_spectra
from cbnlib.spectra.bottleneck import Bottleneck, KeptMode, kept_modes, measure_bottleneck
from cbnlib.tasks import bump

PLANTED_GRIDS = [(8,), (9,), (12,), (15,), (16,), (4, 4), (3, 5), (5, 4), (6, 6), (7, 7), (8, 8)]
Plan = dict[int, int]
"""Row of a mode to the number of its channel directions."""


def gaussian(shape, multiplicity, generator):
    """Blocks with entries of variance 1, real at the self-conjugate modes."""
    parts = torch.randn(*shape, 2, generator=generator, dtype=torch.float64)
    complex_ones = torch.view_as_complex(parts) / 2**0.5
    real = (multiplicity == 1)[:, None, None]
    return torch.where(real, parts[..., 0].to(complex_ones.dtype), complex_ones)


def planted_layer(grid, c, plan, noise, generator):
    """A layer with the planned modes at values in [0.6, 1.7], and noise in all its blocks."""
    freqs = frequencies(grid)
    multiplicity = freqs.multiplicity[freqs.modes]
    left, right, dirt = (
        gaussian((len(multiplicity), c, c), multiplicity, generator) for _ in range(3)
    )
    values = torch.zeros(len(multiplicity), c, dtype=left.dtype)
    for row, directions in plan.items():
        drawn = 0.6 + 1.1 * torch.rand(directions, generator=generator, dtype=torch.float64)
        values[row, :directions] = drawn.to(values.dtype)
    u, v = torch.linalg.qr(left)[0], torch.linalg.qr(right)[0]
    blocks = u @ torch.diag_embed(values) @ v + noise / c**0.5 * dirt
    return Spectrum(grid, torch.linalg.svdvals(blocks))


def full_layer(grid, c_out, c_in, generator):
    """A layer without structure, like one at the start of training."""
    freqs = frequencies(grid)
    multiplicity = freqs.multiplicity[freqs.modes]
    blocks = gaussian((len(multiplicity), c_out, c_in), multiplicity, generator)
    gain = 0.7 + 1.3 * float(torch.rand((), generator=generator))
    return Spectrum(grid, torch.linalg.svdvals(blocks) * (gain / c_in) ** 0.5)


def random_plan(choose, grid, c):
    """Up to 5 modes with up to 3 directions each, at most half of the frequencies and channels."""
    modes = len(frequencies(grid).modes)
    rows = choose.sample(range(modes), choose.randint(1, min(5, modes // 2)))
    return {row: min(choose.choice([1, 1, 1, 2, 3]), c // 2) for row in rows}


def another_plan(choose, plan, grid):
    """A neighbour of a plan: one mode more, one less, or one direction more."""
    new = dict(plan)
    row = choose.randrange(len(frequencies(grid).modes))
    if row in new and len(new) > 1 and choose.random() < 0.5:
        del new[row]
    else:
        new[row] = new.get(row, 0) + 1
    return new


def planted_network(seed):
    """Layers, the first and last of the planted bottleneck, and its modes.

    First and last layer are full; one layer on either side may keep other modes.
    """
    choose, generator = random.Random(seed), rng(seed)
    grid, c, noise = choose.choice(PLANTED_GRIDS), choose.randint(4, 24), choose.uniform(0, 0.1)
    plan, depth = random_plan(choose, grid, c), choose.randint(4, 10)
    sides = [depth >= 5 and choose.random() < 0.5, depth >= 6 and choose.random() < 0.5]
    first, last = 2 + sides[0], depth - 1 - sides[1]
    layers = [full_layer(grid, c, 1, generator)]
    for layer in range(2, depth):
        inside = first <= layer <= last
        here = plan if inside else another_plan(choose, plan, grid)
        layers.append(planted_layer(grid, c, here, noise, generator))
    return [*layers, full_layer(grid, 1, c, generator)], (first, last), plan


def expected_modes(plan, spectrum):
    omega, multiplicity = spectrum.omega.tolist(), spectrum.multiplicity.tolist()
    return {KeptMode(tuple(omega[row]), multiplicity[row], n) for row, n in plan.items()}


def test_planted_bottlenecks_are_found_exactly():
    missed = []
    for seed in range(200):
        spectra, layers, plan = planted_network(seed)
        found = measure_bottleneck(spectra)
        if (found.layers, set(found.modes)) != (layers, expected_modes(plan, spectra[0])):
            missed.append((seed, layers, str(found)))
    assert len(missed) <= 2, missed


def test_different_modes_in_each_layer_are_no_bottleneck():
    wrong = []
    for seed in range(100):
        choose, generator = random.Random(seed), rng(seed)
        grid, c, noise = choose.choice(PLANTED_GRIDS), choose.randint(4, 24), choose.uniform(0, 0.1)
        plans = [random_plan(choose, grid, c) for _ in range(6)]
        for i in range(1, 6):
            while plans[i] == plans[i - 1]:
                plans[i] = random_plan(choose, grid, c)
        found = measure_bottleneck([planted_layer(grid, c, p, noise, generator) for p in plans])
        wrong += [(seed, str(found))] if found.layers else []
    assert not wrong


def test_no_bottleneck_at_initialisation():
    choose = random.Random(0)
    for seed in range(100):
        config = CNNConfig(
            grid=choose.choice([4, 5, 8, 16, (3, 4), (4, 4), (5, 6)]),
            width=choose.randint(4, 24),
            depth=choose.randint(2, 10),
            gain=choose.uniform(0.7, 2.0),
            head=choose.choice(["equivariant", "pooling"]),
        )
        found = measure_bottleneck(weight_spectra(CNN(config, seed=seed)))
        assert str(found) == "no bottleneck", (config, found)


def layer(grid, kept, other=0.05):
    """Two directions per mode; the rest of the values are `other`."""
    values = torch.full((len(frequencies(grid).modes), 2), other)
    for row, first in kept.items():
        values[row, : len(first)] = torch.tensor(first)
    return Spectrum(grid, values)


def test_the_description_of_a_known_bottleneck():
    full = layer((6,), {}, other=1.0)
    strong, weak = layer((6,), {0: [0.7], 3: [1.3]}, 0.1), layer((6,), {0: [1.0], 3: [0.9]})
    near = layer((6,), {0: [0.3], 3: [0.9]})  # the constant is not kept here ...
    found = measure_bottleneck([full, strong, weak, strong, near, full])
    assert found.layers == (2, 4)
    assert found.modes == (KeptMode((0,), 1, 1), KeptMode((3,), 1, 1))
    assert found.gap == pytest.approx((0.7, 0.1))
    assert found.threshold == pytest.approx((0.7 * 0.25) ** 0.5)
    assert found.stable == pytest.approx((0.3, 0.7))  # ... but below 0.3 it would be
    assert found.real_dimensions == 2
    assert str(found) == "layers 2–4: DC×1, 3×1 → 2 real dims"


@pytest.mark.parametrize(
    ("grid", "row", "directions", "text"),
    [
        ((8,), 0, 2, "DC×2 → 2 real dims"),
        ((8,), 0, 1, "DC×1 → 1 real dim"),
        ((8,), 2, 1, "±2×1 → 2 real dims"),
        ((8,), 4, 2, "4×2 → 2 real dims"),
        ((4, 4), 0, 1, "DC×1 → 1 real dim"),
        ((4, 4), 1, 2, "±(0,1)×2 → 4 real dims"),
        ((4, 4), 2, 1, "(0,2)×1 → 1 real dim"),
    ],
    ids=str,
)
def test_the_notation_of_a_mode(grid, row, directions, text):
    narrow = layer(grid, {row: [1.0] * directions})
    assert str(measure_bottleneck([narrow] * 3)) == f"layers 1–3: {text}"


def test_the_cut_is_one_half_between_gone_and_passed():
    for value, kept in [(0.45, 1), (0.55, 3)]:
        narrow = layer((8,), {0: [1.2], 1: [value]})
        found = measure_bottleneck([narrow, narrow])
        assert found.real_dimensions == kept
    assert measure_bottleneck([layer((8,), {0: [1.2]})] * 2).threshold == pytest.approx(0.5)


def test_the_longest_run_wins_then_the_clearest():
    pair, constant = layer((8,), {1: [1.0]}), layer((8,), {0: [0.5]})
    assert measure_bottleneck([constant] * 2 + [pair] * 3).layers == (3, 5)
    assert measure_bottleneck([constant] * 3 + [pair] * 3).layers == (4, 6)
    assert measure_bottleneck([pair] * 3 + [pair] * 3).layers == (1, 6)


def test_a_coarse_stage_keeps_the_same_modes():
    fine, coarse = layer((16,), {0: [0.8], 1: [1.1]}), layer((5,), {0: [0.9], 1: [1.0]})
    found = measure_bottleneck([fine, coarse, coarse, fine])
    assert str(found) == "layers 1–4: DC×1, ±1×1 → 3 real dims"
    nyquist, pair = layer((4,), {2: [1.0]}), layer((8,), {2: [1.0]})
    assert str(measure_bottleneck([nyquist, pair, pair])) == "layers 2–3: ±2×1 → 2 real dims"


@pytest.mark.parametrize(
    "spectra",
    [
        [layer((8,), {1: [1.0]})],
        [layer((8,), {}, other=0.0)] * 3,
        [layer((8,), {}, other=1e-12)] * 3,
        [layer((8,), {}, other=3.0)] * 3,
        [layer((8,), {row: [1.0, 1.0] for row in range(3)})] * 3,
        [layer((8,), {1: [0.4]}, other=0.3)] * 3,
        [layer((8,), {1: [1.0]}), layer((8,), {2: [1.0]}), layer((8,), {1: [1.0]})],
        [layer((8,), {}, other=3.0)] * 2 + [layer((8,), {}, other=0.0)] * 2,
    ],
    ids=["one layer", "zero", "rounding", "all pass", "too many", "no gap", "other", "half zero"],
)
def test_no_bottleneck(spectra):
    found = measure_bottleneck(spectra)
    assert str(found) == "no bottleneck"
    assert (found.layers, found.modes, found.real_dimensions) == (None, (), 0)
    assert all(math.isnan(v) for v in (*found.gap, found.threshold, *found.stable))


def test_a_trained_autoencoder_keeps_the_position():
    network = CNNConfig(grid=16, width=8, depth=8)
    run = run_task(bump(16), network, TrainConfig(1e-2, 3e-3, 1500), progress=False)
    found = measure_bottleneck(weight_spectra(run.model))
    assert found.layers is not None
    first, last = found.layers
    assert first <= 3
    assert last >= 6
    assert {KeptMode((0,), 1, 1), KeptMode((1,), 2, 1)} <= set(found.modes)
    assert found.real_dimensions <= 5
    assert found.stable[0] <= found.threshold < found.stable[1]


def test_kept_modes_of_one_layer():
    spectrum = layer((4, 3), {0: [0.6, 0.2], 1: [1.0, 0.9]})
    assert [str(mode) for mode in kept_modes(spectrum, 0.5)] == ["DC×1", "±(0,1)×2"]
    assert kept_modes(spectrum, 2.0) == ()


def test_a_bottleneck_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Bottleneck().threshold = 1.0
