"""What is known of a finished run, whether it was just trained or comes from a record."""

import datetime
import functools
import hashlib
import math
import platform
import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

import cbnlib
from cbnlib.loop import History
from cbnlib.model import CNN, CNNConfig
from cbnlib.spectra import Spectrum, weight_spectra
from cbnlib.tasks.base import Task
from cbnlib.train_config import Loss, TrainConfig

EXAMPLES = 64
"""How many samples a record keeps."""

MARKUP = re.compile(r"[<>&\x00-\x1f\x7f]")
"""What no text of a record that is shown on a page may hold."""

MEASURED = 10_000
"""Over how many samples activation spectra are taken at most."""


@dataclass(frozen=True)
class TaskFacts:
    """What is kept of a task when its data are not.

    Attributes:
        name: What it is called in tables and titles.
        samples: Size of the data set.
        grid: Pixels per axis.
        variance: As `Task.variance`; None for labels, which have none.
        loss: The data term that fits the targets.
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
class Provenance:
    """Where a run comes from.

    Attributes:
        source: `live` if this process finished it, `record` if it was read.
        finished: When, in UTC, as ISO 8601.
        seconds: Time spent training, over all processes that took part.
        environment: Versions, processor, machine, threads, and the commit, if there is one.
    """

    source: Literal["live", "record"]
    finished: str
    seconds: float
    environment: dict[str, str]

    @classmethod
    def now(cls, seconds: float) -> "Provenance":
        """That of a run that this process finished just now."""
        finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls("live", finished, seconds, environment())


@dataclass(frozen=True, eq=False)
class SpectraSnapshot:
    """The spectra at one step.

    Attributes:
        step: Gradient steps taken.
        layers: Weight spectra, one per convolution, first layer first.
        activations: What `mode_amplitudes` gave for the first samples of the data, at most
            `snapshots.SAMPLES`: one value per mode and layer. Empty in records made before it
            was kept.
    """

    step: int
    layers: list[Spectrum]
    activations: list[Spectrum] = field(default_factory=list)


@dataclass(frozen=True)
class HeldOut:
    """What a network reaches on samples that it was not trained on.

    Attributes:
        samples: How many.
        fit: The data term.
        accuracy: Share of the samples whose label has the largest output.
    """

    samples: int
    fit: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Run:
    r"""A finished run.

    Attributes:
        network: What the network was made from.
        training: How it was trained.
        model: The trained network. From a record, it agrees with the one that was trained to about
            3e-3 of the layers' norms; `fit`, `norm` and `weight_spectra` are those of the original.
        history: The course of the training; in an ensemble, the mean over its members.
        fit: The data term over the whole data set at the end.
        norm: $\lVert\theta\rVert^2$ at the end.
        task: What is kept of the task.
        provenance: When, on what and how long it was trained.
        spectra: Spectra over training, from step 0 to the end; empty if none were taken.
        activations: Activation spectra over the data at the end, of more than `MEASURED` samples
            over the first `MEASURED`; empty if they were not taken.
        examples: Inputs and targets of the first samples, at most `EXAMPLES`.
        held_out: What a classifier reaches on the task's held-out samples; None without those.
        failure: Why training failed, empty if it did not. Such a run has no network: its weights,
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
        r"""What training minimises: $\mathrm{fit}+\lambda\lVert\theta\rVert^2$."""
        return self.fit + self.training.ridge * self.norm

    @property
    def weight_spectra(self) -> list[Spectrum]:
        """Weight spectra at the end, one per convolution, first layer first: use these for numbers.

        Those that were taken when training ended; where none were, they are computed from the
        network. A record keeps them in 16 bits: three digits of a value above 6e-5, steps of 6e-8
        below. The weights of its network lack what adds up to 3e-3 of a layer's norm, so small
        values and large ratios of the model's own spectra mean nothing. A failed run has none.
        """
        if self.spectra and self.spectra[-1].step == self.training.steps:
            return self.spectra[-1].layers
        return [] if self.failure else weight_spectra(self.model)

    @property
    def flat_error(self) -> float:
        """Squared error per sample of the best constant image, estimated from the `examples`.

        A network that says nothing of its input outputs a constant per channel, because it commutes
        with translations.

        Raises:
            ValueError: The targets are labels.
        """
        targets = self.examples[1]
        if not targets.is_floating_point():
            raise ValueError(f"{self.task.name}: there is no constant image among labels")
        pixels = tuple(range(2, targets.ndim))
        flat = targets.mean(dim=(0, *pixels), keepdim=True)
        return float((targets - flat).square().sum()) / len(targets)

    @property
    def learned(self) -> bool:
        """Whether the fit is below half of `flat_error`: the book's rule.

        Raises:
            ValueError: The targets are labels.
        """
        return self.fit < self.flat_error / 2


def failed(run: Run, failure: str) -> Run:
    """The run as one whose training failed; the weights of its network become NaN.

    Args:
        run: Before it failed.
        failure: Why.
    """
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


def environment() -> dict[str, str]:
    """What produces the numbers: versions, processor, machine, threads and commit."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cbnlib": cbnlib.__version__,
        "processor": _processor(),
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": str(torch.get_num_threads()),
        **({"commit": commit} if (commit := _commit()) else {}),
    }


@functools.cache
def _processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return MARKUP.sub("", name)


@functools.cache
def _commit() -> str:
    """The commit of the checkout that this package lies in, marked if the package was changed."""
    package = Path(cbnlib.__file__).resolve().parent
    return commit_of(package.parent, package.name)


def commit_of(root: Path, *parts: str) -> str:
    """The commit of a checkout.

    Args:
        root: Its root.
        parts: The files and folders in it that count.

    Returns:
        The commit's name, followed by `with changes` if a part differs from it; an empty string if
        the folder is not the root of a checkout or there is no git.
    """
    located = _git(root, "rev-parse", "--show-toplevel", "HEAD")
    if len(located) != 2 or Path(located[0]).resolve() != root.resolve():
        return ""
    changed = _git(root, "status", "--porcelain", "--", *parts)
    return f"{located[1]} with changes" if changed else located[1]


def _git(folder: Path, *arguments: str) -> list[str]:
    """The lines that git prints, none if it fails or is not there."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()
