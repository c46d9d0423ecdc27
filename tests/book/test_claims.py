"""Claims: the verdict follows from numbers and tolerance, and nothing else makes one."""

import json
import math

import pytest

from cbnlib.book import claims
from cbnlib.book.claims import KEY, Claim, claim

TEXTS = {"prediction": "Few are kept.", "quantity": "real dimensions", "figure": "fig-kept"}


def stated(values, **changes):
    given = {"paper": "C1", "task": "bump", "values": values, "tried": "longer training"}
    return Claim(**TEXTS | given | changes)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((3, 5), "reproduced"),
        ((2, 3), "reproduced"),
        ((3, 6), "partly"),
        ((6, 7), "not reproduced"),
        ((0, 1), "not reproduced"),
        ((1, 6), "not reproduced"),
        ((1, 2, 6), "partly"),
        ((3, math.nan), "reproduced"),
        ((6, math.inf), "not reproduced"),
        ((), "not tested"),
        ((math.nan,), "not tested"),
    ],
)
def test_the_verdict_is_how_many_values_are_within(values, verdict):
    assert stated(values, at_least=2, at_most=5).verdict == verdict


def test_one_side_is_enough():
    assert stated((3, 5), at_most=5).verdict == "reproduced"
    assert stated((3, 5), at_least=5).verdict == "partly"
    assert stated((3, 5), at_least=6).verdict == "not reproduced"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paper": "C9", "at_most": 9}, "unknown claim 'C9'"),
        ({"figure": " ", "at_most": 9}, "needs a figure"),
        ({}, "needs a tolerance"),
        ({"at_least": 3, "at_most": 2}, "nothing is >= 3 and <= 2"),
        ({"at_most": math.nan}, "must be finite"),
        ({"at_most": 9, "missing": -1}, "missing must be an integer >= 0"),
    ],
)
def test_half_a_claim_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        stated(**{"values": (3, 5)} | changes)


def test_facts_come_back_the_same_through_json():
    there = stated((3.0, 6.0, math.nan), at_most=5.0)
    assert Claim.from_facts(json.loads(json.dumps(there.facts()))) == there


def test_runs_without_a_number_are_counted():
    assert stated((3, math.nan, 6, math.inf), at_most=5).score == "1 of 2 values within, 2 missing"
    empty = stated((math.nan,), at_most=5, untested="No network learned.")
    assert (empty.measured, empty.missing, empty.remark) == ("nothing", 1, "No network learned.")


def test_what_was_tried_is_said_where_it_failed():
    assert stated((3,), at_most=5).remark == ""
    assert stated((6,), at_most=5).remark == "longer training"


@pytest.mark.parametrize("verdict", ["reproduced", "not reproduced", "", None])
def test_a_typed_verdict_is_refused(verdict):
    facts = stated((3, 6), at_most=5).facts() | {"verdict": verdict}
    with pytest.raises(ValueError, match="the numbers say 'partly'"):
        Claim.from_facts(facts)


def test_foreign_facts_are_refused():
    facts = stated((3, 5), at_most=5).facts()
    without = {k: v for k, v in facts.items() if k != "values"}
    for foreign in (facts | {"extra": 1}, without):
        with pytest.raises(ValueError, match="no facts of a claim"):
            Claim.from_facts(foreign)


@pytest.fixture
def shown(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **more: shown.append(data | more))
    return shown


def test_a_claim_shows_the_median_over_seeds(shown):
    made = claim("C1", "bump", **TEXTS, values=[3, 5, 3], at_most=5, added="Came later.")
    assert (made.values, made.verdict) == ((3, 5, 3), "reproduced")
    assert shown[0]["metadata"][KEY] == made.facts()
    for told in ("3 (3 to 5)", "3 of 3 values within", "This row came after looking."):
        assert told in shown[0]["text/markdown"]


def test_a_check_is_shown_and_not_counted(shown):
    made = claim("own", "bump", **TEXTS, values=[3], at_most=5, check="It is proved.")
    assert not made.counts
    assert "our own, bump: reproduced" in shown[0]["text/markdown"]
    assert "(1 value). This row is a check." in shown[0]["text/markdown"]
    assert stated((3,), at_most=5).counts


def test_the_claims_of_a_notebook_are_found_and_checked():
    there = stated((3, 5), at_most=5)
    outputs = [
        {"output_type": "stream", "text": "x"},
        {"data": {}, "metadata": {KEY: there.facts()}},
    ]
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": outputs}]
    assert claims.claims_of({"cells": cells}) == [there]
    outputs[1]["metadata"][KEY]["verdict"] = "partly"
    with pytest.raises(ValueError, match="the numbers say 'reproduced'"):
        claims.claims_of({"cells": cells})


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "prediction"),
        ({"added": "Came later."}, "after looking"),
        ({"added": "Came later.", "check": "It is proved."}, "check"),
        ({"paper": "own", "added": "Came later."}, "own"),
        ({"apart": "The coarse network is better."}, "prediction"),
    ],
)
def test_the_kind_of_a_claim(changes, kind):
    assert stated((3,), at_most=5, **changes).kind == kind


@pytest.mark.parametrize(
    ("number", "limit", "text"),
    [
        (12.0, 5, "12"),
        (0.0123456, 5, "0.0123"),
        (1.5e-12, 5, "1.5e-12"),
        (1214.0, 5, "1214"),
        (12345.6, 5, "12,300"),
        (643700.0, 5, "644,000"),
        (2.5e7, 5, "2.5e+07"),
        (1.0541, 1.05, "1.054"),  # three digits would put it within
        (1.0000001, 1, "1"),
        (0.15, 0.15, "0.15"),
    ],
)
def test_numbers_are_short(number, limit, text):
    assert stated((number,), at_most=limit).short(number) == text
