"""Keep the two committed forms of each notebook in step.

The MyST file `notebooks/NN.md` is the source of truth. From it this command writes the paired
`notebooks/NN.ipynb`, without outputs, for Jupyter, Binder and Colab. The same source gives the same
bytes on every machine.

    python -m tools.pair            # write the .ipynb files
    python -m tools.pair --check    # write nothing, exit 1 and name what is out of step
"""

from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.command import arguments, keep_in_step
from tools.notebook import read_source
from tools.project import BuildError, Project, files_in

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return keep_in_step("pair", arguments(__doc__), argv, write_pairs, out_of_step)


if __name__ == "__main__":
    raise SystemExit(main())
