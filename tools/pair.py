"""Keep the two committed forms of each notebook in step.

The MyST file `notebooks/NN.md` is the source of truth. From it this command writes the paired
`notebooks/NN.ipynb`, without outputs, for Jupyter, Binder and Colab. The same source gives the same
bytes on every machine.

    python -m tools.pair            # write the .ipynb files
    python -m tools.pair --check    # write nothing, exit 1 and name what is out of step
"""

import argparse
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.notebook import read_source
from tools.project import ROOT, BuildError, Project, files_in

FORMATS = "md:myst,ipynb"


def header_problems(source: Path) -> list[str]:
    """What keeps a source from being paired."""
    metadata = read_source(source).metadata
    problems = []
    if metadata.get("jupytext", {}).get("formats") != FORMATS:
        problems.append(f"{source.name} does not say `formats: {FORMATS}` in its header")
    if "kernelspec" not in metadata:
        problems.append(f"{source.name} names no kernelspec in its header")
    return problems


def paired_text(source: Path) -> str:
    """The paired `.ipynb` of a MyST notebook, as text."""
    notebook = read_source(source)
    notebook.metadata = NotebookNode(
        jupytext={"formats": FORMATS}, kernelspec=notebook.metadata.get("kernelspec", {})
    )
    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook, version=4)
    return f"{text}\n"


def out_of_step(project: Project) -> list[str]:
    """What is wrong with the committed pairs, a line each; empty if they are in step."""
    sources = project.sources()
    problems = []
    for source in sources:
        pair = source.with_suffix(".ipynb")
        in_header = header_problems(source)
        if in_header:
            problems += in_header
        elif not pair.exists():
            problems.append(f"{pair.name} is missing")
        elif pair.read_text(encoding="utf-8") != paired_text(source):
            problems.append(f"{pair.name} differs from {source.name}")
    stems = {source.stem for source in sources}
    strays = [p for p in files_in(project.notebooks, "*.ipynb") if p.stem not in stems]
    return problems + [f"{stray.name} has no {stray.stem}.md" for stray in strays]


def write_pairs(project: Project) -> None:
    """Write the pair of each source.

    Raises:
        BuildError: The header of a source does not say what a pair needs.
    """
    for source in project.sources():
        if problems := header_problems(source):
            raise BuildError("; ".join(problems))
        source.with_suffix(".ipynb").write_text(paired_text(source), encoding="utf-8")


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="change nothing, exit 1 if out of step"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    args = parser.parse_args(argv)
    project = Project(args.root.resolve())
    try:
        if not args.check:
            write_pairs(project)
            return 0
        problems = out_of_step(project)
    except BuildError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"pair: {problem}")
    if problems:
        print("pair: edit the .md, then run `make pair`")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
