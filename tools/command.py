"""What the commands of the build share."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.project import ROOT, BuildError, Project


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


def keep_in_step(
    command: str,
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    write: Callable[[Project], None],
    out_of_step: Callable[[Project], list[str]],
) -> int:
    """Run a command that writes committed files from their sources; return its exit status.

    Args:
        command: Its name.
        parser: For its arguments.
        argv: The arguments; with `--check` nothing is written.
        write: Writes the files.
        out_of_step: Finds what is wrong with the files, a line each.
    """
    parser.add_argument(
        "--check", action="store_true", help="change nothing, exit 1 if out of step"
    )
    args = parser.parse_args(argv)
    problems: list[str] = []
    try:
        if args.check:
            problems = out_of_step(Project(args.root))
        else:
            write(Project(args.root))
    except BuildError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"{command}: {problem}")
    if problems:
        print(f"{command}: edit the .md, then run `make {command}`")
    return 1 if problems else 0
