"""Predictions that readers export from the page *Train it here*, one by one or those of a class."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT, VERSION = "cbn-predictions", 1

_COUNTS = ("depth", "width", "steps", "seed", "layer", "predicted")
_NUMBERS = ("ridge", "rate", "gain")


@dataclass
class Merged:
    """The predictions of several exports.

    Attributes:
        predictions: One entry per run, as the page wrote it, with the `file` that it came from.
        refused: For each file that could not be used the reason.
    """

    predictions: list[dict[str, Any]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def read_predictions(text: str) -> list[dict[str, Any]]:
    """The predictions of one export.

    Args:
        text: What the page exported, JSON.

    Returns:
        One entry per run, with the settings, the `layer` that was predicted, and `predicted` and
        `kept` in real dimensions. `kept` is None if the run diverged.

    Raises:
        ValueError: If the text is no such export. The message says why.

    Example:
        >>> read_predictions('{"format": "cbn-predictions", "version": 2, "predictions": []}')
        Traceback (most recent call last):
        ...
        ValueError: version must be 1, got 2
    """
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"format must be {FORMAT!r}, as the page writes it")
    if found.get("version") != VERSION:
        raise ValueError(f"version must be {VERSION}, got {found.get('version')!r}")
    predictions = found.get("predictions")
    if not isinstance(predictions, list) or not predictions:
        raise ValueError("predictions must be a list with at least one entry")
    for number, prediction in enumerate(predictions, start=1):
        _check(prediction, f"prediction {number}")
    return predictions


def _check(prediction: object, name: str) -> None:
    if not isinstance(prediction, dict):
        raise ValueError(f"{name} must be an object, got {prediction!r:.40}")
    lacking = [key for key in ("target", "kept", *_COUNTS, *_NUMBERS) if key not in prediction]
    if lacking:
        raise ValueError(f"{name} lacks {', '.join(lacking)}")
    if not isinstance(prediction["target"], str):
        raise ValueError(f"{name}: target must be a text, got {prediction['target']!r:.40}")
    for key in (*_COUNTS, *_NUMBERS, "kept"):
        value = prediction[key]
        whole = key not in _NUMBERS
        kind, allowed = (int, "a whole number") if whole else ((int, float), "a number")
        if key == "kept" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, kind) or not 0 <= value < float("inf"):
            raise ValueError(f"{name}: {key} must be {allowed} >= 0, got {value!r:.40}")


def merge_predictions(files: Iterable[Path]) -> Merged:
    """The predictions of a class, from one export per file.

    A file that is no export, or has the same predictions as an earlier one, is left out.

    Args:
        files: Where the exports lie.
    """
    merged, seen = Merged(), dict[str, str]()
    for file in sorted(files):
        try:
            predictions = read_predictions(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            merged.refused[file.name] = str(error)
            continue
        content = json.dumps(predictions, sort_keys=True)
        if content in seen:
            merged.refused[file.name] = f"has the same predictions as {seen[content]}"
            continue
        seen[content] = file.name
        merged.predictions += [{**prediction, "file": file.name} for prediction in predictions]
    return merged
