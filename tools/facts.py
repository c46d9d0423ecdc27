"""Facts of the executed notebooks, as Markdown for the pages of the book.

Each public method of `Facts` is a MyST substitution. A page writes `{{ predictions("all") }}`. An
error in it is a warning, and so an error of the build. No chapter that failed is counted. Tables
and lists name those chapters.
"""

import json
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import nbformat
from nbformat import NotebookNode

from cbnlib._checks import check_choice
from cbnlib.book.claims import PAPER, SUBJECTS, Claim, Verdict
from cbnlib.book.notebook import NOT_AVAILABLE
from tools import claims_data, claims_page
from tools.belief import MOST
from tools.claims_page import KINDS, MARKS, table
from tools.executed import Execution, is_stand_in, links, read_executed
from tools.project import Project, files_in
from tools.stability import KEY, agreement, records, stated, within

PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
STABILITY = """\
* {builds} builds: {seeds} seeds, each with {roundings} ways of rounding. {complete} builds are
  complete.
* The quick edition has {predictions} rows, checks included. {same} have the same verdict in all
  builds.
* {most} more have the same verdict in at least 4 of 5 builds.
* {rest} have no verdict that so many builds agree on. They are listed below.
* Rounding alone: of {pairs} pairs of a row and a seed, {rounding} have a verdict that differs
  between ways of rounding."""


def _count(verdict: Verdict) -> Callable[[list[Claim]], int]:
    return lambda claims: sum(claim.counts and claim.verdict == verdict for claim in claims)


COUNTS: dict[str, Callable[[list[Claim]], int]] = {
    "all": lambda claims: sum(claim.counts for claim in claims),
    "checks": lambda claims: sum(not claim.counts for claim in claims),
    **{verdict: _count(verdict) for verdict in get_args(Verdict)},
    "fewest values": lambda claims: min((len(claim.values) for claim in claims), default=0),
    "most values": lambda claims: max((len(claim.values) for claim in claims), default=0),
}
"""What can be counted of predictions. A check is no prediction."""


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
        """Read it from the records' folders, with zeros if there is none."""
        files = [path for folder in folders for path in files_in(folder)]
        sealed = [path for path in files if path.name == "record.json"]
        facts = [json.loads(path.read_text(encoding="utf-8")) for path in sealed]
        seconds = sum(one["provenance"]["seconds"] for one in facts)
        return cls(seconds / 60, sum(path.stat().st_size for path in files) / 1e6)


@dataclass(frozen=True)
class Facts:
    """The facts of the book whose Sphinx source folder is `source`."""

    source: Path

    def substitutions(self) -> dict[str, Callable[..., str]]:
        """The public methods, by name."""
        names = (name for name in vars(Facts) if not name.startswith("_"))
        return {name: getattr(self, name) for name in names if name != "substitutions"}

    # Predictions and their verdicts.

    def predictions(self, what: str) -> str:
        """One of `COUNTS`, over all chapters."""
        check_choice("count", what, COUNTS)
        without = " (without the chapters that failed)" * (what == "all" and bool(self._missing()))
        return f"{COUNTS[what]([claim for _, claim in self._stated()])}{without}"

    def rows_counted(self) -> str:
        """All rows of the claims page by kind."""
        rows = self._claims()["predictions"]
        neutral = [row for row in rows if row["kind"] == "prediction" and row["apart"]]
        number = Counter(row["kind"] for row in rows)
        number["prediction"] -= len(neutral)
        number["other"] = len(neutral)
        parts = [claims_page.count(number[kind], word) for kind, word in KINDS.items()]
        return f"{len(rows)} rows ({', '.join(parts)})"

    def predictions_list(self, verdict: str) -> str:
        """The predictions with this verdict by claim, and what was measured."""
        told = [(stem, claim) for stem, claim in self._stated() if claim.verdict == verdict]
        lines = []
        for paper, text in SUBJECTS.items():
            about = [
                f"  * **{claim.task[:1].upper() + claim.task[1:]}.** {_told(claim)} "
                f"({links([stem])})"
                for stem, claim in told
                if claim.paper == paper
            ]
            if about:
                lines += [f"* {claims_page.link(paper)}, {text}", "", *about, ""]
        return self._noted(lines or [f"In this edition no prediction is *{verdict}*."])

    def tested_in(self, paper: str) -> str:
        """The chapters that test a claim of the paper, by which figures, and how it went."""
        check_choice("claim", paper, PAPER)
        lines = []
        for stem, group in groupby(self._about(paper), key=lambda each: each[0]):
            claims = [claim for _, claim in group]
            names = dict.fromkeys(claim.figure for claim in claims)
            figures = ", ".join(f"{{numref}}`{name}`" for name in names)
            lines.append(f"- {links([stem])}, {figures}: {reproduced(claims)}")
        return self._noted(lines)

    # What we believe, and every row, all of it from `claims.json`.

    def answer(self) -> str:
        """How sure we are of which claims of the paper."""
        return claims_page.answer(self._claims()["claims"])

    def beliefs(self) -> str:
        """What we believe of each claim of the paper, in a table."""
        return self._noted([claims_page.beliefs_table(self._claims()["claims"])])

    def belief(self, paper: str) -> str:
        """What we believe of one claim of the paper."""
        check_choice("claim", paper, PAPER)
        [one] = (one for one in self._claims()["claims"] if one["claim"] == paper)
        return claims_page.belief_text(one)

    def claims_overview(self) -> str:
        """The verdicts on each claim, counted."""
        return self._noted(claims_page.overview(self._claims()["predictions"], COUNTS))

    def claims_table(self, paper: str) -> str:
        """What the chapters state about a claim."""
        check_choice("claim", paper, SUBJECTS)
        self._about(paper)
        rows = [row for row in self._claims()["predictions"] if row["claim"] == paper]
        return claims_page.claims_table(paper, rows, self._missing()) if rows else self._missing()

    # Executions and what they cost.

    def networks(self, which: str) -> str:
        """How many trained networks a chapter lists, or `all`."""
        if which != "all" and is_stand_in(self._chapters()[which]):
            return NOT_AVAILABLE
        runs = self._executions()
        chosen = runs.values() if which == "all" else [runs[which]]
        number = sum(sum(run.networks.values()) for run in chosen)
        if not number and not self._missing():
            raise LookupError(f"no trained networks in {which!r}")
        return str(number) if number else NOT_AVAILABLE

    def runtime(self, *stems: str) -> str:
        """How long these chapters took in this build, all together."""
        chosen = [self._chapters()[stem] for stem in stems]
        if any(map(is_stand_in, chosen)):
            return NOT_AVAILABLE
        return in_words(sum(one.metadata["papermill"]["duration"] for one in chosen))

    def execution_table(self) -> str:
        """How each chapter came about."""
        kinds = ("from records", "trained here")
        runs = self._executions()
        rows = [
            [
                links([stem]),
                f"{run.edition}, {run.seed}",
                *(str(run.networks.get(kind, "")) for kind in kinds),
                f"{run.seconds:.0f}",
                f"{run.longest_cell:.0f}",
                f"{run.ended:%Y\u2011%m\u2011%d %H:%M}",  # hyphens at which no line breaks
            ]
            for stem, run in runs.items()
        ]
        sums = [str(sum(run.networks.get(kind, 0) for run in runs.values())) for kind in kinds]
        rows.append(["**all**", "", *sums, f"{sum(r.seconds for r in runs.values()):.0f}", "", ""])
        header = ["notebook", "edition, seed", f"networks {kinds[0]}", kinds[1]]
        return self._noted(table([*header, "seconds", "longest cell", "ended (UTC)"], rows))

    def environments(self) -> str:
        """On what the chapters ran."""
        runs = self._executions().values()
        counts = Counter(plain(f"{run.device}; {run.versions}; {run.library}") for run in runs)
        return "\n".join(f"* {k} notebook{'s' * (k != 1)}: {line}" for line, k in counts.items())

    def costs_table(self) -> str:
        """Time and memory of each chapter, and what the records took that it shows."""
        runs = self._executions()
        root = Project.of_source(self.source).records
        kept = {
            stem: Records.of(found for name in run.records for found in root.glob(f"*-{name}"))
            for stem, run in runs.items()
        }
        rows = [
            [stem.partition("_")[0], links([stem]), *_costs(run.seconds, run.memory_mb, kept[stem])]
            for stem, run in runs.items()
        ]
        every = Records.of(root.glob("*-*"))
        most = max((run.memory_mb for run in runs.values()), default=0.0)
        sums = _costs(sum(run.seconds for run in runs.values()), most, every)
        header = ["N", "notebook", "in this build, s", "memory, MB"]
        header += ["training at full size, min", "records, MB"]
        return self._noted(table(header, [*rows, ["", "**all**", *sums]]))

    def versions(self, *names: str) -> str:
        """The installed versions of Python and of some packages."""
        rows = [["Python", platform.python_version()], *([name, version(name)] for name in names)]
        return "\n".join(table(["package", "version"], rows))

    # The builds of `tools.stability`.

    def stability_counts(self) -> str:
        """How many builds there are, and how many predictions keep their verdict."""
        return self._of_builds(lambda builds: STABILITY.format(**counts(builds)))

    def stability_table(self) -> str:
        """The predictions whose verdict is not the same in all builds."""
        return self._of_builds(_changing)

    def stability_without_majority(self) -> str:
        """The predictions for which no verdict has enough builds behind it."""
        return self._of_builds(_without_majority)

    def stability_builds(self) -> str:
        """Where the builds ran, and their verdicts."""
        return self._of_builds(_builds)

    # The problem sets.

    def problem_sets(self) -> str:
        """The sets with what they ask for, from their own openings."""
        lines: list[str] = []
        for edition in sorted((self.source / "problems").glob("*.ipynb")):
            opening = nbformat.read(edition, as_version=4).cells[0].source
            told = (_listed(opening, word) for word in ("Learning goals", "Time", "Points"))
            goals, time, points = told
            lines += [f"- **{{doc}}`/problems/{edition.stem}`.** You learn to {goals}.", ""]
            lines += [f"  *Time: {time}. Points: {points}.*", ""]
        return "\n".join(lines)

    def _chapters(self) -> dict[str, NotebookNode]:
        copies = sorted((self.source / "notebooks").glob("*.ipynb"))
        return {copy.stem: read_executed(copy) for copy in copies}

    def _claims(self) -> dict[str, Any]:
        return claims_data.read(self.source)

    def _stated(self) -> list[tuple[str, Claim]]:
        rows = self._claims()["predictions"]
        return [(row["chapter"], Claim.from_row(row)) for row in rows]

    def _about(self, paper: str) -> list[tuple[str, Claim]]:
        found = [(stem, claim) for stem, claim in self._stated() if claim.paper == paper]
        if not found and not self._missing():
            raise LookupError(f"no notebook states anything about {paper}")
        return found

    def _executions(self) -> dict[str, Execution]:
        chapters = self._chapters().items()
        return {stem: Execution.of(one) for stem, one in chapters if not is_stand_in(one)}

    def _missing(self) -> str:
        """The chapters that failed, empty if none did."""
        stems = self._claims()["failed"]
        told = "*Chapters that failed on this machine and are not counted:*"
        return f"{told} {links(stems)}." if stems else ""

    def _noted(self, lines: Iterable[str]) -> str:
        return "\n".join([*lines, "", self._missing()])

    def _of_builds(self, tell: Callable[[list[dict[str, Any]]], str]) -> str:
        builds = records(Project.of_source(self.source))
        return tell(builds) if builds else "*No build of the matrix is kept.*"


def plain(text: str) -> str:
    r"""Markdown for a text that comes from elsewhere, so that none of it is read as Markdown.

    >>> print(plain("<img src=x> a|b"))
    \<img src\=x\> a\|b
    """
    return PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def reproduced(claims: list[Claim]) -> str:
    """How many rows were reproduced, of how many, but for checks."""
    number = COUNTS["all"](claims)
    return (
        f"{COUNTS['reproduced'](claims)} of {number} rows reproduced" if number else "only checks"
    )


def in_words(seconds: float) -> str:
    """A duration to plan with, not to compare.

    >>> in_words(0.3), in_words(44), in_words(60), in_words(61), in_words(290)
    ('10 seconds', '50 seconds', '60 seconds', 'about 1 minute', 'about 5 minutes')
    """
    if seconds <= 60:
        return f"{10 * max(1, -(-int(seconds) // 10))} seconds"
    minutes = round(seconds / 60)
    return f"about {minutes} minute{'s' * (minutes != 1)}"


def counts(builds: list[dict[str, Any]]) -> dict[str, int]:
    """How many builds and predictions there are, by kind."""
    every = stated(builds)
    shares, by_seed = agreement(every), agreement(every, "seed")
    return {
        "builds": len(builds),
        "complete": sum(not build["failed"] for build in builds),
        "seeds": len({build["seed"] for build in builds}),
        "roundings": len({build["rounding"] for build in builds}),
        "predictions": len(shares),
        "same": sum(shares == 1),
        "most": sum((shares >= MOST) & (shares < 1)),
        "rest": sum(shares < MOST),
        "rounding": sum(by_seed < 1),
        "pairs": len(by_seed),
    }


def _told(claim: Claim) -> str:
    """A claim in sentences, and whether its row counts."""
    kinds = {
        "It was made after looking.": claim.added,
        "It is a check.": claim.check,
        "It is neutral and does not count.": claim.apart,
    }
    about = [words for words, reason in kinds.items() if reason]
    return " ".join(filter(None, [claim.told, *about, claim.apart]))


def _costs(seconds: float, memory_mb: float, kept: Records) -> list[str]:
    minutes = f"{kept.minutes:.1f}" if kept.minutes else ""
    minutes += f" ({kept.minutes / 60:.1f} h)" if kept.minutes >= 60 else ""
    megabytes = f"{kept.megabytes:.1f}" if kept.megabytes else ""
    return [f"{seconds:.0f}", f"{memory_mb:.0f}", minutes, megabytes]


def _without_majority(builds: list[dict[str, Any]]) -> str:
    shares = agreement(stated(builds))
    lines = [
        f"* **{paper}, {task}.** “{text}” ({links([stem])})"
        for (stem, paper, task, text, _), share in shares.items()
        if share < MOST
    ]
    return "\n".join(lines or ["*Every prediction has such a verdict.*"])


def _changing(builds: list[dict[str, Any]]) -> str:
    rows = list[list[str]]()
    for stem, chapter in stated(builds).groupby("chapter"):
        of_chapter = []
        for (_, paper, task, text, _), found in chapter.groupby(KEY):
            told = Counter(found["verdict"])
            if len(told) > 1:
                numbers = [str(told[verdict] or "") for verdict in MARKS]
                values = within(found["score"])
                of_chapter.append([f"**{paper}, {task}.** “{text}”", *numbers, values or "–"])
        if of_chapter:
            rows += [[links([stem]), *[""] * (len(MARKS) + 1)], *of_chapter]
    header = ["task and prediction", *MARKS.values(), "values within"]
    return "\n".join(table(header, rows)) if rows else "*No verdict changes.*"


def _builds(builds: list[dict[str, Any]]) -> str:
    rows = []
    for build in builds:
        claims = (claim for chapter in build["chapters"].values() for claim in chapter)
        told = Counter(claim["verdict"] for claim in claims if claim["counts"])
        where: Mapping[str, str] = build["environment"]
        cells = [plain(where.get(name, "")) for name in ("processor", "torch", "python")]
        numbers = [str(told[verdict]) for verdict in MARKS]
        failed = ", ".join(build["failed"]) or "none"
        rows.append([str(build["seed"]), build["rounding"], *cells, *numbers, failed])
    header = ["seed", "rounding", "processor", "torch", "Python", *MARKS.values()]
    return "\n".join(table([*header, "failed chapters"], rows))


def _listed(opening: str, word: str) -> str:
    """What the list in a set's opening says under a word."""
    item = rf"^- \*\*{word}:\*\* (.+?)(?=\n- |\n\n|\Z)"
    found = re.search(item, opening, re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()).rstrip(".") if found else ""
