"""What `pyproject.toml` declares."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def brought(*extras):
    """The packages that the core and some extras bring, as they are declared."""
    lines = [*PROJECT["dependencies"]]
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    found = [Requirement(line) for line in lines]
    own = [requirement for requirement in found if requirement.name == PROJECT["name"]]
    nested = {extra for requirement in own for extra in requirement.extras} - set(extras)
    if nested:
        return brought(*extras, *nested)
    return {canonicalize_name(requirement.name) for requirement in found}
