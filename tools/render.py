"""Render the book from the executed notebooks of a profile, warnings counting as errors.

    python -m tools.render --profile quick

The pages go to `_build/html`. Without any change since the last rendering nothing is done. A book
that does not render, or whose links do not hold, leaves no site behind. A chapter that failed when
it was executed is shown without results, says so, and the exit status is 1.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cbnlib.book.profiles import PROFILES
from tools.command import arguments
from tools.digest import files_digest, is_current, stored_facts, stored_json
from tools.job import Failure
from tools.project import ROOT, TITLE, BuildError, Project, files_in

JUPYTER_BOOK = ["build", "_build/source", "-W", "-n", "--keep-going", "--all"]
WARNING = re.compile(r"WARNING|ERROR|Traceback|Error:")


def outcome(project: Project, source: Path, profile: str) -> Path:
    """What there is of a notebook, the executed copy or the note of its failure.

    Raises:
        BuildError: It was not executed, or changed since.
    """
    copy = project.executed(profile) / f"{source.stem}.ipynb"
    if is_current(project, source, stored_facts(copy)):
        return copy
    note = project.failed(profile) / f"{source.stem}.json"
    if is_current(project, source, stored_json(note)):
        return note
    raise BuildError(
        f"{source.stem} is not executed for profile {profile}, or changed since: "
        "run `make book`, which executes it first"
    )


def stage(project: Project, outcomes: Sequence[Path]) -> None:
    """Put the Sphinx source folder together from pages, notebooks, figures, problem sets, claims.

    A notebook that failed has a stand-in. Of each figure there is `<name>.png`, and
    `<name>-small.png` as a thumbnail.
    """
    from tools import claims_data, crate, stability
    from tools.stand_in import stand_in
    from tools.thumbnails import thumbnail

    shutil.rmtree(project.source, ignore_errors=True)
    shutil.copytree(project.book, project.source)
    made = ("notebooks", "figures", "problems")
    notebooks, figures, problems = (project.source / name for name in made)
    for folder in (notebooks, figures, problems):
        folder.mkdir(exist_ok=True)
    for edition in files_in(project.students, "*.ipynb"):
        shutil.copy2(edition, problems)
    builds = stability.records(project)
    changing = stability.changing(builds)
    executed = dict[str, dict[str, Any]]()
    for path in outcomes:
        notebook = stored_json(path)
        if path.suffix == ".json":
            notebook = stand_in(project, path.stem, Failure(**notebook))
        else:
            mark_unstable(notebook, path.stem, changing)
            executed[path.stem] = notebook
            say_how_it_came_about(notebook)
        text = json.dumps(notebook, indent=1, ensure_ascii=False)
        (notebooks / f"{path.stem}.ipynb").write_text(f"{text}\n", encoding="utf-8")
        for name, picture in named_figures(notebook):
            (figures / f"{name}.png").write_bytes(picture)
            (figures / f"{name}-small.png").write_bytes(thumbnail(picture))
    failed = [path.stem for path in outcomes if path.suffix == ".json"]
    claims = claims_data.claims_data(executed, failed, builds)
    claims_data.write(project.source, claims)
    crate.write(project, executed)


def publish_data(project: Project) -> None:
    """Put what machines read beside the pages."""
    for path in files_in(project.source, "*.json"):
        shutil.copy2(path, project.site)


def mark_unstable(
    notebook: Mapping[str, Any], stem: str, changing: Collection[tuple[Any, ...]]
) -> None:
    """Mark the predictions whose verdict is not the same in all builds, in place.

    The builds are of the quick edition, so those of another one stay as they are.
    """
    if notebook["metadata"]["companion"]["profile"] != "quick":
        return
    from cbnlib.book.claims import KEY, Claim
    from tools import stability
    from tools.executed import outputs_with

    claims = list(outputs_with(KEY, notebook["cells"]))
    facts = [output["metadata"][KEY] for output in claims]
    stated = stability.stated([{"seed": 0, "chapters": {stem: facts}}])
    keys = stated[stability.KEY].itertuples(index=False, name=None)
    for output, key in zip(claims, keys, strict=True):
        if key in changing:
            claim = Claim.from_facts(output["metadata"][KEY] | {"unstable": True})
            output["metadata"][KEY], output["data"] = claim.facts(), claim.shown()


def say_how_it_came_about(notebook: Mapping[str, Any]) -> None:
    """Put edition, seed, networks, versions and time in a line under the title, in place."""
    from tools.executed import Execution
    from tools.facts import plain

    execution = Execution.of(notebook)
    edition = f"{{doc}}`{execution.edition.capitalize()} edition </execution>`"
    line = f"\n\n{{.provenance}}\n{edition} · {plain(execution.line())}\n"
    for cell in notebook["cells"]:
        text, count = TITLE.subn(lambda found: found[0] + line, "".join(cell["source"]), count=1)
        if count and cell["cell_type"] == "markdown":
            cell["source"] = text
            break


def named_figures(notebook: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The pictures of an executed notebook whose cell gives the figure a name."""
    for cell in notebook["cells"]:
        name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", []):
            if name and "image/png" in output.get("data", {}):
                yield name, base64.b64decode("".join(output["data"]["image/png"]))


def inputs_digest(project: Project, outcomes: Sequence[Path]) -> str:
    """Hash everything a rendering depends on."""
    files = [project.root / "_config.yml", project.root / "constraints.txt", *outcomes]
    files += files_in(project.notebooks, "*.*")
    files += files_in(project.students, "*.ipynb")
    files += files_in(project.stability, "*.json")
    files += files_in(project.root / "tools", "**/*.py")
    files += files_in(project.root / "cbnlib", "**/*.py")  # its docstrings are the reference
    files += files_in(project.book)
    return files_digest(project.root, files)


def run_jupyter_book(project: Project) -> None:
    """Run Jupyter Book on the staged notebooks.

    Raises:
        BuildError: It warns of anything or fails. The message has the warnings.
    """
    log = project.build / "render.log"
    project.build.mkdir(exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [Path(sys.executable).with_name("jupyter-book"), *JUPYTER_BOOK],
            cwd=project.root,
            env=os.environ
            | project.caches
            | {"NO_COLOR": "1", "PYTHONPATH": str(ROOT)},  # for the extensions
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8").splitlines()
        told = [line for line in lines if WARNING.search(line)] or lines[-20:]
        where = log.relative_to(project.root)
        raise BuildError("\n".join(["Jupyter Book failed:", *told, f"all it said: {where}"]))


def render(project: Project, profile: str) -> list[str]:
    """Render and check the book, unless nothing changed since the last time.

    Returns:
        The names of the chapters that failed.

    Raises:
        BuildError: It did not render without warnings, or the site has broken parts.
    """
    if profile not in PROFILES:
        raise BuildError(f"unknown profile {profile!r}; there are: {', '.join(PROFILES)}")
    outcomes = [outcome(project, source, profile) for source in project.sources()]
    failed = [path.stem for path in outcomes if path.suffix == ".json"]
    stamp = project.site / ".inputs"
    digest = inputs_digest(project, outcomes)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        print("book: unchanged")
        return failed
    from tools.check_site import site_problems

    shutil.rmtree(project.site, ignore_errors=True)
    stage(project, outcomes)
    try:
        run_jupyter_book(project)
        publish_data(project)
        problems = site_problems(project)
        if problems:
            raise BuildError("\n".join(["the site has broken parts:", *problems]))
    except BuildError:
        shutil.rmtree(project.site, ignore_errors=True)
        raise
    stamp.write_text(digest, encoding="utf-8")
    return failed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = arguments(__doc__)
    parser.add_argument("--profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    args = parser.parse_args(argv)
    project = Project(args.root)
    try:
        failed = render(project, args.profile)
    except BuildError as error:
        print(f"render: {error}", file=sys.stderr)
        return 1
    print(f"The book is at {(project.site / 'index.html').as_uri()}")
    for name in failed:
        print(f"render: {name} failed, its page has no results and says why", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
