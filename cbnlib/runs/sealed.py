"""Sealed folders: a set of files that is there as a whole or not at all, and checked on reading.

A folder is written under another name and renamed when every byte is on the disk. Its file
`SHA256SUMS` is what `sha256sum` writes, so that `sha256sum -c SHA256SUMS` checks it, too.
"""

import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

SUMS = "SHA256SUMS"
MAX_BYTES = 64 * 2**20
"""Largest file of a sealed folder."""
MAX_FILES = 1000
_READ = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # no system has all of them
    _READ |= getattr(os, _flag, 0)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
_LINE = re.compile(rf"([0-9a-f]{{64}})  ({_NAME.pattern})\n")


class RecordError(ValueError):
    """A folder that is not the sealed folder it should be; says which, which file, and why."""

    def __init__(self, folder: Path, file: str, reason: str) -> None:
        """Say what is wrong with which file of which folder; an empty `file` means the folder."""
        super().__init__(f"{folder}{': ' if file else ''}{file}: {reason}")
        self.folder, self.file, self.reason = folder, file, reason

    def __reduce__(self) -> tuple[type, tuple[Path, str, str]]:
        """Rebuild from the three parts, as other processes do."""
        return type(self), (self.folder, self.file, self.reason)


class ForeignRecordError(RecordError):
    """An undamaged folder of another kind, format or experiment."""


def write_sealed(folder: Path, files: Mapping[str, bytes], *, replace: bool = False) -> None:
    """Write files as a sealed folder: afterwards it is there completely, or not at all.

    Args:
        folder: Its name; the folder above must exist.
        files: Contents by name.
        replace: Whether to put it in the place of one that exists. A process killed between the
            two renames leaves neither in place.

    Raises:
        ValueError: If a name is no plain file name, a file is larger than `MAX_BYTES`, or there
            are more than `MAX_FILES`, the list of checksums included.
        FileExistsError: If something stands there and is not to be replaced.
    """
    for name, data in files.items():
        if not _NAME.fullmatch(name) or name == SUMS:
            raise ValueError(f"{name!r} is no name for a file of a sealed folder")
        if len(data) > MAX_BYTES:
            raise ValueError(f"{name}: {len(data)} bytes, at most {MAX_BYTES} are allowed")
    if len(files) >= MAX_FILES:
        raise ValueError(f"{len(files)} files and {SUMS}, at most {MAX_FILES} are allowed")
    if os.path.lexists(folder) and not replace:
        raise FileExistsError(f"{folder} exists already")
    temporary = _temporary(folder)
    temporary.mkdir()
    for name, data in {**files, SUMS: _sums(files)}.items():
        with (temporary / name).open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    _sync(temporary)
    if os.path.lexists(folder):
        remove_sealed(folder)
    temporary.rename(folder)
    _sync(folder.parent)


def read_sealed(folder: Path) -> dict[str, bytes]:
    """Read a sealed folder and check every byte of it.

    Returns:
        The files' contents by name, without `SHA256SUMS`.

    Raises:
        RecordError: If a file is missing, damaged, too large or not listed, if anything is no
            plain file, or if the list is not byte for byte what `write_sealed` writes.
    """
    found = _plain_files(folder)
    if SUMS not in found:
        raise RecordError(folder, SUMS, "missing")
    sums = _read(folder, SUMS)
    listed = _parse(folder, sums)
    for name in sorted(listed - found):
        raise RecordError(folder, name, f"missing, although {SUMS} lists it")
    for name in sorted(found - listed - {SUMS}):
        raise RecordError(folder, name, f"not listed in {SUMS}")
    files = {name: _read(folder, name) for name in sorted(listed)}
    expected = _sums(files)
    for line in expected.splitlines():
        if line not in sums.splitlines():
            raise RecordError(folder, line[66:].decode(), f"not the bytes whose digest {SUMS} has")
    if sums != expected:
        raise RecordError(folder, SUMS, "lists the right digests, but not as it was written")
    return files


def remove_sealed(folder: Path) -> None:
    """Remove a folder so that it is never seen in part: it is renamed first."""
    temporary = _temporary(folder)
    folder.rename(temporary)
    shutil.rmtree(temporary)


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary folders that killed processes left in a folder, and nothing else.

    No other process may be writing there.
    """
    for path in parent.glob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


def _temporary(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.tmp")


def _sums(files: Mapping[str, bytes]) -> bytes:
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()]
    return "".join(sorted(lines, key=lambda line: line[66:])).encode()


def _sync(folder: Path) -> None:
    """Make the names in a folder last, as `fsync` of a file makes its contents."""
    if os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _plain_files(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            found = {entry.name: entry.is_file(follow_symlinks=False) for entry in entries}
    except OSError as error:
        raise RecordError(folder, "", f"no folder that can be read: {error.strerror}") from error
    for name, plain in sorted(found.items()):
        if not plain:
            raise RecordError(folder, name, "no plain file: links and folders are refused")
    if len(found) > MAX_FILES:
        raise RecordError(folder, "", f"{len(found)} files, at most {MAX_FILES} are allowed")
    return set(found)


def _parse(folder: Path, sums: bytes) -> set[str]:
    """The names in the list of checksums."""
    try:
        lines = sums.decode("ascii").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise RecordError(folder, SUMS, f"damaged: {error}") from error
    matches = [_LINE.fullmatch(line) for line in lines]
    names = [match[2] for match in matches if match]
    if len(names) != len(lines) or len(set(names)) != len(names) or SUMS in names:
        raise RecordError(folder, SUMS, "no list of one SHA-256 digest per file")
    return set(names)


def _read(folder: Path, name: str) -> bytes:
    descriptor = os.open(folder / name, _READ)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RecordError(folder, name, "no plain file: links and folders are refused")
        if status.st_size > MAX_BYTES:
            reason = f"{status.st_size} bytes, at most {MAX_BYTES} are allowed"
            raise RecordError(folder, name, reason)
        return stream.read(MAX_BYTES + 1)
