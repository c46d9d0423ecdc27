"""The build on a tiny project: nothing stale, failures named, only what changed done again."""

import io
import json
import shutil
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from project_cases import cell, make_project, notebook, run

from cbnlib.book.where import ASKED
from tools import execute, run_notebook
from tools.digest import is_current, stored_facts
from tools.job import Failure
from tools.notebook import parse_parameter
from tools.outputs import clean_outputs
from tools.project import ROOT, BuildError, Project
from tools.sphinx_ext.accessible import repair
from tools.sphinx_ext.offline_search import joined

NOISY = """\
import sys, time, warnings
from cbnlib import VALUE
from tqdm import tqdm
for i in tqdm(range(3)):
    time.sleep(0.12)
    warnings.warn(f"warning {i}") if i == 1 else None
print("value", VALUE, "seed", seed)"""
FAILURES = {
    "01_raises": ("raise ValueError('no good')", "ValueError: no good"),
    "02_sleeps": ("time.sleep(100)", "longer than 3 s"),
    "03_dies": ("os.kill(os.getpid(), 9)", "the kernel died"),
    "05_killed": ("os.kill(os.getppid(), 9)", "the process that ran it was killed"),
    "06_syntax": ("1 +", "SyntaxError"),
}
BAD_SOURCES = {
    "07_latin": ("# A title", "# Une journ\xe9e", "07_latin.md is no MyST notebook in UTF-8"),
    "08_bare": ("[parameters]", "[]", "0 cells are tagged `parameters`"),
    "09_typed": ("seed: int = 0", "seed: int =", "the `parameters` cell is not Python"),
}


def pretend_built(project):
    """Leave traces of an earlier build: an executed copy of each notebook, and a site."""
    folder = project.executed("quick")
    folder.mkdir(parents=True, exist_ok=True)
    for source in project.sources():
        nbformat.write(nbformat.v4.new_notebook(), folder / f"{source.stem}.ipynb")
    project.site.mkdir(parents=True, exist_ok=True)
    (project.site / "index.html").write_text("old", encoding="utf-8")


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """A build in which one notebook runs and three fail, each in its own way."""
    notebooks = {
        stem: notebook(cell("import os, time"), cell(line)) for stem, (line, _) in FAILURES.items()
    }
    notebooks |= dict.fromkeys(("04_runs", *BAD_SOURCES), notebook())
    project = make_project(tmp_path_factory.mktemp("failed"), notebooks)
    pretend_built(project)
    for stem, (good, bad, _) in BAD_SOURCES.items():
        source = project.notebooks / f"{stem}.md"
        source.write_text(source.read_text(encoding="utf-8").replace(good, bad), encoding="latin-1")
    with redirect_stdout(io.StringIO()) as told, redirect_stderr(told):
        status = run(project, "--timeout", "3")
    return project, status, told.getvalue()


def test_failures_give_a_status_and_leave_nothing_stale(failed):
    project, status, told = failed
    assert status == 1
    assert "8 of 9 notebooks failed" in told
    assert "execute: 9 of 9 chapters done" in told
    assert [copy.stem for copy in project.executed("quick").iterdir()] == ["04_runs"]
    assert not project.site.exists()


@pytest.mark.parametrize("stem", FAILURES)
def test_a_failed_notebook_is_named_with_its_cell(failed, stem):
    project, _, told = failed
    line, error = FAILURES[stem]
    report = told.split(f"{stem}: FAILED")[1].split("FAILED")[0]
    assert f"in cell {stem}-003: {line}" in report
    assert error in report
    assert f"_build/failed/quick/{stem}.ipynb" in report
    assert (project.failed("quick") / f"{stem}.ipynb").exists()


@pytest.mark.parametrize("stem", BAD_SOURCES)
def test_a_bad_source_fails_alone_and_is_named(failed, stem):
    _, _, told = failed
    assert BAD_SOURCES[stem][-1] in told.split(f"{stem}: FAILED")[1].split("FAILED")[0]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project with one notebook that imports `cbnlib` and one that does not, executed."""
    notebooks = {"01_imports": notebook(cell(NOISY)), "02_plain": notebook(cell("print(seed)"))}
    project = make_project(tmp_path_factory.mktemp("built"), notebooks)
    assert run(project) == 0
    return project


def executed(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [line.removesuffix(": executing") for line in lines if line.endswith(": executing")]


def test_only_what_changed_is_executed(built, capsys):
    assert run(built) == 0
    assert executed(capsys) == []
    library = built.root / "cbnlib" / "__init__.py"
    library.write_text("VALUE = 2\n", encoding="utf-8")
    assert run(built) == 0
    assert executed(capsys) == ["01_imports"]
    assert "value 2 seed 0" in streams(built, "01_imports")["stdout"]
    plain = built.notebooks / "02_plain.md"
    plain.write_text(plain.read_text(encoding="utf-8") + "\nMore text.\n", encoding="utf-8")
    assert run(built) == 0
    assert executed(capsys) == ["02_plain"]


def streams(project, stem):
    copy = nbformat.read(project.executed("quick") / f"{stem}.ipynb", as_version=4)
    return {o.name: o.text for c in copy.cells for o in c.get("outputs", []) if "name" in o}


def test_two_runs_are_identical_but_for_times(built):
    copy = built.executed("quick") / "01_imports.ipynb"
    runs = []
    for _ in range(2):
        copy.unlink(missing_ok=True)
        assert run(built, "01") == 0
        result = nbformat.read(copy, as_version=4)
        times = [result.metadata.papermill.pop(k) for k in ("start_time", "end_time", "duration")]
        assert all(times)
        assert all(result.metadata.companion.pop(k) > 0 for k in ("longest_cell", "memory_mb"))
        runs.append(result)
    assert runs[0] == runs[1]


def test_progress_is_dropped_and_warnings_stay(built):
    text = streams(built, "01_imports")["stderr"]
    assert text.startswith("<cell>:6: UserWarning: warning 1")
    assert "it/s" not in text


def test_parameters_reach_the_notebooks_that_declare_them(built, capsys):
    assert run(built, "--seed", "7", "02") == 0
    assert streams(built, "02_plain")["stdout"] == "7\n"
    assert executed(capsys) == ["02_plain"]


def test_a_parameter_of_other_notebooks_does_nothing():
    options = ["13", "-p", "mnist_folder", "/digits"]
    (job,) = execute.plan(Project(ROOT), execute.parse(options))
    assert set(job.parameters) == {"profile", "seed"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--profile", "fast"], "'fast'; there are: quick, paper"),
        (["-p", "depth", "3"], "a parameter 'depth'; there are: profile, seed"),
        (["--seed", "one"], "seed must be of type int, got 'one'"),
        (["09"], "'09'; there are: 01_imports, 02_plain"),
        (["--jobs", "0"], "--jobs must be at least 1, got 0"),
        (["--timeout", "-1"], "--timeout must be at least 1, got -1"),
    ],
)
def test_bad_options_are_refused_before_anything_is_removed(built, capsys, options, told):
    built.site.mkdir(exist_ok=True)
    copies = list(built.executed("quick").iterdir())
    assert run(built, *options) == 2
    assert told in capsys.readouterr().err
    assert copies
    assert all(path.exists() for path in (*copies, built.site))


def test_a_wrong_argument_and_a_build_without_a_change_import_nothing_heavy():
    code = "import sys, tools.execute, tools.render; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    heavy = {"torch", "papermill", "nbformat", "jupytext", "PIL", "bs4"}
    assert heavy.intersection(done.stdout.decode().split()) == set()


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("010", 0, 10),
        ("-3", 0, -3),
        ("1e-3", 0.5, 0.001),
        ("2", 0.5, 2.0),
        (".5", 1.0, 0.5),
        ("true", False, True),
        ("1:30", "x", "1:30"),
    ],
)
def test_numbers_are_read_as_they_stand(text, default, value):
    assert parse_parameter("p", text, default) == value
    assert type(parse_parameter("p", text, default)) is type(default)


@pytest.mark.parametrize(
    ("text", "default"),
    [("1:30", 0), ("0x10", 0), ("1_0", 0), ("1.0", 0), ("nan", 0.5), ("1e999", 0.5), ("yes", True)],
)
def test_what_is_no_number_is_refused(text, default):
    with pytest.raises(BuildError, match=f"got '{text}'"):
        parse_parameter("p", text, default)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"metadata": {}}'])
def test_a_damaged_copy_is_executed_again(built, capsys, content):
    copy = built.executed("quick") / "02_plain.ipynb"
    copy.write_text(content, encoding="utf-8")
    assert stored_facts(copy) == {}
    if not content:
        assert run(built) == 0
        assert executed(capsys) == ["02_plain"]


ASKS = """\
from cbnlib.book.where import ASKED
from IPython import get_ipython
get_ipython().display_pub.publish({{}}, {{ASKED: {}}})
print("asked")"""


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """A built project: 02 and 03 asked for records, of which one is missing; 04 is called so."""
    notebooks = {
        "01_plain": notebook(cell("print('nothing')")),
        "02_own": notebook(cell("print(1)\n" + ASKS.format(["0" * 12]))),
        "03_two": notebook(cell(ASKS.format(["0" * 12])), cell(ASKS.format(["a" * 12]))),
        "04_speed": notebook(),
    }
    project = make_project(tmp_path_factory.mktemp("asking"), notebooks)
    shutil.copytree(ROOT / "cbnlib", project.root / "cbnlib", dirs_exist_ok=True)
    for path in (f"some-label-{'0' * 12}/a", "04_speed/benchmark.json", f"no-{'b' * 12}/a"):
        (project.records / path).parent.mkdir(parents=True)
        (project.records / path).write_text("1", encoding="utf-8")
    assert run(project) == 0
    return project


@pytest.mark.parametrize(
    ("path", "stale"),
    [
        (f"some-label-{'0' * 12}/a", ["02_own", "03_two"]),
        (f"some-label-{'0' * 12}/more", ["02_own", "03_two"]),
        (f"label-{'a' * 12}/a", ["03_two"]),
        (f"no-{'b' * 12}/a", []),
        (f"new-{'c' * 12}/a", []),
        ("04_speed/benchmark.json", ["04_speed"]),
        (f".some-{'0' * 12}.tmp/a", []),
        ("../notebooks/.ipynb_checkpoints/02_own.md", []),
    ],
)
def test_a_changed_record_makes_those_stale_that_asked_for_it(asking, path, stale):
    changed = asking.records / path
    before = changed.read_bytes() if changed.exists() else None
    changed.parent.mkdir(exist_ok=True)
    changed.write_text("2", encoding="utf-8")
    sources = asking.sources()
    copies = {s: stored_facts(asking.executed("quick") / f"{s.stem}.ipynb") for s in sources}
    found = [s.stem for s, facts in copies.items() if not is_current(asking, s, facts)]
    changed.unlink() if before is None else changed.write_bytes(before)
    assert found == stale
    assert all(is_current(asking, source, facts) for source, facts in copies.items())


def test_only_who_asked_for_a_new_record_is_executed_again(asking, capsys):
    added = asking.records / f"label-{'a' * 12}" / "a"
    added.parent.mkdir(exist_ok=True)
    added.write_text("1", encoding="utf-8")
    assert run(asking) == 0
    assert executed(capsys) == ["03_two"]
    assert run(asking) == 0
    assert executed(capsys) == []
    shutil.rmtree(added.parent)
    assert run(asking) == 0
    assert executed(capsys) == ["03_two"]


def test_what_says_which_records_were_asked_for_is_not_shown(asking):
    copy = nbformat.read(asking.executed("quick") / "03_two.ipynb", as_version=4)
    outputs = [output for cell in copy.cells for output in cell.get("outputs", [])]
    assert [output.output_type for output in outputs] == ["stream", "stream"]
    assert [*copy.metadata["companion"]["records"]] == ["0" * 12, "a" * 12]


def test_a_failed_notebook_depends_on_what_it_asked_for(tmp_path):
    project = make_project(tmp_path, {"01_bad": notebook(cell("0 / 0"))})
    [job] = execute.plan(project, execute.parse(["--root", str(tmp_path)]))
    asked = new_output("display_data", {}, metadata={ASKED: ["0" * 12]})
    job.partial.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[new_code_cell("", outputs=[asked])]), job.partial)
    facts = asdict(Failure.of(job, "damaged"))
    assert is_current(project, job.source, facts)
    (project.records / f"x-{'0' * 12}").mkdir(parents=True)
    (project.records / f"x-{'0' * 12}" / "a").touch()
    assert not is_current(project, job.source, facts)


def test_what_is_executed_is_what_was_planned(tmp_path, monkeypatch):
    """A source that is edited while it waits gives a copy of the old text, which is stale then."""
    project = make_project(tmp_path, {"01_waits": notebook(cell("print('old')"))})
    source = project.notebooks / "01_waits.md"
    new = source.read_text(encoding="utf-8").replace("old", "new")
    monkeypatch.setattr(execute, "remove_stale", lambda *_: source.write_text(new, "utf-8"))
    assert run(project) == 0
    assert streams(project, "01_waits")["stdout"] == "old\n"
    copy = project.executed("quick") / "01_waits.ipynb"
    assert not is_current(project, source, stored_facts(copy))


def test_a_full_disk_is_told_with_the_notebook(tmp_path, monkeypatch):
    project = make_project(tmp_path, {"01_large": notebook()})
    [job] = execute.plan(project, execute.parse(["--root", str(tmp_path)]))

    def full(*_, **__):
        raise OSError(28, "No space left on device", str(job.partial))

    for name in ("_papermill", "_store"):
        with monkeypatch.context() as patch:
            patch.setattr(run_notebook, "_papermill", lambda *_, **__: {})
            patch.setattr(run_notebook, name, full)
            failure = run_notebook.run_notebook(job)
        assert "01_large: FAILED" in failure.told("01_large")
        assert "No space left on device" in failure.told("01_large")


def test_the_longest_is_started_first(tmp_path, monkeypatch):
    stems = ("01_a", "02_b", "03_c", "04_d")
    project = make_project(tmp_path, dict.fromkeys(stems, notebook()))
    project.durations.write_text('{"quick": {"01_a": 5, "02_b": 50, "04_d": 1}}', encoding="utf-8")
    project.build.mkdir()
    project.measured_durations.write_text('{"quick": {"04_d": 200}}', encoding="utf-8")
    order = []

    def run_nothing(job, outlook):
        order.append(job.name)
        return job, None, 1.0

    monkeypatch.setattr(execute, "_run_in_process", run_nothing)
    assert run(project, "--jobs", "1") == 0
    assert order == ["04_d", "03_c", "02_b", "01_a"]
    assert json.loads(project.measured_durations.read_text())["quick"] == dict.fromkeys(stems, 1.0)


LONG = {
    "nothing": "x" * 1_000_000,
    "bars": "\r" + "[1:00" * 200_000,
    "digits": "\r[" + "1" * 1_000_000,
    "names": "ipykernel_1" * 100_000,
    "moves": "\x1b[" * 400_000,
    "returns": "\r" * 1_000_000 + "x",
}


@pytest.mark.parametrize("kind", LONG)
def test_long_outputs_are_cleaned_in_a_moment(kind):
    streams = [new_output("stream", name="stdout", text=LONG[kind])]
    start = time.process_time()
    clean_outputs(new_notebook(cells=[new_code_cell(outputs=streams)]))
    joined(LONG[kind])
    repair(f"<pre>{LONG[kind]}{' ' * 100_000}</pre>")
    assert time.process_time() - start < 1


def test_caches_go_to_the_build_folder_where_the_home_is_not_writable(tmp_path, monkeypatch):
    project = Project(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert project.caches == {}
    monkeypatch.setenv("HOME", str(tmp_path / "gone"))
    assert project.caches["MPLCONFIGDIR"].startswith(str(project.build))
