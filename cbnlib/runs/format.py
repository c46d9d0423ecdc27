"""Format of a record. Nothing is built from a record that breaks it.

`record.json` has the fields and kinds of values of the dataclasses here. `arrays.npz` has the
names, kinds and shapes that networks of the experiment's config have.
"""

import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

import numpy as np
import torch

from cbnlib.network.model import CNN, CNNConfig
from cbnlib.runs.experiment import Experiment
from cbnlib.runs.provenance import MARKUP
from cbnlib.runs.run import EXAMPLES, HeldOut, TaskFacts
from cbnlib.runs.store import MAX_BYTES, Arrays
from cbnlib.spectra.snapshots import snapshot_steps

MAX_LAYERS = 2**16
"""How many layers the networks of a record have together."""
_FLOATS = "float16 or float32"
_HEADER = 512  # bytes of an array besides its numbers, at most


@dataclass(frozen=True)
class Layer:
    """Facts about a layer that `compact` gives besides the arrays."""

    form: Literal["factors", "dense"]
    norm: float
    discarded: float


@dataclass(frozen=True)
class Network:
    """One network. Entries that equal their default are left out.

    In fit, norm and the history of a network that failed, null stands for NaN and infinity.
    """

    fit: float | None
    norm: float | None
    snapshots: list[int]
    layers: list[Layer]
    history: dict[str, list[float | None]] | None = None
    """None for that of the first network."""
    held_out: HeldOut | None = None
    failure: str = ""


@dataclass(frozen=True)
class Origin:
    """A `Provenance` without its source."""

    finished: str
    seconds: float
    environment: dict[str, str]


@dataclass(frozen=True)
class Document:
    """All of `record.json`."""

    kind: str
    format: int
    digest: str
    label: str
    experiment: dict[str, Any]
    provenance: Origin
    tasks: list[TaskFacts]
    networks: list[Network]


def from_json(hint: Any, value: Any, where: str) -> Any:  # noqa: ANN401  # what the hint says
    """A JSON value as what a type hint says, a dataclass from an object with its fields.

    Raises:
        ValueError: If something is missing, unknown, or of another kind. It says where.
    """
    inner: tuple[Any, ...] = get_args(hint)
    origin: Any = get_origin(hint)
    if isinstance(hint, UnionType):  # or None
        return None if value is None else from_json(inner[0], value, where)
    if is_dataclass(hint) and isinstance(value, dict):
        hints = get_type_hints(hint)
        needed = {field.name for field in fields(hint) if field.default is MISSING}
        if not needed <= value.keys() <= hints.keys():
            raise ValueError(f"{where} must have the keys {sorted(hints)}, got {sorted(value)}")
        parts = {k: from_json(hints[k], v, f"{where}.{k}") for k, v in value.items()}
        return cast("Any", hint)(**parts)
    if origin in (list, tuple) and isinstance(value, list):
        return origin(from_json(inner[0], v, f"{where}[]") for v in value)
    if origin is dict and isinstance(value, dict):
        return {k: from_json(inner[1], v, f"{where}.{k}") for k, v in value.items()}
    # A whole number may stand for a float. True and False are no numbers.
    kinds = (int, float) if hint is float else (hint,)
    if hint is not Any and type(value) not in kinds and value not in inner:
        name = hint.__name__ if isinstance(hint, type) else hint
        raise ValueError(f"{where} must be {name}, got {value!r:.80}")
    return value


def check_document(document: Document, experiment: Experiment) -> None:
    """Check that a document's parts fit each other and the experiment.

    Raises:
        ValueError: If they do not.
    """
    network, training, origin = experiment.network, experiment.training, document.provenance
    tasks, networks = document.tasks, document.networks
    names = [task.name for task in tasks]
    for text in [origin.finished, *origin.environment, *origin.environment.values(), *names]:
        if MARKUP.search(text):  # wherever it will be shown
            raise ValueError(f"{text!r} is no plain text: <, > and & are refused")
    if len(tasks) != len(experiment.tasks) or len(networks) != len(experiment.members):
        raise ValueError(f"{len(tasks)} tasks and {len(networks)} networks, not the experiment's")
    for task in tasks:
        if task.grid != network.grid or task.loss != training.loss or task.samples < 1:
            raise ValueError(f"the task {task.name!r} does not fit the network or the training")
    layers = network.depth - (network.head == "pooling")
    for entry in networks:
        columns = (entry.history or networks[0].history or {}).values()
        if len({len(column) for column in columns}) != 1:
            raise ValueError("a history is missing, or its columns differ in length")
        if entry.failure:
            continue
        if entry.fit is None or entry.norm is None:
            raise ValueError("a network has no fit or no norm, and no failure says why")
        if not entry.snapshots or len(entry.layers) != layers:
            raise ValueError(f"{len(entry.layers)} layers, or no snapshot of their spectra")


def check_arrays(arrays: Arrays, document: Document, experiment: Experiment) -> None:
    """Check names, kinds, shapes and values of a record's arrays.

    Raises:
        ValueError: If one is missing, unknown, or not what the document and the experiment say.
    """
    samples = [task.samples for task in document.tasks]
    expected = _expected(experiment, samples, document.networks, arrays)
    for name in sorted(expected.keys() ^ arrays.keys()):
        raise ValueError(f"array {name!r} is {'missing' if name in expected else 'unknown'}")
    for name, (kinds, shape) in expected.items():
        array = arrays[name]
        if array.dtype.name not in kinds.split(" or ") or array.shape != shape:
            raise ValueError(
                f"array {name!r} has dtype {array.dtype} and shape {array.shape}, "
                f"expected {kinds} and {shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"array {name!r} holds NaN or infinity")


def check_room(experiment: Experiment, samples: Sequence[int]) -> None:
    """Check before training that what will be kept of it can be.

    Args:
        experiment: What is to be run.
        samples: How many each of its tasks has.

    Raises:
        ValueError: If the checkpoints or the record would be too large, or numbers have another
            precision than a record's.
    """
    if torch.get_default_dtype() != torch.float32:
        raise ValueError(
            f"the default dtype is {torch.get_default_dtype()}, but records hold float32: set "
            "that, or keep nothing on disk (folder=None)"
        )
    network, training, members = experiment.network, experiment.training, len(experiment.members)
    steps = snapshot_steps(training.steps, training.snapshots if members == 1 else 2)
    layers = [Layer("dense", 0, 0)] * (network.depth - (network.head == "pooling"))
    shapes = _expected(experiment, samples, [Network(0, 0, steps, layers)] * members, {})
    sizes = {name: _HEADER + 4 * math.prod(shape) for name, (_, shape) in shapes.items()}
    largest = max(sizes, key=lambda name: sizes[name])
    # A checkpoint has two moments for each weight, and the order of the samples.
    total = 3 * sum(sizes.values()) + 8 * max(samples)
    _check_bytes(f"all arrays, the largest for {largest},", total)


def _check_bytes(what: str, size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"too large for a record: {what} have {size} bytes; {MAX_BYTES} fit")


@lru_cache(maxsize=16)
def _skeleton(network: CNNConfig, members: int) -> CNN:
    """The network without memory for its weights, if as many of its size can be kept."""
    if members * network.depth > MAX_LAYERS:
        raise ValueError(f"{members * network.depth} layers, at most {MAX_LAYERS} fit a record")
    _check_bytes("the grid's frequencies", 64 * math.prod(network.grid_of(1)))
    with torch.device("meta"):
        skeleton = CNN(network, seed=0)
    weights = sum(parameter.numel() for parameter in skeleton.parameters())
    _check_bytes(f"the weights of {members} networks", 4 * members * weights)
    return skeleton


def is_filter(name: str) -> bool:
    """Whether a parameter's name is that of a convolution's weight."""
    return name.startswith("convs.") and name.endswith(".weight")


def _expected(
    experiment: Experiment, samples: Sequence[int], networks: Sequence[Network], arrays: Arrays
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Kinds and shapes of the arrays that there must be, by name.

    Only how many directions were kept of a layer is read from the arrays, and whether there are
    amplitudes: older records have none.
    """
    network = experiment.network
    grid = network.grid
    skeleton = _skeleton(network, len(networks))
    expected: dict[str, tuple[str, tuple[int, ...]]] = {}
    for t, count in enumerate(min(EXAMPLES, n) for n in samples):
        x = (count, network.c_in, *grid)
        y = (count, network.c_out, *(() if network.head == "pooling" else grid))
        expected[f"examples.{t}.x"] = ("float32", x)
        if experiment.training.loss == "cross_entropy":
            expected[f"examples.{t}.y"] = ("int64", (count,))
        elif x != y or f"examples.{t}.y" in arrays:
            expected[f"examples.{t}.y"] = ("float32", y)
    amplitudes = not arrays or any(name.endswith(".amplitudes.0") for name in arrays)
    for i, entry in enumerate(networks):
        if entry.failure:
            continue
        for name, parameter in skeleton.named_parameters():
            kinds = _FLOATS if is_filter(name) else "float32"
            expected[f"{i}.{name}"] = (kinds, tuple(parameter.shape))
        count = samples[i // len(experiment.seeds)]
        for layer, (conv, kept) in enumerate(zip(skeleton.convs, entry.layers, strict=True)):
            modes, rank = _count_modes(conv.grid), min(conv.c_in, conv.c_out)
            shape = (len(entry.snapshots), modes, rank)
            expected[f"{i}.spectra.{layer}"] = (_FLOATS, shape)
            expected[f"{i}.activations.{layer}"] = (_FLOATS, (modes, min(count, conv.c_out)))
            if amplitudes:
                expected[f"{i}.amplitudes.{layer}"] = (_FLOATS, (*shape[:2], 1))
            if kept.form == "factors":
                prefix = f"{i}.convs.{layer}"
                del expected[f"{prefix}.weight"]
                k = min(arrays.get(f"{prefix}.mode", np.empty(0)).size, modes * rank)
                expected[f"{prefix}.mode"] = ("int32", (k,))
                expected[f"{prefix}.left"] = (_FLOATS, (k, conv.c_out, 2))
                expected[f"{prefix}.right"] = (_FLOATS, (k, conv.c_in, 2))
    return expected


def _count_modes(grid: tuple[int, ...]) -> int:
    """As many as `frequencies(grid).modes`, without making them."""
    self_conjugate = math.prod(2 if n % 2 == 0 else 1 for n in grid)
    return (math.prod(grid) + self_conjugate) // 2
