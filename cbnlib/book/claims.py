"""Claims: a prediction with its tolerance, what was measured, and the verdict that follows.

A notebook states each claim that it tests by `claim`. The verdict follows from the numbers and the
tolerance. Nobody writes it, and the book computes it again when it collects all claims on one page.
It counts runs. Values on both sides of the tolerance and none in it are no run within it.

No outcome of training raises an error. A run that gives no number (it diverged, it kept no mode)
counts as missing. A prediction for which no run gives a number is `not tested`.
"""

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from cbnlib._checks import check_choice, check_count, hold

PAPER = {
    "C1": "CNNs have a bottleneck: their middle layers keep few frequencies and channels",
    "C2": "the CBN rank describes it: the number and type of the frequencies kept inside",
    "C3": "the parameter norm that a function needs grows like depth × CBN rank",
    "C4": "at next order, the norm depends on the regularity of the function",
    "C5": "every network with almost optimal norm has the bottleneck in its weights",
    "C6": "networks that are stable at a large learning rate have it in their activations, too",
    "C7": "networks may down-sample: the results hold for smaller images in the middle",
    "C8": "the bottleneck explains the functions that CNNs learn on several tasks",
}
"""The paper's claims in short (Wen and Jacot, ICML 2024, abstract)."""

OWN = "own"
SUBJECTS = PAPER | {OWN: "questions of this book that the paper does not ask"}
"""What a prediction may be about."""

KEY = "cbnlib-claim"
"""Where the metadata of a notebook's output hold a claim, for the book to collect."""

Verdict = Literal["reproduced", "partly", "not reproduced", "not tested"]
Kind = Literal["prediction", "check", "after looking", "own"]
DIGITS = range(3, 7)
"""Significant digits of a shown number: as few as leave it on its side of the tolerance."""


@dataclass(frozen=True)
class Claim:
    """One prediction and its measurement.

    Raises:
        ValueError: On construction, if there is no such subject, a text is missing, or the
            tolerance is missing, empty or not finite.
    """

    paper: str
    """Which of the paper's claims it tests, `C1` to `C8`, or `own`."""
    task: str
    """What was trained, in a few words."""
    prediction: str
    """Our prediction, one sentence."""
    quantity: str
    """What the numbers are, with their unit if they have one."""
    values: tuple[float, ...]
    """The measured numbers, one per run (seed, setting or both). Those that are not finite are
    left out on construction and counted in `missing`."""
    figure: str
    """Name of the figure that shows it, `fig-...`."""
    best: tuple[float, ...] = ()
    """The same quantity on the best known networks (lowest loss of a task, ridge and depth), which
    training may have missed. Empty if not measured there. It has a verdict of its own."""
    at_least: float | None = None
    """Tolerance: the quantity is not below this."""
    at_most: float | None = None
    """Tolerance: the quantity is not above this."""
    tried: str = ""
    """What was tried, or why it fails. Shown unless the verdict is `reproduced`."""
    added: str = ""
    """When and why it, or its setting, was added, if only after looking. Shown with any verdict."""
    check: str = ""
    """Why it can hardly fail, if it is a check of theory and tools and no test. It is shown, but
    not counted."""
    apart: str = ""
    """Why it says nothing for or against the paper's claim, if it does not: for example a coarse
    network that beats the full one. It is neutral. It is shown with any verdict and not counted."""
    untested: str = "No run gave a number."
    """Why there may be no value. Shown if the verdict is `not tested`."""
    missing: int = 0
    """How many runs gave no number."""
    unstable: bool = False
    """Whether other builds of the same edition gave another verdict. The rendering of the book
    knows and sets this."""

    def __post_init__(self) -> None:
        """Check every field."""
        check_choice("claim", self.paper, SUBJECTS)
        for name in ("task", "prediction", "quantity", "figure"):
            if not getattr(self, name).strip():
                raise ValueError(f"a claim needs a {name}")
        given = tuple(map(float, self.values))
        values, best = (
            tuple(filter(math.isfinite, numbers)) for numbers in (given, map(float, self.best))
        )
        missing = check_count("missing", self.missing, minimum=0) + len(given) - len(values)
        hold(self, values=values, best=best, missing=missing)
        limits = self._limits
        if not limits:
            raise ValueError("a claim needs a tolerance: at_least, at_most or both")
        if not all(math.isfinite(limit) for limit in limits):
            raise ValueError(f"the tolerance of a claim must be finite, got {limits}")
        if len(limits) == 2 and limits[0] > limits[1]:
            raise ValueError(f"nothing is >= {limits[0]} and <= {limits[1]}")

    @property
    def _limits(self) -> list[float]:
        return [limit for limit in (self.at_least, self.at_most) if limit is not None]

    @property
    def _of_best(self) -> "Claim":
        """The same about the best known networks."""
        return replace(self, values=self.best, best=(), missing=0)

    @property
    def within(self) -> int:
        """How many of the values are within the tolerance."""
        least = -math.inf if self.at_least is None else self.at_least
        most = math.inf if self.at_most is None else self.at_most
        return sum(least <= value <= most for value in self.values)

    @property
    def verdict(self) -> Verdict:
        """`reproduced` if all values are within the tolerance, `partly` if some are.

        Without any value it is `not tested`.
        """
        if not self.values:
            return "not tested"
        if self.within == len(self.values):
            return "reproduced"
        return "partly" if self.within else "not reproduced"

    @property
    def best_verdict(self) -> Verdict:
        """The verdict on the best known networks, by the same rule."""
        return self._of_best.verdict

    @property
    def verdict_text(self) -> str:
        """The verdict in words, with the mark of one that is not the same in all builds."""
        return f"{self.verdict} (depends on the run)" if self.unstable else self.verdict

    @property
    def counts(self) -> bool:
        """Whether it is a test, not only a check."""
        return not self.check

    @property
    def kind(self) -> Kind:
        """A check, a question of our own, a row made after looking, or a prediction."""
        if self.check:
            return "check"
        if self.paper == OWN:
            return "own"
        return "after looking" if self.added else "prediction"

    @property
    def measured(self) -> str:
        """The median, with the smallest and the largest value, or `nothing` if there is none."""
        if not self.values:
            return "nothing"
        value, low, high = (self.short(of(self.values)) for of in (statistics.median, min, max))
        return value if low == high == value else f"{value} ({low} to {high})"

    @property
    def best_measured(self) -> str:
        """The same of the best known networks."""
        return self._of_best.measured

    @property
    def score(self) -> str:
        """How many values there are, how many are within the tolerance, how many are missing."""
        count = len(self.values)
        text = "1 value" if count == 1 else f"{self.within} of {count} values within"
        return f"{text}, {self.missing} missing" if self.missing else text

    @property
    def told(self) -> str:
        """Prediction, quantity, tolerance and measurement in sentences."""
        return (
            f"We predicted: “{self.prediction}” The quantity is {self.quantity}. Its tolerance is "
            f"{self.tolerance}. We measured {self.measured} ({self.score})."
        )

    @property
    def remark(self) -> str:
        """What a reader needs beside the verdict: why it was not tested, or what was tried."""
        if self.verdict == "not tested":
            return self.untested
        return self.tried if self.verdict != "reproduced" else ""

    @property
    def tolerance(self) -> str:
        """The tolerance in words."""
        ends = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{word} {self.short(end)}" for word, end in ends if end is not None)

    def short(self, number: float) -> str:
        """A number in three significant digits, more where the tolerance would be crossed."""
        for digits in DIGITS:
            text = _short(number, digits)
            shown = float(text.replace(",", ""))
            if all(
                (number > end) == (shown > end) and (number < end) == (shown < end)
                for end in self._limits
            ):
                break
        return text

    def shown(self) -> dict[str, str]:
        """What a notebook's page shows, by MIME type. The reasons stand on the page of claims."""
        subject = "our own" if self.paper == OWN else self.paper
        marks = {"came after looking": self.added, "is a check": self.check}
        marks["is neutral and does not count"] = self.apart
        notes = [f"This row {mark}." for mark, reason in marks.items() if reason]
        best = f"Best known: {self.best_measured}, {self.best_verdict}." if self.best else ""
        text = (
            f"**{subject}, {self.task}: {self.verdict_text}.** {self.told} "
            f"{' '.join(filter(None, [best, self.remark, *notes]))}"
        ).strip()
        return {"text/markdown": text, "text/plain": text}

    def facts(self) -> dict[str, Any]:
        """As JSON, with the verdict."""
        lists = {"values": list(self.values), "best": list(self.best)}
        return asdict(self) | lists | {"verdict": self.verdict}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Claim":
        """The claim with these facts.

        Raises:
            ValueError: If something is missing or unknown, or the verdict is not the one that
                follows from the numbers.
        """
        given = dict(facts)
        verdict = given.pop("verdict", None)
        if given.keys() != {field.name for field in fields(cls)}:
            raise ValueError(f"these are no facts of a claim: {sorted(facts)}")
        claim = cls(**given)
        if verdict != claim.verdict:
            raise ValueError(f"verdict {verdict!r}, but the numbers say {claim.verdict!r}")
        return claim

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Claim":
        """The claim of a row of `claims.json`.

        Raises:
            ValueError: As `from_facts`.
            KeyError: If the row lacks something.
        """
        own = {"paper": row["claim"], "missing": row["counts"]["missing"], **row["tolerance"]}
        names = {field.name for field in fields(cls)} - own.keys()
        return cls.from_facts(own | {name: row[name] for name in (*names, "verdict")})


def claim(paper: str, task: str, **about: Any) -> Claim:  # noqa: ANN401  # a Claim's fields
    """State a claim in a notebook, which shows the verdict and hands it to the page of all claims.

    Args:
        paper: As in `Claim`.
        task: What was trained.
        about: The other fields of a `Claim`, by name.

    Raises:
        ValueError: As `Claim`.
    """
    from IPython.display import display

    stated = Claim(paper=paper, task=task, **about)
    display(stated.shown(), raw=True, metadata={KEY: stated.facts()})
    return stated


def claims_of(notebook: Mapping[str, Any]) -> list[Claim]:
    """The claims that an executed notebook states, in order.

    Args:
        notebook: Its JSON.

    Raises:
        ValueError: As `Claim.from_facts`.
    """
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    stated = [output["metadata"][KEY] for output in outputs if KEY in output.get("metadata", {})]
    return [Claim.from_facts(facts) for facts in stated]


def _short(number: float, digits: int) -> str:
    """So many digits and no trailing zeros. Counts stay whole: 12, 0.0123, 1214, 115,000."""
    size = abs(number)
    if size < 1e5 and float(number).is_integer():
        return f"{number:.0f}"
    rounded = float(f"{number:.{digits}g}")
    return f"{rounded:,.0f}" if 1e3 <= size < 1e6 else f"{rounded:.{digits}g}"
