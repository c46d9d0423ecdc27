"""Forced outcomes: what training may leave on some machine, made on purpose."""

import math

import pytest
from run_cases import experiment

from cbnlib.book.notebook import best, least, most, runs_of, spread, typical

EXPERIMENTS = [experiment(seed=0, steps=300), experiment(seeds=(0, 2), steps=300)]


def test_smoke_runs_are_short():
    runs = [run for runs in runs_of(EXPERIMENTS, "smoke") for run in runs]
    assert [run.history.step[-1] for run in runs] == [20] * 3
    assert not any(run.failure for run in runs)


def test_zeroed_runs_keep_nothing():
    [[one], [two, three]] = runs_of(EXPERIMENTS, "smoke-zeros")
    for run in (one, two, three):
        assert run.norm == 0
        assert run.fit == pytest.approx(float(run.examples[1].square().sum()) / 20)
        assert all(s.values.eq(0).all() for s in [*run.spectra[-1].layers, *run.activations])


def test_a_failed_run_of_each_group_is_told_and_has_no_network(capsys):
    [[one], [two, three]] = runs_of(EXPERIMENTS, "smoke-diverged")
    assert one.failure == two.failure == "made to fail (seed 0)"
    assert not three.failure
    assert math.isnan(one.loss)
    assert all(p.isnan().all() for p in one.model.parameters())
    assert not one.learned
    assert capsys.readouterr().out.count("3 layers, failed: made to fail (seed 0)") == 2
    assert best([one, two, three]) is three
    assert best([one]) is None


def test_numbers_of_empty_groups_are_not_available():
    for values in ([], [math.nan], [math.inf]):
        assert spread(values) == "not available"
        assert all(math.isnan(f(values)) for f in (least, most, typical))
    values = [3, math.nan, 1]
    assert (least(values), typical(values), most(values)) == (1, 2, 3)
