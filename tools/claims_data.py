"""The claims as data in `claims.json` beside the book, which the claims page is drawn from.

Each prediction has its values, tolerance and verdict, and the figure that shows it. It has the cell
that computed it, with the commit, and the records that its chapter read. `claims.schema.json` is
its schema. The file holds no time of rendering, so the same executed notebooks give the same file.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema

from cbnlib.book.claims import KEY, PAPER, Claim
from tools import stability
from tools.belief import belief
from tools.executed import outputs_with

NAME = "claims.json"
SCHEMA = Path(__file__).with_name("claims.schema.json")
UNKNOWN = "unknown"
"""The commit of a build outside a git checkout."""

TEXTS = ("task", "prediction", "quantity", "added", "check", "apart", "tried", "untested")
SMALL_WORDS = "a an and are at by in is it its of on the to"
SHOWN_WORDS = 3


def claims_data(
    notebooks: Mapping[str, Mapping[str, Any]],
    failed: Iterable[str] = (),
    builds: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """All that the executed notebooks state.

    Args:
        notebooks: Their JSON, by stem.
        failed: The stems of the chapters that failed.
        builds: The records of `tools.stability`.

    Raises:
        jsonschema.ValidationError: If the result does not fit the schema.
    """
    verdicts = _verdicts(builds)
    rows = [row for stem, notebook in notebooks.items() for row in _rows(stem, notebook, verdicts)]
    by_claim = {paper: [row for row in rows if row["claim"] == paper] for paper in PAPER}
    data = {
        "$schema": SCHEMA.name,
        "failed": sorted(failed),
        "claims": [belief(paper, by_claim[paper]) for paper in PAPER],
        "chapters": {stem: _execution(stem, notebook) for stem, notebook in notebooks.items()},
        "predictions": rows,
    }
    jsonschema.validate(data, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return data


def read(folder: Path) -> dict[str, Any]:
    """The claims of a folder."""
    data: dict[str, Any] = json.loads((folder / NAME).read_text(encoding="utf-8"))
    return data


def write(folder: Path, data: Mapping[str, Any]) -> None:
    """Write the claims into a folder, with the schema beside them."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    (folder / NAME).write_text(f"{text}\n", encoding="utf-8")
    shutil.copy2(SCHEMA, folder)


def _rows(
    stem: str, notebook: Mapping[str, Any], verdicts: Mapping[tuple[Any, ...], Counter[str]]
) -> Iterable[dict[str, Any]]:
    execution = _execution(stem, notebook)
    seen: Counter[tuple[str, ...]] = Counter()
    for cell in notebook["cells"]:
        for output in outputs_with(KEY, [cell]):
            claim = Claim.from_facts(output["metadata"][KEY])
            key = (stem, claim.paper, claim.task, claim.prediction)
            place = seen[key]
            seen[key] += 1
            yield {
                "id": identifier(stem, claim, place),
                "claim": claim.paper,
                "kind": claim.kind,
                **{name: getattr(claim, name) for name in TEXTS},
                "values": list(claim.values),
                "tolerance": {"at_least": claim.at_least, "at_most": claim.at_most},
                "counts": {
                    "values": len(claim.values),
                    "within": claim.within,
                    "missing": claim.missing,
                },
                "verdict": claim.verdict,
                "best": list(claim.best),
                "best_verdict": claim.best_verdict,
                "unstable": claim.unstable,
                "stability": _stability(claim, verdicts.get((*key, place))),
                "figure": claim.figure,
                "chapter": stem,
                "code": {"notebook": execution["notebook"], "cell": cell.get("id", "")},
                "records": list(execution["records"]),
                **{name: execution[name] for name in ("commit", "edition", "seed")},
            }


def identifier(stem: str, claim: Claim, place: int = 0) -> str:
    """A name for a prediction, from claim, chapter, first words, and a digest of task and text.

    It is the same in every build, whatever stands before it, until somebody changes the words.

    Args:
        stem: The chapter's.
        claim: The claim.
        place: Its number among those of the chapter that agree in task and prediction.
    """
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in claim.prediction.lower())
    shown = [word for word in words.split() if word not in SMALL_WORDS.split()][:SHOWN_WORDS]
    text = "\n".join([claim.task, claim.prediction, *[str(place)] * bool(place)])
    digest = hashlib.sha256(text.encode()).hexdigest()[:4]
    return "-".join([claim.paper, stem.partition("_")[0], *shown, digest])


def _execution(stem: str, notebook: Mapping[str, Any]) -> dict[str, Any]:
    facts = notebook["metadata"]["companion"]
    environment = dict(facts["environment"])
    commit = environment.pop("commit", UNKNOWN)
    return {
        "notebook": f"notebooks/{stem}.md",
        "edition": facts["profile"],
        "seed": facts["parameters"]["seed"],
        "commit": commit,
        "environment": environment,
        "records": facts.get("records", {}),
    }


def _verdicts(builds: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], Counter[str]]:
    groups = stability.stated(builds).groupby(stability.KEY)["verdict"]
    return {key: Counter(found) for key, found in groups}


def _stability(claim: Claim, verdicts: Counter[str] | None) -> dict[str, int] | None:
    return verdicts and {"builds": verdicts.total(), "same": verdicts[claim.verdict]}
