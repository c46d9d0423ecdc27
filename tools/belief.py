"""What we believe of each claim of the paper, by written rules, from the verdicts.

Predictions count. Checks, rows made after looking, and neutral rows, which say nothing for or
against the claim (`Claim.apart`), are shown and do not count.

1. The *share* is the mean over the predictions that were tested. A prediction counts 1 if it holds
   in every run, 1/2 if in some, 0 if in none.
2. `SURE` puts the share into words.
3. Fewer than three tested predictions are few, so at most "mostly supported", and it says so.
4. Fewer than 4 of 5 stable verdicts "depend on the run". A verdict is stable if at least 4 of 5
   builds of the quick edition gave it.

The rules were written after the verdicts were known.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from cbnlib.book.claims import PAPER

WEIGHTS = {"reproduced": 1.0, "partly": 0.5, "not reproduced": 0.0}
SURE = {
    0.9: "well supported",
    2 / 3: "mostly supported",
    1 / 3: "mixed",
    1e-9: "mostly not supported",
    0.0: "not supported",
}
"""The words for a share of at least so much."""

NOT_TESTED = "not tested"
FEW = 3
MOST = 0.8
"""The share of the builds that is most of them."""

OUTCOMES = ("holds", "in part", "fails")
Row = Mapping[str, Any]


def belief(claim: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What we believe of a claim, and why.

    Args:
        claim: `C1` to `C8`.
        rows: The rows about it, as `claims.json` has them.
    """
    tests = [row for row in rows if row["kind"] == "prediction" and not row["apart"]]
    tested = [row for row in tests if row["verdict"] != NOT_TESTED]
    counts = {verdict: sum(row["verdict"] == verdict for row in tests) for verdict in WEIGHTS}
    built = [row for row in tested if row["stability"]]
    share = fmean(WEIGHTS[row["verdict"]] for row in tested) if tested else None
    return {
        "claim": claim,
        "text": PAPER[claim],
        "sure": how_sure(share, len(tested), sum(map(stable, built)), len(built)),
        "share": share,
        "predictions": len(tests),
        "verdicts": counts | {NOT_TESTED: len(tests) - len(tested)},
        "values": sum(row["counts"]["values"] for row in tested),
        "chapters": _chapters(tested),
        "other_chapters": sorted({*_chapters(rows)} - {*_chapters(tested)}),
        "apart": {
            "check": sum(row["kind"] == "check" for row in rows),
            "after looking": sum(row["kind"] == "after looking" for row in rows),
            "other": sum(row["kind"] == "prediction" and bool(row["apart"]) for row in rows),
        },
        "stability": {"verdicts": len(built), "stable": sum(map(stable, built))},
        "found": _found(tested),
        "figure": _figure(tested or tests or list(rows)),
    }


def how_sure(share: float | None, tested: int, stable_ones: int = 0, built: int = 0) -> str:
    """Rules 2 to 4.

    >>> how_sure(0.95, 12, 8, 9), how_sure(1, 1), how_sure(0.5, 4, 1, 4), how_sure(None, 0)
    ('well supported', 'mostly supported, few tests', 'mixed, depends on the run', 'not tested')
    """
    if share is None:
        return NOT_TESTED
    words = list(SURE.values())
    step = next(number for number, least in enumerate(SURE) if share >= least - 1e-12)
    few = tested < FEW
    parts = [words[max(step, 1) if few else step]]
    parts += ["few tests"] * few + ["depends on the run"] * (stable_ones < MOST * built)
    return ", ".join(parts)


def stable(row: Row) -> bool:
    """Whether most builds gave this row's verdict."""
    return bool(row["stability"]["same"] >= MOST * row["stability"]["builds"])


def _chapters(rows: Sequence[Row]) -> list[str]:
    return sorted({row["chapter"] for row in rows})


def _found(tested: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """The predictions by outcome, those with the most values first.

    Equal ones of several tasks are one, with the mean of their weights. It holds at 1 and fails
    below 1/3.
    """
    weights: dict[str, list[float]] = {}
    values, within = Counter[str](), Counter[str]()
    for row in tested:
        weights.setdefault(row["prediction"], []).append(WEIGHTS[row["verdict"]])
        values[row["prediction"]] += row["counts"]["values"]
        within[row["prediction"]] += row["counts"]["within"]
    found: dict[str, list[dict[str, Any]]] = {outcome: [] for outcome in OUTCOMES}
    for text in sorted(weights, key=lambda text: -values[text]):
        share = fmean(weights[text])
        outcome = "holds" if share == 1 else "in part" if share >= 1 / 3 else "fails"
        one = {"prediction": text, "within": within[text], "values": values[text]}
        found[outcome].append(one)
    return found


def _figure(rows: Sequence[Row]) -> str | None:
    """The figure that shows the most of the rows, the first of them."""
    figures = [row["figure"] for row in rows]
    return max(figures, key=figures.count) if figures else None
