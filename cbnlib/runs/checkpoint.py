"""Checkpoints keep a training loop's state on disk, so that a killed run goes on with its bits.

A checkpoint is one file of arrays, its facts among them as the bytes of a JSON document. A new one
replaces the old one in one move, so that whenever the process is killed, one of them is there.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cbnlib.runs import store
from cbnlib.spectra.snapshots import SpectraRecorder
from cbnlib.training.loop import LoopState, TrainingLoop

CHECKPOINT = "checkpoint.npz"
KIND, FORMAT = "cbnlib checkpoint", 2

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
        """Look at the clock, and write nothing yet.

        Args:
            folder: Where the checkpoint goes. It must exist and be used by no other process.
            digest: Digest of the experiment.
            seconds: Time between two checkpoints. With 0 it saves after every step.
            snapshots: Goes with the loop's state.
        """
        self.path, self.digest, self.snapshots = folder / CHECKPOINT, digest, snapshots
        self.seconds = seconds
        self._before, self._start = 0.0, time.monotonic()
        self._saved = self._start

    @property
    def seconds_spent(self) -> float:
        """Training time so far, that of earlier processes included."""
        return self._before + time.monotonic() - self._start

    def resume(self, loop: TrainingLoop) -> bool:
        """Put the checkpoint back into a loop at its start. Return whether there was a good one.

        Raises:
            ForeignRecordError: If it is that of another experiment.
            ValueError: If it does not fit the data or the network.
        """
        if not self.path.exists():
            return False
        try:
            state, facts = read_checkpoint(self.path, self.digest)
        except store.ForeignRecordError:
            raise
        except store.RecordError:
            return False  # damaged, and training from step 0 ends the same
        loop.restore(state)
        if self.snapshots is not None:
            self.snapshots.restore(facts["snapshots"], state.tensors)
        self._before = facts["seconds"]
        return True

    def after_step(self, loop: TrainingLoop) -> None:
        """Save if it is time or this was the last step, as what comes after may take long, too."""
        if loop.finished or time.monotonic() - self._saved >= self.seconds:
            self.save(loop)

    def save(self, loop: TrainingLoop) -> None:
        """Save the state now, in place of the one before."""
        state, taken = loop.state(), self.snapshots.taken if self.snapshots else []
        tensors = state.tensors | (self.snapshots.tensors() if self.snapshots else {})
        facts = {
            "kind": KIND,
            "format": FORMAT,
            "digest": self.digest,
            "seconds": self.seconds_spent,
            "snapshots": [shot.step for shot in taken],
            "loop": state.facts,
        }
        arrays = {name: tensor.detach().numpy() for name, tensor in tensors.items()}
        arrays["facts"] = np.frombuffer(store.json_bytes(facts), np.uint8)
        store.write_durably(self._temporary, store.npz_bytes(arrays))
        self._temporary.replace(self.path)
        store.sync_folder(self.path.parent)
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Remove the checkpoint, because the run is over."""
        for path in (self.path, self._temporary):
            path.unlink(missing_ok=True)

    @property
    def _temporary(self) -> Path:
        return self.path.with_suffix(".tmp")


def read_checkpoint(path: Path, digest: str) -> tuple[LoopState, dict[str, Any]]:
    """Read a checkpoint.

    Args:
        path: Its file.
        digest: Digest of the experiment that it must belong to.

    Returns:
        The state, with the snapshots' tensors among its own, and the rest of the facts.

    Raises:
        ForeignRecordError: If it is of another kind, format or experiment.
        RecordError: If it is damaged.
    """
    folder, name = path.parent, path.name
    with store.refusing(folder, name):
        arrays = store.parse_npz(path.read_bytes())
        facts = store.parse_json(arrays.pop("facts").tobytes())
    store.check_entries(folder, name, facts, kind=KIND, format=FORMAT, digest=digest)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return LoopState(tensors, facts.pop("loop")), facts
