"""`claims.json`: what it holds, what we believe by its rows, and the page drawn from it alone."""

import json
import re
from collections import Counter

import jsonschema
import pytest
from claim_cases import stated

from cbnlib.book.claims import KEY, PAPER, Claim
from tools import claims_data, crate
from tools.belief import belief
from tools.facts import Facts
from tools.plain_words import PLAIN
from tools.project import ROOT, Project
from tools.stability import records
from tools.stability import stated as stated_in_builds

RECORD = {"0123456789ab": "0" * 64}


def notebook(*claims, commit="abc"):
    """An executed notebook that states claims."""
    outputs = [{"metadata": {KEY: claim.facts()}} for claim in claims]
    companion = {
        "profile": "quick",
        "parameters": {"seed": 3},
        "environment": {"torch": "2"} | ({"commit": commit} if commit else {}),
        "records": RECORD,
    }
    papermill = {"start_time": "2026-01-02T03:04:05", "end_time": "2026-01-02T03:05:05"}
    cells = [{"cell_type": "markdown"}, {"id": "01_some-002", "outputs": outputs}]
    return {"cells": cells, "metadata": {"companion": companion, "papermill": papermill}}


def data_of(*claims, **more):
    return claims_data.claims_data({"01_some": notebook(*claims)}, **more)


def sure(*claims, builds=()):
    return data_of(*claims, builds=builds)["claims"][0]["sure"]


def test_a_row_says_where_its_numbers_are_from():
    [row] = data_of(stated((1, 9)))["predictions"]
    assert (row["claim"], row["kind"], row["verdict"]) == ("C1", "prediction", "partly")
    assert row["counts"] == {"values": 2, "within": 1, "missing": 0}
    assert row["tolerance"] == {"at_least": None, "at_most": 5}
    assert row["code"] == {"notebook": "notebooks/01_some.md", "cell": "01_some-002"}
    assert (row["commit"], row["edition"], row["seed"]) == ("abc", "quick", 3)
    assert row["records"] == list(RECORD)


def test_outside_a_checkout_the_commit_is_unknown():
    data = claims_data.claims_data({"01_some": notebook(stated(), commit="")})
    assert data["predictions"][0]["commit"] == data["chapters"]["01_some"]["commit"] == "unknown"


def test_identifiers_are_unique_and_do_not_depend_on_what_stands_before():
    rows = data_of(stated(), stated(task="zeros"), stated())["predictions"]
    names = [row["id"] for row in rows]
    assert len(set(names)) == 3
    assert all(name.startswith("C1-01-few-kept-") for name in names)
    assert data_of(stated(9, task="zeros"))["predictions"][0]["id"] == names[1]


def test_a_row_gives_its_claim_back_and_no_typed_verdict():
    claim = stated((1, 9, float("nan")), apart="The coarse one is better.")
    [row] = json.loads(json.dumps(data_of(claim)))["predictions"]
    assert Claim.from_row(row) == claim
    with pytest.raises(ValueError, match="the numbers say 'partly'"):
        Claim.from_row(row | {"verdict": "reproduced"})


@pytest.mark.parametrize(
    "change", [{"verdict": "true"}, {"figure": "kept"}, {"values": ["1"]}, {"more": 1}]
)
def test_the_schema_refuses(change):
    data = data_of(stated())
    data["predictions"][0] |= change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, json.loads(claims_data.SCHEMA.read_text(encoding="utf-8")))


def each(*values, **changes):
    """A prediction for each value."""
    return [stated(v, prediction=f"Number {i}.", **changes) for i, v in enumerate(values)]


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ([], "not tested"),
        (each((), ()), "not tested"),
        (each(1, 1, 1), "well supported"),
        (each(1, 1, 9), "mostly supported"),
        (each(1, 9, 9), "mixed"),
        (each((1, 9), (1, 9), (1, 9)), "mixed"),
        (each(1, 9, 9, 9), "mostly not supported"),
        (each(9, 9, 9), "not supported"),
        (each(1, 1, ()), "mostly supported, few tests"),
        (each(9), "not supported, few tests"),
    ],
)
def test_how_sure_we_are_follows_from_the_verdicts(claims, words):
    assert sure(*claims) == words


@pytest.mark.parametrize("reason", ["check", "added", "apart"])
def test_checks_rows_after_looking_and_rows_apart_do_not_count(reason):
    other = each(9, 9, 9, task="zeros", **{reason: "For a reason."})
    data = data_of(*each(1, 1, 1), *other)
    assert data["claims"][0]["sure"] == "well supported"
    assert sum(data["claims"][0]["apart"].values()) == 3


def build(*values):
    rows = [{"paper": "C1", "task": "bump", "prediction": f"Number {i}."} for i in range(3)]
    facts = [
        row | {"verdict": stated(v).verdict, "measured": "", "score": "", "counts": True}
        for row, v in zip(rows, values, strict=True)
    ]
    return {"seed": 0, "chapters": {"01_some": facts}}


def test_verdicts_that_other_builds_do_not_give_make_us_less_sure():
    builds = [build(1, 1, 1), build(1, 9, 9)]
    data = data_of(*each(1, 1, 1), builds=builds)
    same = [row["stability"] for row in data["predictions"]]
    assert same == [{"builds": 2, "same": n} for n in (2, 1, 1)]
    assert data["claims"][0]["sure"] == "well supported, depends on the run"
    assert sure(*each(1, 1, 1), builds=builds[:1]) == "well supported"


def test_what_we_found_is_grouped_by_outcome():
    claims = [stated(1), stated(9, task="zeros"), *each((1, 2), 9)]
    found = data_of(*claims)["claims"][0]["found"]
    assert found == {
        "holds": [{"prediction": "Number 0.", "within": 2, "values": 2}],
        "in part": [{"prediction": "Few are kept.", "within": 1, "values": 2}],
        "fails": [{"prediction": "Number 1.", "within": 0, "values": 1}],
    }


def test_plain_words_are_those_of_a_prediction():
    """A prediction stands in a notebook, or a notebook composes it and a build has it."""
    sources = " ".join(path.read_text(encoding="utf-8") for path in Project().sources())
    written = re.sub(r'"\s+f?"', "", sources)  # texts that go on in the next line
    built = set(stated_in_builds(records(Project()))["prediction"])
    unknown = {text for text in PLAIN if text not in built and f'"{text}"' not in written}
    composed = {"The largest norm that a layer receives is not larger at the large rate."}
    assert unknown <= composed  # in the paper edition only


def test_the_limits_name_the_chapters_whose_predictions_came_first():
    """Their sources say so; the other chapters' rows count, too, and the page says this."""
    first = {
        path.stem
        for path in Project().sources()
        if "**Prediction" in (text := path.read_text(encoding="utf-8"))
        and "written down before" in text
    }
    text = (ROOT / "book" / "limits.md").read_text(encoding="utf-8")
    item = re.search(r"\* \*Written down before the measurement\..*?\n\* ", text, re.DOTALL)
    assert item
    assert set(re.findall(r"notebooks/(\w+)", item[0])) == first


def pages(folder):
    facts = Facts(folder)
    texts = [facts.answer(), facts.beliefs(), facts.claims_overview()]
    return [*texts, facts.belief("C1"), facts.claims_table("C1"), facts.tested_in("C1")]


def test_the_page_is_drawn_from_the_file_alone_and_identically(tmp_path):
    full, bare = tmp_path / "full", tmp_path / "bare"
    for folder in (full, bare):
        folder.mkdir()
    claims = [*each(1, (1, 9), ()), stated(9, tried="Wider.", check="Proved."), stated(paper="own")]
    (full / "notebooks").mkdir()
    (full / "notebooks" / "01_some.ipynb").write_text(json.dumps(notebook(*claims)))
    claims_data.write(full, data_of(*claims, failed=["02_other"]))
    (bare / "claims.json").write_bytes((full / "claims.json").read_bytes())
    drawn = pages(bare)
    assert drawn == pages(full)
    claims_data.write(bare, claims_data.read(bare))
    assert (bare / "claims.json").read_bytes() == (full / "claims.json").read_bytes()
    page = "\n".join(drawn)
    for told in (
        "◐\N{NO-BREAK SPACE}partly",
        "Remark 1.",
        "/notebooks/02_other",
        "1 check",
        "**9**",
    ):
        assert told in page
    assert "True" not in page


def test_without_any_row_every_claim_is_not_tested(tmp_path):
    claims_data.write(tmp_path, claims_data.claims_data({}, failed=["01_some"]))
    facts = Facts(tmp_path)
    assert facts.beliefs().count("**not tested**") == len(PAPER)
    assert "/notebooks/01_some" in facts.claims_table("C1")
    assert belief("C1", [])["figure"] is None


def test_the_crate_names_files_that_there_are_and_every_execution():
    config = {"title": "T", "author": "A", "repository": {"url": "https://x.org/y"}}
    told = crate.describe(config, {"01_some": notebook(stated(), commit="")})
    things = {thing["@id"]: thing for thing in told["@graph"]}
    assert Counter(thing["@id"] for thing in told["@graph"]).most_common(1)[0][1] == 1
    root = things["./"]
    assert things[crate.NAME]["about"] == {"@id": "./"}
    assert root["datePublished"] == "2026-01-02T03:05:05"
    assert "commit unknown" in things["#run-01_some"]["description"]
    references = [r["@id"] for r in [*root["hasPart"], *root["mentions"], root["license"]]]
    assert [name for name in references if name not in things] == []


def test_every_claim_of_the_paper_has_its_place():
    schema = json.loads(claims_data.SCHEMA.read_text(encoding="utf-8"))
    assert set(schema["$defs"]["claim"]["enum"]) == set(PAPER)
    page = (ROOT / "book" / "claims.md").read_text(encoding="utf-8")
    assert page.count("{{ belief(") == len(PAPER)
