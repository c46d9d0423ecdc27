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
    """Hash everything an execution depends on.

    That is the notebook, all records whose folder it names, its parameters, Python's minor version,
    the pinned versions of the packages and, for a notebook that names `cbnlib`, all of `cbnlib`.

    Args:
        project: Whose notebook it is.
        source: The notebook.
        content: What is, or was, in it.
        parameters: Their values.
    """
    files = [project.root / "constraints.txt"]
    for folder in (project.root / "records").glob("*"):
        if folder.name == source.stem or folder.name.encode() in content:
            files += files_in(folder)
    if b"cbnlib" in content:
        files += files_in(project.root / "cbnlib", "**/*.py")
    facts = {"parameters": dict(parameters), "python": list(sys.version_info[:2])}
    facts |= {"name": source.name, "source": hashlib.sha256(content).hexdigest()}
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


def stored_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file that was made by a build; empty if it is gone or damaged."""
    try:
        stored = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def stored_facts(copy: Path) -> dict[str, Any]:
    """What an executed copy says of its execution; empty if there is no such copy."""
    facts: dict[str, Any] = stored_json(copy).get("metadata", {}).get("companion", {})
    return facts


def is_current(project: Project, source: Path, facts: Mapping[str, Any]) -> bool:
    """Whether the outcome that these facts are about is what executing the source now would give.

    Its parameters are those of the outcome.
    """
    if "digest" not in facts:
        return False
    content, parameters = source.read_bytes(), facts["parameters"]
    return bool(facts["digest"] == execution_digest(project, source, content, parameters))
