"""Runs for the profiles `smoke`, `smoke-zeros` and `smoke-diverged`.

What training finds differs from machine to machine, so a notebook must cope with every outcome.
These profiles make the extreme ones. After `STEPS` steps no network has learned. With weights of
zero no network keeps a mode. And training failed for one network of each group.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from cbnlib.runs.experiment import Experiment
from cbnlib.runs.obtain import run_experiment
from cbnlib.runs.run import MEASURED, Run, failed
from cbnlib.runs.search import Search, SearchResult, Tried, search
from cbnlib.spectra.activations import mode_amplitudes, pre_activation_spectra
from cbnlib.spectra.convolutions import weight_spectra
from cbnlib.spectra.snapshots import SAMPLES, SpectraSnapshot
from cbnlib.tasks import Task
from cbnlib.training.budget import Budget
from cbnlib.training.train import evaluate

STEPS, SNAPSHOTS, DATA = 20, 4, 64
"""A run's steps, its spectra over training, and the samples of a task that makes its own."""


def smoke_runs(
    experiments: Sequence[Experiment], profile: str, *, data_folder: str | None = None
) -> list[list[Run]]:
    """The runs of experiments after `STEPS` steps, with the outcome that the profile forces.

    Args:
        experiments: What to run, for a moment.
        profile: `smoke` leaves the runs as they are. `smoke-zeros` sets all weights to zero.
            `smoke-diverged` turns the runs of the smallest seed into failed ones.
        data_folder: As in `run_experiment`.
    """
    lowest = min((seed for e in experiments for seed in e.seeds), default=0)
    results = []
    for experiment in experiments:
        short = _shortened(experiment)
        runs = run_experiment(short, data_folder=data_folder, progress=False)
        tasks = {spec: spec.load(data_folder=data_folder) for spec in short.tasks}
        for i, (spec, seed) in enumerate(short.members):
            if profile == "smoke-zeros" and not runs[i].failure:
                runs[i] = _zeroed(runs[i], tasks[spec])
            elif profile == "smoke-diverged" and seed == lowest:
                runs[i] = failed(runs[i], f"made to fail (seed {seed})")
        results.append(runs)
    return results


def smoke_searches(
    plans: Sequence[Search], profile: str, folder: str, *, data_folder: str | None = None
) -> list[SearchResult]:
    """One short round of each search, with the outcome that the profile forces.

    Args:
        plans: What to search, for a moment.
        profile: As in `smoke_runs`. Either all weights are zero, so no budget is used and all
            losses are equal, or every second budget failed.
        folder: Where the records go.
        data_folder: As in `run_experiment`.
    """
    results = []
    for plan in plans:
        begin = _shortened(plan.start)
        brief = min(3, plan.finish)
        short = replace(plan, start=begin, steps=3, rounds=1, degree=0, finish=brief)
        found = search(short, folder, workers=1, data_folder=data_folder, progress=False)
        tried, prices = (
            tuple(_forced(t, i, profile) for i, t in enumerate(rows))
            for rows in (found.tried, found.prices)
        )
        network = found.network if profile == "smoke" else None
        results.append(replace(found, tried=tried, prices=prices, network=network))
    return results


def _forced(tried: Tried, number: int, profile: str) -> Tried:
    nothing = Budget(tried.budget.grid, {})
    if profile == "smoke-zeros":
        return replace(tried, uses=nothing, loss=1.0, fit=1.0, norm=0.0)
    if profile == "smoke-diverged" and number % 2:
        lost = replace(tried, uses=nothing, failure="made to fail")
        return replace(lost, loss=math.inf, fit=math.nan, norm=math.nan)
    return tried


def _shortened(experiment: Experiment) -> Experiment:
    """The experiment with fewer steps, fewer looks at them, and less data where a task says how."""
    training = experiment.training
    steps, snapshots = min(STEPS, training.steps), min(SNAPSHOTS, training.snapshots)
    tasks = [
        replace(task, options={**task.options, "samples": min(DATA, count)})
        if isinstance(count := task.options.get("samples"), int)
        else task
        for task in experiment.tasks
    ]
    training = replace(training, steps=steps, snapshots=snapshots)
    return replace(experiment, tasks=tuple(tasks), training=training)


@torch.no_grad()
def _zeroed(run: Run, task: Task) -> Run:
    """The run as if its training had ended with weights of zero."""
    model = run.model
    for parameter in model.parameters():
        parameter.zero_()
    last = run.spectra[-1].step
    amplitudes = mode_amplitudes(model, task.x[:SAMPLES])
    return replace(
        run,
        fit=evaluate(model, task.x, task.y, loss=task.loss),
        norm=0.0,
        spectra=[*run.spectra[:-1], SpectraSnapshot(last, weight_spectra(model), amplitudes)],
        activations=pre_activation_spectra(model, task.x[:MEASURED]),
    )
