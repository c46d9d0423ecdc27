"""Does a verdict of the book stand? Recompute one prediction and compare.

    python -m cbnlib.verify C3-18-direction-costs-about-1a2b           # as the book did
    python -m cbnlib.verify C3-18-direction --seed 1                   # trained with another seed
    python -m cbnlib.verify C3-18-direction --profile quick            # small networks, in minutes

The prediction's chapter is executed in a fresh process. It uses the records if they are those of
exactly these experiments. Otherwise the networks are trained, which may take hours in the profile
`paper`. The exit status is 0 if the verdict stands, 1 if it does not, and 2 if nothing was
computed. It needs a clone of the repository. The identifiers of the predictions are on the book's
page *The claims* and in `claims.json`.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cbnlib.book.claims import Claim, claims_of
from cbnlib.book.profiles import PROFILES
from cbnlib.book.where import records_root

STANDS, FALLS, NOT_RUN = 0, 1, 2
SAME = ("claim", "task", "prediction")
"""Fields by which a prediction of a chapter is found again."""
SHOWN = 12
"""How many identifiers are listed at most."""


class NotRunError(Exception):
    """Nothing was computed. The message says why and what to do."""


def row_of(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The row with this identifier, or the only one whose identifier begins with it.

    Raises:
        NotRunError: If there is none or more than one. The message lists those that are close.
    """
    rows: dict[str, dict[str, Any]] = {row["id"]: row for row in data["predictions"]}
    found = (
        [name] if name in rows else [key for key in rows if key.lower().startswith(name.lower())]
    )
    if len(found) == 1:
        return rows[found[0]]
    close = found or get_close_matches(name, rows, n=SHOWN, cutoff=0.5) or list(rows)
    told = "more than one prediction begins with" if found else "no prediction is called"
    more = f"\n  and {len(close) - SHOWN} more" * (len(close) > SHOWN)
    raise NotRunError(f"{told} {name!r}; there are:\n  " + "\n  ".join(close[:SHOWN]) + more)


def place_of(data: dict[str, Any], row: dict[str, Any]) -> int:
    """Return how many rows of the same chapter and text come before a row."""
    same = ("chapter", *SAME)
    rows = [r["id"] for r in data["predictions"] if all(r[name] == row[name] for name in same)]
    return rows.index(row["id"])


def recompute(
    root: Path, row: dict[str, Any], profile: str, seed: int, *, place: int = 0, mnist: str = ""
) -> Claim:
    """Execute a prediction's chapter anew and read what it states now.

    Args:
        root: The root of the repository.
        row: The prediction, as `claims.json` has it.
        profile: The edition to compute it in.
        seed: The seed to compute it with.
        place: Which one it is among the chapter's predictions with the same text, from 0.
        mnist: Where MNIST's files lie, if the chapter needs them. Empty to download them.

    Raises:
        NotRunError: If the chapter failed, or makes no such prediction in this edition.
    """
    stem, build = row["chapter"], root / "_build"
    build.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=build, prefix="verify-") as folder:
        command = [sys.executable, "-m", "tools.execute", "--build", folder, "--profile", profile]
        command += ["--seed", str(seed)]
        command += ["-p", "mnist_folder", str(Path(mnist).resolve())] if mnist else []
        if subprocess.run([*command, stem], cwd=root, check=False).returncode:
            raise NotRunError(f"the chapter {stem} failed; what it said is above")
        copy = Path(folder) / "executed" / profile / f"{stem}.ipynb"
        stated = claims_of(json.loads(copy.read_text(encoding="utf-8")))
    text = tuple(row[name] for name in SAME)
    about = [claim for claim in stated if (claim.paper, claim.task, claim.prediction) == text]
    if len(about) <= place:
        raise NotRunError(
            f"the {profile} edition of {stem} makes no such prediction: {row['task']}: "
            f"{row['prediction']} Its tasks differ; take a claims.json of that edition (--claims)"
        )
    return about[place]


def told(edition: str, seed: int, claim: Claim) -> str:
    """A verdict with its numbers, on one line."""
    numbers = f"{claim.measured} ({claim.score}; predicted {claim.tolerance})"
    if not claim.values:
        numbers += f". {claim.untested}"
    return f"{edition}, seed {seed}: {claim.verdict}: {claim.quantity}: {numbers}"


def repository() -> Path:
    """The clone that this runs in.

    Raises:
        NotRunError: If there is none.
    """
    try:
        root = records_root().parent
    except FileNotFoundError:
        root = Path.cwd()
    if not (root / "notebooks").is_dir() or not (root / "tools").is_dir():
        raise NotRunError(
            "the notebooks are not here. Clone the repository, install it there by "
            "`pip install -e '.[build]'`, and run this in the clone"
        )
    return root


def _verify(args: argparse.Namespace) -> int:
    """Recompute a prediction and return the exit status.

    Raises:
        NotRunError: If it could not be computed.
    """
    root = repository()
    path = args.claims or root / "_build" / "html" / "claims.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        row = row_of(data, args.claim)
    except OSError as error:
        raise NotRunError(f"no {path}: run `make book`, or name a file (--claims)") from error
    except (ValueError, LookupError, TypeError) as error:
        raise NotRunError(f"{path} is no claims.json: {error!r}") from error
    then = Claim.from_row(row)
    profile = args.profile or row["edition"]
    seed = row["seed"] if args.seed is None else args.seed
    print(f"{row['id']}\n{row['task']}: {row['prediction']}", flush=True)
    now = recompute(root, row, profile, seed, place=place_of(data, row), mnist=args.mnist)
    print(f"in the book: {told(row['edition'], row['seed'], then)}")
    print(f"recomputed:  {told(profile, seed, now)}")
    stands = now.verdict == then.verdict
    print("The verdict stands." if stands else "The verdict does not stand.")
    return STANDS if stands else FALLS


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m cbnlib.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("claim", help="the identifier of a prediction, or how it begins")
    parser.add_argument("--seed", type=int, help="default: the book's")
    parser.add_argument("--profile", choices=PROFILES, help="default: the book's edition")
    parser.add_argument("--claims", type=Path, help="default: _build/html/claims.json")
    parser.add_argument("--mnist", default="", help="folder with MNIST's IDX files")
    try:
        return _verify(parser.parse_args(argv))
    except NotRunError as error:
        print(f"verify: {error}", file=sys.stderr)
        return NOT_RUN


if __name__ == "__main__":
    raise SystemExit(main())
