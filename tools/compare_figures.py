"""Compare the figures of the paper edition with those that were accepted.

    python -m tools.compare_figures             # name what changed, appeared or vanished
    python -m tools.compare_figures --accept    # what is there now is what is meant

`tests/figures.json` has a small coloured thumbnail of each named figure of the executed notebooks.
The figures come from records, so that the same code draws the same. Fonts and the last digits of
linear algebra differ a little between machines, which the tolerance lets pass. An image baseline of
pytest-regressions would keep whole pictures and compare files, not executed notebooks.
"""

import base64
import json
import sys
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.command import arguments
from tools.digest import stored_json
from tools.project import BuildError, Project
from tools.render import named_figures
from tools.thumbnails import on_white

PROFILE = "paper"
LONGER_SIDE = 64
"""Pixels of a thumbnail's longer side."""
LARGEST_DIFFERENCE = 24.0
"""Of 255, at any pixel of the thumbnail. Executed again on one machine, figures gave 0. With only a
processor's older instructions, which change the last digits, they gave 9. A curve moved by 2 % of
the axis gives 70."""
SIZE_TOLERANCE = 0.03
"""Relative, of width and height in pixels."""


Fingerprint = dict[str, Any]
"""What is kept of a figure, as JSON, with its size in pixels, and its thumbnail with its shape."""


def fingerprint(picture: bytes) -> Fingerprint:
    """That of a PNG file."""
    image = on_white(picture)
    scale = LONGER_SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = np.asarray(image.resize((width, height), Image.Resampling.BOX))
    packed = base64.b64encode(zlib.compress(small.tobytes(), 9)).decode()
    return {"size": [*image.size], "shape": [*small.shape], "thumbnail": packed}


def change(old: Fingerprint, new: Fingerprint) -> str:
    """What is different, in words, or an empty text if it is within the tolerance."""
    growth = max(abs(b / a - 1) for a, b in zip(old["size"], new["size"], strict=True))
    if growth > SIZE_TOLERANCE:
        before, now = ("{} × {}".format(*each["size"]) for each in (old, new))
        return f"was {before} pixels large and is {now}"
    small = _thumbnail(old)
    fitted = Image.fromarray(_thumbnail(new)).resize((small.shape[1], small.shape[0]))
    most = np.abs(small - np.asarray(fitted, dtype=np.float64)).max()
    return f"differs by {most:.0f} of 255" if most > LARGEST_DIFFERENCE else ""


def _thumbnail(kept: Fingerprint) -> NDArray[np.uint8]:
    pixels = zlib.decompress(base64.b64decode(kept["thumbnail"]))
    return np.frombuffer(pixels, np.uint8).reshape(kept["shape"])


def fingerprints(project: Project) -> dict[str, Fingerprint]:
    """Those of all named figures of the executed paper edition.

    Raises:
        BuildError: A notebook is not executed.
    """
    found: dict[str, Fingerprint] = {}
    for source in project.sources():
        copy = project.executed(PROFILE) / f"{source.stem}.ipynb"
        if not copy.exists():
            raise BuildError(f"{source.stem} is not executed; run `make book PROFILE={PROFILE}`")
        figures = named_figures(stored_json(copy))
        found |= {name: fingerprint(picture) for name, picture in figures}
    return found


def changes(old: Mapping[str, Fingerprint], new: Mapping[str, Fingerprint]) -> list[str]:
    """What changed, appeared or vanished, a line each."""
    told = dict.fromkeys(old.keys() - new.keys(), "vanished")
    told |= dict.fromkeys(new.keys() - old.keys(), "is new")
    told |= {name: change(old[name], new[name]) for name in old.keys() & new.keys()}
    return sorted(f"{name} {change}" for name, change in told.items() if change)


def write(path: Path, found: Mapping[str, Fingerprint]) -> None:
    """Keep fingerprints, a line each, so that a difference of the file names the figures."""
    lines = [f'"{name}": {json.dumps(found[name])}' for name in sorted(found)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read(path: Path) -> dict[str, Fingerprint]:
    """What was kept.

    Raises:
        BuildError: Nothing was.
    """
    if not path.exists():
        raise BuildError(f"{path.name} is missing; `make figures` writes it")
    kept: dict[str, Fingerprint] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status, 1 if a figure changed without being accepted."""
    parser = arguments(__doc__)
    parser.add_argument("--accept", action="store_true", help="keep what is there now")
    args = parser.parse_args(argv)
    project = Project(args.root)
    kept = project.root / "tests" / "figures.json"
    try:
        found = fingerprints(project)
        old = read(kept) if kept.exists() or not args.accept else found
    except BuildError as error:
        print(f"compare_figures: {error}", file=sys.stderr)
        return 2
    told = changes(old, found)
    for line in told:
        print(f"compare_figures: {line}", file=sys.stderr)
    if args.accept:
        write(kept, found)
    verdict = "accepted" if args.accept else "if this is meant: `make figures`"
    print(
        f"compare_figures: {len(found)} figures, {len(told)} changes{f'; {verdict}' * bool(told)}"
    )
    return int(bool(told) and not args.accept)


if __name__ == "__main__":
    raise SystemExit(main())
