"""Experiments that start from another network: the explicit one, or a shallower trained one."""

import json
from dataclasses import replace

import pytest
import torch
from model_cases import parameters
from run_cases import BUMP, experiment, run_until

from cbnlib import CNNConfig, Experiment, TaskSpec, TrainConfig
from cbnlib.runs.experiment import EXPLICIT
from cbnlib.runs.obtain import RECORD, folder_of, run_experiment
from cbnlib.runs.record import load_record

LOW_PASS = TaskSpec("low_pass", {"supports": [[-1, 1]], "grid": 8, "samples": 40})
NETWORK = CNNConfig(8, width=3, depth=5)
TRAINING = TrainConfig(1e-3, 1e-3, 0, batch_size=8)
STARTED = Experiment((LOW_PASS,), NETWORK, TRAINING, (2,), start=EXPLICIT)
PARENT = experiment(CNNConfig(8, 3, 4))


def deeper(depth, **training):
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


@pytest.mark.parametrize("depth", [4, 7])
def test_a_network_goes_on_from_one_that_is_no_deeper(tmp_path, depth):
    run_experiment(PARENT, folder=folder_of(PARENT, tmp_path), progress=False)
    _, [parent] = load_record(folder_of(PARENT, tmp_path) / RECORD)
    wanted, x = deeper(depth, steps=0), BUMP.load().x
    for records, folder in (([tmp_path], None), ([], folder_of(wanted, tmp_path))):
        [run] = run_experiment(wanted, folder=folder, records=records, progress=False)
        assert run.network.depth == depth
        assert (run.model(x) - parent.model(x)).abs().max() < 1e-6
    with pytest.raises(FileNotFoundError, match="no record of"):
        run_experiment(wanted, progress=False)
    for other in (deeper(3), replace(wanted, network=replace(wanted.network, width=5))):
        with pytest.raises(ValueError, match="cannot go on from"):
            run_experiment(other, records=[tmp_path], progress=False)


def test_a_stopped_run_goes_on(tmp_path):
    wanted = replace(STARTED, training=replace(TRAINING, steps=6))
    [whole] = run_experiment(wanted, progress=False)
    folder = folder_of(wanted, tmp_path)
    run_until(4, folder, wanted)
    [resumed] = run_experiment(wanted, folder=folder, progress=False)
    assert torch.equal(parameters(whole.model), parameters(resumed.model))
    assert load_record(folder / RECORD)[0] == wanted


def test_the_start_is_part_of_what_an_experiment_is():
    plain = replace(STARTED, start="")
    assert "start" not in plain.facts()
    assert len({e.digest() for e in (plain, STARTED, replace(STARTED, start="0" * 64))}) == 3
    for started in (STARTED, deeper(7)):
        assert Experiment.from_facts(json.loads(json.dumps(started.facts()))) == started


def test_bad_starts():
    with pytest.raises(ValueError, match="a digest or 'explicit'"):
        replace(STARTED, start="other")
    with pytest.raises(ValueError, match="one network; got 'explicit' for 2"):
        replace(STARTED, seeds=(0, 1))
    with pytest.raises(ValueError, match="for the task 'low_pass', got 'bump'"):
        replace(STARTED, tasks=(BUMP,))
    with pytest.raises(ValueError, match="the explicit network is one of"):
        run_experiment(replace(STARTED, network=replace(NETWORK, bias=False)), progress=False)
