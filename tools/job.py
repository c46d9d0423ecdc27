"""What there is to execute, and what is known of an execution that failed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.project import Parameter, Project

SHOWN_LINES = 8
"""Lines of an error that are shown. The last ones say what it was."""


@dataclass(frozen=True)
class Job:
    """One notebook to execute."""

    project: Project
    source: Path
    content: bytes
    """What was in the source when its digest was made, which is what is executed."""
    profile: str
    parameters: Mapping[str, Parameter]
    digest: str
    timeout: int | None
    """Seconds a cell may take, `None` for no limit."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it runs on, as `build_environment` of `tools.execute` tells."""
    records: Mapping[str, str] = field(default_factory=dict)
    """Digests of the records there are when it starts, as `record_digests` gives them."""

    @property
    def name(self) -> str:
        """That of the notebook."""
        return self.source.stem

    @property
    def copy(self) -> Path:
        """Where the executed notebook goes."""
        return self.project.executed(self.profile) / f"{self.name}.ipynb"

    @property
    def partial(self) -> Path:
        """Where papermill writes while it runs, and what is left of a failed run."""
        return self.project.failed(self.profile) / f"{self.name}.ipynb"

    @property
    def note(self) -> Path:
        """Where a failure is noted."""
        return self.partial.with_suffix(".json")

    def asked(self, cells: Iterable[Mapping[str, Any]]) -> dict[str, str]:
        """The records that the cells of a copy asked for, with their digests."""
        from cbnlib.book.where import ASKED
        from tools.executed import outputs_with

        asked = {n for output in outputs_with(ASKED, cells) for n in output["metadata"][ASKED]}
        return {name: self.records.get(name, "") for name in sorted(asked)}


@dataclass(frozen=True)
class Failure:
    """An execution that failed.

    Attributes:
        digest: That of the job.
        parameters: Those of the job.
        environment: That of the job.
        cell: The cell that it broke off in and its first line. Empty if none was begun.
        partial: What it did until then, relative to the repository. Empty if that is nothing.
        error: What went wrong.
        records: What it asked for until then, as `Job.asked` tells.
    """

    digest: str
    parameters: Mapping[str, Parameter]
    environment: Mapping[str, str]
    cell: str
    partial: str
    error: str
    records: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, error: str) -> "Failure":
        """That of a job, with what its unfinished copy tells."""
        where = job.partial.relative_to(job.project.root).as_posix()
        partial = where if job.partial.exists() else ""
        facts, cells = (job.digest, job.parameters, job.environment), _cells(job.partial)
        return cls(*facts, _last_started(cells), partial, _printable(error), job.asked(cells))

    def keep(self, note: Path) -> None:
        """Write it down.

        Raises:
            OSError: If that cannot be.
        """
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @property
    def last_lines(self) -> str:
        """The end of the error."""
        return "\n".join(self.error.splitlines()[-SHOWN_LINES:])

    def told(self, name: str) -> str:
        """It, for the terminal."""
        lines = [f"{name}: FAILED"]
        if self.cell:
            lines.append(f"  in {self.cell}")
        if self.partial:
            lines.append(f"  what it did until then is in {self.partial}")
        return "\n".join([*lines, f"  {self.error}"])


def _cells(partial: Path) -> list[dict[str, Any]]:
    try:
        cells: list[dict[str, Any]] = json.loads(partial.read_bytes())["cells"]
    except (OSError, ValueError, LookupError):  # killed before or while it was written
        return []
    return cells


def _last_started(cells: list[dict[str, Any]]) -> str:
    """Name the cell a run broke off in, as papermill notes when it starts one."""
    started = [cell for cell in cells if cell["metadata"].get("papermill", {}).get("start_time")]
    code = [cell for cell in started if cell["cell_type"] == "code"]
    if not code:
        return ""
    first_line = next(iter("".join(code[-1]["source"]).strip().splitlines()), "")
    return f"cell {code[-1].get('id', '?')}: {first_line}"


def _printable(text: str) -> str:
    """Without colours and other signs to a terminal, which no page may show."""
    return "".join(sign for sign in text if sign.isprintable() or sign == "\n").strip()
