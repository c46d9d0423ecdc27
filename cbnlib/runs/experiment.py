"""An experiment as plain data, so that it can be hashed, stored and found again.

A run can be looked up before it is trained. All that its result depends on (task, network,
training, seeds) has one canonical text, whose SHA-256 names its record.
"""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeAlias

from cbnlib._checks import check_choice, check_count, check_type, hold
from cbnlib.network.model import CNNConfig, CoarseStage
from cbnlib.tasks import TASKS, Task
from cbnlib.training.budget import Budget
from cbnlib.training.config import TrainConfig

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None

FORMAT = 1
"""Version of `Experiment.facts`, raised when the meaning of a fact changes."""

EXPLICIT = "explicit"
"""The `Experiment.start` from the network of S3."""

NEUTRAL: dict[str, dict[str, JSON]] = {
    "training": {
        "snapshots": 24,
        "budget": None,
        "layers": None,
        "release": 1.0,
        "shrink": 0.0,
    },
    "task digits": {"margin": 0},
}
"""Values that are left out of the facts, by part (`network`, `coarse`, `training`, `task bump`).

A field or a task's option added later changes the digest of every older experiment. To keep them,
enter its default here, provided that the default does what was done before the field existed.
"""


def canonical(value: JSON) -> str:
    """Canonical JSON of a value, with sorted keys, no spaces, and floats in shortest exact form.

    Raises:
        ValueError: If a number is NaN or infinite.
        TypeError: If JSON cannot hold the value.

    Example:
        >>> canonical({"b": (1, 0.1), "a": None})
        '{"a":null,"b":[1,0.1]}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
    )


def digest_of(facts: JSON) -> str:
    """SHA-256 of the canonical text of facts, in hexadecimal."""
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def _integer(value: object) -> object:
    return int(value) if type(value) is not bool and isinstance(value, Integral) else value


def _number(value: object) -> object:
    return float(value) if type(value) is not bool and isinstance(value, Real) else value


def _flag(value: object) -> object:
    return bool(value) if isinstance(value, Integral) and value in (0, 1) else value


def _axes(value: object) -> object:
    """An integer per axis, or a plain one if there is one axis."""
    if not isinstance(value, list | tuple):
        return _integer(value)
    axes = [_integer(n) for n in value]
    return axes[0] if len(axes) == 1 else axes


def _numbers(value: object) -> object:
    return [_number(v) for v in value] if isinstance(value, list | tuple) else value


_CANONICAL: dict[object, Callable[[object], object]] = {
    int: _integer,
    float: _number,
    bool: _flag,
    int | None: _integer,
    int | Sequence[int]: _axes,
    Sequence[float]: _numbers,
}
"""Normal form of an option's value, by the annotation of the task's parameter.

What is no value of that kind stays as it is, and the task refuses it.
"""


@dataclass(frozen=True, eq=False)
class TaskSpec:
    """A task by name with its options, so that it can be hashed without being loaded.

    Two specs are equal if they name the same task with the same options, given or by default.
    Values that mean the same are the same, such as 1 and 1.0 or True, or `(8,)` and 8 pixels.

    Raises:
        ValueError: On construction, if there is no such task or option, an option is missing, or
            it is a value that JSON cannot hold.
        TypeError: If the options are no mapping.

    Example:
        >>> TaskSpec("bump", {"n": 8}) == TaskSpec("bump", {"samples": 512, "n": 8})
        True
    """

    name: str
    """Key of `cbnlib.tasks.TASKS`."""
    options: Mapping[str, JSON]
    """The task's options, with defaults, as JSON holds them (tuples become lists)."""

    def __post_init__(self) -> None:
        """Check the options against the task and fill in the defaults."""
        signature = inspect.signature(TASKS[check_choice("task", self.name, TASKS)])
        known = {k: p for k, p in signature.parameters.items() if k != "folder"}
        if not isinstance(self.options, Mapping):
            raise TypeError(f"options of task {self.name!r} must be a dict, got {self.options!r}")
        for name in self.options:
            check_choice(f"option of task {self.name!r}", name, known)
        complete: dict[str, Any] = {}
        for name, parameter in sorted(known.items()):
            value = self.options.get(name, parameter.default)
            if value is inspect.Parameter.empty:
                raise ValueError(f"task {self.name!r} needs the option {name!r}")
            normal = _CANONICAL.get(parameter.annotation)
            complete[name] = value if normal is None else normal(value)
        try:
            text = canonical(complete)
        except (TypeError, ValueError) as error:
            raise ValueError(f"options of task {self.name!r} are no JSON: {error}") from error
        hold(self, options=json.loads(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TaskSpec) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    @property
    def _text(self) -> str:
        return canonical([self.name, self.options])

    def load(self, *, data_folder: str | Path | None = None) -> Task:
        """Make the task.

        Args:
            data_folder: Where the files of a task that reads files lie. It is no part of what the
                task is. None lets the task find or download them.
        """
        make = TASKS[self.name]
        takes_folder = "folder" in inspect.signature(make).parameters
        where = {"folder": data_folder} if takes_folder else {}
        return make(**self.options, **where)

    def facts(self) -> dict[str, Any]:
        """Name and options as JSON."""
        return {"name": self.name, "options": _without_neutral(f"task {self.name}", self.options)}


@dataclass(frozen=True)
class Experiment:
    """Definition of a run that trains networks of one config for each task and seed.

    The networks come in the order of tasks × seeds. Several are trained as an ensemble.

    Raises:
        ValueError: On construction, if there is no task or no seed, or a seed is negative.
        TypeError: If a part is of another kind than it should be.
    """

    tasks: tuple[TaskSpec, ...]
    """Tasks that the networks learn."""
    network: CNNConfig
    """Configuration of the networks."""
    training: TrainConfig
    """Configuration of their training. Its seed orders the samples."""
    seeds: tuple[int, ...]
    """Seeds of the weights, with one network per seed and task."""
    label: str = ""
    """For people and folder names. It is no part of what the experiment is."""
    start: str = ""
    """Initial weights. If empty, a new network. A digest stands for the network of that experiment,
    with identity layers put in if it is shallower. `explicit` is the network that proves S3, with
    spare channels drawn from the seed. It is for the task `low_pass`."""

    def __post_init__(self) -> None:
        """Check tasks, seeds and start, write the budget in its one form."""
        for name in ("tasks", "seeds"):
            if not isinstance(values := getattr(self, name), list | tuple | range):
                raise TypeError(f"{name} must be a list or tuple, got {values!r:.80}")
        tasks = tuple(check_type("task", task, TaskSpec) for task in self.tasks)
        seeds = tuple(check_count("seed", seed, minimum=0) for seed in self.seeds)
        if not tasks or not seeds:
            raise ValueError("an experiment needs at least one task and one seed")
        hold(self, tasks=tasks, seeds=seeds)
        check_type("network", self.network, CNNConfig)
        check_type("training", self.training, TrainConfig)
        check_type("label", self.label, str)
        self._check_start()
        if self.training.budget is not None:
            budget = Budget.parse(self.training.budget, self.network.grid)
            hold(self, training=replace(self.training, budget=str(budget)))

    def _check_start(self) -> None:
        if not self.start:
            return
        known = self.start == EXPLICIT or re.fullmatch("[0-9a-f]{64}", self.start)
        if not known or len(self.members) > 1:
            raise ValueError(
                f"start must be a digest or {EXPLICIT!r}, and then there is one network; got "
                f"{self.start!r} for {len(self.members)}"
            )
        if self.start == EXPLICIT and self.tasks[0].name != "low_pass":
            raise ValueError(
                f"start {EXPLICIT!r} is for the task 'low_pass', got {self.tasks[0].name!r}"
            )

    @property
    def members(self) -> list[tuple[TaskSpec, int]]:
        """Task and seed of every network, in order."""
        return [(task, seed) for task in self.tasks for seed in self.seeds]

    def facts(self) -> dict[str, Any]:
        """All that the result depends on, as JSON, with every field, defaults included.

        What `NEUTRAL` lists is left out.
        """
        return {
            "format": FORMAT,
            "tasks": [task.facts() for task in self.tasks],
            "network": _facts("network", self.network),
            "training": _facts("training", self.training),
            "seeds": list(self.seeds),
        } | ({"start": self.start} if self.start else {})

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], *, label: str = "") -> "Experiment":
        """The experiment with these facts.

        Args:
            facts: Plain data, as `facts` returns them.
            label: For people.

        Raises:
            ValueError: If the facts are of another format, incomplete, or hold something unknown
                or out of range.
        """
        if not isinstance(facts, Mapping):
            raise ValueError(f"facts must be a dict, got {facts!r:.80}")
        if facts.get("format") != FORMAT:
            raise ValueError(f"facts of format {facts.get('format')!r}, expected {FORMAT}")
        try:
            network = dict(facts["network"])
            if network.get("coarse") is not None:
                network["coarse"] = CoarseStage(**_tupled(network["coarse"]))
            experiment = cls(
                tasks=tuple(TaskSpec(task["name"], task["options"]) for task in facts["tasks"]),
                network=CNNConfig(**_tupled(network)),
                training=TrainConfig(**_tupled(facts["training"])),
                seeds=tuple(facts["seeds"]),
                label=label,
                start=facts.get("start", ""),
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"these are no facts of an experiment: {error}") from error
        if canonical(experiment.facts()) != canonical(facts):
            raise ValueError("the facts are incomplete, or not in their canonical form")
        return experiment

    def digest(self) -> str:
        """SHA-256 of the canonical text of the facts, in hexadecimal."""
        return digest_of(self.facts())

    @property
    def folder_name(self) -> str:
        """Name of its record's folder: label or first task's name, and 12 digits of the digest."""
        return f"{_slug(self.label or self.tasks[0].name)}-{self.digest()[:12]}"


def single(
    name: str,
    options: Mapping[str, JSON],
    network: CNNConfig,
    training: TrainConfig,
    *,
    label: str = "",
) -> Experiment:
    """The experiment of one network, whose weights have the seed of its training.

    Args:
        name: The task's.
        options: The task's.
        network: Configuration of the network.
        training: Configuration of its training, and the seed of all.
        label: For people and folder names.

    Example:
        >>> network, training = CNNConfig(16, width=12, depth=8), TrainConfig(1e-2, 3e-3, 8000)
        >>> single("bump", {}, network, training, label="A first look").folder_name
        'a-first-look-...'
    """
    check_type("training", training, TrainConfig)
    return Experiment((TaskSpec(name, options),), network, training, (training.seed,), label)


def _facts(part: str, config: CNNConfig | TrainConfig | CoarseStage) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, CoarseStage):
            value = _facts("coarse", value)
        facts[field.name] = list(value) if isinstance(value, tuple) else value
    return _without_neutral(part, facts)


def _without_neutral(part: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    neutral = NEUTRAL.get(part, {})
    return {k: v for k, v in facts.items() if k not in neutral or v != neutral[k]}


def _tupled(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "run"
