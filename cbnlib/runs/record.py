"""Finished experiments to and from sealed folders.

A record redraws every figure of its runs without training and without the data. `record.json` says
what was run, where, and how it went. `arrays.npz` holds spectra, weights and a few examples.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cbnlib.network.frequencies import frequencies
from cbnlib.network.model import CNN
from cbnlib.runs import store
from cbnlib.runs.compact import CompactLayer, compact, expand
from cbnlib.runs.experiment import Experiment
from cbnlib.runs.format import (
    Document,
    Layer,
    Network,
    Origin,
    check_arrays,
    check_document,
    from_json,
    is_filter,
)
from cbnlib.runs.provenance import Provenance
from cbnlib.runs.run import Run, failed
from cbnlib.runs.store import ARRAYS, refusing
from cbnlib.spectra.snapshots import SpectraSnapshot
from cbnlib.spectra.spectrum import Spectrum
from cbnlib.training.loop import History

DOCUMENT = "record.json"
KIND, FORMAT = "cbnlib record", 1
_LARGEST_HALF = 6e4


def save_record(folder: Path, experiment: Experiment, runs: list[Run]) -> None:
    """Write the runs of an experiment as one sealed folder.

    Weights are compacted (`runs.compact`), and spectra are rounded to 16 bits, about three
    digits. All else is stored as it is.

    Args:
        folder: Folder to create. It must not exist.
        experiment: The experiment that was run.
        runs: Its runs, in its order, with activations and at least one snapshot of the spectra.

    Raises:
        ValueError: If `load_record` would refuse it, for example because a number is NaN or
            infinite. Nothing is written then.
        FileExistsError: If there is something already.
    """
    arrays: dict[str, Tensor] = {}
    networks = []
    for i, run in enumerate(runs):
        layers = [] if run.failure else [compact(conv) for conv in run.model.convs]
        if not run.failure:
            arrays |= _weights(i, run.model, layers) | _spectra(i, run)
        entry = Network(
            fit=None if run.failure else run.fit,
            norm=None if run.failure else run.norm,
            snapshots=[shot.step for shot in run.spectra],
            layers=[Layer(c.form, c.norm, c.discarded) for c in layers],
            # An ensemble has one history.
            history=_columns(run.history) if i == 0 or run.history != runs[0].history else None,
            held_out=run.held_out,
            failure=run.failure,
        )
        networks.append(entry)
    first_of_task, made = runs[:: len(experiment.seeds)], runs[0].provenance
    for t, run in enumerate(first_of_task):
        x, y = run.examples
        arrays[f"examples.{t}.x"] = x
        if not torch.equal(x, y):  # an autoencoder's targets are its inputs
            arrays[f"examples.{t}.y"] = y
    document = Document(
        kind=KIND,
        format=FORMAT,
        digest=experiment.digest(),
        label=experiment.label,
        experiment=experiment.facts(),
        provenance=Origin(made.finished, made.seconds, made.environment),
        tasks=[run.task for run in first_of_task],
        networks=networks,
    )
    facts = asdict(document)
    for network in facts["networks"]:
        for name in [f.name for f in fields(Network) if network[f.name] == f.default]:
            del network[name]
    plain = {name: array.detach().numpy() for name, array in arrays.items()}
    files = {DOCUMENT: store.json_bytes(facts), ARRAYS: store.npz_bytes(plain)}
    _contents(folder, files, experiment.digest())
    store.write_sealed(folder, files)


def _columns(history: History) -> dict[str, list[float | None]]:
    """The columns of a history for JSON, which has no NaN and no infinity."""
    return {
        name: [value if math.isfinite(value) else None for value in column]
        for name, column in asdict(history).items()
    }


def _history(columns: Mapping[str, list[float | None]]) -> History:
    numbers: dict[str, list[Any]] = {k: [*map(_number, column)] for k, column in columns.items()}
    return History(**numbers)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _weights(i: int, model: CNN, layers: list[CompactLayer]) -> dict[str, Tensor]:
    named = model.named_parameters()
    arrays = {f"{i}.{name}": p.float() for name, p in named if not is_filter(name)}
    for layer, compacted in enumerate(layers):
        arrays |= {f"{i}.convs.{layer}.{name}": a for name, a in compacted.arrays.items()}
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
        digest: Digest of the experiment that it must be a record of. None takes any.

    Returns:
        The experiment with its label, and its runs in order. Their provenance is `record`.

    Raises:
        ForeignRecordError: If it is undamaged, but of another kind, format version or experiment.
        RecordError: If anything is damaged or does not fit together.
    """
    return _contents(folder, store.read_sealed(folder, DOCUMENT), digest)


def _contents(
    folder: Path, files: Mapping[str, bytes], digest: str | None
) -> tuple[Experiment, list[Run]]:
    """Read the files of a record and check all of them."""
    with refusing(folder, DOCUMENT):
        facts = store.parse_json(files[DOCUMENT])
        store.check_entries(folder, DOCUMENT, facts, kind=KIND, format=FORMAT)
        document: Document = from_json(Document, facts, "record")
        experiment = Experiment.from_facts(document.experiment, label=document.label)
        for known in (experiment.digest(), digest or document.digest):
            store.check_entries(folder, DOCUMENT, facts, digest=known)
        check_document(document, experiment)
    with refusing(folder, ARRAYS):
        arrays = store.parse_npz(files[ARRAYS])
        check_arrays(arrays, document, experiment)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        return experiment, [
            _run(i, document, experiment, tensors) for i in range(len(document.networks))
        ]


def _run(i: int, document: Document, experiment: Experiment, tensors: Mapping[str, Tensor]) -> Run:
    entry, t = document.networks[i], i // len(experiment.seeds)
    x = tensors[f"examples.{t}.x"]
    run = Run(
        network=experiment.network,
        training=experiment.training,
        model=CNN(experiment.network, seed=experiment.members[i][1]),
        history=_history(entry.history or document.networks[0].history or {}),
        fit=_number(entry.fit),
        norm=_number(entry.norm),
        task=document.tasks[t],
        provenance=Provenance("record", **asdict(document.provenance)),
        examples=(x, tensors.get(f"examples.{t}.y", x)),
        held_out=entry.held_out,
    )
    if entry.failure:
        return failed(run, entry.failure)
    _put_weights(run.model, i, entry.layers, tensors)

    def spectra(kind: str, *shot: int) -> list[Spectrum]:
        named = [(conv.grid, f"{i}.{kind}.{layer}") for layer, conv in enumerate(run.model.convs)]
        return [
            Spectrum(grid, tensors[name][shot].float()) for grid, name in named if name in tensors
        ]

    shots = [
        SpectraSnapshot(step, spectra("spectra", s), spectra("amplitudes", s))
        for s, step in enumerate(entry.snapshots)
    ]
    return replace(run, spectra=shots, activations=spectra("activations"))


@torch.no_grad()
def _put_weights(model: CNN, i: int, layers: list[Layer], tensors: Mapping[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        if not is_filter(name):
            parameter.copy_(tensors[f"{i}.{name}"])
    for layer, (conv, facts) in enumerate(zip(model.convs, layers, strict=True)):
        prefix = f"{i}.convs.{layer}."
        names = ("weight",) if facts.form == "dense" else ("mode", "left", "right")
        parts = {name: tensors[prefix + name] for name in names}
        if "mode" in parts and not torch.isin(parts["mode"], frequencies(conv.grid).modes).all():
            raise ValueError(f"array '{prefix}mode' names a frequency that is no mode")
        expand(CompactLayer(arrays=parts, **asdict(facts)), conv)
