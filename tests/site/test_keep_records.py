"""The committed records, and what keeps them."""

from pathlib import Path

import pytest

from cbnlib import CNNConfig, TrainConfig, run_experiment, single
from cbnlib.runs.obtain import RECORD
from cbnlib.runs.record import load_record
from tools.keep_records import LARGEST_MEGABYTES, main, megabytes
from tools.project import Project

PROJECT = Project()
COMMITTED = sorted((PROJECT.root / "records").glob(f"*/*/{RECORD}"))


def test_all_records_together_are_small() -> None:
    assert 0 < megabytes(PROJECT.root / "records") <= LARGEST_MEGABYTES


@pytest.mark.parametrize("sealed", COMMITTED, ids=lambda path: path.parent.name)
def test_committed_record_is_sound_and_called_what_it_is(sealed: Path) -> None:
    experiment, runs = load_record(sealed)
    assert sealed.parent.name == experiment.folder_name
    assert len(runs) == len(experiment.members)
    assert sealed.parents[1].name in {source.stem for source in PROJECT.sources()}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A project with one notebook and one finished run."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_some.md").touch()
    experiment = single(
        "bump",
        {"n": 8, "samples": 9},
        CNNConfig(grid=8, width=2, depth=2),
        TrainConfig(0.1, 0.1, 1),
    )
    folder = tmp_path / "_build" / "runs" / "01_some" / experiment.folder_name
    run_experiment(experiment, folder=folder, progress=False)
    return folder


def test_finished_runs_are_kept_once(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = trained.parents[3]
    assert main(["--root", str(root)]) == 0
    kept = root / "records" / "01_some" / trained.name / RECORD
    assert f"kept {kept.relative_to(root)}" in capsys.readouterr().out
    assert load_record(kept)[0] == load_record(trained / RECORD)[0]
    assert main(["--root", str(root), "01"]) == 0
    assert "kept" not in capsys.readouterr().out


def test_leftovers_of_a_killed_call_are_removed(trained: Path) -> None:
    root = trained.parents[3]
    kept = root / "records" / "01_some" / trained.name
    (kept / f".{RECORD}.0123456789abcdef.tmp").mkdir(parents=True)
    (kept.parents[1] / ".notes.tmp").write_text("mine")
    assert main(["--root", str(root)]) == 0
    assert [path.name for path in kept.iterdir()] == [RECORD]
    assert (kept.parents[1] / ".notes.tmp").read_text() == "mine"


def test_a_damaged_run_is_not_kept(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = trained / RECORD / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    root = trained.parents[3]
    assert main(["--root", str(root)]) == 1
    assert "arrays.npz" in capsys.readouterr().err
    assert not (root / "records").exists()
