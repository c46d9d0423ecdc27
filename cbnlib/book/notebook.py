"""What every notebook of the book needs around its experiment."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from cbnlib._extras import extra
from cbnlib.book.profiles import Profile, check_profile
from cbnlib.book.smoke import smoke_runs, smoke_searches
from cbnlib.book.tables import set_tables
from cbnlib.book.where import ASKED, records_root
from cbnlib.runs.experiment import Experiment
from cbnlib.runs.known import best_known
from cbnlib.runs.obtain import obtain, run_experiment
from cbnlib.runs.provenance import Provenance
from cbnlib.runs.run import Run
from cbnlib.runs.search import Search, SearchResult, search
from cbnlib.spectra.bottleneck import KeptMode, kept_modes
from cbnlib.spectra.spectrum import KEPT, middle_layer

with extra("book"):
    import pandas as pd

NOT_AVAILABLE = "not available"
"""What stands for a number that training did not give."""

ORIGINS = "cbnlib-origins"
"""Where the metadata of a notebook's output hold how many networks came from where."""


def start(profile: str) -> Profile:
    """Check the profile, set how figures and tables look, and fix what a run's bits depend on.

    One thread, because the layers are small: more would not help, and the sums keep their order.

    Returns:
        The profile.

    Raises:
        ValueError: If the profile is unknown.
    """
    from cbnlib.book.plots import set_style

    checked = check_profile(profile)
    set_style()
    set_tables()
    torch.set_num_threads(1)
    return checked


def glue(**numbers: object) -> None:
    """Store numbers or texts under their names, for the prose of the book to quote.

    A number that is NaN or infinite, and None, read "not available" there, whatever their format.
    Outside the book (no `myst_nb` installed) this does nothing, so the notebook runs anywhere.
    Scalars of NumPy and torch are turned into Python's, because the book cannot format them.

    Args:
        numbers: What the prose calls them, with their values.
    """
    with suppress(ModuleNotFoundError):
        from myst_nb import glue as store

        for name, value in numbers.items():
            store(name, _plain(value), display=False)


def _plain(value: object) -> object:
    plain = value.item() if isinstance(value, np.generic | torch.Tensor) else value
    if plain is None or (isinstance(plain, float) and not math.isfinite(plain)):
        return _NotAvailable()
    return plain


class _NotAvailable:
    """Reads "not available", without quotes, so the book applies no number format to it."""

    def __repr__(self) -> str:
        return NOT_AVAILABLE


def spread(values: Iterable[float], digits: str = ".2f") -> str:
    """The median of numbers with the smallest and the largest, in words for the prose.

    Args:
        values: Numbers. Those that are not finite are left out.
        digits: How a number is formatted.

    Example:
        >>> spread([1, 2, 4]), spread([3.0], "g"), spread([math.nan])
        ('2.00 (1.00 to 4.00)', '3', 'not available')
    """
    finite = _finite(values)
    if not finite:
        return NOT_AVAILABLE
    middle, low, high = (f"{f(finite):{digits}}" for f in (statistics.median, min, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def listed(values: Iterable[float], digits: str = "g") -> str:
    """Numbers one after the other, in words for the prose.

    Args:
        values: Numbers. One that is not finite reads "not available".
        digits: How a number is formatted.

    Example:
        >>> listed([1, math.nan, 2.5]), listed([])
        ('1, not available, 2.5', 'none')
    """
    texts = (f"{v:{digits}}" if math.isfinite(v) else NOT_AVAILABLE for v in map(float, values))
    return ", ".join(texts) or "none"


def _finite(values: Iterable[float]) -> list[float]:
    return [*filter(math.isfinite, map(float, values))]


def least(values: Iterable[float]) -> float:
    """The smallest finite number, NaN if there is none."""
    return min(_finite(values), default=math.nan)


def most(values: Iterable[float]) -> float:
    """The largest finite number, NaN if there is none."""
    return max(_finite(values), default=math.nan)


def typical(values: Iterable[float]) -> float:
    """The median of the finite numbers, NaN if there is none."""
    return statistics.median(_finite(values) or [math.nan])


def best(runs: Iterable[Run]) -> Run | None:
    """The run with the lowest loss, None if every one failed."""
    return min((run for run in runs if not run.failure), key=lambda run: run.loss, default=None)


def typical_and_best(runs: Sequence[Run], *known: Run | None) -> dict[str, Run]:
    """The run with the median loss, and the network with the lowest loss.

    Args:
        runs: Of one task, ridge and depth.
        known: Other networks of the same problem, from the records (`best_known_of`) or a search
            (`SearchResult.network`). None where there is none.

    Returns:
        They, by `"typical"` and `"best known"`. Empty if every run failed.
    """
    finished = sorted((run for run in runs if not run.failure), key=lambda run: run.loss)
    lowest = best([*runs, *filter(None, known)])
    if not finished or lowest is None:
        return {}
    return {"typical": finished[len(finished) // 2], "best known": lowest}


def runs_of(
    experiments: Sequence[Experiment], profile: Profile, *, data_folder: str = ""
) -> list[list[Run]]:
    """The runs of a notebook's experiments, trained now or (profile `paper`) from the records.

    A run whose training failed is one of the list. It says why in `Run.failure`, and its cell names
    it. In the profile `paper` a committed record in `records` is used if it is that of exactly this
    experiment, whichever chapter it was trained for. Without one the experiment is trained and kept
    in `_build/runs`, where a run that was killed goes on.

    Args:
        experiments: What to run.
        profile: `quick` or `paper`.
        data_folder: Where MNIST's files lie, if a task needs them and they are not to be
            downloaded.

    Raises:
        RecordError: If a record is damaged.
        FileNotFoundError: In the profile `paper` outside a copy of the repository.
    """
    where: dict[str, Any] = {"data_folder": data_folder or None}
    if profile == "quick":
        results = [run_experiment(e, **where) for e in experiments]
    elif profile == "paper":
        records, workspace = _records(experiments, "runs")
        results = [obtain(e, records=records, workspace=workspace, **where) for e in experiments]
    else:
        results = smoke_runs(experiments, profile, **where)
    for run in (run for runs in results for run in runs if run.failure):
        print(f"{run.task.name}, {run.network.depth} layers, failed: {run.failure}")
    return results


def _records(wanted: Sequence[Experiment | Search], folder: str) -> tuple[list[Path], Path]:
    """Where records lie, and where what has none is kept. Notes what was looked for."""
    records = records_root()
    _publish({}, {ASKED: [one.digest()[:12] for one in wanted]})
    return [records], records.parent / "_build" / folder


def best_known_of(experiment: Experiment, profile: Profile) -> Run | None:
    """The network with the lowest loss of all committed records of a problem.

    Args:
        experiment: Its task, its network but for the width, and its ridge make the problem.
        profile: Only `paper` has records. None is returned in the others.

    Raises:
        RecordError: If the record is damaged.
        FileNotFoundError: In the profile `paper` outside a copy of the repository.
    """
    if profile != "paper":
        return None
    known = best_known(experiment, records_root())
    if known is None:
        return None
    _publish({}, {ASKED: [known.record.name[-12:]]})
    return known.run()


def searches_of(
    plans: Sequence[Search], profile: Profile, *, data_folder: str = ""
) -> list[SearchResult]:
    """The results of searches over budgets, made now or (profile `paper`) from the records.

    Args:
        plans: What to search. In the profile `paper` a committed table in `records` is used if it
            is that of exactly this search. Without one it is searched in `_build/searches`, where
            one that was killed goes on.
        profile: As in `runs_of`.
        data_folder: As in `runs_of`.

    Raises:
        RecordError: If a table or a record is damaged.
        FileNotFoundError: In the profile `paper` outside a copy of the repository.
    """
    where: dict[str, Any] = {"data_folder": data_folder or None}
    if profile == "paper":
        records, workspace = _records(plans, "searches")
        return [search(plan, workspace, records=records, **where) for plan in plans]
    with TemporaryDirectory() as folder:
        if profile == "quick":
            return [search(plan, folder, workers=1, progress=False, **where) for plan in plans]
        return smoke_searches(plans, profile, folder, **where)


def origins(runs: Iterable[Run]) -> pd.DataFrame:
    """Where runs come from, for the reader (trained here or from records, when, on what).

    Also shows how many came from where, and hands that to the line of facts on the book's page.

    Returns:
        A row for each combination of origin, versions and machine. It has the number of networks,
        the dates of the first and the last, and all seconds of training (an ensemble's once).
    """
    columns = ["processor", "threads", "torch", "cbnlib"]
    counts = {"from records": 0, "trained here": 0}
    groups: dict[tuple[str, ...], list[Provenance]] = {}
    for made in (run.provenance for run in runs):
        recorded = made.source == "record"
        counts["from records" if recorded else "trained here"] += 1
        kind = "from a record" if recorded else "trained here"
        key = kind, *(made.environment[column] for column in columns)
        groups.setdefault(key, []).append(made)
    told = " and ".join(f"{count} {kind}" for kind, count in counts.items())
    text = f"The networks of this page are {told}."
    _publish({"text/markdown": text, "text/plain": text}, {ORIGINS: counts})
    rows = []
    for (kind, *where), members in groups.items():
        days = sorted(made.finished[:10] for made in members)
        when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
        seconds = sum(spent for _, spent in {(made.finished, made.seconds) for made in members})
        rows.append([kind, len(members), when, round(seconds), *where])
    return pd.DataFrame(rows, columns=["origin", "networks", "when", "seconds", *columns])


def _publish(data: dict[str, str], metadata: dict[str, object]) -> None:
    """Leave an output in the notebook, and show nothing of one without data."""
    from IPython.core.getipython import get_ipython

    if shell := get_ipython():
        shell.display_pub.publish(data, metadata)


def summary(runs: Iterable[Run], columns: Sequence[str]) -> pd.DataFrame:
    """A table of runs, one in a row, with the failed ones.

    Args:
        runs: What to show.
        columns: Which entries of `Run.row`, in this order.

    Raises:
        KeyError: If a run has no entry of that name.
    """
    rows = [run.row() for run in runs]
    return pd.DataFrame([[row[name] for name in columns] for row in rows], columns=list(columns))


def rows_of(
    table: pd.DataFrame, runs: Sequence[Run], groups: Mapping[str, Iterable[Run]]
) -> dict[str, pd.DataFrame]:
    """The rows of a table of runs for each group of these runs, in the table's order.

    Args:
        table: One row for each run.
        runs: The runs, in the order of the rows.
        groups: Some of them by name.
    """
    members = {name: {id(run) for run in some} for name, some in groups.items()}
    return {name: table[[id(run) in ids for run in runs]] for name, ids in members.items()}


def central_modes(run: Run) -> tuple[tuple[KeptMode, ...], int]:
    """The modes that a run's bottleneck keeps, and the number of the layer in its middle.

    Without a bottleneck, the modes that the network's middle layer keeps, and that layer. A failed
    run keeps none.
    """
    found, layer = run.bottleneck, middle_layer(run.network.depth)
    if found.layers:
        return found.modes, sum(found.layers) // 2
    return () if run.failure else kept_modes(run.weight_spectra[layer - 1], KEPT), layer


def shortest(step: Callable[[], object], repeats: int) -> float:
    """Milliseconds of processor time of the shortest repeat, as other work may disturb the rest."""
    clock = [time.process_time()]
    for _ in range(repeats):
        step()
        clock.append(time.process_time())
    return 1000 * float(min(np.diff(clock)))
