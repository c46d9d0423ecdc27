"""Training: the ridge, repeatability, and runs that go wrong."""

import copy
import importlib
import inspect
import math
import pickle
import pkgutil
from pathlib import Path

import pytest
import torch
from model_cases import parameters, random_network
from oracles import randn

import cbnlib
from cbnlib import History, TrainConfig, TrainingDivergedError, evaluate, train
from cbnlib.runs.store import ForeignRecordError

X = randn(10, 1, 6, seed=7)
QUICK = {"ridge": 0.1, "learning_rate": 0.01, "steps": 7, "batch_size": 4}


def run(model, **changes):
    return train(model, X, X, TrainConfig(**QUICK | changes), progress=False)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weight_decay_is_the_ridge_in_the_loss(optimizer):
    """One full batch, constant rate: the same as autograd of fit + ridge * norm, written out."""
    model = random_network(grid=(6,))
    by_hand = copy.deepcopy(model)
    options = {"optimizer": optimizer, "batch_size": 10, "schedule": "constant"}
    run(model, **options)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    momentum = {"momentum": 0.9} if optimizer == "sgd" else {}
    step = kinds[optimizer](by_hand.parameters(), lr=0.01, **momentum)
    for _ in range(7):
        loss = (by_hand(X) - X).square().sum() / 10 + 0.1 * by_hand.parameter_norm()
        step.zero_grad()
        loss.backward()
        step.step()
    torch.testing.assert_close(parameters(model), parameters(by_hand), rtol=1e-10, atol=1e-12)


def test_history_holds_loss_fit_and_norm():
    model = random_network(grid=(6,))
    history = run(model, records=3)
    assert history.step == [2, 4, 6, 7]
    for loss, fit, norm in zip(history.loss, history.fit, history.norm, strict=True):
        assert loss == pytest.approx(fit + 0.1 * norm)
    assert history.norm[-1] == pytest.approx(float(model.parameter_norm().detach()))


def test_evaluate_does_not_depend_on_the_batch():
    model = random_network(grid=(6,))
    direct = (model(X) - X).square().sum().item() / 10
    assert evaluate(model, X, X, batch_size=3) == pytest.approx(direct, rel=1e-12)
    labels = torch.arange(10) % 3
    classifier = random_network(grid=(6,), head="pooling", c_out=3)
    direct = torch.nn.functional.cross_entropy(classifier(X), labels).item()
    batched = evaluate(classifier, X, labels, loss="cross_entropy", batch_size=4)
    assert batched == pytest.approx(direct, rel=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_same_seed_gives_the_same_bits(optimizer):
    models = [random_network(grid=(6,)) for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        run(model, optimizer=optimizer, seed=seed)
    assert torch.equal(parameters(models[0]), parameters(models[1]))
    assert not torch.equal(parameters(models[0]), parameters(models[2]))


def test_training_leaves_the_global_randomness_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    run(random_network(grid=(6,)))
    assert torch.equal(torch.rand(1), expected)


def test_every_sample_is_seen_once_per_pass():
    """Equal targets 0 and a zero rate: the fit over a pass is the fit over the data set."""
    model = random_network(grid=(6,))
    expected = evaluate(model, X, X)
    history = run(model, batch_size=5, steps=2, records=1, learning_rate=1e-300)
    assert history.fit == pytest.approx([expected])


def test_explosion_is_named():
    with pytest.raises(TrainingDivergedError, match=r"the loss is (nan|inf) at step \d+") as caught:
        run(random_network(grid=(6,)), optimizer="sgd", learning_rate=1e200, steps=50)
    assert not math.isfinite(caught.value.history.loss[-1])


def test_every_error_of_the_library_survives_the_way_between_processes():
    names = [m.name for m in pkgutil.walk_packages(cbnlib.__path__, "cbnlib.")]
    members = [v for name in names for v in vars(importlib.import_module(name)).values()]
    kinds = {v for v in members if isinstance(v, type) and issubclass(v, Exception)}
    own = {kind for kind in kinds if getattr(kind.__init__, "__module__", "").startswith("cbnlib.")}
    assert {TrainingDivergedError, ForeignRecordError} <= own
    for kind in own:
        wanted = list(inspect.signature(kind).parameters.values())
        values = {History: History([1], [2.0], [1.0], [1.0]), Path: Path("x")}
        error = kind(*(values.get(p.annotation, p.name) for p in wanted))
        arrived = pickle.loads(pickle.dumps(error))
        assert type(arrived) is kind
        assert str(arrived) == str(error)
        assert vars(arrived) == vars(error)


def test_a_norm_beyond_measure_is_named_while_all_is_finite():
    """Without data to fit, SGD at a rate beyond 1 / ridge multiplies the parameters each step."""
    model = random_network(grid=(6,), bias=False)
    zeros = torch.zeros_like(X)
    config = TrainConfig(1.0, 2.0, 60, optimizer="sgd", momentum=0.0, schedule="constant")
    with pytest.raises(TrainingDivergedError, match=r"the norm is \d\.\de\+\d+ at step") as caught:
        train(model, zeros, zeros, config, progress=False)
    norm = caught.value.history.norm
    start = float(parameters(random_network(grid=(6,), bias=False)).square().sum())
    assert norm[-1] > 1e8 * start > norm[-2]


def test_collapse_to_a_constant_is_named():
    model = random_network(grid=(6,))
    with pytest.raises(TrainingDivergedError, match="collapsed to a constant by step"):
        run(model, optimizer="sgd", momentum=0.0, ridge=4.0, learning_rate=0.05, steps=500)


def test_tiny_outputs_at_the_start_are_no_collapse():
    model = random_network(grid=(6,), gain=1e-6)
    run(model)


def test_progress_bar_shows_losses_norm_and_time_left(capsys):
    train(random_network(grid=(6,)), X, X, TrainConfig(**QUICK))
    err = capsys.readouterr().err
    assert all(part in err for part in ("loss ", "data loss ", "|θ|² ", "7/7", "<"))
