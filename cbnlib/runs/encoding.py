"""JSON and arrays as bytes: the same input gives the same bytes, and reading is strict.

Nothing that is read here can run code: arrays are plain numbers, never pickled objects, and their
sizes are checked before memory is taken for them.
"""

import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn, cast

import numpy as np
from numpy.lib import format as npy

from cbnlib.runs.sealed import MAX_BYTES

DTYPES = ("float16", "float32", "float64", "int32", "int64", "uint8")
"""The kinds of numbers that arrays may hold."""
MAX_ARRAY = MAX_BYTES - 2**20
"""Bytes of the largest array; a file has names and headers, too."""
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def json_bytes(value: object) -> bytes:
    """A value as JSON, keys sorted, readable, floats exact.

    Raises:
        ValueError: If a number is NaN or infinite.
    """
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    return (text + "\n").encode()


def parse_json(data: bytes) -> dict[str, Any]:
    """Read a JSON object strictly.

    Raises:
        ValueError: If it is no JSON object, a key stands twice in one object, or a number is NaN
            or infinite.
    """
    try:
        value = json.loads(
            data.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_without_duplicates,
        )
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError(f"the JSON is no object but a {type(value).__name__}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in an object of the JSON")
    return result


def npz_files(arrays: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Arrays as one `.npz` file, or as several where one would exceed `MAX_ARRAY`.

    Returns:
        `arrays.npz`, `arrays-2.npz`, ... with the arrays in their order.

    Raises:
        ValueError: If a dtype is not one of `DTYPES`, or one array alone is too large.
    """
    parts: list[dict[str, np.ndarray]] = [{}]
    room = MAX_ARRAY
    for name, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ValueError(f"array {name!r} has dtype {array.dtype}; allowed: {DTYPES}")
        if array.nbytes > MAX_ARRAY:
            raise ValueError(f"array {name!r} has {array.nbytes} bytes, at most {MAX_ARRAY} fit")
        if array.nbytes > room:
            parts.append({})
            room = MAX_ARRAY
        parts[-1][name] = array
        room -= array.nbytes
    names = ["arrays.npz", *(f"arrays-{i}.npz" for i in range(2, len(parts) + 1))]
    return {name: _npz(part) for name, part in zip(names, parts, strict=True)}


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            little = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                npy.write_array(cast("Any", stream), little, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def parse_npz(data: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of one file of `npz_files`.

    Raises:
        ValueError: If it is no such file: damaged, encrypted, larger than `MAX_BYTES` when
            unpacked, or with arrays of another dtype, byte or axis order, or with more or fewer
            bytes than their shape says.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            if unpacked > MAX_BYTES:
                raise ValueError(f"the arrays have {unpacked} bytes, at most {MAX_BYTES} fit")
            for info in archive.infolist():
                if info.compress_type not in _COMPRESSIONS or info.flag_bits & 1:
                    raise ValueError(f"{info.filename} is encrypted, or packed in another way")
                name = info.filename.removesuffix(".npy")
                if name == info.filename or name in arrays:
                    raise ValueError(f"{info.filename} is no array, or stands twice")
                arrays[name] = _array(name, archive.read(info))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise ValueError(f"no npz file: {error}") from error
    return arrays


def _array(name: str, data: bytes) -> np.ndarray:
    stream = io.BytesIO(data)
    try:
        if npy.read_magic(stream) != (1, 0):
            raise ValueError("another format version")
        shape, fortran, dtype = npy.read_array_header_1_0(stream)
    except ValueError as error:
        raise ValueError(f"array {name!r} has a bad header: {error}") from error
    if dtype.name not in DTYPES or dtype.byteorder == ">" or fortran:
        raise ValueError(f"array {name!r} has dtype {dtype.str}; allowed: {', '.join(DTYPES)}")
    body = len(data) - stream.tell()
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != body:
        raise ValueError(f"array {name!r} has {body} bytes, which do not fit shape {shape}")
    return np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape).copy()
