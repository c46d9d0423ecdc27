"""Experiments as data: one digest per meaning, and nothing that changes it silently."""

import json
import pickle
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch

import cbnlib.runs.experiment
from cbnlib import CNNConfig, TrainConfig
from cbnlib.network.model import CoarseStage
from cbnlib.runs.experiment import Experiment, TaskSpec, canonical, single

NETWORK = CNNConfig(grid=(8, 8), width=4, depth=3, window=(3, 5), coarse=CoarseStage(4, 2, 2))
TRAINING = TrainConfig(ridge=1e-2, learning_rate=3e-3, steps=100, seed=7)
TASKS = (
    TaskSpec("low_pass", {"supports": [[[0, 1], [0, -1]]], "grid": [8, 8]}),
    TaskSpec("low_pass", {"supports": [[[0, 0]]], "grid": [8, 8], "samples": 32}),
)


def make(**changes):
    parts = {"tasks": TASKS, "network": NETWORK, "training": TRAINING, "seeds": (0, 1)}
    return Experiment(**parts | changes)


def test_facts_hold_every_field_and_option():
    facts = make().facts()
    assert facts["network"].keys() == {field.name for field in fields(CNNConfig)}
    assert facts["network"]["window"] == [3, 5]
    assert facts["network"]["coarse"] == {"grid": [4], "first": 2, "last": 2, "method": "crop"}
    neutral = {"snapshots", "budget", "layers", "release", "shrink"}
    assert facts["training"].keys() == {field.name for field in fields(TrainConfig)} - neutral
    options = {"supports": [[[0, 0]]], "grid": [8, 8], "samples": 32, "relu": False, "seed": 0}
    assert facts["tasks"][1] == {"name": "low_pass", "options": options}
    assert facts["seeds"] == [0, 1]


def test_facts_come_back():
    for experiment in (make(), single("bump", {}, CNNConfig(16, 2, 2), TRAINING)):
        again = Experiment.from_facts(json.loads(json.dumps(experiment.facts())))
        assert again == experiment
        assert again.digest() == experiment.digest()
        assert pickle.loads(pickle.dumps(experiment)) == experiment
        assert hash(again.tasks) == hash(experiment.tasks)


@pytest.mark.parametrize(
    "changes",
    [
        {"seeds": (1, 0)},
        {"tasks": TASKS[::-1]},
        {"tasks": TASKS[:1]},
        {"training": TrainConfig(ridge=1e-2, learning_rate=3e-3, steps=100, seed=8)},
        {"network": CNNConfig((8, 8), 4, 3, window=(3, 5))},
    ],
    ids=str,
)
def test_what_matters_changes_the_digest(changes):
    assert make(**changes).digest() != make().digest()


def test_what_does_not_matter_leaves_the_digest():
    options = {"n": 8, "sharpness": 4}
    a = single("bump", options, CNNConfig(8, 2, 2, gain=1), TrainConfig(1, 0.1, 3))
    b = single(
        "bump",
        {"seed": 0, "sharpness": 4.0, "n": 8},
        CNNConfig([8], 2, 2, gain=1.0),
        TrainConfig(1.0, 0.1, 3),
        label="with a label",
    )
    assert a.digest() == b.digest()
    assert a.tasks == b.tasks


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("bump", {"n": 8, "sharpness": 4}, {"n": np.int64(8), "sharpness": np.float64(4)}),
        ("motion", {"grid": [16], "speeds": (0, 2)}, {"speeds": [0.0, 2.0]}),
        ("shape_texture", {"grid": (8,), "carrier": [2]}, {"grid": 8, "carrier": 2}),
        ("low_pass", {"supports": [[0]], "grid": 8, "relu": 1},
         {"supports": ((0,),), "grid": (8,), "relu": True}),
        ("filtered_noise", {"gains": [1, 0], "n": 2}, {"gains": (1.0, 0.0), "n": 2}),
    ],
)  # fmt: skip
def test_values_that_mean_the_same_are_one_task(name, one, two):
    assert TaskSpec(name, one) == TaskSpec(name, two)


def test_the_digest_does_not_depend_on_the_process():
    code = (
        "from cbnlib import *; from cbnlib.runs.experiment import *;"
        "print(single('bump', {}, CNNConfig(16, 2, 2), TrainConfig(0.1, 1 / 3, 5)).digest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = single("bump", {}, CNNConfig(16, 2, 2), TrainConfig(0.1, 1 / 3, 5))
    assert done.stdout.strip() == here.digest()


def test_a_neutral_default_keeps_old_digests(monkeypatch):
    """As if `gain` and the option `seed` had come later, with defaults that change nothing."""
    neutral = {"network": {"gain": 1.0}, "task bump": {"seed": 0}}
    monkeypatch.setattr(cbnlib.runs.experiment, "NEUTRAL", neutral)
    default = single("bump", {}, CNNConfig(16, 2, 2), TRAINING)
    assert "gain" not in default.facts()["network"]
    assert "seed" not in default.facts()["tasks"][0]["options"]
    assert Experiment.from_facts(default.facts()) == default
    other = single("bump", {"seed": 1}, CNNConfig(16, 2, 2, gain=2.0), TRAINING)
    assert other.facts()["network"]["gain"] == 2.0
    assert Experiment.from_facts(other.facts()) == other


def test_members_and_folder_name():
    assert make().members == [(t, s) for t in TASKS for s in (0, 1)]
    assert make().folder_name == f"low-pass-{make().digest()[:12]}"
    named = make(label="Fig. 3: λ = 0.1, a very long label that goes on and on / ..")
    slug, _, digest = named.folder_name.rpartition("-")
    assert slug == "fig-3-0-1-a-very-long-label-that-goes-on"
    assert digest == make().digest()[:12]
    assert make(label="λ").folder_name.startswith("run-")
    assert single("bump", {}, CNNConfig(16, 2, 2), TRAINING).seeds == (7,)


def test_tasks_are_loaded_with_their_options(tmp_path):
    x = TaskSpec("bump", {"n": 8, "samples": 3}).load(data_folder=tmp_path).x
    assert x.shape == (3, 1, 8)
    task = TASKS[1].load()
    torch.testing.assert_close(task.y[0, 0], task.x[0, 0].mean().expand(8, 8))
    with pytest.raises(FileNotFoundError, match=r"no train-images-idx3-ubyte\.gz"):
        TaskSpec("mnist", {"digit": 0}).load(data_folder=tmp_path)


def without(facts, *path):
    copy = json.loads(json.dumps(facts))
    place = copy
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return copy


def test_bad_facts():
    facts = make().facts()
    for bad, message in [
        (facts | {"format": 2}, "facts of format 2, expected 1"),
        ({}, "facts of format None"),
        (without(facts, "seeds"), "no facts of an experiment: 'seeds'"),
        (without(facts, "training", "ridge"), "no facts of an experiment: .*'ridge'"),
        (without(facts, "training", "momentum"), "incomplete"),
        (facts | {"extra": 1}, "not in their canonical form"),
        (facts | {"network": facts["network"] | {"wide": 1}}, "no facts.*'wide'"),
        (facts | {"network": facts["network"] | {"width": 0}}, "width must be an integer >= 1"),
        (facts | {"network": [1]}, "no facts of an experiment"),
        (facts | {"tasks": "bump"}, "no facts of an experiment"),
    ]:
        with pytest.raises(ValueError, match=message):
            Experiment.from_facts(bad)


def test_canonical_text():
    assert canonical({"é": (1, True), "a": 0.1}) == '{"a":0.1,"é":[1,true]}'
    with pytest.raises(ValueError, match="Out of range"):
        canonical(float("inf"))
