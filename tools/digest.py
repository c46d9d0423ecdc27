"""Decide whether an executed notebook is still what executing it now would give."""

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tools.project import Project, files_in


def execution_digest(
    project: Project, source: Path, content: bytes, parameters: Mapping[str, object]
) -> str:
    """Hash everything an execution depends on besides the records that it asks for.

    That is the notebook, the measurements in `records` that have its name, its parameters, Python's
    minor version and the pinned versions of the packages. For a notebook that names `cbnlib`, it is
    also all of `cbnlib`.

    Args:
        project: Whose notebook it is.
        source: The notebook.
        content: What is, or was, in it.
        parameters: Their values.
    """
    files = [project.root / "constraints.txt", *files_in(project.records / source.stem)]
    if b"cbnlib" in content:
        files += files_in(project.root / "cbnlib", "**/*.py")
    facts = {"parameters": dict(parameters), "python": list(sys.version_info[:2])}
    facts |= {"name": source.name, "source": hashlib.sha256(content).hexdigest()}
    return files_digest(project.root, files, json.dumps(facts, sort_keys=True))


def record_digests(project: Project, asked: Iterable[str] = ("*",)) -> dict[str, str]:
    """Hash records, each by itself.

    Args:
        project: Whose records they are.
        asked: The starts of their experiments' digests, at which their folders' names end. By
            default all.

    Returns:
        A digest of the files of each, an empty one if it is missing.
    """
    found: dict[str, list[Path]] = {name: [] for name in asked if name != "*"}
    for name in asked:
        for folder in project.records.glob(f"*-{name}"):
            found.setdefault(folder.name.rpartition("-")[2], []).extend(files_in(folder))
    return {k: files_digest(project.root, files) if files else "" for k, files in found.items()}


def same_records(project: Project, facts: Mapping[str, Any]) -> bool:
    """Whether all that an outcome's notebook asked for is there, or missing, as it was then."""
    then = facts.get("records", {})
    return bool(record_digests(project, then) == then)


def files_digest(root: Path, files: Iterable[Path], *facts: str) -> str:
    """SHA-256 over the paths (relative to `root`) and contents of files, and some further facts."""
    digest = hashlib.sha256()
    for path in sorted(set(files)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    for fact in facts:
        digest.update(f"{fact}\n".encode())
    return digest.hexdigest()


def stored_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that was made by a build, empty if it is gone or damaged."""
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def stored_facts(copy: Path) -> dict[str, Any]:
    """What an executed copy says of its execution, empty if there is no such copy."""
    facts: dict[str, Any] = stored_json(copy).get("metadata", {}).get("companion", {})
    return facts


def is_current(project: Project, source: Path, facts: Mapping[str, Any]) -> bool:
    """Whether the outcome that these facts are about is what executing the source now would give.

    Its parameters are those of the outcome.
    """
    if "digest" not in facts:
        return False
    content, parameters = source.read_bytes(), facts["parameters"]
    digest = execution_digest(project, source, content, parameters)
    return bool(facts["digest"] == digest) and same_records(project, facts)
