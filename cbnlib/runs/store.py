"""Sealed folders hold a JSON document and arrays, and are there as a whole or not at all.

A folder is written under another name and renamed when every byte is on the disk. Its file
`SHA256SUMS` is what `sha256sum` writes, so that `sha256sum -c SHA256SUMS` checks it, too. Nothing
that is read here can run code. Arrays are plain numbers, never pickled objects.
"""

import hashlib
import io
import json
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray]

SUMS, ARRAYS = "SHA256SUMS", "arrays.npz"
MAX_BYTES = 2**28
"""Bytes of the largest file, packed or unpacked."""


class RecordError(ValueError):
    """A folder that is not the sealed folder it should be. Says which, which file, and why."""

    def __init__(self, folder: Path, file: str, reason: str) -> None:
        """Say what is wrong with which file of which folder. An empty `file` means the folder."""
        super().__init__(f"{folder}{': ' if file else ''}{file}: {reason}")
        self.folder, self.file, self.reason = folder, file, reason

    def __reduce__(self) -> tuple[type, tuple[Path, str, str]]:
        """Rebuild from the three parts, as other processes do."""
        return type(self), (self.folder, self.file, self.reason)


class ForeignRecordError(RecordError):
    """An undamaged folder of another kind, format or experiment."""


@contextmanager
def refusing(folder: Path, file: str) -> Iterator[None]:
    """Turn what is wrong with a file into a `RecordError` that names it."""
    try:
        yield
    except RecordError:
        raise
    except (ValueError, KeyError, RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise RecordError(folder, file, str(error)) from error


def check_entries(folder: Path, file: str, document: Mapping[str, Any], **wanted: object) -> None:
    """Check what a document says of itself.

    Raises:
        ForeignRecordError: If an entry is not the wanted one.
    """
    for key, value in wanted.items():
        if document.get(key) != value:
            reason = f"{key} {document.get(key)!r}, expected {value!r}"
            raise ForeignRecordError(folder, file, reason)


def write_sealed(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files as a sealed folder, which is there completely afterwards, or not at all.

    Args:
        folder: Its name. The folder above must exist, and no other process may write there.
        files: The document's and `ARRAYS`, by name.

    Raises:
        ValueError: If a file is larger than `MAX_BYTES`.
        FileExistsError: If something stands there.
    """
    for name, data in files.items():
        if len(data) > MAX_BYTES:
            raise ValueError(f"{name}: {len(data)} bytes, at most {MAX_BYTES} are allowed")
    if os.path.lexists(folder):
        raise FileExistsError(f"{folder} exists already")
    temporary = folder.with_name(f".{folder.name}.tmp")
    if temporary.exists():  # of a process that was killed
        shutil.rmtree(temporary)
    temporary.mkdir()
    for name, data in {**files, SUMS: _sums(files)}.items():
        write_durably(temporary / name, data)
    sync_folder(temporary)
    temporary.rename(folder)
    sync_folder(folder.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last, as `fsync` of a file makes its contents."""
    if os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_sealed(folder: Path, document: str) -> dict[str, bytes]:
    """Read a sealed folder and check every byte of it.

    Args:
        folder: Its name.
        document: The name of the document's file.

    Returns:
        The contents of the document's file and of `ARRAYS`, by name.

    Raises:
        RecordError: If a file is missing, damaged, too large, unknown or no plain file, or if the
            checksums are not byte for byte what `write_sealed` writes.
    """
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    except OSError as error:
        raise RecordError(folder, "", f"no folder that can be read: {error.strerror}") from error
    wanted = {document, ARRAYS, SUMS}
    for name in sorted(found.keys() | wanted):
        if name not in found:
            raise RecordError(folder, name, "missing")
        if name not in wanted:
            raise RecordError(folder, name, f"not one of the files {', '.join(sorted(wanted))}")
        if not stat.S_ISREG(found[name].st_mode):
            raise RecordError(folder, name, "no plain file: links and folders are refused")
        if (size := found[name].st_size) > MAX_BYTES:
            raise RecordError(folder, name, f"{size} bytes, at most {MAX_BYTES} are allowed")
    files = {name: (folder / name).read_bytes() for name in (document, ARRAYS)}
    sums, expected = (folder / SUMS).read_bytes(), _sums(files)
    for line in expected.splitlines():
        if line not in sums.splitlines():
            raise RecordError(folder, line[66:].decode(), f"not the bytes whose digest {SUMS} has")
    if sums != expected:
        raise RecordError(folder, SUMS, "lists the right digests, but not as it was written")
    return files


def _sums(files: Mapping[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()


def json_bytes(value: object) -> bytes:
    """A value as JSON with sorted keys, readable, floats exact, and always the same bytes.

    Raises:
        ValueError: If a number is NaN or infinite.
    """
    text = json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    return (text + "\n").encode()


def parse_json(data: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: If a key stands twice, a number is NaN, or `json_bytes` would not write it.
    """
    value = json.loads(data.decode())
    if not isinstance(value, dict) or json_bytes(value) != data:
        raise ValueError("the JSON is no object, or not as it was written")
    return value


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as one `.npz` file with always the same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **cast("dict[str, Any]", arrays))
    return buffer.getvalue()


def parse_npz(data: bytes) -> Arrays:
    """Read the arrays of a file that `npz_bytes` wrote, and refuse objects, which could run code.

    Raises:
        ValueError: If it is no such file, or larger than `MAX_BYTES` when unpacked.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            for info in archive.zip.infolist():
                if info.compress_type != zipfile.ZIP_DEFLATED:
                    raise ValueError(f"{info.filename} is packed in another way")
            unpacked = sum(info.file_size for info in archive.zip.infolist())
            if unpacked > MAX_BYTES:
                raise ValueError(f"the arrays have {unpacked} bytes, at most {MAX_BYTES} fit")
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise ValueError(f"no npz file: {error}") from error
