"""Keep the two committed forms of each notebook in step.

The MyST file `notebooks/NN.md` is the source of truth. From it this command writes the paired
`notebooks/NN.ipynb`, without outputs, for Jupyter, Binder and Colab.

    python -m tools.pair            # write the .ipynb files
    python -m tools.pair --check    # write nothing, exit 1 and name what is out of step
"""

from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode

from tools.derived import Derived
from tools.notebook import read_source
from tools.project import BuildError, Project

FORMATS = "md:myst,ipynb"


def paired(source: Path) -> NotebookNode:
    """The pair of a MyST notebook.

    Raises:
        BuildError: The header of the source does not say what a pair needs.
    """
    notebook = read_source(source)
    if notebook.metadata.get("jupytext", {}).get("formats") != FORMATS:
        raise BuildError(f"{source.name} does not say `formats: {FORMATS}` in its header")
    if "kernelspec" not in notebook.metadata:
        raise BuildError(f"{source.name} names no kernelspec in its header")
    notebook.metadata = NotebookNode(
        jupytext={"formats": FORMATS}, kernelspec=notebook.metadata.kernelspec
    )
    return notebook


PAIRS = Derived("pair", Project.sources, "", paired)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return PAIRS.main(__doc__, argv)


if __name__ == "__main__":
    raise SystemExit(main())
