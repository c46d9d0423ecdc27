"""Checkpoints: the state of a training loop on disk, so that a killed run goes on with its bits.

A checkpoint is a sealed folder `checkpoint-<step>`. It is complete or not there, whenever the
process is killed; older ones go when the new one is safely on the disk.
"""

import time
from pathlib import Path
from typing import Any

import torch

from cbnlib.runs.encoding import json_bytes, npz_files, parse_json, parse_npz
from cbnlib.runs.sealed import (
    ForeignRecordError,
    RecordError,
    read_sealed,
    remove_leftovers,
    remove_sealed,
    write_sealed,
)
from cbnlib.spectra.snapshots import SpectraRecorder
from cbnlib.training.loop import LoopState, TrainingLoop

KIND, FORMAT = "cbnlib checkpoint", 1

SECONDS = 30.0
"""Time between two checkpoints by default."""


class Checkpointer:
    """Saves a loop every so often, and puts the last saved state back.

    Attributes:
        seconds_spent: Training time so far, that of earlier processes included.
    """

    def __init__(
        self,
        folder: Path,
        digest: str,
        *,
        seconds: float = SECONDS,
        snapshots: SpectraRecorder | None = None,
    ) -> None:
        """Prepare the folder; no other process may be using it.

        Args:
            folder: Where the checkpoints go; it must exist.
            digest: Of the experiment.
            seconds: Time between two checkpoints; 0 saves after every step.
            snapshots: Goes with the loop's state.
        """
        self.folder, self.digest, self.snapshots = folder, digest, snapshots
        self.seconds = seconds
        self._before, self._start = 0.0, time.monotonic()
        self._saved = self._start
        remove_leftovers(folder)

    @property
    def seconds_spent(self) -> float:
        """Training time so far, that of earlier processes included."""
        return self._before + time.monotonic() - self._start

    def resume(self, loop: TrainingLoop) -> bool:
        """Put the newest undamaged checkpoint back, if there is one.

        Args:
            loop: A loop at its start.

        Returns:
            Whether there was one.

        Raises:
            ForeignRecordError: If a checkpoint is that of another experiment.
            ValueError: If it does not fit the data or the network.
        """
        for path in reversed(self._paths()):
            try:
                state, extra = read_checkpoint(path, self.digest)
            except ForeignRecordError:
                raise
            except RecordError:
                continue  # damaged: an older one, or the start, leads to the same end
            loop.restore(state)
            if self.snapshots is not None:
                self.snapshots.restore(extra["snapshots"], state.tensors)
            self._before = extra["seconds"]
            return True
        return False

    def after_step(self, loop: TrainingLoop) -> None:
        """Save if it is time, or if this was the last step: what comes after may take long, too."""
        if loop.finished or time.monotonic() - self._saved >= self.seconds:
            self.save(loop)

    def save(self, loop: TrainingLoop) -> None:
        """Save the state now, and remove the older checkpoints."""
        path = self.folder / f"checkpoint-{loop.step}"
        older = [old for old in self._paths() if old != path]
        state, taken = loop.state(), self.snapshots.taken if self.snapshots else []
        tensors = state.tensors | (self.snapshots.tensors() if self.snapshots else {})
        document = {
            "kind": KIND,
            "format": FORMAT,
            "digest": self.digest,
            "seconds": self.seconds_spent,
            "snapshots": [shot.step for shot in taken],
            "loop": state.facts,
        }
        arrays = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
        files = {"checkpoint.json": json_bytes(document)} | npz_files(arrays)
        write_sealed(path, files, replace=True)
        for old in older:
            remove_sealed(old)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Remove all checkpoints: the run is over."""
        for path in self._paths():
            remove_sealed(path)

    def _paths(self) -> list[Path]:
        """The checkpoints, oldest first."""
        found = self.folder.glob("checkpoint-*")
        numbered = [(int(n), p) for p in found if (n := p.name.partition("-")[2]).isdecimal()]
        return [path for _, path in sorted(numbered)]


def read_checkpoint(path: Path, digest: str) -> tuple[LoopState, dict[str, Any]]:
    """Read a checkpoint.

    Args:
        path: Its folder.
        digest: Of the experiment that it must belong to.

    Returns:
        The state, with the snapshots' tensors among its own, and the rest of the document.

    Raises:
        ForeignRecordError: If it is of another kind, format or experiment.
        RecordError: If it is damaged.
    """
    files = read_sealed(path)
    try:
        document = parse_json(files.pop("checkpoint.json", b""))
        arrays = {k: a for data in files.values() for k, a in parse_npz(data).items()}
    except ValueError as error:
        raise RecordError(path, "", str(error)) from error
    for key, expected in {"kind": KIND, "format": FORMAT, "digest": digest}.items():
        if document.get(key) != expected:
            reason = f"{key} {document.get(key)!r}, expected {expected!r}"
            raise ForeignRecordError(path, "checkpoint.json", reason)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return LoopState(tensors, document.pop("loop")), document
