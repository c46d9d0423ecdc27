"""How a check of the site tells what it found."""

import sys
from collections.abc import Sequence


def report(check: str, pages: int, problems: Sequence[str]) -> int:
    """Print problems, a line each, and their number; return the exit status."""
    for problem in problems:
        print(f"{check}: {problem}", file=sys.stderr)
    print(f"{check}: {pages} pages, {len(problems)} problems")
    return 1 if problems else 0
