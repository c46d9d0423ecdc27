"""How an executed notebook came about: gathered when it runs, told on its page."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tools.project import Project, files_in

INPUTS = ("cbnlib", "notebooks", "records", "constraints.txt")
"""What an execution depends on; changes elsewhere leave a commit's results what they are."""
COMMIT_DIGITS = 7


def build_environment(project: Project) -> dict[str, str]:
    """Versions, processor, threads of this process, and the commit of the project, if any."""
    from cbnlib.runs.provenance import commit_of, environment

    facts = environment()
    facts.pop("commit", None)
    commit = commit_of(project.root, *INPUTS)
    return facts | ({"commit": commit} if commit else {})


@dataclass(frozen=True)
class Execution:
    """What an executed notebook says of its execution.

    Attributes:
        edition: Its profile.
        seed: The parameter.
        environment: As `build_environment` gives it.
        networks: How many came from records and how many were trained; empty if it shows none.
        ended: When, in UTC.
        seconds: The whole of it.
        longest_cell: Seconds of the cell that took longest.
        memory_mb: The most memory its kernel had, in MB.
        records: Which ones it asked for: the starts of their experiments' digests.
    """

    edition: str
    seed: str
    environment: Mapping[str, str]
    networks: Mapping[str, int]
    ended: datetime
    seconds: float
    longest_cell: float
    memory_mb: float
    records: tuple[str, ...] = ()

    @classmethod
    def of(cls, notebook: Mapping[str, Any]) -> "Execution":
        """Read it from a notebook's JSON."""
        ours, record = notebook["metadata"]["companion"], notebook["metadata"]["papermill"]
        return cls(
            edition=ours["profile"],
            seed=str(ours["parameters"]["seed"]),
            environment=ours["environment"],
            networks=_networks(notebook),
            ended=datetime.fromisoformat(record["end_time"]),
            seconds=record["duration"],
            longest_cell=ours["longest_cell"],
            memory_mb=ours["memory_mb"],
            records=tuple(ours.get("records", ())),
        )

    @property
    def library(self) -> str:
        """Version and commit of the library."""
        name, _, changes = self.environment.get("commit", "").partition(" ")
        commit = f"commit {name[:COMMIT_DIGITS]} {changes}".strip() if name else "no commit known"
        return f"cbnlib {self.environment['cbnlib']}, {commit}"

    @property
    def versions(self) -> str:
        """Python and the packages that compute."""
        names = {"python": "Python", "torch": "torch", "numpy": "numpy"}
        return ", ".join(f"{name} {self.environment[key]}" for key, name in names.items())

    @property
    def device(self) -> str:
        """Processor and threads."""
        threads = self.environment["threads"]
        return f"{self.environment['processor']}, {threads} thread{'s' * (threads != '1')}"

    def line(self) -> str:
        """All of it but the edition, on one line."""
        networks = ", ".join(f"{count} {kind}" for kind, count in self.networks.items())
        parts = [f"seed {self.seed}", *([f"networks: {networks}"] if networks else [])]
        when = f"{self.ended:%Y-%m-%d %H:%M} UTC, {self.seconds:.0f} s"
        return " · ".join([*parts, self.library, self.versions, self.device, when])


@dataclass(frozen=True)
class Records:
    """What records took.

    Attributes:
        minutes: Of training, over all processes that took part.
        megabytes: On disk.
    """

    minutes: float
    megabytes: float

    @classmethod
    def of(cls, folders: Iterable[Path]) -> "Records":
        """Read it from the records' folders; zeros if there is none."""
        files = [path for folder in folders for path in files_in(folder)]
        sealed = [path for path in files if path.name == "record.json"]
        facts = [json.loads(path.read_text(encoding="utf-8")) for path in sealed]
        seconds = sum(one["provenance"]["seconds"] for one in facts)
        return cls(seconds / 60, sum(path.stat().st_size for path in files) / 1e6)


def _networks(notebook: Mapping[str, Any]) -> dict[str, int]:
    from cbnlib.book.notebook import ORIGINS

    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    told: Counter[str] = Counter()
    for output in outputs:
        told.update(output.get("metadata", {}).get(ORIGINS, {}))
    return dict(told)
