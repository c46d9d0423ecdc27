"""MNIST, to autoencode one digit or classify all ten."""

from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from cbnlib._checks import check_choice
from cbnlib.tasks.base import Task
from cbnlib.tasks.mnist_files import locate, read_idx

Split = Literal["train", "test"]

_PREFIX = {"train": "train", "test": "t10k"}


def mnist(
    digit: int | None = None,
    *,
    size: int = 28,
    split: Split = "train",
    folder: str | Path | None = None,
) -> Task:
    """Autoencode one digit, or classify all ten.

    Args:
        digit: Autoencode the images of this digit. None classifies all images.
        size: Pixels per axis, 28 or a divisor of it (14, 7, ...) by average pooling.
        split: `train` (60,000 images) or `test` (10,000). To classify the former, the latter are
            held out.
        folder: Where the IDX files lie (`.gz` or not). None downloads them once into the
            user's cache and checks them against `MD5`.

    Returns:
        The task with inputs of shape `[samples, 1, size, size]` and values in [0, 1].

    Raises:
        ValueError: If an argument is out of range, a file is not the IDX file it should be, or
            the download's checksum differs.
        FileNotFoundError: If the folder lacks a file.

    Reference: Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits (1998).
    """
    if digit is not None and digit not in range(10):
        raise ValueError(f"digit must be in 0..9 or None, got {digit!r}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or 28 % size:
        raise ValueError(f"size must divide 28, got {size!r}")
    check_choice("split", split, get_args(Split))
    x, y = _read(split, folder)
    if digit is not None:
        x = _shrink(x[y == digit], size)
        return Task(f"digit {digit} autoencoder, {size}×{size}", x, x)
    held_out = None
    if split == "train":
        test, labels = _read("test", folder)
        held_out = (_shrink(test, size), labels)
    name = f"MNIST classification, {size}×{size}"
    return Task(name, _shrink(x, size), y, "cross_entropy", held_out)


def _read(split: Split, folder: str | Path | None) -> tuple[Tensor, Tensor]:
    """Images as bytes, `[samples, 1, 28, 28]`, and labels."""
    prefix = _PREFIX[split]
    images = read_idx(locate(f"{prefix}-images-idx3-ubyte.gz", folder), axes=3)
    labels = read_idx(locate(f"{prefix}-labels-idx1-ubyte.gz", folder), axes=1)
    if images.shape != (len(labels), 28, 28):
        raise ValueError(f"images of shape {images.shape} do not fit {len(labels)} labels")
    return torch.as_tensor(images).unsqueeze(1), torch.as_tensor(labels, dtype=torch.long)


def _shrink(images: Tensor, size: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(images / 255, 28 // size)
