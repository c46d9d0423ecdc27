"""Find the records from a running notebook, wherever it was started."""

from pathlib import Path

ASKED = "cbnlib-asked"
"""Where the metadata of a notebook's output hold which records it looked for, as the starts of
their experiments' digests."""

NO_RECORDS = (
    "there are no records here: neither the current folder nor a folder above it is a copy of the "
    "repository. Clone the repository and open the notebook in it. Without records the profile "
    "'quick' runs; only the notebook on speed always needs them"
)


def records_root() -> Path:
    """The folder `records` of the repository, which has `pyproject.toml` beside it.

    The current folder comes first, then the folders above it. The folder that cbnlib itself was
    imported from is last. It is the repository, too, if `pip install -e` installed the library.

    Raises:
        FileNotFoundError: If no repository was found, as on Colab. The message says what to do.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "pyproject.toml").is_file() and (folder / "records").is_dir():
            return folder / "records"
    raise FileNotFoundError(NO_RECORDS)
