"""`python -m cbnlib.verify`: does a verdict stand?"""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from claim_cases import stated

from cbnlib import verify
from cbnlib.book.claims import KEY


def row(name, claim):
    facts = claim.facts()
    own = {"id": name, "claim": facts.pop("paper"), "counts": {"missing": facts.pop("missing")}}
    limits = {"tolerance": {side: facts.pop(side) for side in ("at_least", "at_most")}}
    where = {"chapter": "01_some", "edition": "paper", "seed": 0}
    return own | limits | where | facts


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone whose book states two predictions, and what its chapter gives if it is executed."""
    for name in ("records", "notebooks", "tools", "_build/html"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    rows = [row("C1-01-few-1a2b", stated(1)), row("C1-01-none-3c4d", stated(1, "None is."))]
    data = json.dumps({"predictions": rows})
    (tmp_path / "_build" / "html" / "claims.json").write_text(data)
    monkeypatch.chdir(tmp_path)
    now = {"status": 0, "claims": [stated(2)]}

    def execute(command, **_):
        now["command"] = command
        given = dict(zip(command[3::2], command[4::2], strict=False))
        folder = Path(given["--build"]) / "executed" / given["--profile"]
        folder.mkdir(parents=True)
        outputs = [{"metadata": {KEY: claim.facts()}} for claim in now["claims"]]
        copy = folder / f"{command[-1]}.ipynb"
        copy.write_text(json.dumps({"cells": [{"outputs": outputs}]}))
        return subprocess.CompletedProcess(command, now["status"])

    monkeypatch.setattr(verify.subprocess, "run", execute)
    return now


@pytest.mark.parametrize(("value", "status"), [(2, 0), (9, 1)])
def test_a_verdict_stands_or_not(clone, capsys, value, status):
    clone["claims"] = [stated(1, "None is."), stated(value)]
    assert verify.main(["C1-01-few"]) == status
    told = capsys.readouterr().out
    assert "in the book: paper, seed 0: reproduced: dimensions: 1 (1 value; predicted" in told
    assert f"recomputed:  paper, seed 0: {clone['claims'][1].verdict}" in told
    assert ("does not stand" in told) == bool(status)


def test_seed_profile_and_data_are_passed_on(clone, tmp_path):
    arguments = ["C1-01-few-1a2b", "--seed", "7", "--profile", "quick", "--mnist", "digits"]
    assert verify.main(arguments) == 0
    line = " ".join(clone["command"])
    assert "--profile quick --seed 7" in line
    assert f"-p mnist_folder {tmp_path / 'digits'} 01_some" in line
    assert list((tmp_path / "_build").glob("verify-*")) == []


def test_a_second_prediction_of_the_same_text_is_compared_with_the_second(clone, tmp_path):
    path = tmp_path / "_build" / "html" / "claims.json"
    rows = [row("C1-01-few-1a2b", stated(1)), row("C1-01-few-5e6f", stated(9))]
    path.write_text(json.dumps({"predictions": rows}))
    clone["claims"] = [stated(1), stated(9)]
    assert verify.main(["C1-01-few-5e6f"]) == 0
    clone["claims"] = [stated(9)]
    assert verify.main(["C1-01-few-5e6f"]) == 2


def test_a_prediction_that_no_run_tested_says_why(clone, tmp_path, capsys):
    nothing = replace(stated(1), values=(), untested="No network learned.")
    path = tmp_path / "_build" / "html" / "claims.json"
    path.write_text(json.dumps({"predictions": [row("C1-01-few-1a2b", nothing)]}))
    clone["claims"] = [nothing]
    assert verify.main(["C1-01-few-1a2b"]) == 0
    assert capsys.readouterr().out.count("not tested: dimensions: nothing") == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["C1-01-fwe-1a2b"], "no prediction is called 'C1-01-fwe-1a2b'; there are:\n  C1-01-few"),
        (["C1"], "more than one prediction begins with 'C1'; there are:"),
        (["C1", "--claims", "gone.json"], "gone.json: run `make book`"),
        (["C1", "--claims", "pyproject.toml"], "is no claims.json"),
    ],
)
@pytest.mark.usefixtures("clone")
def test_what_cannot_be_run_says_why(capsys, arguments, told):
    assert verify.main(arguments) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"status": 1}, "the chapter 01_some failed"),
        ({"claims": [stated(1, "None is.")]}, "edition of 01_some makes no such prediction"),
    ],
)
def test_a_chapter_may_fail_or_make_no_such_prediction(clone, capsys, now, told):
    clone |= now
    assert verify.main(["C1-01-few"]) == 2
    assert told in capsys.readouterr().err


def test_outside_a_clone_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    def nowhere():
        raise FileNotFoundError

    monkeypatch.setattr(verify, "records_root", nowhere)
    monkeypatch.chdir(tmp_path)
    assert verify.main(["C1"]) == 2
    assert "Clone the repository" in capsys.readouterr().err
