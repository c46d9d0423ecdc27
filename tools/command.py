"""What the commands of the build share."""

import argparse
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
