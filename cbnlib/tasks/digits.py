"""The 8x8 handwritten digits that ship with scikit-learn, without a download."""

import torch
from torch import Tensor

from cbnlib._checks import check_count
from cbnlib._extras import extra
from cbnlib.tasks.base import Task

HELD_OUT = 497
"""Images that the classification task does not train on, of 1797."""


def digits(digit: int | None = None, *, margin: int = 0) -> Task:
    """Autoencode one digit of the 8x8 set, or classify all ten, with values in [0, 1].

    To classify, 1300 images are for training and 497 are held out. They are always the same ones,
    with the same share of each digit in both. One digit has about 180 images. None is held out.

    Args:
        digit: Autoencode the images of this digit, 0 to 9. None classifies all images.
        margin: Zeros put around an image, in pixels on each side. Digits fill the 8x8 pixels, so
            on the cyclic grid opposite edges touch. MNIST's have a margin of their own.

    Raises:
        ValueError: If there is no such digit, or the margin is negative.

    Reference: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository (1998). The test part, as shipped with scikit-learn.

    Example:
        >>> digits(0).x.shape, len(digits().x)
        (torch.Size([178, 1, 8, 8]), 1300)
    """
    if digit is not None and digit not in range(10):
        raise ValueError(f"digit must be in 0..9 or None, got {digit!r}")
    check_count("margin", margin, minimum=0)
    with extra("tasks"):
        from sklearn.datasets import load_digits
    images, labels = load_digits(return_X_y=True)
    x = torch.as_tensor(images / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    x = torch.nn.functional.pad(x, (margin,) * 4)
    size = f"{x.shape[-1]}×{x.shape[-1]}"
    y = torch.as_tensor(labels, dtype=torch.long)
    if digit is not None:
        x = x[y == digit]
        return Task(f"digit {digit} autoencoder, {size}", x, x)
    out = _held_out(y)
    held_out = (x[out], y[out])
    return Task(f"digits classification, {size}", x[~out], y[~out], "cross_entropy", held_out)


def _held_out(labels: Tensor) -> Tensor:
    """Which samples are held out, evenly spread over the labels, at random within each."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    order = order[labels[order].argsort(stable=True)]
    place = torch.arange(len(labels) + 1) * HELD_OUT // len(labels)
    out = torch.zeros(len(labels), dtype=torch.bool)
    out[order[place[1:] > place[:-1]]] = True
    return out
