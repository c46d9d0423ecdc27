"""Files like those of MNIST."""

import gzip
from pathlib import Path

import numpy as np


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in the format of the files."""
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def mnist_folder(folder: Path) -> Path:
    """Five images, the image of sample i full of 10 * i; train packed, test without the last."""
    images = np.repeat(np.arange(5, dtype=np.uint8) * 10, 28 * 28).reshape(5, 28, 28)
    labels = np.array([0, 1, 0, 7, 0], dtype=np.uint8)
    for name, array in [("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)]:
        (folder / f"train-{name}.gz").write_bytes(gzip.compress(idx(array)))
        (folder / f"t10k-{name}").write_bytes(idx(array[:4]))
    return folder
