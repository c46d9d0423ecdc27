"""The best network known, from the records of one problem, by the lowest loss.

A problem is a task, the shape of the network but for its width, and the ridge. A wider network can
do all that a narrower one can, so the loss of a narrower one is within its reach, too.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cbnlib.runs.experiment import Experiment, TaskSpec, canonical
from cbnlib.runs.record import DOCUMENT, load_record
from cbnlib.runs.run import Run
from cbnlib.runs.store import parse_json

NOT_THE_PROBLEM = ("width", "gain", "parametrization")
"""Fields of a network that change neither which loss is minimised nor, the width apart, over which
functions."""


class Known(NamedTuple):
    """A network of a record.

    Attributes:
        loss: Its regularised loss.
        width: Its channels.
        problem: As `problem_of` tells it.
        record: The folder.
        member: Its number among the record's networks.
    """

    loss: float
    width: int
    problem: str
    record: Path
    member: int

    def run(self) -> Run:
        """Load it.

        Raises:
            RecordError: If the record is damaged.
        """
        return load_record(self.record)[1][self.member]


def problem_of(experiment: Experiment) -> str:
    """Describe the problem of an experiment with one task, as a text to compare."""
    return _problem(experiment.facts(), experiment.tasks[0].facts())


def _problem(facts: dict[str, Any], task: dict[str, Any]) -> str:
    network = {k: v for k, v in facts["network"].items() if k not in NOT_THE_PROBLEM}
    training = facts["training"]
    return canonical([task, network, training["ridge"], training["loss"]])


def known_networks(records: Path) -> Iterator[Known]:
    """All networks of the records in a folder, but for those whose training failed."""
    for file in sorted(records.glob(f"*/{DOCUMENT}")):
        yield from _networks_of(file, file.stat().st_mtime_ns)


@cache
def _networks_of(file: Path, _changed: int) -> list[Known]:
    """Those of one record, which is read again only if its file was changed."""
    document, known = parse_json(file.read_bytes()), []
    facts = document["experiment"]
    tasks = [task for task in facts["tasks"] for _ in facts["seeds"]]
    for i, (task, network) in enumerate(zip(tasks, document["networks"], strict=True)):
        if not network.get("failure"):
            loss = network["fit"] + facts["training"]["ridge"] * network["norm"]
            problem = _problem(facts, TaskSpec(**task).facts())
            known.append(Known(loss, facts["network"]["width"], problem, file.parent, i))
    return known


def best_known(experiment: Experiment, records: Path) -> Known | None:
    """The network with the lowest loss of all records with the problem of an experiment.

    Args:
        experiment: Task, network and ridge count. Width, initialisation, budget and steps do not.
        records: The folder that holds the records.

    Returns:
        Where it is, or None if no record is of this problem.
    """
    problem = problem_of(experiment)
    return min((one for one in known_networks(records) if one.problem == problem), default=None)
