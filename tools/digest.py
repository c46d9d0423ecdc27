"""Decide whether an executed notebook is still what executing it now would give."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat

from tools.notebook import Parameter, imports, read_source
from tools.project import Project


def execution_digest(project: Project, source: Path, parameters: Mapping[str, Parameter]) -> str:
    """Hash everything an execution depends on.

    That is the notebook, its records, its parameters, Python's minor version, the pinned versions
    of the packages and, for a notebook that imports `cbnlib`, all of `cbnlib`.
    """
    files = [source, project.root / "constraints.txt"]
    files += (path for path in project.records(source).rglob("*") if path.is_file())
    if imports(read_source(source), "cbnlib"):
        files += (project.root / "cbnlib").rglob("*.py")
    facts = {"parameters": dict(parameters), "python": list(sys.version_info[:2])}
    return files_digest(project.root, files, json.dumps(facts, sort_keys=True))


def files_digest(root: Path, files: Iterable[Path], *facts: str) -> str:
    """SHA-256 over the paths (relative to `root`) and contents of files, and some further facts."""
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    for fact in facts:
        digest.update(f"{fact}\n".encode())
    return digest.hexdigest()


def stored_digest(copy: Path) -> str | None:
    """The digest an executed copy was stored with; `None` if there is no such copy."""
    if not copy.exists():
        return None
    metadata = nbformat.read(copy, as_version=4).metadata
    digest: str | None = metadata.get("companion", {}).get("digest")
    return digest


def is_current(project: Project, source: Path, copy: Path) -> bool:
    """Whether an executed copy is what its source and its own parameters would give now."""
    if not copy.exists():
        return False
    record = nbformat.read(copy, as_version=4).metadata.get("companion", {})
    parameters = record.get("parameters", {})
    return bool(record.get("digest") == execution_digest(project, source, parameters))
