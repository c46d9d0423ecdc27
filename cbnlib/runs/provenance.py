"""Provenance of a run, which is its date, its machine and the versions used."""

import datetime
import functools
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cbnlib._version import __version__

MARKUP = re.compile(r"[<>&\x00-\x1f\x7f]")
"""Characters that no text of a record may hold if a page shows it."""


@dataclass(frozen=True)
class Provenance:
    """Provenance of a run.

    Attributes:
        source: `live` if this process finished it, `record` if it was read.
        finished: When, in UTC, as ISO 8601.
        seconds: Time spent training, over all processes that took part.
        environment: Versions, processor, machine, threads, and the commit, if there is one.
    """

    source: Literal["live", "record"]
    finished: str
    seconds: float
    environment: dict[str, str]

    @classmethod
    def now(cls, seconds: float) -> "Provenance":
        """Return the provenance of a run that this process has just finished."""
        finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls("live", finished, seconds, environment())


def environment() -> dict[str, str]:
    """Environment that produced the numbers: versions, processor, machine, threads and commit."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cbnlib": __version__,
        "processor": _processor(),
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
        **({"commit": commit} if (commit := _commit()) else {}),
    }


@functools.cache
def _processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return MARKUP.sub("", name)


@functools.cache
def _commit() -> str:
    """The commit of the checkout that this package lies in, marked if the package was changed."""
    package = Path(__file__).resolve().parents[1]
    return commit_of(package.parent, package.name)


def commit_of(root: Path, *parts: str) -> str:
    """The commit of a checkout.

    Args:
        root: Its root.
        parts: The files and folders in it that count.

    Returns:
        The commit's name, followed by `with changes` if a part differs from it. An empty string if
        the folder is not the root of a checkout or there is no git.
    """
    located = _git(root, "rev-parse", "--show-toplevel", "HEAD")
    if len(located) != 2 or Path(located[0]).resolve() != root.resolve():
        return ""
    changed = _git(root, "status", "--porcelain", "--", *parts)
    return f"{located[1]} with changes" if changed else located[1]


def _git(folder: Path, *arguments: str) -> list[str]:
    """The lines that git prints, none if it fails or is not there."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()
