"""The 8x8 handwritten digits that ship with scikit-learn: no download."""

import torch
from sklearn.datasets import load_digits

from cbnlib.tasks.base import Task


def digits(digit: int) -> Task:
    """Autoencode one digit of the 8x8 set, about 180 images with values in [0, 1].

    Args:
        digit: Which one, 0 to 9.

    Raises:
        ValueError: If there is no such digit.

    Reference: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository (1998); the test part, as shipped with scikit-learn.

    Example:
        >>> digits(0).x.shape
        torch.Size([178, 1, 8, 8])
    """
    if digit not in range(10):
        raise ValueError(f"digit must be in 0..9, got {digit!r}")
    images, labels = load_digits(return_X_y=True)
    x = torch.as_tensor(images[labels == digit] / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    return Task(f"digit {digit} autoencoder, 8×8", x, x)
