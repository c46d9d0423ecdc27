"""The files around the book: one address everywhere, valid metadata, no dangling paths."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cbnlib import __version__

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = re.compile(r"_build|__pycache__|\.(git|venv|ipynb_checkpoints|.*_cache)")
SUFFIXES = {".cff", ".ipynb", ".md", ".py", ".toml", ".yml", ".yaml", ".txt", ".svg", ".bib", ""}
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
ADDRESS = CONFIG["repository"]["url"]
WORKFLOWS = [path.relative_to(ROOT) for path in sorted((ROOT / ".github").rglob("*.yml"))]


def texts():
    """Every text file of the repository, without what the build makes."""
    for path in sorted(ROOT.rglob("*")):
        made = any(map(SKIPPED.fullmatch, path.relative_to(ROOT).parts))
        if path.is_file() and not made and path.suffix in SUFFIXES:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def test_the_address_is_complete():
    assert re.fullmatch(r"https://github\.com/[\w-]+/[\w.-]+", ADDRESS)


def test_every_mention_of_the_repository_is_the_configured_address():
    name = re.escape(ADDRESS.rsplit("/", maxsplit=1)[-1])
    mention = re.compile(rf"(?:github\.com[/:]|gh/|github/)([\w-]+/{name})\b")
    slug = ADDRESS.removeprefix("https://github.com/")
    found = {path: set(mention.findall(text)) for path, text in texts()}
    assert {path: slugs for path, slugs in found.items() if slugs - {slug}} == {}
    for path in ("_config.yml", "pyproject.toml", "CITATION.cff"):
        assert found[path] == {slug}, path


def test_the_command_that_changes_the_address_names_the_present_one():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    slug = ADDRESS.removeprefix("https://github.com/")
    assert f"git grep -lz {slug} | xargs -0 perl -pi -e 's{{{slug}}}" in text


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        *(("vendor.github-workflows", path) for path in WORKFLOWS),
        ("vendor.citation-file-format", "CITATION.cff"),
    ],
)
def test_schema(schema, file):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, ROOT / file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_citation_names_the_paper():
    (paper,) = CITATION["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Wen", "Jacot"]
    assert paper["url"] == "https://arxiv.org/abs/2402.08010"


def test_one_version_number():
    assert CITATION["version"] == __version__


ACTIONS = {  # the major versions that run on Node.js 24
    "actions/checkout": 7,
    "actions/deploy-pages": 5,
    "actions/setup-python": 7,
    "actions/upload-artifact": 7,
    "actions/upload-pages-artifact": 5,
}


def test_actions_are_pinned_to_their_current_major_version():
    workflows = [yaml.safe_load((ROOT / path).read_text(encoding="utf-8")) for path in WORKFLOWS]
    steps = [step for one in workflows for job in one["jobs"].values() for step in job["steps"]]
    used = {step["uses"] for step in steps if "uses" in step}
    assert used == {f"{action}@v{major}" for action, major in ACTIONS.items()}


def test_macs_execute_the_quick_edition():
    text = (ROOT / ".github" / "workflows" / "book.yml").read_text(encoding="utf-8")
    mac = yaml.safe_load(text)["jobs"]["mac"]
    assert mac["runs-on"].startswith("macos")
    assert "make book" in [step.get("run") for step in mac["steps"]]


def test_a_notebook_is_numbered_as_its_chapter():
    """Numbers run on over the numbered parts of the table of contents."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    numbered = [part["chapters"] for part in toc["parts"] if part.get("numbered")]
    files = [chapter["file"] for chapters in numbered for chapter in chapters]
    chapters = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("[0-8]*.md")}
    assert set(files) == chapters  # from 90 on they are back matter
    for number, file in enumerate(files, start=1):
        assert file.startswith(f"notebooks/{number:02d}_")


def test_without_git_what_the_build_made_is_not_checked(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    staged = tmp_path / "_build" / "source"
    staged.mkdir(parents=True)
    (staged / "copy.py").write_text("import  os, \x74eh\n")
    (staged / "copy.md").write_text("\x74eh")
    (tmp_path / "own.md").write_text("the")
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["codespell_lib"]):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout.decode()


def test_the_texts_clone_into_the_folder_that_they_enter():
    text = (ROOT / "book" / "run_yourself.md").read_text(encoding="utf-8")
    [(target, entered)] = re.findall(r"git clone \S+ (\S+)\ncd (\S+)", text)
    assert target == entered


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_paths_named_in_the_texts_exist(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    named = re.findall(r"`([\w./-]+/|[\w./-]+\.(?:md|yml|toml|txt|py|cff))`", text)
    local = {path for path in [*links, *named] if path and "://" not in path}
    assert local
    committed = [path for path in sorted(local) if "NN" not in path and "_build" not in path]
    assert [path for path in committed if not (ROOT / path).exists()] == []


def test_no_path_of_a_machine_in_any_file():
    home = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/\w+")
    assert {path for path, text in texts() if home.search(text)} <= {
        "tests/repo/test_repository.py"
    }


@pytest.mark.parametrize(
    ("file", "told"),
    [("README.md", "exceed 0.5"), ("book/run_yourself.md", "8 of 8 runs finished")],
)
def test_the_examples_run(file, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / file).read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {})
    assert told in capsys.readouterr().out
