"""Assemble the modules of `book/lab` into scripts that a page from a disk can run.

A browser loads no module from `file://`. So a script and all that it imports become one. Each
module is a function that returns what it exports, as `$name`, in the order they are needed.
"""

import re
from pathlib import Path

IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([\w]+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const)\s+)(\w+)", re.MULTILINE)


def bundle(*entries: Path) -> str:
    """Modules and all that they import, as one script.

    Args:
        entries: The modules. They and what they import lie in one folder, import names in braces
            from `"./name.js"`, and export functions, classes and constants where they are defined.

    Raises:
        ValueError: If a module imports or exports in another way, or the script would end its tag.
    """
    parts: dict[str, str] = {}
    for entry in entries:
        _add(entry, parts)
    script = "\n".join(['"use strict";', *parts.values()])
    if "</script" in script:
        raise ValueError("a script cannot stand in a page with '</script' in it")
    return script


def _add(module: Path, parts: dict[str, str]) -> None:
    """Add a module after those that it imports, unless it is there."""
    source = module.read_text(encoding="utf-8")
    for _, name in IMPORT.findall(source):
        if name not in parts:
            _add(module.with_name(f"{name}.js"), parts)
    exported = [name for _, name in EXPORT.findall(source)]
    body = IMPORT.sub(
        lambda found: f"const {found[1]} = ${found[2]};".replace(" as ", ": "), source
    )
    body = EXPORT.sub(r"\1\2", body)
    if other := re.search(r"^(import|export)\b.*$", body, re.MULTILINE):
        raise ValueError(f"{module.name}: cannot bundle {other[0]!r}")
    parts[module.stem] = (
        f"const ${module.stem} = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})();"
    )
