"""Claims: a prediction with its tolerance, what was measured, and the verdict that follows.

A notebook states each claim that it tests by `claim`. The verdict is computed from the numbers and
the tolerance, here and again when the book collects all claims on one page; nobody writes it.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from cbnlib.checks import check_choice, check_count

PAPER = {
    "C1": "CNNs show a convolution bottleneck: few frequencies and channels in the middle layers",
    "C2": "the CBN rank counts the frequencies kept inside the bottleneck, and their type",
    "C3": "the parameter norm needed for a function scales as depth × CBN rank",
    "C4": "at next order the parameter norm depends on the regularity of the function",
    "C5": "any network of almost optimal parameter norm has the bottleneck in its weights",
    "C6": "and in its activations, if it is stable under a large learning rate",
    "C7": "this motivates down-sampling; the results hold with it",
    "C8": "the bottleneck interprets the functions that CNNs learn on a number of tasks",
}
"""The paper's claims in short (Wen and Jacot, ICML 2024, abstract)."""

KEY = "cbnlib-claim"
"""Where the metadata of a notebook's output hold a claim, for the book to collect."""

Verdict = Literal["reproduced", "partly", "not reproduced"]


@dataclass(frozen=True)
class Claim:
    """One prediction and its measurement.

    Raises:
        ValueError: On construction, if the paper has no such claim, a text is missing, a number is
            not finite, the value lies outside its interval, there is no tolerance, or it failed
            and nothing says what was tried.
    """

    paper: str
    """Which of the paper's claims it tests, `C1` to `C8`."""
    task: str
    """What was trained, in a few words."""
    prediction: str
    """Our prediction, one sentence."""
    quantity: str
    """What the numbers are, with their unit if they have one."""
    value: float
    """The measured number; over seeds their median."""
    interval: tuple[float, float]
    """Over seeds from the smallest to the largest, or a confidence interval."""
    seeds: int
    """How many seeds (or runs) stand behind it."""
    figure: str
    """Name of the figure that shows it, `fig-...`."""
    at_least: float | None = None
    """Tolerance: the quantity is not below this."""
    at_most: float | None = None
    """Tolerance: the quantity is not above this."""
    tried: str = ""
    """What was tried, or why; needed where the verdict is not `reproduced`."""
    added: str = ""
    """If it, or its setting, came only after looking: when, and why. Shown with any verdict."""

    def __post_init__(self) -> None:
        """Check every field."""
        check_choice("claim", self.paper, PAPER)
        for name in ("task", "prediction", "quantity", "figure"):
            if not getattr(self, name).strip():
                raise ValueError(f"a claim needs a {name}")
        check_count("seeds", self.seeds)
        limits = [limit for limit in (self.at_least, self.at_most) if limit is not None]
        if not limits:
            raise ValueError("a claim needs a tolerance: at_least, at_most or both")
        if len(limits) == 2 and limits[0] > limits[1]:
            raise ValueError(f"nothing is >= {limits[0]} and <= {limits[1]}")
        numbers = (self.value, *self.interval, *limits)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"the numbers of a claim must be finite, got {numbers}")
        low, high = self.interval
        if not low <= self.value <= high:
            raise ValueError(f"the value {self.value} lies outside its interval {self.interval}")
        if self.verdict != "reproduced" and not self.tried.strip():
            raise ValueError(
                f"{self.paper}, {self.task}: {self.verdict} ({self.quantity}: {self.measured}, "
                f"predicted {self.tolerance}); say in `tried` what was tried, or why"
            )

    @property
    def verdict(self) -> Verdict:
        """`reproduced` if the whole interval is within the tolerance, `partly` if a part of it."""
        low, high = self.interval
        least = -math.inf if self.at_least is None else self.at_least
        most = math.inf if self.at_most is None else self.at_most
        if least <= low and high <= most:
            return "reproduced"
        return "not reproduced" if high < least or low > most else "partly"

    @property
    def measured(self) -> str:
        """The number with its interval."""
        low, high = (_short(end) for end in self.interval)
        value = _short(self.value)
        return value if low == high == value else f"{value} ({low} to {high})"

    @property
    def tolerance(self) -> str:
        """The tolerance in words."""
        ends = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{word} {_short(end)}" for word, end in ends if end is not None)

    def facts(self) -> dict[str, Any]:
        """As JSON, with the verdict."""
        return asdict(self) | {"interval": list(self.interval), "verdict": self.verdict}

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
        claim = cls(**given | {"interval": tuple(given["interval"])})
        if verdict != claim.verdict:
            raise ValueError(f"verdict {verdict!r}, but the numbers say {claim.verdict!r}")
        return claim


def claim(  # noqa: PLR0913  # what a claim consists of, all by keyword
    paper: str,
    task: str,
    *,
    prediction: str,
    quantity: str,
    values: Sequence[float],
    figure: str,
    at_least: float | None = None,
    at_most: float | None = None,
    tried: str = "",
    added: str = "",
) -> Claim:
    """State a claim in a notebook: shows the verdict there and hands it to the page of all claims.

    Args:
        paper: As in `Claim`, like all that is not said here.
        task: What was trained.
        prediction: One sentence.
        quantity: What the numbers are.
        values: One number per seed (or run): the claim's value is their median, its interval goes
            from the smallest to the largest.
        figure: The figure that shows it.
        at_least: Lower end of the tolerance.
        at_most: Upper end of the tolerance.
        tried: What was tried, if it failed.
        added: When and why it was added, if that was after looking.

    Raises:
        ValueError: As `Claim`, or if there are no values.
    """
    numbers = [float(value) for value in values]
    if not numbers:
        raise ValueError("a claim needs at least one value")
    stated = Claim(
        paper=paper,
        task=task,
        prediction=prediction,
        quantity=quantity,
        value=statistics.median(numbers),
        interval=(min(numbers), max(numbers)),
        seeds=len(numbers),
        figure=figure,
        at_least=at_least,
        at_most=at_most,
        tried=tried,
        added=added,
    )
    publish(stated)
    return stated


def publish(stated: Claim) -> None:
    """Show a claim in a notebook and hand it to the page of all claims."""
    from IPython.display import display

    text = (
        f"**{stated.paper}, {stated.task}: {stated.verdict}.** {stated.prediction} "
        f"Measured, {stated.quantity}: {stated.measured}; predicted {stated.tolerance}; "
        f"seeds: {stated.seeds}. {stated.tried} {stated.added}"
    ).strip()
    data = {"text/markdown": text, "text/plain": text}
    display(data, metadata={KEY: stated.facts()}, raw=True)


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


def _short(number: float) -> str:
    """Four digits at most, no trailing zeros: 12, 0.0123, 1.5e-12."""
    return f"{number:.0f}" if float(number).is_integer() and abs(number) < 1e6 else f"{number:.3g}"
