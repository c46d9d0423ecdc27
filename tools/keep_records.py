"""Keep finished full-size runs as records, so that the next paper edition need not train them.

    python -m tools.keep_records

`make book PROFILE=paper` trains what has no record and leaves it in `_build/runs`. This copies each
run that is finished and sound to `records`. Of each search over budgets, it copies the table and
the best network. It says how large all records are together.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cbnlib.runs import search
from cbnlib.runs.obtain import RECORD, folder_of
from cbnlib.runs.record import DOCUMENT, load_record
from cbnlib.runs.store import RecordError, read_sealed, write_sealed
from tools.command import arguments
from tools.project import Project

LARGEST_MEGABYTES = 60
"""All records together, which are part of every clone."""


def keep(sealed: Path, records: Path) -> Path | None:
    """Copy a sealed folder among the records and return where it is, None if it was there before.

    Raises:
        RecordError: If it is damaged or not a record.
    """
    return _copy(sealed, folder_of(load_record(sealed)[0], records), DOCUMENT)


def _copy(sealed: Path, kept: Path, document: str) -> Path | None:
    if kept.exists():
        return None
    kept.parent.mkdir(exist_ok=True)
    write_sealed(kept, read_sealed(sealed, document))
    return kept


def megabytes(folder: Path) -> float:
    """Size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    project = Project(arguments(__doc__).parse_args(argv).root)
    try:
        for sealed in sorted(project.runs.glob(f"*/{RECORD}")):
            if kept := keep(sealed, project.records):
                print(f"kept {kept.relative_to(project.root)}")
        for table in sorted(project.searches.glob("search-*")):
            best = search.read_search(table)[1].best.experiment
            copies = [_copy(table, project.records / table.name, search.DOCUMENT)]
            if (sealed := folder_of(best, project.searches) / RECORD).exists():
                copies.append(keep(sealed, project.records))
            for kept in filter(None, copies):
                print(f"kept {kept.relative_to(project.root)}")
    except RecordError as error:
        print(f"keep_records: {error}", file=sys.stderr)
        return 1
    size = megabytes(project.records)
    print(f"all records: {size:.1f} MB of {LARGEST_MEGABYTES} MB")
    return int(size > LARGEST_MEGABYTES)


if __name__ == "__main__":
    raise SystemExit(main())
