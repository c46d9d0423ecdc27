"""Runs, sweeps, experiments, records and tasks with arguments that mean nothing: clear errors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cbnlib import CNNConfig, Experiment, TaskSpec, TrainConfig, obtain, run_experiment, run_task
from cbnlib.book.explorer import explore, explorer_data
from cbnlib.book.explorer_page import Explorer
from cbnlib.runs.experiment import single
from cbnlib.runs.sweep import grid_of, sweep
from cbnlib.tasks import bump, digits, filtered_noise, load_task, low_pass, mnist, reshaped_bump

NETWORK, TRAINING = CNNConfig(8, 2, 2), TrainConfig(0.01, 0.01, 1)
E: Any = single("bump", {"n": 8, "samples": 4}, NETWORK, TRAINING)
NONE: Any = None
TEXT: Any = "no"
SPEC: Any = TaskSpec("bump", {"n": 8})

CASES: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: run_task(TEXT, NETWORK, TRAINING), TypeError, "task must be a Task, got 'no'"),
    (lambda: run_task(bump(8, 2), TEXT, TRAINING), TypeError, "network must be a CNNConfig"),
    (lambda: run_task(bump(8, 2), NETWORK, NONE), TypeError, "training must be a TrainConfig"),
    (lambda: run_experiment(TEXT), TypeError, "experiment must be a Experiment, got 'no'"),
    (lambda: run_experiment([E]), TypeError, "experiment must be a Experiment"),
    (lambda: run_experiment(E, progress=TEXT), ValueError, "progress must be True or False"),
    (lambda: run_experiment(E, checkpoint_seconds=-1), ValueError, "checkpoint_seconds must be"),
    (lambda: obtain(TEXT, records=[], workspace=None), TypeError, "experiment must be a"),
    (lambda: obtain(E, records="records", workspace=None), TypeError, "records must be a list"),
    (lambda: sweep(E, "x"), TypeError, "experiments must be a list of them"),
    (lambda: sweep(["bump"], "x"), TypeError, "experiment must be a Experiment, got 'bump'"),
    (lambda: sweep([E], "x", workers=1.5), ValueError, "workers must be an integer"),
    (lambda: sweep([E], "x", progress=2), ValueError, "progress must be True or False"),
    (lambda: grid_of(TEXT, depth=[2]), TypeError, "base must be a Experiment"),
    (lambda: grid_of(E, depth=3), ValueError, "values of axis 'depth' must be a list or tuple"),
    (lambda: grid_of(E, loss="square"), ValueError, "values of axis 'loss' must be a list"),
    (lambda: TaskSpec("bump", TEXT), TypeError, "options of task 'bump' must be a dict, got 'no'"),
    (lambda: TaskSpec(NONE, {}), ValueError, "unknown task None; allowed: bump"),
    (lambda: TaskSpec("bump", {"n": TEXT}).load(), ValueError, "n must be an integer"),
    (lambda: TaskSpec("bump", {"sharpness": NONE}).load(), ValueError, "sharpness must be finite"),
    (lambda: Experiment(SPEC, NETWORK, TRAINING, (0,)), TypeError, "tasks must be a list or tuple"),
    (lambda: Experiment((TEXT,), NETWORK, TRAINING, (0,)), TypeError, "task must be a TaskSpec"),
    (lambda: Experiment((SPEC,), TEXT, TRAINING, (0,)), TypeError, "network must be a CNNConfig"),
    (lambda: Experiment((SPEC,), NETWORK, TEXT, (0,)), TypeError, "training must be a TrainConfig"),
    (lambda: Experiment((SPEC,), NETWORK, TRAINING, 3), TypeError, "seeds must be a list or tuple"),
    (lambda: Experiment((SPEC,), NETWORK, TRAINING, ("1",)), ValueError, "seed must be an integer"),
    (lambda: replace(E, label=3), TypeError, "label must be a str, got 3"),
    (lambda: single("bump", {}, NETWORK, NONE), TypeError, "training must be a TrainConfig"),
    (lambda: Experiment.from_facts(TEXT), ValueError, "facts must be a dict, got 'no'"),
    (lambda: load_task("bumps"), ValueError, "unknown task 'bumps'; allowed: bump"),
    (lambda: bump(8.0), ValueError, "n must be an integer >= 1, got 8.0"),
    (lambda: bump(8, sharpness=TEXT), ValueError, "sharpness must be finite and > 0, got 'no'"),
    (lambda: reshaped_bump(8, unit_energy=TEXT), ValueError, "unit_energy must be True or False"),
    (lambda: low_pass([[0]], 8, relu=TEXT), ValueError, "relu must be True or False, got 'no'"),
    (lambda: filtered_noise([1.0], 8), ValueError, "8 pixels need 5 gains, got 1"),
    (lambda: digits(10), ValueError, r"digit must be in 0\.\.9 or None, got 10"),
    (lambda: digits(margin=-1), ValueError, "margin must be an integer >= 0, got -1"),
    (lambda: mnist(size=5), ValueError, "size must divide 28, got 5"),
    (lambda: mnist(split=TEXT), ValueError, "unknown split 'no'; allowed: test, train"),
    (lambda: mnist(folder=Path("nowhere")), FileNotFoundError, "no train-images-idx3-ubyte.gz"),
    (lambda: explorer_data([]), ValueError, "need one run per depth"),
    (lambda: explore([], "a", b""), ValueError, "need one run per depth"),
    (lambda: Explorer({}, {}, " ", b""), ValueError, "an explorer needs a description"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "words"), CASES, ids=range(len(CASES)))
def test_bad_arguments(call: Callable[[], object], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        call()


def test_mnist_that_cannot_be_downloaded_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("name resolution failed, pool of connections, " * 20)

    monkeypatch.setattr("pooch.retrieve", offline)
    with pytest.raises(FileNotFoundError, match=r"ConnectionError.*mnist_folder") as caught:
        mnist(0)
    assert caught.value.__suppress_context__
    assert len(caught.value._render_traceback_()) == 1  # type: ignore[attr-defined]
