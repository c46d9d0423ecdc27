"""Checkpoints: runs that are killed, stopped or damaged end with the bits of one that is not."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import run_cases
import torch
from model_cases import parameters
from run_cases import LOW_PASS, run_until

from cbnlib import (
    CNN,
    CNNConfig,
    Experiment,
    pre_activation_spectra,
    run_experiment,
    train,
)
from cbnlib.runs.checkpoint import CHECKPOINT, Checkpointer, read_checkpoint
from cbnlib.runs.obtain import RECORD
from cbnlib.runs.store import ForeignRecordError, RecordError
from cbnlib.spectra.activations import mode_amplitudes
from cbnlib.spectra.snapshots import SAMPLES, SpectraRecorder, snapshot_steps
from cbnlib.tasks import bump

pytestmark = pytest.mark.usefixtures("one_thread")

RUNNER = Path(__file__).parents[1] / "kill_runner.py"
KILLS = int(os.environ.get("CBNLIB_KILLS", "12"))
STEPS = 14
TASK = bump(8, samples=20)
experiment = partial(run_cases.experiment, steps=STEPS)
NETWORK = experiment().network


def follow(model, observe, checkpoint=None, **training):
    """Train and hand the steps to `observe`."""
    train(
        model,
        TASK.x,
        TASK.y,
        experiment(**training).training,
        checkpoint=checkpoint,
        observe=lambda step, _: observe(step),
        progress=False,
    )


def assert_same_bits(run, other):
    assert torch.equal(parameters(run.model), parameters(other.model))
    assert run.history == other.history
    assert (run.fit, run.norm) == (other.fit, other.norm)
    assert [s.step for s in run.spectra] == [s.step for s in other.spectra]
    for a, b in zip(run.spectra, other.spectra, strict=True):
        assert len(a.activations) == len(run.model.convs)
        ours, theirs = [*a.layers, *a.activations], [*b.layers, *b.activations]
        for one, two in zip(ours, theirs, strict=True):
            assert torch.equal(one.values, two.values)


@pytest.mark.parametrize(
    ("optimizer", "stops"),
    [("adam", (1,)), ("adam", (3, 4, 11)), ("adam", (STEPS,)), ("sgd", (9,))],
)
def test_a_stopped_run_ends_with_the_same_bits(tmp_path, optimizer, stops):
    what = experiment(optimizer=optimizer)
    for step in stops:
        run_until(step, tmp_path / "stopped", what)
        names = sorted(path.name for path in (tmp_path / "stopped").iterdir())
        assert names == [CHECKPOINT, "lock"]
        [state, _] = read_checkpoint(tmp_path / "stopped" / CHECKPOINT, what.digest())
        assert state.facts["step"] == step
    (resumed,) = run_experiment(what, folder=tmp_path / "stopped", progress=False)
    (never,) = run_experiment(what, progress=False)
    assert resumed.provenance.source == "live"
    assert_same_bits(resumed, never)
    assert [s.step for s in never.spectra] == snapshot_steps(STEPS)
    assert [path.name for path in (tmp_path / "stopped").iterdir()] == [RECORD]


def test_a_stopped_ensemble_ends_with_the_same_bits(tmp_path):
    what = Experiment(LOW_PASS, NETWORK, experiment().training, (3, 4))
    run_until(9, tmp_path, what)
    resumed = run_experiment(what, folder=tmp_path, progress=False)
    for run, never in zip(resumed, run_experiment(what, progress=False), strict=True):
        assert_same_bits(run, never)


def test_a_resumed_run_takes_only_the_steps_that_are_left(tmp_path):
    run_until(10, tmp_path, experiment())
    seen = []
    model = CNN(NETWORK, seed=3)
    checkpoint = Checkpointer(tmp_path, experiment().digest(), seconds=1e9)
    follow(model, seen.append, checkpoint)
    assert seen == list(range(11, STEPS + 1))
    assert checkpoint.seconds_spent > 0


def test_the_time_between_checkpoints_is_kept(tmp_path):
    run_until(10, tmp_path, experiment(), every=1e9)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_damaged_checkpoint_is_skipped(tmp_path):
    run_until(9, tmp_path, experiment())
    damaged = tmp_path / CHECKPOINT
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    with pytest.raises(RecordError, match=r"checkpoint\.npz: "):
        read_checkpoint(damaged, experiment().digest())
    (tmp_path / "checkpoint.tmp").write_bytes(data)
    (resumed,) = run_experiment(experiment(), folder=tmp_path, progress=False)
    assert_same_bits(resumed, run_experiment(experiment(), progress=False)[0])
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]


def test_a_checkpoint_from_before_activations_were_kept():
    model = CNN(NETWORK, seed=3)
    recorder, older = (SpectraRecorder(model, {0}, TASK.x) for _ in range(2))
    recorder.observe(0)
    weights = {k: v for k, v in recorder.tensors().items() if "activations" not in k}
    older.restore([0], weights)
    (shot,) = older.taken
    assert torch.equal(shot.layers[1].values, recorder.taken[0].layers[1].values)
    assert shot.activations == []


def test_snapshots_leave_a_run_alone():
    observed, plain = CNN(NETWORK, seed=3), CNN(NETWORK, seed=3)
    recorder = SpectraRecorder(observed, range(STEPS + 1), TASK.x)
    follow(observed, recorder.observe)
    train(plain, TASK.x, TASK.y, experiment().training, progress=False)
    assert len(recorder.taken) == STEPS + 1
    assert torch.equal(parameters(observed), parameters(plain))


@pytest.mark.parametrize("grid", [8, (4, 5)])
def test_amplitudes_are_the_roots_of_summed_squares(grid):
    model = CNN(CNNConfig(grid, 3, 3), seed=0).double()
    axes = model.convs[0].grid
    shape, generator = (150, 1, *axes), torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    for amplitude, spectrum in zip(
        mode_amplitudes(model, x), pre_activation_spectra(model, x), strict=True
    ):
        assert amplitude.grid == spectrum.grid
        expected = spectrum.values.square().sum(dim=1, keepdim=True).sqrt()
        torch.testing.assert_close(amplitude.values, expected, rtol=1e-12, atol=1e-14)


def test_only_the_first_samples_are_sent_through_the_network():
    model = CNN(NETWORK, seed=0)
    x = torch.randn(SAMPLES + 9, 1, 8, generator=torch.Generator().manual_seed(0))
    recorder = SpectraRecorder(model, {0}, x)
    recorder.observe(0)
    expected = mode_amplitudes(model, x[:SAMPLES])
    assert torch.equal(recorder.taken[0].activations[1].values, expected[1].values)


def test_a_foreign_checkpoint_is_refused(tmp_path):
    run_until(9, tmp_path, experiment())
    with pytest.raises(ForeignRecordError, match=r"checkpoint\.npz: digest '\w+', expected '\w+'"):
        run_experiment(experiment(seed=4), folder=tmp_path, progress=False)


def test_state_of_another_data_set_is_refused(tmp_path):
    run_until(9, tmp_path, experiment())
    checkpoint = Checkpointer(tmp_path, experiment().digest())
    x = torch.randn(21, 1, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="the state is of 20 samples, not of this data"):
        train(CNN(NETWORK, seed=3), x, x, experiment().training, checkpoint=checkpoint)


@pytest.mark.parametrize("steps", [0, 1, 5, 22, 23, 24, 25, 30, 100, 8000])
def test_snapshot_steps(steps):
    chosen = snapshot_steps(steps)
    assert len(chosen) == min(24, steps + 1)
    assert chosen == sorted(set(chosen))
    assert (chosen[0], chosen[-1]) == (0, steps)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_runs_end_with_the_same_bits():
    command = [sys.executable, RUNNER, str(KILLS), "0"]
    limit = 60 + 3 * KILLS
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kills"] == result["resumed to the same bits"] == KILLS
    assert result["while writing a checkpoint"] > 0
    assert not result.get("damaged records accepted")
