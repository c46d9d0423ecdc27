"""How far the verdicts of the quick edition depend on seeds and on ways of rounding.

    python -m tools.stability               # every build of the matrix that is not done
    python -m tools.stability 0-avx2        # some builds, by name
    python -m tools.stability -c 18 -c 06   # some chapters, while the others stay as recorded

What training finds depends on its random numbers and on the rounding of the processor. A build is
the quick edition with one seed and one set of vector instructions (`ATEN_CPU_CAPABILITY`). Its
verdicts go to `records/stability/<build>.json`. The executed notebooks lie in `_build/stability`,
so a build that was interrupted goes on. The book's page *How stable are the verdicts?* and the mark
*depends on the run* come from these records.
"""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nbformat
import pandas as pd

from cbnlib.book.claims import claims_of
from tools.command import arguments
from tools.project import BuildError, Project

SEEDS = range(5)
ROUNDINGS = ("native", "avx2", "default")
"""Vector instructions, all that the machine has, at most AVX2, or none beyond the compiler's."""

KEPT = ("paper", "task", "prediction", "verdict", "measured", "score", "counts")
"""What is kept of a claim."""

KEY = ["chapter", "paper", "task", "prediction", "place"]
"""What tells a prediction from others. `place` is among those that agree in all the rest."""


@dataclass(frozen=True)
class Build:
    """One build of the matrix."""

    seed: int
    rounding: str

    @property
    def name(self) -> str:
        """What its record is called."""
        return f"{self.seed}-{self.rounding}"


MATRIX = [Build(seed, rounding) for seed in SEEDS for rounding in ROUNDINGS]


def run(project: Project, build: Build, chapters: Sequence[str] = ()) -> None:
    """Execute the quick edition for a build and keep its verdicts.

    A chapter that fails is part of the record.

    Args:
        project: Where.
        build: Its seed and rounding.
        chapters: By stem or number. The others stay as they are in the record. None for all.

    Raises:
        BuildError: If there is no such chapter, or nothing could be executed.
    """
    stems = [source.stem for source in project.sources(chapters)]
    folder = project.build / "stability" / build.name
    command = [sys.executable, "-m", "tools.execute", "--seed", str(build.seed)]
    command += ["--build", str(folder), "--root", str(project.root), *stems]
    environment = dict(os.environ)
    environment.pop("ATEN_CPU_CAPABILITY", None)
    if build.rounding != "native":
        environment["ATEN_CPU_CAPABILITY"] = build.rounding
    status = subprocess.run(command, env=environment, check=False).returncode
    if status not in (0, 1):
        raise BuildError(f"build {build.name}: tools.execute ended with status {status}")
    record = project.stability / f"{build.name}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    facts = facts_of(build, Project(project.root, folder), stems)
    if chapters and record.exists():
        facts = merged(json.loads(record.read_text(encoding="utf-8")), facts, stems)
    record.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def facts_of(build: Build, project: Project, stems: Iterable[str]) -> dict[str, Any]:
    """What is kept of a build, namely where it ran, which chapters failed, and the verdicts."""
    chapters: dict[str, Any] = {}
    failed = []
    environment: Mapping[str, str] = {}
    for stem in stems:
        copy = project.executed("quick") / f"{stem}.ipynb"
        if not copy.exists():
            failed.append(stem)
            continue
        notebook = nbformat.read(copy, as_version=4)
        environment = notebook.metadata["companion"]["environment"]
        chapters[stem] = [
            {name: getattr(claim, name) for name in KEPT} for claim in claims_of(notebook)
        ]
    return {
        "seed": build.seed,
        "rounding": build.rounding,
        "environment": dict(environment),
        "failed": failed,
        "chapters": chapters,
    }


def merged(
    old: Mapping[str, Any], new: Mapping[str, Any], stems: Collection[str]
) -> dict[str, Any]:
    """A record with some chapters made anew. The environment is that of the new ones."""
    failed = sorted({*old["failed"]} - {*stems} | {*new["failed"]})
    kept = {stem: claims for stem, claims in old["chapters"].items() if stem not in stems}
    chapters = dict(sorted((kept | new["chapters"]).items()))
    return {**new, "failed": failed, "chapters": chapters}


def records(project: Project) -> list[dict[str, Any]]:
    """The kept builds, by name."""
    paths = sorted(project.stability.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def stated(builds: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """What all builds state, a row for each prediction of each build."""
    rows = [
        {"build": number, "seed": build["seed"], "chapter": stem, **claim}
        for number, build in enumerate(builds)
        for stem, claims in build["chapters"].items()
        for claim in claims
    ]
    table = pd.DataFrame(rows, columns=["build", "seed", "chapter", *KEPT])
    return table.assign(place=table.groupby(["build", *KEY[:-1]]).cumcount())


def agreement(table: pd.DataFrame, *by: str) -> pd.Series:
    """The share of its builds that has the most frequent verdict, for each prediction.

    Args:
        table: As `stated` gives it.
        by: Other columns. Builds that differ in one of them are not compared.
    """
    return table.groupby([*KEY, *by])["verdict"].agg(lambda found: found.value_counts(True).max())


def within(scores: pd.Series) -> str:
    """How many of the values of all builds are within the tolerance, of how many.

    That is more than the few of one build. It is empty for predictions with one value a build,
    which have no such score.
    """
    good, every = scores.str.extract(r"^(\d+) of (\d+) values").dropna().astype(int).sum()
    return f"{good} of {every}" if every else ""


def changing(builds: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    """The keys of the predictions whose verdict is not the same in all builds."""
    found = agreement(stated(builds))
    return set(found.index[found < 1])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the builds that are not done, and return the exit status."""
    parser = arguments(__doc__)
    names = [build.name for build in MATRIX]
    parser.add_argument("names", nargs="*", help=f"builds; default: all of {', '.join(names)}")
    parser.add_argument("-c", "--chapter", action="append", default=[], help="only this one")
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in names]
    if unknown:
        parser.error(f"no build is called {unknown[0]!r}; there are: {', '.join(names)}")
    for build in MATRIX:
        if not args.names or build.name in args.names:
            print(f"build {build.name}", flush=True)
            run(Project(args.root), build, args.chapter)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
