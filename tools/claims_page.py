"""The claims on the pages, as Markdown, from `claims.json` alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from cbnlib.book.claims import SUBJECTS, Claim, Verdict
from tools.belief import NOT_TESTED, SURE
from tools.executed import links
from tools.plain_words import PLAIN

MARKS: dict[Verdict, str] = {
    "reproduced": "✓",
    "partly": "◐",
    "not reproduced": "✗",
    "not tested": "○",
}
KINDS = {
    "prediction": "prediction",
    "own": "question of our own",
    "after looking": "row after looking",
    "check": "check",
    "other": "row marked neutral",
}
FOUND = {
    "holds": "We predicted, and found",
    "in part": "We predicted, and found in part",
    "fails": "We predicted, but did not find",
}
TOLD = {
    "reproduced": "true in every run",
    "partly": "true in some runs",
    "not reproduced": "true in no run",
    NOT_TESTED: "not tested",
}

VERDICT = 2
"""The column of the verdict in the table of a claim's rows."""

SHOWN = 1
"""How many predictions of each outcome the table of the start page names."""

Row = Mapping[str, Any]


def answer(beliefs: Iterable[Row]) -> str:
    """How sure we are of which claims, in half a sentence."""
    claims: dict[str, list[str]] = {words: [] for words in (*SURE.values(), NOT_TESTED)}
    for one in beliefs:
        claims[one["sure"].partition(",")[0]].append(link(one["claim"]))
    return ", ".join(f"**{words}** ({', '.join(some)})" for words, some in claims.items() if some)


def beliefs_table(beliefs: Iterable[Row]) -> str:
    """What we believe of each claim, a row each."""
    rows = [
        [
            f"{link(one['claim'])} {one['text'][:1].upper()}{one['text'][1:]}.",
            "<br>".join(found(one, SHOWN)),
            f"**{one['sure']}**",
            why(one),
            f"{{numref}}`{one['figure']}`" if one["figure"] else "",
        ]
        for one in beliefs
    ]
    lines = table(["claim", "our predictions", "how sure", "why", "figure"], rows)
    return "\n".join(["::::{div} beliefs full-width", *lines, "::::"])


def belief_text(one: Row) -> str:
    """What we believe of a claim, in a paragraph and a list."""
    figure = f" ({{numref}}`{one['figure']}`)" if one["figure"] else ""
    return "\n".join(
        [
            "::::{div} belief",
            f"**How sure:** {one['sure']}{figure}. **Why:** {why(one)}",
            "",
            *(f"* {text}" for text in found(one)),
            "::::",
        ]
    )


def found(one: Row, shown: int | None = None) -> list[str]:
    """The predictions about a claim, a text for each outcome.

    Args:
        one: What we believe of it.
        shown: How many of each outcome, those with the most values first. None for all.
    """
    texts = []
    for outcome, predictions in one["found"].items():
        some = predictions[:shown]
        more = f" And {len(predictions) - len(some)} more." if len(predictions) > len(some) else ""
        if some:
            texts.append(f"*{FOUND[outcome]}:* {' '.join(map(_told, some))}{more}")
    return texts or ["No prediction could be tested."]


def why(one: Row) -> str:
    """The numbers behind it."""
    told, number = one["verdicts"], one["predictions"]
    others = _numbers(one["other_chapters"])
    if number:
        parts = [f"{told[verdict]} {words}" for verdict, words in TOLD.items() if told[verdict]]
        text = f"{count(number, 'prediction')}: {', '.join(parts)}."
    else:
        text = "No prediction counts."
    if one["values"]:
        text += f" {count(one['values'], 'value')}, from {_numbers(one['chapters'])}."
    if kept := one["stability"]["verdicts"]:
        text += f" Stable: {one['stability']['stable']} of {kept} verdicts."
    apart = ", ".join(count(n, KINDS[kind]) for kind, n in one["apart"].items() if n)
    if apart:
        text += f" Not counted: {apart}."
    return f"{text} No row of {others} counts." if others else text


def _told(one: Row) -> str:
    """A prediction in plain words, with its values within the tolerance."""
    text = PLAIN.get(one["prediction"], one["prediction"])
    return f"“{text}” (true for {one['within']} of {count(one['values'], 'value')})"


def _numbers(stems: Sequence[str]) -> str:
    """Chapters by their numbers, with links."""
    named = [f"{{doc}}`{int(stem.partition('_')[0])} </notebooks/{stem}>`" for stem in stems]
    return f"chapter{'s' * (len(named) != 1)} {', '.join(named)}" if named else ""


def claims_table(paper: str, rows: Sequence[Row], note: str) -> str:
    """The rows about a claim, folded. A remark that several of them share stands once.

    `mark_rows` gives the rows of the table their classes.
    """
    stated = [Claim.from_row(row) for row in rows]
    remarks = list(dict.fromkeys(claim.remark for claim in stated if claim.remark))
    lines: list[list[str]] = []
    for stem, group in groupby(zip(rows, stated, strict=True), key=lambda pair: pair[0]["chapter"]):
        lines.append([links([stem]), "", "", ""])
        for row, claim in group:
            lines.append(_cells(row, claim))
            if claim.remark:
                number = remarks.index(claim.remark) + 1
                lines[-1][-2] += f", [remark {number}](#remark-{paper.lower()}-{number})"
    kinds = list(map(_kind, rows))
    title = ", ".join(count(kinds.count(kind), KINDS[kind]) for kind in KINDS if kind in kinds)
    told = table(["task and prediction", "measured", "verdict", "best known"], lines)
    for number, text in enumerate(remarks, start=1):
        attributes = f"{{#remark-{paper.lower()}-{number} .remark}}"
        told += ["", attributes, f"**Remark {number}.** {text}"]
    return "\n".join(
        [
            f"::::::{{dropdown}} {title}",
            ":class-container: claims-rows",
            "",
            ":::::{div} claims",
            *told,
            "",
            note,
            ":::::",
            ":::::{dropdown} All values",
            *(
                f"* `{row['id']}`: {_values(claim)}"
                for row, claim in zip(rows, stated, strict=True)
            ),
            ":::::",
            "::::::",
        ]
    )


def overview(rows: Sequence[Row], counts: Mapping[str, Callable[[list[Claim]], int]]) -> list[str]:
    """A table of the verdicts on each claim, counted."""
    lines = []
    for paper, text in SUBJECTS.items():
        about = [Claim.from_row(row) for row in rows if row["claim"] == paper]
        numbers = [str(counts[what](about)) for what in (*MARKS, "checks")]
        lines.append([link(paper), text, *numbers])
    return table(["claim", "in short", *MARKS.values(), "checks"], lines)


def link(paper: str) -> str:
    """A link to a claim's section of the claims page."""
    return f"{{ref}}`{paper} <claim-{paper.lower()}>`"


def count(number: int, word: str) -> str:
    """A number with its word, in the plural unless it is one.

    >>> count(1, "check"), count(2, "row after looking"), count(2, "question of our own")
    ('1 check', '2 rows after looking', '2 questions of our own')
    """
    first, _, rest = word.partition(" ")
    return " ".join(filter(None, [str(number), f"{first}{'s' * (number != 1)}", rest]))


def table(header: list[str], rows: Iterable[list[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _kind(row: Row) -> str:
    """The kind of a row. A neutral one is no prediction that counts."""
    return "other" if row["kind"] == "prediction" and row["apart"] else str(row["kind"])


def _cells(row: Row, claim: Claim) -> list[str]:
    words = {"After looking": claim.added, "A check": claim.check, "Neutral": claim.apart}
    told = "".join(f" *{word}:* {text}" for word, text in words.items() if text)
    verdict = f"{MARKS[claim.verdict]}\N{NO-BREAK SPACE}{claim.verdict_text}"
    if of := row["stability"]:
        verdict += f" (in {of['same']} of {of['builds']} quick builds)"
    return [
        f"**{claim.task}.** “{claim.prediction}”{told}",
        f"{claim.quantity}: **{claim.measured}**, {claim.score}; predicted {claim.tolerance}. "
        f"{{numref}}`{claim.figure}`",
        verdict,
        f"{MARKS[claim.best_verdict]}\N{NO-BREAK SPACE}{claim.best_measured}" if claim.best else "",
    ]


def _values(claim: Claim) -> str:
    missing = [f"{claim.missing} missing"] * bool(claim.missing)
    return ", ".join([*map(claim.short, claim.values), *missing])
