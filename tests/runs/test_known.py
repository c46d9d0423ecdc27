"""The best network known for a problem."""

from dataclasses import replace

import pytest
from run_cases import experiment

from cbnlib import CNNConfig, run_experiment
from cbnlib.runs.known import best_known, known_networks, problem_of
from cbnlib.runs.record import save_record

NETWORK = CNNConfig(8, 3, 3)
ALIKE = [
    experiment(NETWORK),
    experiment(replace(NETWORK, width=2, gain=0.5), steps=9),
    experiment(NETWORK, seeds=(0, 1), batch_size=4),
    experiment(NETWORK, budget="DC×1", layers=(2, 2)),
]
OTHERS = [experiment(replace(NETWORK, depth=2)), experiment(NETWORK, ridge=0.0, steps=50)]


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder, losses = tmp_path_factory.mktemp("records"), {}
    for one in (*ALIKE, *OTHERS):
        runs = run_experiment(one, progress=False)
        save_record(folder / one.folder_name, one, runs)
        losses[one.folder_name] = [run.loss for run in runs]
    return folder, losses


def test_the_best_known_has_the_lowest_loss_of_its_problem(records):
    folder, losses = records
    known = best_known(experiment(replace(NETWORK, width=1), steps=1), folder)
    alike = [loss for one in ALIKE for loss in losses[one.folder_name]]
    assert known.loss == known.run().loss == min(alike)
    assert losses[known.record.name][known.member] == known.loss
    assert min(losses[OTHERS[1].folder_name]) < known.loss  # a smaller ridge is another problem
    assert len(list(known_networks(folder))) == len(ALIKE) + 1 + len(OTHERS)


def test_problems():
    assert len({problem_of(one) for one in ALIKE}) == 1
    assert len({problem_of(one) for one in (ALIKE[0], *OTHERS)}) == 3


def test_a_network_that_failed_is_not_known(tmp_path):
    one = experiment(NETWORK, learning_rate=1e6, optimizer="sgd", momentum=0.0)
    runs = run_experiment(one, progress=False)
    assert runs[0].failure
    save_record(tmp_path / one.folder_name, one, runs)
    assert best_known(one, tmp_path) is None
