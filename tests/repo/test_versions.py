"""The versions in `pyproject.toml`, `constraints.txt`, `environment.yml` and the workflow agree."""

import re
import sys
import sysconfig
from importlib.metadata import distribution, distributions, packages_distributions
from pathlib import Path

import pytest
import yaml
from dependencies import PROJECT, brought
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = SpecifierSet(PROJECT["requires-python"])
LATEST_PATCH = 99


def read_pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[^*,+]+", str(r.specifier)) for r in requirements)
    pins = {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}
    assert len(pins) == len(requirements), "a package is pinned twice"
    return pins


PINS = read_pins()
ALL = [Requirement(line) for line in sum(EXTRAS.values(), PROJECT["dependencies"])]
DIRECT = [requirement for requirement in ALL if requirement.name != "cbnlib"]


def required_by(name, extras=()):
    """What an installed package requires on this machine."""
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            yield canonicalize_name(requirement.name), tuple(requirement.extras)


def all_required():
    found, todo = set(), [(canonicalize_name(r.name), tuple(r.extras)) for r in DIRECT]
    while todo:
        name, extras = todo.pop()
        if (name, extras) not in found:
            found.add((name, extras))
            todo += required_by(name, extras)
    return sorted({name for name, _ in found})


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda r: r.name)
def test_each_dependency_has_a_pin_that_satisfies_it(requirement):
    pin = PINS.get(canonicalize_name(requirement.name))
    assert pin is not None, f"{requirement.name} is not in constraints.txt"
    assert requirement.specifier.contains(pin), f"{requirement.name} is pinned to {pin}"


def test_everything_that_gets_installed_is_pinned():
    assert [name for name in all_required() if name not in PINS] == []


def test_installed_versions_are_the_pinned_ones():
    # Not all of sys.path: setuptools, once imported, adds the copies that it brings along.
    here = list(distributions(path=[sysconfig.get_path("purelib")]))
    installed = {canonicalize_name(d.name): Version(d.version).public for d in here}
    assert "jupyter-book" in installed
    known = installed.keys() & PINS.keys()
    assert {name: installed[name] for name in known if installed[name] != PINS[name]} == {}


def test_conda_brings_the_pinned_pytorch_without_cuda():
    assert f"pytorch-cpu={PINS['torch']}" in environment()["dependencies"]


def test_conda_python_is_supported():
    names = [d for d in environment()["dependencies"] if isinstance(d, str)]
    (python,) = [name for name in names if name.startswith("python=")]
    assert PYTHONS.contains(f"{python.removeprefix('python=')}.{LATEST_PATCH}")


def test_conda_takes_versions_from_constraints_only():
    environment_ = environment()
    assert environment_["channels"] == ["conda-forge"]
    (pip,) = [d["pip"] for d in environment_["dependencies"] if isinstance(d, dict)]
    options = dict(line.split(maxsplit=1) for line in pip)
    assert len(options) == len(pip)
    assert options.keys() == {"--constraint", "--editable"}
    assert (ROOT / options["--constraint"]).samefile(ROOT / "constraints.txt")
    project = re.fullmatch(r"\.\[(?P<extras>[\w,]+)\]", options["--editable"])
    assert project["extras"] == "build", "readers need no tools of development"


def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


SUPPORTED = [f"3.{m}" for m in range(30) if PYTHONS.contains(f"3.{m}.{LATEST_PATCH}")]
JOBS = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text(encoding="utf-8"))["jobs"]


def test_workflow_tests_every_supported_python_and_no_other():
    assert JOBS["test"]["strategy"]["matrix"]["python"] == SUPPORTED


def test_classifiers_name_the_supported_pythons():
    prefix = "Programming Language :: Python :: "
    named = [c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)]
    assert named == SUPPORTED


def test_make_takes_the_supported_pythons():
    first, last = SUPPORTED[0], SUPPORTED[-1]
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    after = f"3, {int(last.removeprefix('3.')) + 1}"
    assert f"({first.replace('.', ', ')}) <= sys.version_info < ({after})" in text
    assert f"Python {first} to {last} is needed" in text


@pytest.mark.parametrize("file", ["README.md", "book/run_yourself.md", "CONTRIBUTING.md"])
def test_texts_name_the_supported_pythons(file):
    assert f"Python {SUPPORTED[0]} to {SUPPORTED[-1]}" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("patch", ["3.11.0", "3.11.2", "3.14.0"])
def test_every_patch_release_of_a_supported_python_is_taken(patch):
    assert PYTHONS.contains(patch)


def test_windows_runs_the_tests_that_need_the_library_alone():
    install, test = JOBS["windows"]["steps"][-2:]
    assert install["run"].split()[-2:] == ["'.[book]'", "pytest"]
    needs_more = re.compile(test["env"]["NEEDS_MORE"], re.MULTILINE)
    texts = {
        path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*/test_*.py")
    }
    chosen = {path.stem: text for path, text in texts.items() if not needs_more.search(text)}
    assert {"test_engine", "test_records", "test_spectra", "test_train"} <= chosen.keys()
    own = {"cbnlib", "pytest", *(path.stem for path in (ROOT / "tests").glob("*.py"))}
    distributions = packages_distributions()
    for name, text in chosen.items():
        imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
        for package in imported - own - sys.stdlib_module_names:
            from_ = {canonicalize_name(d) for d in distributions[package]}
            assert from_ & brought("book"), f"{name} imports {package}"
