"""A finished run, just trained or read from a record."""

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from cbnlib.network.model import CNN, CNNConfig
from cbnlib.runs.provenance import Provenance
from cbnlib.spectra.bottleneck import Bottleneck, measure_bottleneck
from cbnlib.spectra.convolutions import weight_spectra
from cbnlib.spectra.snapshots import SpectraSnapshot
from cbnlib.spectra.spectrum import Spectrum, middle_half
from cbnlib.tasks.base import Task
from cbnlib.training.config import Loss, TrainConfig
from cbnlib.training.loop import History

EXAMPLES = 64
"""How many samples a record keeps."""

MEASURED = 10_000
"""Over how many samples activation spectra are taken at most."""


@dataclass(frozen=True)
class TaskFacts:
    """Facts about a task that are kept without its data.

    Attributes:
        name: Its name in tables and titles.
        samples: Size of the data set.
        grid: Pixels per axis.
        variance: As `Task.variance`. None for labels, which have none.
        loss: The kind of data loss for the targets.
        sha256_x: Digest of the inputs' bytes.
        sha256_y: Digest of the targets' bytes.
    """

    name: str
    samples: int
    grid: tuple[int, ...]
    variance: float | None
    loss: Loss
    sha256_x: str
    sha256_y: str

    @classmethod
    def of(cls, task: Task) -> "TaskFacts":
        """The facts of a task."""
        return cls(
            name=task.name,
            samples=len(task.x),
            grid=task.grid,
            variance=task.variance if task.y.is_floating_point() else None,
            loss=task.loss,
            sha256_x=_sha256(task.x),
            sha256_y=_sha256(task.y),
        )


def _sha256(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().data).hexdigest()


@dataclass(frozen=True)
class HeldOut:
    """Performance of a network on samples that it was not trained on.

    Attributes:
        samples: How many.
        fit: The data loss.
        accuracy: Share of the samples whose label has the largest output.
    """

    samples: int
    fit: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Run:
    r"""A finished run.

    Attributes:
        network: Configuration of the network.
        training: Configuration of its training.
        model: The trained network. From a record, it agrees with the one that was trained to about
            3e-3 of the layers' norms. `fit`, `norm` and `weight_spectra` are those of the original.
        history: The course of the training. In an ensemble, the mean over its members.
        fit: The data loss over the whole data set at the end.
        norm: $\lVert\theta\rVert^2$ at the end.
        task: Facts about the task.
        provenance: When, on what and how long it was trained.
        spectra: Spectra over training, from step 0 to the end. Empty if none were taken.
        activations: Activation spectra over the data at the end, of more than `MEASURED` samples
            over the first `MEASURED`. Empty if they were not taken.
        examples: Inputs and targets of the first samples, at most `EXAMPLES`.
        held_out: Performance of a classifier on held-out samples. None without those.
        failure: Why training failed, empty if it did not. Such a run has no network. Its weights,
            `fit`, `norm` and `loss` are NaN, and it has no spectra.
    """

    network: CNNConfig
    training: TrainConfig
    model: CNN
    history: History
    fit: float
    norm: float
    task: TaskFacts
    provenance: Provenance
    examples: tuple[Tensor, Tensor]
    spectra: list[SpectraSnapshot] = field(default_factory=list)
    activations: list[Spectrum] = field(default_factory=list)
    held_out: HeldOut | None = None
    failure: str = ""

    @property
    def loss(self) -> float:
        r"""The regularised loss $\mathrm{fit}+\lambda\lVert\theta\rVert^2$."""
        return self.fit + self.training.ridge * self.norm

    @property
    def weight_spectra(self) -> list[Spectrum]:
        """Weight spectra at the end, one per convolution, first layer first. Use these for numbers.

        They were taken when training ended, or are computed from the network where none were. A
        record keeps them in 16 bits, with three digits of a value above 6e-5 and steps of 6e-8
        below. The weights of its network lack what adds up to 3e-3 of a layer's norm, so small
        values and large ratios of the model's own spectra mean nothing. A failed run has none.
        """
        if self.spectra and self.spectra[-1].step == self.training.steps:
            return self.spectra[-1].layers
        return [] if self.failure else weight_spectra(self.model)

    @property
    def explained(self) -> float:
        r"""The share of the variance of the targets that the network explains.

        It is $1-\mathrm{fit}/\mathrm{variance}$. The variance is the loss of the mean target, which
        is the best output that is the same for all inputs. So the share is 1 for a network without
        data loss, and 0 or less for one that is no better than the mean target. It is NaN for a
        failed run, and if the targets do not vary.

        Raises:
            ValueError: The targets are labels.
        """
        if self.task.variance is None:
            raise ValueError(f"{self.task.name}: labels have no variance to explain")
        return 1 - self.fit / (self.task.variance or math.nan)

    @property
    def learned(self) -> bool:
        """Whether the network explains at least half of the variance, which is the book's rule.

        Raises:
            ValueError: The targets are labels.
        """
        return self.explained >= 1 / 2

    @property
    def bottleneck(self) -> Bottleneck:
        """The bottleneck in the weights at the end, without layers if training failed."""
        return Bottleneck() if self.failure else measure_bottleneck(self.weight_spectra)

    def row(self) -> dict[str, Any]:
        """The run in one row of a table, with its setting and what training found.

        `kept` is the number of real dimensions that pass the middle half of the layers, the most
        of its layers. `smallest kept` and `largest other` are the singular values next to the
        threshold there. `data loss, %` is relative to the variance of the targets. Labels have no
        variance, and their runs no entry for it, nor for `learned`.

        Of a failed run what was found is NaN, and `bottleneck` reads "failed". In an ensemble
        `seed` is the one that orders the samples, the same for all members.
        """
        row: dict[str, Any] = {"task": self.task.name, "L": self.network.depth}
        row |= {"ridge": self.training.ridge, "gain": self.network.gain}
        row["seed"] = self.training.seed
        if self.task.variance is not None:
            row["learned"] = self.learned
            row["data loss, %"] = 100 * self.fit / (self.task.variance or math.nan)
        middle = self.weight_spectra[middle_half(self.network.depth)]
        gaps = [s.gap() for s in middle]
        return row | {
            "data loss": self.fit,
            "norm": self.norm,
            "regularised loss": self.loss,
            "kept": max((s.real_dimensions() for s in middle), default=math.nan),
            "smallest kept": min(
                (smallest for smallest, _ in gaps if smallest < math.inf), default=math.nan
            ),
            "largest other": max((other for _, other in gaps), default=math.nan),
            "bottleneck": "failed" if self.failure else str(self.bottleneck),
        }


def failed(run: Run, failure: str) -> Run:
    """The run as one whose training failed, and why. The weights of its network become NaN."""
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.fill_(math.nan)
    return replace(
        run,
        fit=math.nan,
        norm=math.nan,
        spectra=[],
        activations=[],
        held_out=None,
        failure=failure,
    )
