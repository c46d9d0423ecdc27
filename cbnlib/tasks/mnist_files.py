"""The four IDX files of MNIST, found in a folder or downloaded and checked, and read."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from cbnlib._extras import extra

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
"""The mirror that PyTorch's torchvision uses."""

MD5 = {
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}
"""The files' published checksums. A download must match them, files in your own folder need not."""


class MissingDataError(FileNotFoundError):
    """A download that was not possible. In a notebook one line shows it, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def read_idx(path: str | Path, axes: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzip-compressed if its name ends in `.gz`.

    Args:
        path: The file.
        axes: How many axes it must have, 3 for images and 1 for labels.

    Returns:
        Array of `uint8` with the shape that the file's header gives.

    Raises:
        ValueError: If the gzip stream is damaged, the magic number is another one, or there are
            fewer or more bytes than the header says.
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    data = _read(path)
    magic = bytes([0, 0, 8, axes])
    if data[:4] != magic:
        raise ValueError(f"{path.name}: magic number {data[:4].hex()}, expected {magic.hex()}")
    body = 4 + 4 * axes
    if len(data) < body:
        raise ValueError(f"{path.name}: truncated in its header, {len(data)} of {body} bytes")
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, body, 4))
    if len(data) - body != math.prod(shape):
        raise ValueError(
            f"{path.name}: {len(data) - body} bytes of data, expected {math.prod(shape)} for shape "
            f"{shape}: truncated or damaged"
        )
    return np.frombuffer(data, np.uint8, offset=body).reshape(shape).copy()


def _read(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as stream:
            return stream.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name}: damaged gzip file: {error}") from error


def locate(name: str, folder: str | Path | None) -> Path:
    """Find one of the files of `MD5`.

    Args:
        name: Its name, with `.gz`.
        folder: Where it lies, packed or not. None downloads it once into the user's cache.

    Raises:
        FileNotFoundError: If the folder lacks it.
        MissingDataError: If it cannot be downloaded.
        ValueError: If the download's checksum differs from `MD5`.
    """
    if folder is None:
        with extra("tasks"):
            import pooch  # in a notebook it warns of missing widgets

        cache = pooch.os_cache("cbnlib")
        try:
            return Path(pooch.retrieve(MIRROR + name, f"md5:{MD5[name]}", fname=name, path=cache))
        except OSError as error:
            raise MissingDataError(
                f"MNIST's file {name} cannot be downloaded ({type(error).__name__}): put the four "
                "IDX files of MNIST in a folder and name it, in a notebook as its parameter "
                "mnist_folder, elsewhere as data_folder"
            ) from None
    for path in (Path(folder) / name, Path(folder) / name.removesuffix(".gz")):
        if path.is_file():
            return path
    raise FileNotFoundError(f"no {name} (nor without .gz) in {Path(folder)}")
