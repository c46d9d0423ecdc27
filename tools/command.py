"""What the commands of the build share."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.project import ROOT


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser for a command that works on a repository."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=_folder, default=ROOT, help="root of the repository")
    return parser


def _folder(text: str) -> Path:
    return Path(text).resolve()


def report(check: str, pages: int, problems: Sequence[str]) -> int:
    """Print problems, a line each, and their number; return the exit status."""
    for problem in problems:
        print(f"{check}: {problem}", file=sys.stderr)
    print(f"{check}: {pages} pages, {len(problems)} problems")
    return 1 if problems else 0
