"""The claims on the pages, as Markdown, from `claims.json` alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from cbnlib.book.claims import SUBJECTS, Claim, Verdict
from tools.belief import NOT_TESTED, OUTCOMES, SURE
from tools.executed import links

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
    "other": "row counted apart",
}
FOUND = dict(zip(OUTCOMES, ("Holds", "In part", "Fails"), strict=True))
TOLD = {
    "reproduced": "in every run",
    "partly": "in some runs",
    "not reproduced": "in none",
    NOT_TESTED: "not tested",
}
"""Where so many predictions hold."""

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
            found(one, SHOWN),
            f"**{one['sure']}**",
            why(one),
            f"{{numref}}`{one['figure']}`" if one["figure"] else "",
        ]
        for one in beliefs
    ]
    lines = table(["claim", "what we found", "how sure", "why", "figure"], rows)
    return "\n".join(["::::{div} beliefs full-width", *lines, "::::"])


def belief_text(one: Row) -> str:
    """What we believe of a claim, in a paragraph."""
    figure = f" ({{numref}}`{one['figure']}`)" if one["figure"] else ""
    return "\n".join(
        [
            "::::{div} belief",
            f"**How sure:** {one['sure']}{figure}. **Why:** {why(one)}",
            "",
            f"**What we found.** {found(one)}",
            "::::",
        ]
    )


def found(one: Row, shown: int | None = None) -> str:
    """The predictions about a claim by outcome.

    Args:
        one: What we believe of it.
        shown: How many of each outcome, those with the most values first; None for all.
    """
    parts = []
    for outcome, texts in one["found"].items():
        some = texts[:shown]
        more = f" ({len(texts) - len(some)} more)" if len(texts) > len(some) else ""
        if some:
            parts.append(f"*{FOUND[outcome]}:* {' '.join(some)}{more}")
    return " ".join(parts) or "No prediction could be tested."


def why(one: Row) -> str:
    """The numbers behind it."""
    told, number = one["verdicts"], one["predictions"]
    if not number:
        return "No prediction stood before the measurement."
    parts = [f"{told[verdict]} {word}" for verdict, word in TOLD.items() if told[verdict]]
    text = f"{count(number, 'prediction')}: {', '.join(parts)}."
    if one["values"]:
        text += f" {count(one['values'], 'value')}, {count(one['chapters'], 'chapter')}."
    if kept := one["stability"]["verdicts"]:
        text += f" Stable verdicts: {one['stability']['stable']} of {kept}."
    apart = ", ".join(count(n, KINDS[kind]) for kind, n in one["apart"].items() if n)
    return f"{text} Apart: {apart}." if apart else text


def claims_table(paper: str, rows: Sequence[Row], note: str) -> str:
    """The rows about a claim, folded; a remark that several of them share stands once.

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
    kinds = [KINDS[kind] for kind in KINDS for row in rows if row["kind"] == kind]
    title = ", ".join(count(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))
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


def _cells(row: Row, claim: Claim) -> list[str]:
    words = {"After looking": claim.added, "A check": claim.check, "Counted apart": claim.apart}
    told = "".join(f" *{word}:* {text}" for word, text in words.items() if text)
    verdict = f"{MARKS[claim.verdict]}\N{NO-BREAK SPACE}{claim.verdict_text}"
    if of := row["stability"]:
        verdict += f" (the same in {of['same']} of {of['builds']} quick builds)"
    return [
        f"**{claim.task}.** {claim.prediction}{told}",
        f"{claim.quantity}: **{claim.measured}**, {claim.score}; predicted {claim.tolerance}. "
        f"{{numref}}`{claim.figure}`",
        verdict,
        f"{MARKS[claim.best_verdict]}\N{NO-BREAK SPACE}{claim.best_measured}" if claim.best else "",
    ]


def _values(claim: Claim) -> str:
    missing = [f"{claim.missing} missing"] * bool(claim.missing)
    return ", ".join([*map(claim.short, claim.values), *missing])
