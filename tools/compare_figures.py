"""Compare the figures of the paper edition with those that were accepted.

    python -m tools.compare_figures             # name what changed, appeared or vanished
    python -m tools.compare_figures --accept    # what is there now is what is meant

`tests/figures.json` has a small coloured thumbnail of each named figure of the executed notebooks.
The figures come from records, so that the same code draws the same; fonts and the last digits of
linear algebra differ a little between machines, which the tolerance lets pass. An image baseline of
pytest-regressions would keep whole pictures and compare files, not executed notebooks.
"""

import base64
import io
import json
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.command import arguments
from tools.digest import stored_json
from tools.project import BuildError, Project
from tools.render import named_figures

PROFILE = "paper"
LONGER_SIDE = 64
"""Pixels of a thumbnail's longer side."""
LARGEST_DIFFERENCE = 24.0
"""Of 255, at any pixel of the thumbnail. Executed again on one machine, figures gave 0; with only a
processor's older instructions, which change the last digits, 9. A curve moved by 2 % of the axis
gives 70."""
SIZE_TOLERANCE = 0.03
"""Relative, of width and height in pixels."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a figure.

    Attributes:
        size: Width and height in pixels.
        thumbnail: Red, green and blue of its thumbnail, height × width × 3 values up to 255.
    """

    size: tuple[int, int]
    thumbnail: NDArray[np.uint8]

    @classmethod
    def of(cls, picture: bytes) -> "Fingerprint":
        """That of a PNG file, on white ground where it is transparent."""
        image = Image.open(io.BytesIO(picture)).convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        flat = Image.alpha_composite(ground, image).convert("RGB")
        scale = LONGER_SIDE / max(flat.size)
        width, height = (max(1, round(side * scale)) for side in flat.size)
        small = flat.resize((width, height), Image.Resampling.BOX)
        return cls(image.size, np.asarray(small, dtype=np.uint8))

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        packed = base64.b64encode(zlib.compress(self.thumbnail.tobytes(), 9)).decode()
        return {"size": self.size, "shape": self.thumbnail.shape, "thumbnail": packed}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Fingerprint":
        """That with these facts."""
        pixels = zlib.decompress(base64.b64decode(facts["thumbnail"]))
        width, height = facts["size"]
        return cls((width, height), np.frombuffer(pixels, np.uint8).reshape(facts["shape"]))

    def change_to(self, other: "Fingerprint") -> str:
        """What is different in another one, in words; empty if it is within the tolerance."""
        growth = max(abs(b / a - 1) for a, b in zip(self.size, other.size, strict=True))
        if growth > SIZE_TOLERANCE:
            before, now = (f"{width} × {height}" for width, height in (self.size, other.size))
            return f"was {before} pixels large and is {now}"
        height, width, _ = self.thumbnail.shape
        fitted = Image.fromarray(other.thumbnail).resize((width, height))
        most = np.abs(self.thumbnail - np.asarray(fitted, dtype=np.float64)).max()
        return f"differs by {most:.0f} of 255" if most > LARGEST_DIFFERENCE else ""


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
        found |= {
            name: Fingerprint.of(picture) for name, picture in named_figures(stored_json(copy))
        }
    return found


def changes(old: Mapping[str, Fingerprint], new: Mapping[str, Fingerprint]) -> list[str]:
    """What changed, appeared or vanished, a line each."""
    told = dict.fromkeys(old.keys() - new.keys(), "vanished")
    told |= dict.fromkeys(new.keys() - old.keys(), "is new")
    told |= {name: old[name].change_to(new[name]) for name in old.keys() & new.keys()}
    return sorted(f"{name} {change}" for name, change in told.items() if change)


def write(path: Path, found: Mapping[str, Fingerprint]) -> None:
    """Keep fingerprints, a line each, so that a difference of the file names the figures."""
    lines = [f'"{name}": {json.dumps(found[name].facts())}' for name in sorted(found)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read(path: Path) -> dict[str, Fingerprint]:
    """What was kept.

    Raises:
        BuildError: Nothing was.
    """
    if not path.exists():
        raise BuildError(f"{path.name} is missing; `make figures` writes it")
    facts = json.loads(path.read_text(encoding="utf-8"))
    return {name: Fingerprint.from_facts(one) for name, one in facts.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 1 if a figure changed and this was not accepted."""
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
