"""What a record must look like, so that nothing is built from one that does not."""

import math
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import numpy as np
import torch

from cbnlib.network.layers import CircularConv
from cbnlib.network.model import CNN, CNNConfig
from cbnlib.runs.encoding import MAX_ARRAY
from cbnlib.runs.experiment import Experiment
from cbnlib.runs.provenance import MARKUP
from cbnlib.runs.run import EXAMPLES
from cbnlib.spectra.snapshots import snapshot_steps

Arrays = dict[str, np.ndarray]
Expected = dict[str, tuple[tuple[str, ...], tuple[int, ...]]]
"""Allowed dtypes and shape by name."""

_SCHEMA: dict[Any, Any] = {
    "kind": str,
    "format": int,
    "digest": str,
    "label": str,
    "experiment": dict,
    "provenance": {"finished": str, "seconds": float, "environment": {str: str}},
    "tasks": [
        {
            "name": str,
            "samples": int,
            "grid": [int],
            "variance": (float, NoneType),
            "loss": str,
            "sha256_x": str,
            "sha256_y": str,
        }
    ],
    "networks": [dict],
}

_NETWORK: dict[Any, Any] = {
    "fit": float,
    "norm": float,
    "history": {"step": [int], "loss": [float], "fit": [float], "norm": [float]},
    "snapshots": [int],
    "layers": [{"form": str, "norm": float, "discarded": float}],
    "held_out": {"samples": int, "fit": float, "accuracy": float},
}

_NUMBERS = [(float, NoneType)]

_FAILED: dict[Any, Any] = {
    "failure": str,
    "fit": NoneType,
    "norm": NoneType,
    "history": {"step": [int], "loss": _NUMBERS, "fit": _NUMBERS, "norm": _NUMBERS},
    "snapshots": [int],
    "layers": [dict],
}
"""A network whose training failed: null stands for NaN and infinity."""

_OPTIONAL = {"held_out", "history"}
"""Keys that may be missing; without a history of its own, a network has that of the first."""

_ROUNDED = ("float16", "float32")

MAX_WEIGHTS = 2**31
"""Bytes of all weights of a record's networks."""

MAX_LAYERS = 2**16
"""How many layers they have together."""


def is_filter(name: str) -> bool:
    """Whether a parameter's name is that of a convolution's weight."""
    return name.startswith("convs.") and name.endswith(".weight")


def _check_schema(value: object, schema: object, where: str) -> None:
    """Check that a JSON value has exactly the keys and kinds of values that it should have.

    A schema is a type, a tuple of types, a list with the schema of the entries, or a dict with the
    schemas by key, where the key `str` stands for any.
    """
    if isinstance(schema, list):
        _check_schema(value, list, where)
        assert isinstance(value, list)
        for i, entry in enumerate(value):
            _check_schema(entry, schema[0], f"{where}[{i}]")
    elif isinstance(schema, dict):
        _check_schema(value, dict, where)
        assert isinstance(value, dict)
        if str not in schema and value.keys() | _OPTIONAL & schema.keys() != schema.keys():
            raise ValueError(f"{where} must have the keys {sorted(schema)}, got {sorted(value)}")
        for key, entry in value.items():
            _check_schema(entry, schema.get(key, schema.get(str)), f"{where}.{key}")
    else:
        types = schema if isinstance(schema, tuple) else (schema,)
        # A whole number may stand for a float; True and False are no numbers.
        allowed = (*types, int) if float in types else types
        if isinstance(value, bool) or not isinstance(value, allowed):
            names = " or ".join(kind.__name__ for kind in types)
            raise ValueError(f"{where} must be {names}, got {type(value).__name__}")


def check_document(document: Mapping[str, Any], experiment: Experiment) -> None:
    """Check what `record.json` holds: keys and kinds of values, and the numbers' plausibility.

    Raises:
        ValueError: If something is missing, unknown, or does not fit the experiment.
    """
    _check_schema(document, _SCHEMA, "record")
    _check_texts(document)
    network, training = experiment.network, experiment.training
    tasks, networks = document["tasks"], document["networks"]
    if len(tasks) != len(experiment.tasks) or len(networks) != len(experiment.members):
        raise ValueError(f"{len(tasks)} tasks and {len(networks)} networks, not the experiment's")
    for task in tasks:
        if tuple(task["grid"]) != network.grid or task["loss"] != training.loss:
            raise ValueError(f"the task {task['name']!r} does not fit the network or the training")
        if task["samples"] < 1:
            raise ValueError(f"the task {task['name']!r} has {task['samples']} samples")
    for i, entry in enumerate(networks):
        _check_schema(entry, _FAILED if "failure" in entry else _NETWORK, f"record.networks[{i}]")
    if "history" not in networks[0]:
        raise ValueError("the first network has no history")
    for entry in networks:
        history = entry.get("history", networks[0]["history"])
        if {len(column) for column in history.values()} != {len(history["step"])}:
            raise ValueError("the columns of a history differ in length")
        _check_steps("history", [0, *history["step"]], training.steps)
        _check_network(entry, experiment)
    check_weights(network, len(networks))


def _check_network(entry: Mapping[str, Any], experiment: Experiment) -> None:
    if "failure" in entry:
        if not entry["failure"] or entry["snapshots"] or entry["layers"]:
            raise ValueError("a network that failed without a reason, or that has spectra")
        return
    layers = experiment.network.depth - (experiment.network.head == "pooling")
    _check_steps("snapshots", [-1, *entry["snapshots"]], experiment.training.steps)
    if not entry["snapshots"] or len(entry["layers"]) != layers:
        raise ValueError(f"{len(entry['layers'])} layers, or no snapshot of their spectra")
    for layer in entry["layers"]:
        if layer["form"] not in ("factors", "dense"):
            raise ValueError(f"unknown form {layer['form']!r}; allowed: dense, factors")
        if not 0 <= layer["discarded"] <= layer["norm"]:
            raise ValueError(f"a layer of norm {layer['norm']} lacks {layer['discarded']}")
    if "held_out" in entry:
        _check_held_out(entry["held_out"], experiment.training.loss)


def _check_texts(document: Mapping[str, Any]) -> None:
    """Check that what a record says of itself is plain text, wherever it will be shown."""
    provenance = document["provenance"]
    texts = [provenance["finished"], *provenance["environment"].values()]
    texts += provenance["environment"].keys()
    for text in [*texts, *(task["name"] for task in document["tasks"])]:
        if MARKUP.search(text):
            raise ValueError(f"{text!r} is no plain text: <, > and & are refused")


def check_weights(network: CNNConfig, members: int) -> None:
    """Check that networks can be kept, by their sizes alone.

    Args:
        network: What each is made from.
        members: How many there are; a checkpoint has their parameters in one array.

    Raises:
        ValueError: If an array would exceed `MAX_ARRAY`, or all together `MAX_WEIGHTS`, or there
            are more than `MAX_LAYERS` layers.
    """
    if members * network.depth > MAX_LAYERS:
        raise ValueError(f"{members * network.depth} layers, at most {MAX_LAYERS} fit a record")
    _check_bytes("one channel of a signal", 4 * math.prod(network.grid_of(1)))
    parameters = dict(_skeleton(network).named_parameters())
    sizes = {name: 4 * members * p.numel() for name, p in parameters.items()}
    for name, size in sizes.items():
        _check_bytes(f"{name} of {members} networks", size)
    _check_bytes(f"all weights of {members} networks", sum(sizes.values()), MAX_WEIGHTS)


def check_room(experiment: Experiment, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Check before training that what will be kept of it can be.

    Args:
        experiment: What is to be run.
        tasks: `samples`, `grid` and `loss` of each of its tasks.

    Raises:
        ValueError: If an array of the checkpoints or of the record would be too large, or numbers
            have another precision than a record's.
    """
    if torch.get_default_dtype() != torch.float32:
        raise ValueError(
            f"the default dtype is {torch.get_default_dtype()}, but records hold float32: set "
            "that, or keep nothing on disk (folder=None)"
        )
    network, training, members = experiment.network, experiment.training, experiment.members
    check_weights(network, len(members))
    steps = snapshot_steps(training.steps, training.snapshots if len(members) == 1 else 2)
    layers = [{"form": "dense"}] * network.depth
    document = {
        "tasks": tasks,
        "networks": [{"snapshots": steps, "layers": layers}] * len(members),
    }
    for name, (dtypes, shape) in _expected(document, experiment, {}).items():
        _check_bytes(name, np.dtype(dtypes[0]).itemsize * math.prod(shape))
    _check_bytes("the order of the samples", 8 * max(task["samples"] for task in tasks))


def _check_bytes(what: str, size: int, largest: int = MAX_ARRAY) -> None:
    if size > largest:
        raise ValueError(f"too large for a record: {what} has {size} bytes, at most {largest} fit")


def _check_held_out(held_out: Mapping[str, Any], loss: str) -> None:
    if loss != "cross_entropy":
        raise ValueError("held-out samples of a task that is no classification")
    if held_out["samples"] < 1 or held_out["fit"] < 0 or not 0 <= held_out["accuracy"] <= 1:
        raise ValueError(f"impossible numbers on held-out samples: {held_out}")


def _check_steps(name: str, steps: list[int], last: int) -> None:
    if sorted(set(steps)) != steps or steps[-1] > last:
        raise ValueError(f"the steps of the {name} do not grow, or exceed {last}")


def _skeleton(network: CNNConfig) -> CNN:
    """The network without memory for its weights: names and shapes."""
    with torch.device("meta"):
        return CNN(network, seed=0)


def _expected(document: Mapping[str, Any], experiment: Experiment, arrays: Arrays) -> Expected:
    """The arrays that there must be; only how many directions were kept is read from them."""
    expected: Expected = {}
    for t, task in enumerate(document["tasks"]):
        expected |= _expected_examples(t, task, experiment.network, arrays)
    skeleton = _skeleton(experiment.network)
    # Older records have none; else there are all.
    has_amplitudes = any(name.endswith(".amplitudes.0") for name in arrays)
    for i, entry in enumerate(document["networks"]):
        if "failure" in entry:
            continue
        for name, parameter in skeleton.named_parameters():
            if not is_filter(name):
                expected[f"{i}.{name}"] = (("float32",), tuple(parameter.shape))
        samples = document["tasks"][i // len(experiment.seeds)]["samples"]
        for layer, conv in enumerate(skeleton.convs):
            modes, snapshots = _count_modes(conv.grid), len(entry["snapshots"])
            spectra = (snapshots, modes, min(conv.c_in, conv.c_out))
            activations = (modes, min(samples, conv.c_out))
            expected[f"{i}.spectra.{layer}"] = (_ROUNDED, spectra)
            expected[f"{i}.activations.{layer}"] = (_ROUNDED, activations)
            if has_amplitudes:
                expected[f"{i}.amplitudes.{layer}"] = (_ROUNDED, (*spectra[:2], 1))
            form = entry["layers"][layer]["form"]
            expected |= _expected_filter(f"{i}.convs.{layer}", form, conv, arrays)
    return expected


def _expected_examples(
    t: int, task: Mapping[str, Any], network: CNNConfig, arrays: Arrays
) -> Expected:
    count, grid = min(EXAMPLES, task["samples"]), tuple(task["grid"])
    inputs = (count, network.c_in, *grid)
    outputs = (count, network.c_out, *(() if network.head == "pooling" else grid))
    expected: Expected = {f"examples.{t}.x": (("float32",), inputs)}
    if task["loss"] == "cross_entropy":
        expected[f"examples.{t}.y"] = (("int64",), (count,))
    elif inputs != outputs or f"examples.{t}.y" in arrays:
        expected[f"examples.{t}.y"] = (("float32",), outputs)
    return expected


def _expected_filter(prefix: str, form: str, conv: CircularConv, arrays: Arrays) -> Expected:
    if form == "dense":
        return {f"{prefix}.weight": (_ROUNDED, tuple(conv.weight.shape))}
    kept = arrays[f"{prefix}.mode"].size if f"{prefix}.mode" in arrays else 0
    kept = min(kept, _count_modes(conv.grid) * min(conv.c_in, conv.c_out))
    return {
        f"{prefix}.mode": (("int32",), (kept,)),
        f"{prefix}.left": (_ROUNDED, (kept, conv.c_out, 2)),
        f"{prefix}.right": (_ROUNDED, (kept, conv.c_in, 2)),
    }


def _count_modes(grid: tuple[int, ...]) -> int:
    """As many as `frequencies(grid).modes`, without making them."""
    self_conjugate = math.prod(2 if n % 2 == 0 else 1 for n in grid)
    return (math.prod(grid) + self_conjugate) // 2


def check_arrays(arrays: Arrays, document: Mapping[str, Any], experiment: Experiment) -> None:
    """Check names, dtypes, shapes and values of a record's arrays.

    Raises:
        ValueError: If one is missing, unknown, or not what the document and the experiment say.
    """
    expected = _expected(document, experiment, arrays)
    for name in sorted(expected.keys() - arrays.keys()):
        raise ValueError(f"array {name!r} is missing")
    for name in sorted(arrays.keys() - expected.keys()):
        raise ValueError(f"unknown array {name!r}")
    for name, (dtypes, shape) in expected.items():
        array = arrays[name]
        if array.dtype.name not in dtypes or array.shape != shape:
            raise ValueError(
                f"array {name!r} has dtype {array.dtype} and shape {array.shape}, "
                f"expected {' or '.join(dtypes)} and {shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"array {name!r} holds NaN or infinity")
