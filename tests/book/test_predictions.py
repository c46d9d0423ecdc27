"""Exports of the page *Train it here*: what is read, and what is refused with which reason."""

import json

import pytest

from cbnlib.book.predictions import merge_predictions, read_predictions

RUN = {
    "target": "bump",
    "depth": 8,
    "width": 6,
    "ridge": 0.01,
    "rate": 0.003,
    "gain": 1,
    "steps": 2000,
    "seed": 0,
    "budget": None,
    "layer": 4,
    "predicted": 5,
    "kept": 3,
}
LACKS_TWO = {k: v for k, v in RUN.items() if k not in ("kept", "seed")}


def export(*predictions, **changed):
    whole = {"format": "cbn-predictions", "version": 1, "predictions": predictions}
    return json.dumps(whole | changed)


def test_an_export_is_read_as_it_was_written():
    diverged = RUN | {"kept": None}
    assert read_predictions(export(RUN, diverged)) == [RUN, diverged]


BAD = {
    "no JSON": ("{", "not JSON"),
    "another file": ("[1]", "format must be"),
    "another version": (export(RUN, version=3), "version must be 1, got 3"),
    "nothing": (export(), "at least one entry"),
    "a number": (export(RUN, 7), "prediction 2 must be an object"),
    "a field less": (export(LACKS_TWO), "prediction 1 lacks kept, seed"),
    "a text": (export(RUN | {"predicted": "5"}), "predicted must be a whole number >= 0, got '5'"),
    "a flag": (export(RUN | {"kept": True}), "kept must be a whole number"),
    "negative": (export(RUN | {"kept": -1}), "kept must be a whole number >= 0, got -1"),
    "no number": (export(RUN | {"ridge": None}), "ridge must be a number"),
    "infinite": (export(RUN | {"ridge": float("inf")}), "ridge must be a number >= 0, got inf"),
    "no target": (export(RUN | {"target": 3}), "target must be a text"),
}


@pytest.mark.parametrize(("text", "told"), BAD.values(), ids=BAD)
def test_a_bad_export_is_refused_with_the_reason(text, told):
    with pytest.raises(ValueError, match=told):
        read_predictions(text)


def test_a_class_is_merged_and_says_what_it_left_out(tmp_path):
    texts = {"a": export(RUN), "b": export(RUN | {"kept": 5}, RUN), "c": export(RUN), "d": "{"}
    for name, text in texts.items():
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    (tmp_path / "e.json").write_bytes(b"\xff\xfe")
    merged = merge_predictions([*tmp_path.glob("*.json"), tmp_path / "gone.json"])
    assert [(p["file"], p["kept"]) for p in merged.predictions] == [
        ("a.json", 3),
        ("b.json", 5),
        ("b.json", 3),
    ]
    assert list(merged.refused) == ["c.json", "d.json", "e.json", "gone.json"]
    assert merged.refused["c.json"] == "has the same predictions as a.json"
