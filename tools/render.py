"""Render the book from the executed notebooks of a profile, warnings counting as errors.

    python -m tools.render --profile quick

The pages go to `_build/html`. Without any change since the last rendering nothing is done. A book
that does not render, or whose links do not hold, leaves no site behind.
"""

import argparse
import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat

from tools.check_site import site_problems
from tools.digest import files_digest, is_current
from tools.project import PROFILES, ROOT, BuildError, Project
from tools.thumbnails import thumbnail

JUPYTER_BOOK = ["build", "book", "-W", "-n", "--keep-going", "--all"]
WARNING = re.compile(r"WARNING|ERROR|Traceback|Error:")


def executed_copies(project: Project, profile: str) -> list[Path]:
    """The executed notebooks of a profile.

    Raises:
        BuildError: One is missing or out of date.
    """
    folder = project.executed(profile)
    sources = project.sources()
    copies = [folder / f"{source.stem}.ipynb" for source in sources]
    for source, copy in zip(sources, copies, strict=True):
        if not is_current(project, source, copy):
            raise BuildError(
                f"{source.stem} is not executed for profile {profile}, or changed since: "
                "run `make book`, which executes it first"
            )
    return copies


def stage(project: Project, copies: Sequence[Path]) -> None:
    """Put executed notebooks, their named figures and the problem sets into the book's folder.

    Of each figure there is `<name>.png`, and `<name>-small.png` as a thumbnail.
    """
    for folder in (project.staged, project.staged_problems, project.figures):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for edition in sorted(project.students.glob("*.ipynb")):
        shutil.copy2(edition, project.staged_problems)
    for copy in copies:
        shutil.copy2(copy, project.staged)
        for name, picture in named_figures(copy):
            (project.figures / f"{name}.png").write_bytes(picture)
            (project.figures / f"{name}-small.png").write_bytes(thumbnail(picture))


def named_figures(copy: Path) -> Iterator[tuple[str, bytes]]:
    """The pictures of an executed notebook whose cell gives the figure a name."""
    for cell in nbformat.read(copy, as_version=4).cells:
        name = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        for output in cell.get("outputs", []):
            if name and "image/png" in output.get("data", {}):
                yield name, base64.b64decode(output.data["image/png"])


def inputs_digest(project: Project, copies: Sequence[Path]) -> str:
    """Hash everything a rendering depends on."""
    made = {project.staged, project.staged_problems, project.figures}
    files = [project.root / "_config.yml", project.root / "constraints.txt", *copies]
    files += project.notebooks.glob("*.*")
    files += project.students.glob("*.ipynb")
    files += (project.root / "tools").rglob("*.py")
    files += (project.root / "cbnlib").rglob("*.py")  # the reference is made from its docstrings
    files += (p for p in project.book.rglob("*") if not made.intersection(p.parents))
    return files_digest(project.root, (path for path in files if path.is_file()))


def run_jupyter_book(project: Project) -> None:
    """Run Jupyter Book on the staged notebooks.

    Raises:
        BuildError: It warns of anything or fails; the message has the warnings.
    """
    log = project.build / "render.log"
    project.build.mkdir(exist_ok=True)
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [Path(sys.executable).with_name("jupyter-book"), *JUPYTER_BOOK],
            cwd=project.root,
            env=os.environ | {"NO_COLOR": "1", "PYTHONPATH": str(ROOT)},  # for the extensions
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        lines = log.read_text(encoding="utf-8").splitlines()
        told = [line for line in lines if WARNING.search(line)] or lines[-20:]
        where = log.relative_to(project.root)
        raise BuildError("\n".join(["Jupyter Book failed:", *told, f"all it said: {where}"]))


def render(project: Project, profile: str) -> None:
    """Render and check the book, unless nothing changed since the last time.

    Raises:
        BuildError: It did not render without warnings, or the site has broken parts.
    """
    if profile not in PROFILES:
        raise BuildError(f"unknown profile {profile!r}; there are: {', '.join(PROFILES)}")
    copies = executed_copies(project, profile)
    stamp = project.site / ".inputs"
    digest = inputs_digest(project, copies)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        print("book: unchanged")
        return
    shutil.rmtree(project.site, ignore_errors=True)
    stage(project, copies)
    try:
        run_jupyter_book(project)
        problems = site_problems(project)
        if problems:
            raise BuildError("\n".join(["the site has broken parts:", *problems]))
    except BuildError:
        shutil.rmtree(project.site, ignore_errors=True)
        raise
    stamp.write_text(digest, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    args = parser.parse_args(argv)
    project = Project(args.root.resolve())
    try:
        render(project, args.profile)
    except BuildError as error:
        print(f"render: {error}", file=sys.stderr)
        return 1
    print(f"The book is at {(project.site / 'index.html').as_uri()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
