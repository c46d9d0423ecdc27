"""What a finished run says of itself."""

import math
from dataclasses import replace

import pytest
import torch

from cbnlib import CNNConfig, TrainConfig, run_task
from cbnlib.runs.run import failed
from cbnlib.spectra.bottleneck import measure_bottleneck
from cbnlib.tasks import Task, bump

TASK = bump(8, samples=20)


def trained(task=TASK, **network):
    config = CNNConfig(grid=8, width=2, depth=4, **network)
    training = TrainConfig(0.02, 0.01, 5, seed=3, loss=task.loss)
    return run_task(task, config, training, progress=False)


def test_a_row_holds_the_setting_and_what_was_found():
    run = trained(gain=1.5)
    row, middle = run.row(), run.weight_spectra[1:3]
    setting = {"task": TASK.name, "L": 4, "ridge": 0.02, "gain": 1.5, "seed": 3}
    assert setting.items() <= row.items()
    assert row["kept"] == max(s.real_dimensions(0.5) for s in middle)
    assert row["smallest kept"] == min(s.gap(0.5)[0] for s in middle)
    assert row["largest other"] == max(s.gap(0.5)[1] for s in middle)
    assert (row["data loss"], row["norm"]) == (run.fit, run.norm)
    assert row["data loss, %"] == pytest.approx(100 * run.fit / TASK.variance)
    assert (row["regularised loss"], row["learned"]) == (run.loss, run.learned)
    assert row["bottleneck"] == str(measure_bottleneck(run.weight_spectra))
    assert run.bottleneck.layers == measure_bottleneck(run.weight_spectra).layers


@pytest.mark.parametrize(
    ("share", "learned"),
    [(1.0, True), (0.5, True), (0.499, False), (0.0, False), (-0.1, False), (math.nan, False)],
)
def test_a_network_that_explains_half_of_the_variance_learned(share, learned):
    run = trained()
    run = replace(run, fit=(1 - share) * TASK.variance)
    assert run.explained == pytest.approx(share, nan_ok=True)
    assert run.learned == learned


def test_the_mean_target_explains_nothing():
    stripes = torch.tensor([1.0, -1.0]).repeat(4)
    y = torch.stack([stripes, 3 * stripes]).unsqueeze(1)  # 8 about the mean, 40 about a constant
    run = trained(Task("t", y, y))
    assert replace(run, fit=8.0).explained == 0
    assert not replace(run, fit=0.49 * 40).learned


def test_a_failed_run_has_a_row():
    run = failed(trained(), "it blew up")
    row = run.row()
    assert (row["seed"], row["learned"], row["bottleneck"]) == (3, False, "failed")
    found = ("data loss, %", "data loss", "norm", "regularised loss", "kept", "smallest kept")
    assert all(math.isnan(row[name]) for name in (*found, "largest other"))
    assert not run.bottleneck.layers


def test_labels_have_no_row_of_what_was_learned():
    task = Task("t", TASK.x, torch.arange(20) % 2, "cross_entropy")
    row = trained(task, c_out=2, head="pooling").row()
    assert not {"learned", "data loss, %"} & row.keys()
    assert math.isfinite(row["data loss"])


def test_nothing_kept_and_nothing_to_vary_have_a_row():
    run = trained()
    with torch.no_grad():
        [parameter.zero_() for parameter in run.model.parameters()]
    row = replace(run, spectra=[], task=replace(run.task, variance=0.0)).row()
    assert (row["kept"], row["largest other"], row["bottleneck"]) == (0, 0.0, "no bottleneck")
    assert math.isnan(row["smallest kept"])
    assert math.isnan(row["data loss, %"])
    assert not row["learned"]
