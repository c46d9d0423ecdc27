"""How far the verdicts depend on the run: the quick edition over seeds and ways of rounding.

    python -m tools.stability               # every build of the matrix that is not done
    python -m tools.stability 0-avx2        # some builds, by name

What training finds depends on its random numbers and on the rounding of the processor. A build is
the quick edition with one seed and one set of vector instructions (`ATEN_CPU_CAPABILITY`). Its
verdicts go to `records/stability/<build>.json`; the executed notebooks lie in `_build/stability`,
so a build that was interrupted goes on. The book's page *How stable are the verdicts?* and the mark
*depends on the run* come from these records.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tools.command import arguments
from tools.project import BuildError, Project

SEEDS = range(5)
ROUNDINGS = ("native", "avx2", "default")
"""Vector instructions: all that the machine has, at most AVX2, none beyond the compiler's."""

KEPT = ("paper", "task", "prediction", "verdict", "measured", "score", "counts")
"""What is kept of a claim."""

Key: TypeAlias = tuple[str, str, str, str, int]
"""A prediction: chapter, claim, task, text, and its place among those that agree in all these."""


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


def run(project: Project, build: Build) -> None:
    """Execute the quick edition for a build and keep its verdicts.

    A chapter that fails is part of the record.
    """
    folder = project.build / "stability" / build.name
    command = [sys.executable, "-m", "tools.execute", "--seed", str(build.seed)]
    command += ["--build", str(folder), "--root", str(project.root)]
    environment = dict(os.environ)
    environment.pop("ATEN_CPU_CAPABILITY", None)
    if build.rounding != "native":
        environment["ATEN_CPU_CAPABILITY"] = build.rounding
    status = subprocess.run(command, env=environment, check=False).returncode
    if status not in (0, 1):
        raise BuildError(f"build {build.name}: tools.execute ended with status {status}")
    record = project.stability / f"{build.name}.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    facts = facts_of(build, Project(project.root, folder), [s.stem for s in project.sources()])
    record.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def facts_of(build: Build, project: Project, stems: Iterable[str]) -> dict[str, Any]:
    """What is kept of a build: where it ran, which chapters failed, every prediction's verdict."""
    import nbformat

    from cbnlib.book.claims import claims_of

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


def records(project: Project) -> list[dict[str, Any]]:
    """The kept builds, by name."""
    paths = sorted(project.stability.glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def verdicts(builds: Iterable[Mapping[str, Any]]) -> dict[Key, list[str]]:
    """The verdicts of each prediction, one per build that states it."""
    found: dict[Key, list[str]] = {}
    for key, claim in _stated(builds):
        found.setdefault(key, []).append(claim["verdict"])
    return found


def within(builds: Iterable[Mapping[str, Any]]) -> dict[Key, tuple[int, int]]:
    """How many of a prediction's values lie within its tolerance, and how many there are.

    Those of all builds together, which is more than the few of one build. Predictions with one
    value a build have no such score and are left out.
    """
    found: dict[Key, tuple[int, int]] = {}
    for key, claim in _stated(builds):
        if score := re.match(r"(\d+) of (\d+) values", claim["score"] or ""):
            good, every = found.get(key, (0, 0))
            found[key] = good + int(score[1]), every + int(score[2])
    return found


def _stated(builds: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    """What all builds state, with its keys."""
    for build in builds:
        for stem, claims in build["chapters"].items():
            yield from keyed(stem, claims)


def by_rounding(builds: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """How often builds of one seed disagree on a verdict, of how many predictions and seeds."""
    seeds = {build["seed"] for build in builds}
    alike = [verdicts(b for b in builds if b["seed"] == seed).values() for seed in seeds]
    told = [share(found) for of_seed in alike for found in of_seed]
    return sum(each < 1 for each in told), len(told)


def keyed(stem: str, claims: Iterable[Mapping[str, Any]]) -> list[tuple[Key, Mapping[str, Any]]]:
    """The predictions of a chapter, as facts of claims, with their keys."""
    seen: Counter[tuple[str, str, str, str]] = Counter()
    pairs = []
    for claim in claims:
        text = (stem, claim["paper"], claim["task"], claim["prediction"])
        pairs.append(((*text, seen[text]), claim))
        seen[text] += 1
    return pairs


def share(found: Sequence[str]) -> float:
    """The share of the builds that have the most frequent verdict.

    >>> share(["partly", "reproduced", "partly", "partly"])
    0.75
    """
    return max(Counter(found).values()) / len(found)


def changing(builds: Iterable[Mapping[str, Any]]) -> set[Key]:
    """The predictions whose verdict is not the same in all builds."""
    return {key for key, found in verdicts(builds).items() if share(found) < 1}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the builds that are not done; return the exit status."""
    parser = arguments(__doc__)
    names = [build.name for build in MATRIX]
    parser.add_argument("names", nargs="*", help=f"builds; default: all of {', '.join(names)}")
    args = parser.parse_args(argv)
    unknown = [name for name in args.names if name not in names]
    if unknown:
        parser.error(f"no build is called {unknown[0]!r}; there are: {', '.join(names)}")
    for build in MATRIX:
        if not args.names or build.name in args.names:
            print(f"build {build.name}", flush=True)
            run(Project(args.root), build)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
