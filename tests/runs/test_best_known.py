"""No network that the book draws as the best known is beaten by another one of the records."""

from pathlib import Path

import pytest

from cbnlib.runs.experiment import Experiment, canonical
from cbnlib.runs.known import Known, known_networks, problem_of
from cbnlib.runs.record import DOCUMENT
from cbnlib.runs.search import read_search
from cbnlib.runs.store import parse_json

RECORDS = Path(__file__).parents[2] / "records"
DIGITS = 1e-4
"""Relative; the book shows four digits, and the same training elsewhere ends within 1e-5."""


def rows(table: Path) -> list[Known]:
    """What a search tried."""
    return [
        Known(t.loss, t.experiment.network.width, problem_of(t.experiment), table, 0)
        for t in read_search(table)[1].tried
        if not t.failure
    ]


def setting(facts: dict) -> str:
    """How a network was made and trained, apart from its seed."""
    training = {k: v for k, v in facts["training"].items() if k != "seed"}
    return canonical([facts["network"], training])


def beaten(best: Known, others: list[Known]) -> str:
    """The lowest loss below that of the best known, with its record; empty if there is none."""
    limit = best.loss * (1 - DIGITS)
    rivals = [t for t in others if t.problem == best.problem and t.width <= best.width]
    lowest = min(rivals, default=best)
    return f"{best} is beaten by {lowest}" if lowest.loss < limit else ""


TABLES = sorted(RECORDS.glob("search-*"))
ALONE = list(known_networks(RECORDS))
TRIED = {table: rows(table) for table in TABLES}
EVERY = [*ALONE, *(t for tried in TRIED.values() for t in tried)]


def seeds_of(start: Experiment) -> list[Known]:
    """The networks that were trained as the start of a search was, from any seed."""
    alike = [one for one in ALONE if one.problem == problem_of(start)]
    settings = {one.record: parse_json((one.record / DOCUMENT).read_bytes()) for one in alike}
    wanted = setting(start.facts())
    return [one for one in alike if setting(settings[one.record]["experiment"]) == wanted]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_no_record_beats_the_best_known(table):
    """The best known of a search and of all seeds trained as its start was."""
    best = min(TRIED[table] + seeds_of(read_search(table)[0].start))
    assert not (told := beaten(best, EVERY)), told


def test_who_beats_the_best_known():
    best = Known(1.0, 8, "a", RECORDS, 0)
    rivals = [(0.99995, 8, "a"), (0.5, 9, "a"), (0.5, 8, "b"), (2.0, 8, "a")]
    others = [Known(*rival, RECORDS, 0) for rival in rivals]
    assert not beaten(best, others)
    assert "c0ffee" in beaten(best, [*others, Known(0.99, 6, "a", Path("c0ffee"), 0)])
