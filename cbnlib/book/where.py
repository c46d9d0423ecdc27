"""Find the repository from a running notebook, wherever it was started."""

from pathlib import Path

__all__ = ["NO_RECORDS", "records_of", "records_root"]

NO_RECORDS = (
    "there are no records here: neither the current folder nor a folder above it is a copy of the "
    "repository. Clone the repository and open the notebook in it. Without records the profile "
    "'quick' runs; only the notebook on speed always needs them"
)


def records_root() -> Path | None:
    """The root of the repository, which has `pyproject.toml` and `records/`.

    The current folder comes first, then the folders above it, then the folder that cbnlib itself
    was imported from: the repository again, if the library was installed with `pip install -e`.

    Returns:
        The root, or `None` if no repository was found, as on Colab.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "pyproject.toml").is_file() and (folder / "records").is_dir():
            return folder
    return None


def records_of(notebook: str) -> Path:
    """The folder of a notebook's records in the repository.

    Raises:
        FileNotFoundError: If no repository was found; the message says what to do.
    """
    root = records_root()
    if root is None:
        raise FileNotFoundError(NO_RECORDS)
    return root / "records" / notebook
