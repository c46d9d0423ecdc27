r"""Which budget does a task need? A search over budgets, each trained from a network near it.

$F_B$ falls as the budget $B$ grows, so the least loss is attained by some smallest budget, the one
that the task needs. Nobody can compute $F_B$. The search gives the lowest loss that was found, an
upper bound. Every network that it trains is an experiment with a record. A search that was killed
is called again and goes on, and what lies in the records is not trained again.
"""

import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from cbnlib._checks import check_count, check_flag, check_type, hold
from cbnlib._extras import extra
from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CNN
from cbnlib.runs import store
from cbnlib.runs.experiment import Experiment, digest_of
from cbnlib.runs.obtain import obtain, record_of
from cbnlib.runs.record import load_record
from cbnlib.runs.run import Run
from cbnlib.runs.sweep import sweep
from cbnlib.training.budget import Budget, Confinement, degree_of, middle_of, mode_of

with extra("runs"):
    from tqdm import tqdm

DOCUMENT = "search.json"
KIND, FORMAT = "cbnlib search", 1
FEWER = ("stay", "drop")
"""Moves that add no mode."""
NUMBERS = ("loss", "fit", "norm", "seconds")


@dataclass(frozen=True)
class Tried:
    """A budget that was tried.

    Attributes:
        experiment: What was trained, and from which network.
        move: How its budget came from that network's, one of `start`, `stay`, `drop`, `add`, `swap`
            and `finish`.
        budget: What the network was held to. If the start was free, what it ended with.
        uses: Budget that the held layers use in the end, after the release.
        loss: The regularised loss in the end. Infinite if training failed.
        fit: Its data loss.
        norm: Its squared parameter norm.
        seconds: Time spent training, without its parents.
        failure: Why training failed, empty if it did not.
    """

    experiment: Experiment
    move: str
    budget: Budget
    uses: Budget
    loss: float
    fit: float
    norm: float
    seconds: float
    failure: str = ""

    @property
    def stays(self) -> bool:
        """Whether the free network still keeps within its budget."""
        return all(k <= self.budget.directions.get(w, 0) for w, k in self.uses.directions.items())


@dataclass(frozen=True)
class SearchResult:
    """All budgets that a search tried, in the order of their rounds.

    Attributes:
        tried: The first is the start.
        rounds: How many rounds of moves there were.
        complete: Whether no move was left that helps. False if the rounds were used up.
        prices: Networks that go on from the best one and are never released. The first is held to
            the modes that the best one uses, each other one to these without one direction.
        network: The best network, if its record is at hand. A committed table may stand alone.
    """

    tried: tuple[Tried, ...]
    rounds: int
    complete: bool
    prices: tuple[Tried, ...]
    network: Run | None = field(default=None, compare=False, repr=False)

    @property
    def best(self) -> Tried:
        """The lowest loss found, the first of equal ones."""
        return min(self.tried, key=lambda t: t.loss)


@dataclass(frozen=True)
class Search:
    r"""Definition of a search.

    A move drops a direction, adds one, puts one at another frequency of about the same degree, or
    keeps what the network uses. Each new budget is trained once, unless `again` is set. It starts
    from its parent's network within the budget, and is released later. The best networks so far
    are the parents of the next round. The search ends when a round brings no lower loss. Candidates
    are trained briefly, so the best of them may still fall. `finish` trains it once more, for as
    long as one likes.

    Raises:
        ValueError: On construction, if the start has several networks, or a value is out of range.
        TypeError: If the start is no experiment.
    """

    start: Experiment
    """One network, free or within a budget, which is trained first or taken from its record."""
    layers: tuple[int, int]
    """The first and the last layer that budgets hold, counted from 1."""
    steps: int
    """Steps of each candidate, beyond those of its parents."""
    release: float = 0.7
    """Share of them within the budget. A share of 1 never releases."""
    beam: int = 2
    """How many parents a round has."""
    rounds: int = 10
    """At most so many."""
    degree: int | None = None
    """The highest degree of a frequency that is added. None for all of the grid."""
    finish: int = 0
    """Steps that the best network is trained further in the end, within the budget that it uses,
    then released."""
    again: bool = False
    """Whether moves that keep or drop modes are made again from a better network, although their
    budgets were tried. What was trained too briefly goes on, and loses what it does not need."""

    def __post_init__(self) -> None:
        """Check every field."""
        check_type("start", self.start, Experiment)
        if len(self.start.members) != 1:
            raise ValueError(f"a search starts from one network, got {len(self.start.members)}")
        for name in ("steps", "beam", "rounds"):
            check_count(name, getattr(self, name))
        check_count("finish", self.finish, minimum=0)
        if self.degree is not None:
            check_count("degree", self.degree, minimum=0)
        hold(self, again=check_flag("again", self.again))
        nothing = Budget(self.start.network.grid, {})
        self.candidate(nothing, self.start)
        Confinement(CNN(self.start.network, seed=0), nothing, self.layers)

    def candidate(self, budget: Budget, parent: Experiment, move: str = "stay") -> Experiment:
        """The experiment of a budget, from the network of another one.

        Args:
            budget: The budget that holds it.
            parent: The other one.
            move: What leads there. A `price` is never released. `finish` has its own steps.
        """
        training = replace(
            self.start.training,
            steps=self.finish if move == "finish" else self.steps,
            budget=str(budget),
            layers=self.layers,
            release=1.0 if move == "price" else self.release,
            snapshots=2,
        )
        label = f"{self.start.label or self.start.tasks[0].name} {budget}"
        return replace(self.start, training=training, start=parent.digest(), label=label)

    def moves(self, uses: Budget) -> Iterator[tuple[Budget, str]]:
        """The budgets next to one, with what leads there."""
        freqs, grid = frequencies(uses.grid), uses.grid
        at_modes = [mode_of(w, grid) for w in freqs.omega[freqs.modes].tolist()]
        modes = [w for w in at_modes if self.degree is None or degree_of(w) <= self.degree]
        held = middle_of(CNN(self.start.network, seed=0), self.layers)
        most = min(min(conv.c_in, conv.c_out) for conv in held)
        room = [w for w in modes if uses.directions.get(w, 0) < most]
        yield uses, "stay"
        for omega in uses.directions:
            yield uses.changed(omega, -1), "drop"
        for omega in room:
            yield uses.changed(omega, 1), "add"
        for old in uses.directions:
            for new in room:
                if new != old and abs(degree_of(new) - degree_of(old)) <= 1:
                    yield uses.changed(old, -1).changed(new, 1), "swap"

    def outcome(self, experiment: Experiment, move: str, run: Run) -> Tried:
        """Return the outcome of an experiment."""
        grid, text = experiment.network.grid, experiment.training.budget
        held = run.weight_spectra[self.layers[0] - 1 : self.layers[1]]
        uses = Budget(grid, {}) if run.failure else Budget.of(held)
        return Tried(
            experiment=experiment,
            move=move,
            budget=uses if text is None else Budget.parse(text, grid),
            uses=uses,
            loss=math.inf if run.failure else run.loss,
            fit=run.fit,
            norm=run.norm,
            seconds=run.provenance.seconds,
            failure=run.failure,
        )

    def facts(self) -> dict[str, Any]:
        """All that the result depends on, as JSON."""
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("finish", "again"):  # older tables know no such fields
            if not facts[name]:
                del facts[name]
        return facts | {"start": self.start.digest(), "layers": list(self.layers)}

    def digest(self) -> str:
        """SHA-256 of the canonical text of the facts, in hexadecimal."""
        return digest_of(self.facts())

    @property
    def folder_name(self) -> str:
        """Name of the folder with the table of results."""
        return f"search-{self.digest()[:12]}"


def search(
    plan: Search,
    folder: str | Path,
    *,
    records: Sequence[Path] = (),
    workers: int | None = None,
    scheduler: str | None = None,
    data_folder: str | Path | None = None,
    progress: bool = True,
) -> SearchResult:
    """Look for the budget with the lowest loss, by moves from a trained network.

    Args:
        plan: Definition of the search.
        folder: Where the records go, as in `sweep`, and in the end the table of the result.
        records: Folders to look for tables and records in first.
        workers: As in `sweep`.
        scheduler: As in `sweep`.
        data_folder: As in `sweep`.
        progress: Whether to write a line per round with the best loss so far, and draw bars.

    Returns:
        All that was tried.

    Raises:
        RecordError: If a table or a record on the way is damaged.
        ValueError: If training the start fails, or a candidate has no record in the end because,
            say, its process was killed.
    """
    check_flag("progress", progress)
    root = Path(folder).resolve()
    roots = [*map(Path, records), root]
    for known in roots:
        if os.path.lexists(known / plan.folder_name):
            return _with_network(load_search(known / plan.folder_name, plan), roots)
    [run] = obtain(
        plan.start, records=records, workspace=root, data_folder=data_folder, progress=progress
    )
    if run.failure:
        raise ValueError(f"the start of the search failed: {run.failure}")
    tried = [plan.outcome(plan.start, "start", run)]

    def train(new: Sequence[tuple[Experiment, str]]) -> list[Tried]:
        missing = [e for e, _ in new if record_of(e.digest(), roots[:-1]) is None]
        done = sweep(
            missing,
            root,
            workers=workers,
            scheduler=scheduler,
            data_folder=data_folder,
            records=records,
            progress=progress and bool(missing),
        )
        errors = {failed.digest: failed.error for failed in done.failed}
        outcomes = []
        for experiment, move in new:
            if (found := _run_of(experiment, roots)) is None:
                digest = experiment.digest()
                why = errors.get(digest, f"no record of {digest}")
                raise ValueError(f"{experiment.label}: {why}")
            outcomes.append(plan.outcome(experiment, move, found))
        return outcomes

    seen = {str(tried[0].budget)} if plan.start.training.budget is not None else set[str]()
    for number in range(1, plan.rounds + 1):
        before, new = min(t.loss for t in tried), list(_next(plan, tried, seen))
        tried += train(new)
        best = min(tried, key=lambda t: t.loss)
        if progress:
            line = f"round {number}: {len(new)} budgets, best loss {best.loss:.6g} ({best.uses})"
            tqdm.write(line, file=sys.stderr)
        if complete := best.loss >= before:
            break
    if plan.finish:
        tried += train([(plan.candidate(best.uses, best.experiment, "finish"), "finish")])
        best = min(tried, key=lambda t: t.loss)
    fewer = [b for b, move in plan.moves(best.uses) if move in FEWER]
    prices = train([(plan.candidate(b, best.experiment, "price"), "price") for b in fewer])
    result = SearchResult(tuple(tried), number, complete, tuple(prices))
    save_search(root / plan.folder_name, plan, result)
    return _with_network(result, roots)


def _with_network(result: SearchResult, roots: Sequence[Path]) -> SearchResult:
    return replace(result, network=_run_of(result.best.experiment, roots))


def _run_of(experiment: Experiment, roots: Sequence[Path]) -> Run | None:
    """The run of an experiment's record, if there is one."""
    digest = experiment.digest()
    path = record_of(digest, roots)
    return None if path is None else load_record(path, digest)[1][0]


def _next(plan: Search, tried: Sequence[Tried], seen: set[str]) -> Iterator[tuple[Experiment, str]]:
    """Make the experiments of a round with their moves, and mark their budgets as seen."""
    trained = {t.experiment.digest() for t in tried}
    for parent in _parents(tried, plan.beam):
        for budget, move in plan.moves(parent.uses):
            experiment = plan.candidate(budget, parent.experiment)
            again = plan.again and move in FEWER and experiment.digest() not in trained
            if again or str(budget) not in seen:
                seen.add(str(budget))
                yield experiment, move


def _parents(tried: Sequence[Tried], beam: int) -> list[Tried]:
    """The best networks, one for each set of modes in use."""
    found: dict[Budget, Tried] = {}
    for one in sorted(tried, key=lambda t: t.loss):
        if not one.failure:
            found.setdefault(one.uses, one)
    return list(found.values())[:beam]


def save_search(folder: Path, plan: Search, result: SearchResult) -> None:
    """Write the table of a search's result as a sealed folder of this name."""
    rows = [*result.tried, *result.prices]
    digests = [t.experiment.digest() for t in rows]
    numbers = {name: [getattr(t, name) for t in rows] for name in NUMBERS}
    arrays = {name: np.array(values, dtype=np.float64) for name, values in numbers.items()}
    parents = [digests.index(t.experiment.start) if i else -1 for i, t in enumerate(rows)]
    texts = [[t.move, str(t.budget), str(t.uses), t.failure] for t in rows]
    document = {
        "kind": KIND,
        "format": FORMAT,
        "digest": plan.digest(),
        "search": plan.facts(),
        "start": plan.start.facts(),
        "rounds": result.rounds,
        "complete": result.complete,
        "tried": texts,
    }
    arrays["parent"] = np.array(parents, dtype=np.int64)
    folder.parent.mkdir(parents=True, exist_ok=True)
    files = {DOCUMENT: store.json_bytes(document), store.ARRAYS: store.npz_bytes(arrays)}
    store.write_sealed(folder, files)


def load_search(folder: Path, plan: Search) -> SearchResult:
    """Read the table of a result and check it.

    Args:
        folder: The sealed folder.
        plan: The search that it must belong to.

    Raises:
        ForeignRecordError: If it is undamaged, but of another kind, format or search.
        RecordError: If anything is damaged or does not fit together.
    """
    found, result = read_search(folder)
    with store.refusing(folder, DOCUMENT):
        store.check_entries(folder, DOCUMENT, {"digest": found.digest()}, digest=plan.digest())
    return result


def read_search(folder: Path) -> tuple[Search, SearchResult]:
    """Read the table of any search, with its plan.

    Raises:
        ForeignRecordError: If it is undamaged, but of another kind or format.
        RecordError: If anything is damaged or does not fit together.
    """
    files = store.read_sealed(folder, DOCUMENT)
    with store.refusing(folder, DOCUMENT):
        facts = store.parse_json(files[DOCUMENT])
        store.check_entries(folder, DOCUMENT, facts, kind=KIND, format=FORMAT)
        start = Experiment.from_facts(facts["start"])
        first, last = facts["search"]["layers"]
        plan = Search(**facts["search"] | {"start": start, "layers": (first, last)})
        store.check_entries(folder, DOCUMENT, facts, digest=plan.digest())
        grid, rows = start.network.grid, list[Tried]()
        arrays = store.parse_npz(files[store.ARRAYS])
        columns = [arrays[name].tolist() for name in (*NUMBERS, "parent")]
        for texts, *numbers, parent in zip(facts["tried"], *columns, strict=True):
            move, held, uses, failure = texts
            experiment, budget = start, Budget.parse(held, grid)
            if rows:
                experiment = plan.candidate(budget, rows[parent].experiment, move)
            values = dict(zip(NUMBERS, numbers, strict=True))
            found = Budget.parse(uses, grid)
            rows.append(Tried(experiment, move, budget, found, failure=failure, **values))
    tried = tuple(row for row in rows if row.move != "price")
    return plan, SearchResult(tried, facts["rounds"], facts["complete"], tuple(rows[len(tried) :]))
