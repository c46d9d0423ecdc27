"""Experiments that start from another network: the explicit one, or a shallower trained one."""

import json
from dataclasses import replace

import pytest
import torch
from run_cases import BUMP, experiment

from cbnlib import CNN, CNNConfig, Experiment, TaskSpec, TrainConfig
from cbnlib.runs.checkpoint import Checkpointer
from cbnlib.runs.experiment import EXPLICIT
from cbnlib.runs.obtain import RECORD, folder_of, run_experiment
from cbnlib.runs.record import load_record

LOW_PASS = TaskSpec("low_pass", {"supports": [[-1, 1]], "grid": 8, "samples": 40})
NETWORK = CNNConfig(8, width=3, depth=5)
TRAINING = TrainConfig(1e-3, 1e-3, 0, batch_size=8)
STARTED = Experiment((LOW_PASS,), NETWORK, TRAINING, (2,), start=EXPLICIT)
PARENT = experiment(CNNConfig(8, 3, 4))


def deeper(depth=7, **training):
    return replace(
        PARENT,
        network=replace(PARENT.network, depth=depth),
        training=replace(PARENT.training, **training),
        start=PARENT.digest(),
    )


@pytest.mark.parametrize(("relu", "kind"), [(False, "pixel"), (True, "pixel"), (False, "spectral")])
def test_the_explicit_network_fits_before_training(relu, kind):
    spec = replace(LOW_PASS, options={**LOW_PASS.options, "relu": relu})
    wanted = replace(STARTED, tasks=(spec,), network=replace(NETWORK, parametrization=kind))
    [run] = run_experiment(wanted, progress=False)
    task = spec.load()
    assert (run.model(task.x) - task.y).abs().max() < 1e-6
    assert run.network == wanted.network
    again, other = (replace(wanted, seeds=(seed,)) for seed in (2, 3))
    weights = [run_experiment(e, progress=False)[0].model.convs[0].weight for e in (again, other)]
    assert torch.equal(weights[0], run.model.convs[0].weight)
    assert not torch.equal(weights[1], weights[0])


def test_a_deeper_network_starts_from_a_shallower_one(tmp_path):
    run_experiment(PARENT, folder=folder_of(PARENT, tmp_path), progress=False)
    _, [parent] = load_record(folder_of(PARENT, tmp_path) / RECORD)
    [run] = run_experiment(deeper(steps=0), records=[tmp_path], progress=False)
    x = BUMP.load().x
    assert run.network.depth == 7
    assert (run.model(x) - parent.model(x)).abs().max() < 1e-6
    with pytest.raises(ValueError, match="cannot go on from"):
        run_experiment(deeper(depth=3), records=[tmp_path], progress=False)


class KilledError(Exception):
    pass


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    wanted = replace(STARTED, training=replace(TRAINING, steps=6))
    [whole] = run_experiment(wanted, progress=False)
    after_step = Checkpointer.after_step

    def killed(self, loop):
        after_step(self, loop)
        if loop.step == 4:
            raise KilledError

    folder = folder_of(wanted, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Checkpointer, "after_step", killed)
        with pytest.raises(KilledError):
            run_experiment(wanted, folder=folder, checkpoint_seconds=0, progress=False)
    [resumed] = run_experiment(wanted, folder=folder, progress=False)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert load_record(folder / RECORD)[0] == wanted


def test_the_start_is_part_of_what_an_experiment_is():
    plain = replace(STARTED, start="")
    assert "start" not in plain.facts()
    assert len({e.digest() for e in (plain, STARTED, replace(STARTED, start="0" * 64))}) == 3
    assert Experiment.from_facts(json.loads(json.dumps(STARTED.facts()))) == STARTED


def test_bad_starts():
    with pytest.raises(ValueError, match="a digest or 'explicit'"):
        replace(STARTED, start="other")
    with pytest.raises(ValueError, match="one network; got 'explicit' for 2"):
        replace(STARTED, seeds=(0, 1))
    with pytest.raises(ValueError, match="for the task 'low_pass', got 'bump'"):
        replace(STARTED, tasks=(BUMP,))
    with pytest.raises(ValueError, match="the explicit network is one of"):
        run_experiment(replace(STARTED, network=replace(NETWORK, bias=False)), progress=False)


def test_a_plain_network_is_drawn_as_before():
    [run] = run_experiment(replace(STARTED, start=""), progress=False)
    assert torch.equal(run.model.convs[0].weight, CNN(NETWORK, seed=2).convs[0].weight)
