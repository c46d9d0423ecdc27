"""Keep finished full-size runs as records, so that the next paper edition need not train them.

    python -m tools.keep_records        # of all notebooks
    python -m tools.keep_records 02     # of one

`make book PROFILE=paper` trains what has no record and leaves it in `_build/runs/<notebook>`. This
copies each run that is finished and sound to `records/<notebook>`, and says how large all records
are together.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cbnlib.runs.obtain import RECORD
from cbnlib.runs.record import load_record
from cbnlib.runs.sealed import RecordError, read_sealed, remove_leftovers, write_sealed
from tools.project import ROOT, BuildError, Project

LARGEST_MEGABYTES = 30
"""All records together; they are part of every clone."""


def finished_runs(workspace: Path) -> list[Path]:
    """The sealed folders of the finished experiments in a notebook's workspace."""
    return sorted(workspace.glob(f"*/{RECORD}"))


def keep(sealed: Path, records: Path) -> Path | None:
    """Copy a sealed folder among the records; return where it is now, None if it was there before.

    Raises:
        RecordError: If it is damaged or not a record.
    """
    load_record(sealed)
    kept = records / sealed.parent.name / RECORD
    if kept.exists():
        return None
    kept.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(kept.parent)  # of a call that was killed
    write_sealed(kept, read_sealed(sealed))
    return kept


def megabytes(folder: Path) -> float:
    """Size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="notebooks by name or number; default: all")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    args = parser.parse_args(argv)
    project = Project(args.root.resolve())
    try:
        for source in project.sources(args.names):
            for sealed in finished_runs(project.runs(source)):
                if kept := keep(sealed, project.records(source)):
                    print(f"kept {kept.relative_to(project.root)}")
    except (BuildError, RecordError) as error:
        print(f"keep_records: {error}", file=sys.stderr)
        return 1
    size = megabytes(project.root / "records")
    print(f"all records: {size:.1f} MB of {LARGEST_MEGABYTES} MB")
    return int(size > LARGEST_MEGABYTES)


if __name__ == "__main__":
    raise SystemExit(main())
