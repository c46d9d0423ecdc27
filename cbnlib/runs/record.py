"""Finished experiments to and from sealed folders.

A record redraws every figure of its runs without training and without the data: `record.json` says
what was run, where, and how it went; `arrays.npz` holds spectra, weights and a few examples.
Reading trusts nothing: all names, kinds, shapes and values are checked against what the experiment
says before anything is built from them.
"""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CNN
from cbnlib.runs.checking import Arrays, check_arrays, check_document, is_filter
from cbnlib.runs.compact import CompactLayer, compact, expand
from cbnlib.runs.encoding import json_bytes, npz_files, parse_json, parse_npz
from cbnlib.runs.experiment import Experiment
from cbnlib.runs.provenance import Provenance
from cbnlib.runs.run import HeldOut, Run, TaskFacts, failed
from cbnlib.runs.sealed import ForeignRecordError, RecordError, read_sealed, write_sealed
from cbnlib.spectra.snapshots import SpectraSnapshot
from cbnlib.spectra.spectrum import Spectrum
from cbnlib.training.loop import History

KIND, FORMAT = "cbnlib record", 1

DOCUMENT = "record.json"
_ARRAYS = re.compile(r"arrays(-[0-9]+)?\.npz")
_LARGEST_HALF = 6e4


def save_record(folder: Path, experiment: Experiment, runs: list[Run]) -> None:
    """Write the runs of an experiment as one sealed folder.

    Weights are compacted (`records.compact`), and spectra are rounded to 16 bits, about three
    digits. All else is stored as it is.

    Args:
        folder: Where it will stand; nothing may stand there.
        experiment: What was run.
        runs: Its runs, in its order, with activations and at least one snapshot of the spectra.

    Raises:
        ValueError: If `load_record` would refuse it: a number is NaN or infinite, say. Nothing is
            written then.
        FileExistsError: If there is something already.
    """
    arrays: dict[str, Tensor] = {}
    networks = []
    for i, run in enumerate(runs):
        layers = [compact(conv) for conv in run.model.convs if not run.failure]
        shared = runs[0].history if i else None  # an ensemble has one history
        if not run.failure:
            arrays |= _weights(i, run.model, layers) | _spectra(i, run)
        networks.append(
            {
                **({"failure": run.failure} if run.failure else {}),
                "fit": None if run.failure else run.fit,
                "norm": None if run.failure else run.norm,
                **({"history": _columns(run.history)} if run.history != shared else {}),
                "snapshots": [shot.step for shot in run.spectra],
                "layers": [
                    {"form": c.form, "norm": c.norm, "discarded": c.discarded} for c in layers
                ],
                **({"held_out": asdict(run.held_out)} if run.held_out else {}),
            }
        )
    first_of_task = runs[:: len(experiment.seeds)]
    for t, run in enumerate(first_of_task):
        x, y = run.examples
        arrays[f"examples.{t}.x"] = x
        if not torch.equal(x, y):  # an autoencoder's targets are its inputs
            arrays[f"examples.{t}.y"] = y
    document = {
        "kind": KIND,
        "format": FORMAT,
        "digest": experiment.digest(),
        "label": experiment.label,
        "experiment": experiment.facts(),
        "provenance": {k: v for k, v in asdict(runs[0].provenance).items() if k != "source"},
        "tasks": [asdict(run.task) for run in first_of_task],
        "networks": networks,
    }
    plain = {name: array.detach().numpy() for name, array in arrays.items()}
    files = {DOCUMENT: json_bytes(document)} | npz_files(plain)
    _contents(folder, files, experiment.digest())
    write_sealed(folder, files)


def _columns(history: History) -> dict[str, list[float | None]]:
    """The columns of a history for JSON, which has no NaN and no infinity."""
    return {
        name: [value if math.isfinite(value) else None for value in column]
        for name, column in asdict(history).items()
    }


def _history(columns: Mapping[str, list[float | None]]) -> History:
    numbers = {k: [math.nan if v is None else v for v in column] for k, column in columns.items()}
    return History(**cast("dict[str, Any]", numbers))


def _weights(i: int, model: CNN, layers: list[CompactLayer]) -> dict[str, Tensor]:
    arrays = {
        f"{i}.{name}": parameter.float()
        for name, parameter in model.named_parameters()
        if not is_filter(name)
    }
    for layer, compacted in enumerate(layers):
        for name, array in compacted.arrays.items():
            arrays[f"{i}.convs.{layer}.{name}"] = array
    return arrays


def _spectra(i: int, run: Run) -> dict[str, Tensor]:
    arrays = {}
    for layer, activation in enumerate(run.activations):
        values = torch.stack([shot.layers[layer].values for shot in run.spectra])
        arrays[f"{i}.spectra.{layer}"] = _rounded(values)
        arrays[f"{i}.activations.{layer}"] = _rounded(activation.values)
    if all(shot.activations for shot in run.spectra):
        for layer in range(len(run.activations)):
            values = torch.stack([shot.activations[layer].values for shot in run.spectra])
            arrays[f"{i}.amplitudes.{layer}"] = _rounded(values)
    return arrays


def _rounded(values: Tensor) -> Tensor:
    """In 16 bits, unless a value is too large for them."""
    return values.half() if float(values.max()) < _LARGEST_HALF else values.float()


def load_record(folder: Path, digest: str | None = None) -> tuple[Experiment, list[Run]]:
    """Read a record and check all of it.

    Args:
        folder: The sealed folder.
        digest: Of the experiment that it must be a record of; None takes any.

    Returns:
        The experiment with its label, and its runs in order; their provenance is `record`.

    Raises:
        ForeignRecordError: If it is undamaged, but of another kind, format version or experiment.
        RecordError: If anything is damaged or does not fit together.
    """
    return _contents(folder, read_sealed(folder), digest)


def _contents(
    folder: Path, files: Mapping[str, bytes], digest: str | None
) -> tuple[Experiment, list[Run]]:
    """What the files of a record say, all of it checked."""
    with _refusing(folder, DOCUMENT):
        document = parse_json(files.get(DOCUMENT, b""))
    experiment = _experiment(folder, document, digest)
    with _refusing(folder, DOCUMENT):
        check_document(document, experiment)
    arrays: Arrays = {}
    for name in sorted(files.keys() - {DOCUMENT}):
        with _refusing(folder, name):
            if not _ARRAYS.fullmatch(name):
                raise ValueError("a record has no such file")
            for array, values in parse_npz(files[name]).items():
                if array in arrays:
                    raise ValueError(f"array {array!r} stands in two files")
                arrays[array] = values
    with _refusing(folder, "arrays"):
        check_arrays(arrays, document, experiment)
        return experiment, _runs(document, experiment, arrays)


@contextmanager
def _refusing(folder: Path, file: str) -> Iterator[None]:
    """Turn what is wrong with a file into a `RecordError` that names it."""
    try:
        yield
    except RecordError:
        raise
    except (ValueError, RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise RecordError(folder, file, str(error)) from error


def _experiment(folder: Path, document: Mapping[str, Any], digest: str | None) -> Experiment:
    """The experiment, if the document is that of a record of it."""
    for key, expected in {"kind": KIND, "format": FORMAT}.items():
        if document.get(key) != expected:
            reason = f"{key} {document.get(key)!r}, expected {expected!r}"
            raise ForeignRecordError(folder, DOCUMENT, reason)
    with _refusing(folder, DOCUMENT):
        facts, label = document.get("experiment"), document.get("label")
        if not isinstance(facts, dict) or not isinstance(label, str):
            raise ValueError("no experiment, or no label")
        experiment = Experiment.from_facts(facts, label=label)
    own = experiment.digest()
    if document.get("digest") != own:
        reason = f"digest {document.get('digest')!r}, but its experiment has {own!r}"
        raise ForeignRecordError(folder, DOCUMENT, reason)
    if digest is not None and own != digest:
        reason = f"a record of experiment {own}, not of {digest}"
        raise ForeignRecordError(folder, DOCUMENT, reason)
    return experiment


def _runs(document: Mapping[str, Any], experiment: Experiment, arrays: Arrays) -> list[Run]:
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    tasks = [TaskFacts(**{**task, "grid": tuple(task["grid"])}) for task in document["tasks"]]
    provenance = Provenance(source="record", **document["provenance"])
    runs = []
    for i, (entry, (_, seed)) in enumerate(
        zip(document["networks"], experiment.members, strict=True)
    ):
        model = CNN(experiment.network, seed=seed)
        t = i // len(experiment.seeds)
        x = tensors[f"examples.{t}.x"]
        run = Run(
            network=experiment.network,
            training=experiment.training,
            model=model,
            history=_history(entry.get("history", document["networks"][0]["history"])),
            fit=math.nan,
            norm=math.nan,
            task=tasks[t],
            provenance=provenance,
            examples=(x, tensors.get(f"examples.{t}.y", x)),
        )
        if "failure" in entry:
            runs.append(failed(run, entry["failure"]))
            continue
        grids = [conv.grid for conv in model.convs]
        runs.append(
            replace(
                run,
                model=_model(model, i, entry, tensors),
                fit=entry["fit"],
                norm=entry["norm"],
                spectra=_snapshots(i, entry["snapshots"], grids, tensors),
                activations=[
                    Spectrum(grid, tensors[f"{i}.activations.{layer}"].float())
                    for layer, grid in enumerate(grids)
                ],
                held_out=HeldOut(**entry["held_out"]) if "held_out" in entry else None,
            )
        )
    return runs


def _snapshots(
    i: int, steps: list[int], grids: list[tuple[int, ...]], tensors: Mapping[str, Tensor]
) -> list[SpectraSnapshot]:
    has_amplitudes = f"{i}.amplitudes.0" in tensors

    def spectra(kind: str, s: int) -> list[Spectrum]:
        return [
            Spectrum(grid, tensors[f"{i}.{kind}.{layer}"][s].float())
            for layer, grid in enumerate(grids)
        ]

    return [
        SpectraSnapshot(
            step, spectra("spectra", s), spectra("amplitudes", s) if has_amplitudes else []
        )
        for s, step in enumerate(steps)
    ]


@torch.no_grad()
def _model(model: CNN, i: int, entry: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> CNN:
    """Put the stored weights into a network."""
    for name, parameter in model.named_parameters():
        if not is_filter(name):
            parameter.copy_(tensors[f"{i}.{name}"])
    for layer, (conv, facts) in enumerate(zip(model.convs, entry["layers"], strict=True)):
        prefix = f"{i}.convs.{layer}."
        names = ("weight",) if facts["form"] == "dense" else ("mode", "left", "right")
        parts = {name: tensors[prefix + name] for name in names}
        if "mode" in parts and not torch.isin(parts["mode"], frequencies(conv.grid).modes).all():
            raise ValueError(f"array '{prefix}mode' names a frequency that is no mode")
        expand(CompactLayer(arrays=parts, **facts), conv)
    return model
