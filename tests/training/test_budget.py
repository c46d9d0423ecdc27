"""Budgets: what they say, what they hold, and that training within one is projected descent."""

import pytest
import torch
from oracles import rng
from training_cases import assert_a_stopped_training_goes_on, batches, data, network

from cbnlib import CNN, CNNConfig, TrainConfig, train, weight_spectra
from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CoarseStage
from cbnlib.network.real_dft import blocks_to_coordinates
from cbnlib.training.budget import EVERY, Budget, Confinement, start_within
from cbnlib.training.engine import Engine
from cbnlib.training.ensemble import train_ensemble
from cbnlib.training.schedule import learning_rates
from cbnlib.training.train import fit_function

CIRCLE, PLANE = "DC×1, ±1×2", "DC×2, ±(0,1)×1, ±(1,1)×2, (3,0)×1"
HELD = {"layers": (2, 3), "ridge": 0.01, "learning_rate": 0.01, "steps": 18, "batch_size": 4}
PLACES = [
    pytest.param(8, CIRCLE, id="circle"),
    pytest.param((6, 5), PLANE, id="plane"),
    pytest.param((20, 22), PLANE.replace("(3,0)", "(10,0)"), id="folded"),
]


@pytest.mark.parametrize("grid", [9, 16, (6, 6), (5, 8)], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_the_text_says_all(grid, seed):
    omega = frequencies(grid).omega[frequencies(grid).modes]
    counts = torch.randint(0, 4, (len(omega),), generator=rng(seed))
    signs = torch.randint(0, 2, (len(omega),), generator=rng(seed + 9)) * 2 - 1
    named = {tuple((s * w).tolist()): int(k) for s, w, k in zip(signs, omega, counts, strict=True)}
    budget = Budget(frequencies(grid).grid, named)
    again = Budget.parse(str(budget), grid)
    assert again == budget
    assert hash(again) == hash(budget)
    assert budget.ranks.tolist() == counts.tolist()
    multiplicity = frequencies(grid).multiplicity[frequencies(grid).modes]
    assert budget.dimensions == int((counts * multiplicity).sum())
    assert sum(budget.by_degree.values()) == int(counts.sum())


def test_ways_to_write_it():
    same = ["DC×3, ±(1,0)×2, (7,0)", "(7, 0)*1 , (-1,0)x2, (0,0)×3", "±(1,0)×2,(-7,0),DC×3"]
    told = {str(Budget.parse(text, (14, 14))) for text in same}
    assert told == {"DC×3, ±(1,0)×2, (7,0)×1"}
    for text in ("", "nothing", "DC×0"):
        assert str(Budget.parse(text, 8)) == "nothing"
        assert Budget.parse(text, 8).dimensions == 0


@pytest.mark.parametrize(
    ("text", "grid", "told"),
    [
        ("(8,0)", (14, 14), r"\(8, 0\) is outside the grid \(14, 14\)"),
        ("DC, DC×2", 8, "names DC twice"),
        ("(1,0)×2, (-1,0)", (14, 14), r"±\(1,0\) twice, as \(1, 0\) and as \(-1, 0\)"),
        ("(7,1), (7,-1)", (14, 14), r"±\(7,1\) twice"),
        ("1", (14, 14), "as many axes"),
        ("(1,0)", 14, "as many axes"),
        ("some", 8, "cannot read the budget 'some'"),
        ("DC×-1", 8, "cannot read"),
        ("DC×1.5", 8, "cannot read"),
        ("DC, ", 8, "cannot read"),
        ("DC DC", 8, "cannot read"),
    ],
)
def test_bad_texts(text, grid, told):
    with pytest.raises(ValueError, match=told):
        Budget.parse(text, grid)


@pytest.mark.parametrize("count", [-1, 1.5, True])
def test_bad_counts(count):
    with pytest.raises(ValueError, match="directions at DC"):
        Budget((8,), {(0,): count})


def test_what_layers_use():
    model = network(8)
    spectra = weight_spectra(model)
    one = Budget.of(spectra[1:2])
    assert one.dimensions == spectra[1].real_dimensions()
    both = Budget.of(spectra[1:3])
    assert both.ranks.tolist() == [
        max(int((s.values[m] > 0.5).sum()) for s in spectra[1:3]) for m in range(5)
    ]
    with pytest.raises(ValueError, match="one grid"):
        Budget.of([])


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
@pytest.mark.parametrize(("grid", "text"), PLACES)
def test_the_nearest_network_within_a_budget(grid, text, parametrization):
    model, budget = network(grid, parametrization), Budget.parse(text, grid)
    before = [conv.modes().detach() for conv in model.convs]
    Confinement(model, budget, (2, 3))
    for i, (conv, old) in enumerate(zip(model.convs, before, strict=True), start=1):
        new = conv.modes().detach()
        if i not in (2, 3):
            assert torch.equal(new, old)
            continue
        for block, was, rank in zip(new, old, budget.ranks.tolist(), strict=True):
            u, s, vh = torch.linalg.svd(was)
            nearest = (u[:, :rank] * s[:rank]) @ vh[:rank]
            assert (block - nearest).abs().max() < 1e-12


@pytest.mark.parametrize("parametrization", ["pixel", "spectral"])
@pytest.mark.parametrize(("grid", "text"), PLACES)
def test_the_step_of_few_modes_is_that_of_all(grid, text, parametrization):
    model, (x, y) = network(grid, parametrization), data(grid, 4)
    held = Confinement(model, Budget.parse(text, grid), (2, 3))
    few = Engine(model, fit_function("square"), 4, few_modes=held.few)
    fit, output = (part.clone() for part in few.gradients(x, y))
    found = [parameter.grad.clone() for parameter in few.parameters]
    model.zero_grad()
    plain = model(x)
    expected = fit_function("square")(plain, y)
    expected.backward()
    assert (output - plain).abs().max() < 1e-12
    assert abs(float(fit - expected.detach())) < 1e-12
    for gradient, (name, parameter) in zip(found, model.named_parameters(), strict=True):
        slope, conv = parameter.grad, int(name.split(".")[1])
        if conv in (1, 2) and name.endswith("weight"):
            if parametrization == "pixel":
                axes = tuple(range(2, slope.ndim))
                blocks = torch.fft.rfftn(slope, dim=axes, norm="ortho")
                grids = model.convs[conv].grid
                slope = blocks_to_coordinates(blocks.flatten(2).movedim(-1, 0), grids)
            slope = slope[held.few[conv + 1].dft.coordinates]
        assert (gradient - slope).abs().max() < 1e-12


@pytest.mark.parametrize("release", [1.0, 0.5])
@pytest.mark.parametrize(("grid", "text"), PLACES[:2])
def test_training_is_projected_descent(grid, text, release):
    config = TrainConfig(**HELD, budget=text, release=release)
    model, plain, (x, y) = network(grid), network(grid), data(grid)
    history = train(model, x, y, config, progress=False)
    held = Confinement(plain, Budget.parse(text, grid), (2, 3))
    rates, last = learning_rates(config), config.stretches[0]
    for step, batch in zip(range(config.steps), batches(config, len(x)), strict=False):
        if step in (0, last):
            optimizer = torch.optim.Adam(plain.parameters(), weight_decay=2 * config.ridge)
        optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.zero_grad()
        fit_function("square")(plain(x[batch]), y[batch]).backward()
        optimizer.step()
        if step + 1 > last:
            continue
        for few in held.few.values():  # the blocks elsewhere go; these lose rank every few steps
            few.weight.data.copy_(few.conv.weight.data[few.dft.coordinates])
        if (step + 1) % EVERY == 0 or step + 1 == last:
            held.project()
        held.write()
        if step + 1 == last < config.steps:
            held.release(config.seed)
    assert history.step[-1] == config.steps
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        assert (a - b).abs().max() < 1e-9


def test_the_budget_holds_to_the_end_and_not_beyond():
    x, y = data(8)
    config = TrainConfig(**HELD, budget=CIRCLE)
    ranks = Budget.parse(CIRCLE, 8).ranks
    for release, within in ((1.0, True), (0.5, False)):
        model = network(8)
        train(model, x, y, TrainConfig(**HELD, budget=CIRCLE, release=release), progress=False)
        for spectrum in weight_spectra(model)[1:3]:
            rest = [
                float(v[k:].max()) for v, k in zip(spectrum.values, ranks, strict=True) if k < 3
            ]
            assert (max(rest) < 1e-12) == within
    assert config.stretches == (18,)


def test_nothing_passes_an_empty_budget():
    x, y = data(8)
    model = network(8)
    train(model, x, y, TrainConfig(**HELD, budget="nothing"), progress=False)
    output = model(x)
    assert (output - output[:1]).abs().max() < 1e-12


@pytest.mark.parametrize("step", [3, 9, 10, 17])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, step):
    """Stopped within the budget, at its release, right behind it and before the end."""
    config = TrainConfig(**HELD, budget=CIRCLE, release=0.5)
    assert_a_stopped_training_goes_on(config, step, tmp_path)


@pytest.mark.parametrize(("grid", "text"), PLACES[:2])
def test_new_directions_are_handed_on(grid, text):
    """What a budget has and the network lacks: unit values, read where they are written."""
    model, budget = network(grid, width=4), Budget.parse(text, grid)
    Confinement(model, Budget.parse("DC×1", grid), (2, 3))
    start_within(model, budget, (2, 3), grow=7)
    assert Budget.of(weight_spectra(model)[1:3]).ranks.tolist() == budget.ranks.tolist()
    first, second = (conv.modes().detach() for conv in model.convs[1:3])
    for a, b, rank in zip(first, second, budget.ranks.tolist(), strict=True):
        product = torch.linalg.svdvals(b @ a)
        assert (product > 0.5).sum() >= rank - 1  # one direction of the constant was there before
    assert str(Budget.of(weight_spectra(model)[1:3])) == str(budget)


def test_aligned_layers_pass_what_random_ones_lose():
    budget, share = Budget.parse("±(1,1)×1", (6, 5)), []
    for aligned in (False, True):
        model = network((6, 5), width=8)
        held = Confinement(model, budget, (2, 4 - 1))
        if aligned:
            held.align()
            held.write()
        a, b = (conv.modes().detach() for conv in model.convs[1:3])
        sizes = [torch.linalg.matrix_norm(m, 2).max() for m in (b @ a, b, a)]
        share.append(float(sizes[0] / (sizes[1] * sizes[2])))
    assert share[1] == pytest.approx(1)
    assert share[0] < 0.9


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layers": (0, 2)}, "first of the layers must be an integer >= 1, got 0"),
        ({"layers": (3, 2)}, "last of the layers must be an integer >= 3, got 2"),
        ({"layers": (2, 3, 4)}, "a first and a last one"),
        ({"layers": None}, "needs layers"),
        ({"budget": None}, "layers need one of them"),
        ({"budget": None, "layers": None, "release": 0.5}, "release needs both"),
        ({"release": 0.0}, "release must be finite and > 0"),
        ({"release": 1.5}, r"in \(0, 1\], got 1.5"),
    ],
)
def test_bad_configs(change, told):
    with pytest.raises(ValueError, match=told):
        TrainConfig(**HELD | {"budget": CIRCLE} | change)


@pytest.mark.parametrize(
    ("budget", "layers", "config", "told"),
    [
        (CIRCLE, (2, 5), {}, r"must lie in 1..4, got \(2, 5\)"),
        ("DC×4", (2, 3), {}, "layer 2 has 3 channels, too few for DC×4"),
        ("DC×2", (1, 2), {}, "layer 1 has 1 channels, too few for DC×2"),
        ("DC", (2, 3), {"window": 3, "parametrization": "pixel"}, "smaller than its grid"),
        ("DC", (2, 3), {"coarse": CoarseStage(4, 2, 3)}, r"grid \(8,\) cannot hold layer 2"),
    ],
)
def test_what_a_network_cannot_keep_to(budget, layers, config, told):
    model, (x, y) = network(8, **{"parametrization": "spectral"} | config), data(8)
    training = TrainConfig(**HELD | {"budget": budget, "layers": layers})
    with pytest.raises(ValueError, match=told):
        train(model, x, y, training, progress=False)


def test_only_a_plain_network_keeps_to_a_budget():
    class Other(CNN):
        """A CNN of somebody's own."""

    x, y = data(8)
    training = TrainConfig(**HELD, budget=CIRCLE)
    others = (Other(CNNConfig(8, 3, 4), seed=0), torch.nn.Conv1d(1, 1, 3, padding=1))
    for model in others:
        with pytest.raises(
            TypeError, match=f"a budget needs a plain CNN: it is a {type(model).__name__}"
        ):
            train(model.double(), x, y, training, progress=False)
    with pytest.raises(ValueError, match="an ensemble trains without a budget"):
        train_ensemble([network(8)], x, y[None], training, progress=False)
