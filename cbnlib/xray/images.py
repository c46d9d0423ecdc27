"""A folder of images as data for a network."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cbnlib._extras import extra

_BATCH = 16
_MODES = {1: "L", 3: "RGB"}


class Images:
    """Batches of the images in a folder and below it, each cut to fit, with values from 0 to 1.

    A network that wants its input normalised must do so itself. Wrap it in a module that does.

    Args:
        folder: Where they are.
        shape: Channels, 1 or 3, height and width.

    Raises:
        ValueError: If there is no such folder or no image in it, or the shape is another one.
        ModuleNotFoundError: If Pillow is not installed.
    """

    def __init__(self, folder: Path, shape: Sequence[int]) -> None:
        with extra("xray"):
            from PIL import Image
        if len(shape) != 3 or shape[0] not in _MODES:
            wanted = "x".join(map(str, shape))
            raise ValueError(f"images have 1 or 3 channels and 2 axes, the input is {wanted}")
        self.mode, self.size = _MODES[shape[0]], (shape[2], shape[1])
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}")
        known = Image.registered_extensions()
        self.files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in known)
        if not self.files:
            raise ValueError(f"no image in the folder {folder}")

    def __iter__(self) -> Iterator[Tensor]:
        """The batches, shape `[samples, channels, height, width]`."""
        for i in range(0, len(self.files), _BATCH):
            yield torch.stack([self._read(file) for file in self.files[i : i + _BATCH]])

    def _read(self, file: Path) -> Tensor:
        from PIL import Image, ImageOps

        with Image.open(file) as image:
            fitted = ImageOps.fit(image.convert(self.mode), self.size)
        pixels = torch.from_numpy(np.array(fitted, dtype=np.float32) / 255)
        return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.movedim(2, 0)
