"""X-ray a network: exact or bounded singular values by frequency, for each convolution in it.

MODEL is a file of torch.export.save or torch.jit.save, or module:callable, which returns the
network. No pickle is read, but all three are programs, so name only what you would run.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from cbnlib.xray.analyse import check_shape, xray
from cbnlib.xray.images import Images
from cbnlib.xray.load import load
from cbnlib.xray.page import page

_SHAPE = (3, 224, 224)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        "python -m cbnlib.xray",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument(
        "--input",
        type=_shape,
        metavar="3x224x224",
        help="channels and pixels per axis; default: what an exported program was made with, "
        "else 3x224x224",
    )
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", help="images to measure activations on"
    )
    parser.add_argument("--out", type=Path, default=Path("xray"), help="folder; default: xray")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...; default: auto")
    parser.add_argument(
        "--circular",
        action="store_true",
        help="approximate instead of bounding, as if all padding were circular",
    )
    parser.add_argument(
        "--extremes",
        action="store_true",
        help="exact largest and smallest values of all layers, also where that takes minutes",
    )
    args = parser.parse_args(argv)
    try:
        _run(args)
    except Exception as error:  # the network's own, too
        print(f"xray: {type(error).__name__}: {error}", file=sys.stderr)
        for note in getattr(error, "__notes__", []):
            print(f"xray: {note}", file=sys.stderr)
        return 1
    return 0


def _run(args: argparse.Namespace) -> None:
    sys.path.insert(0, "")  # of `module:callable`
    name = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    model, shape = load(args.model)
    shape = args.input or shape or _SHAPE
    found = xray(
        model.to(name),
        shape,
        data=None if args.data is None else Images(args.data, shape),
        name=args.model,
        circular=args.circular,
        extremes=args.extremes,
        progress=lambda told: print(told, file=sys.stderr, flush=True),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    numbers = json.dumps(found.to_json(), indent=1, allow_nan=False)
    (args.out / "xray.json").write_text(numbers + "\n", encoding="utf-8")
    (args.out / "index.html").write_text(page(found), encoding="utf-8")
    for layer in found.layers:
        size = f"{layer.effective:.0f} of {layer.dimensions} dimensions"
        print(f"{layer.name or 'network'}: {layer.kind}, largest {layer.largest:.3g}, {size}")
    for label, reason in found.left_out.items():
        print(f"{label}: left out, {reason}")
    print(f"written: {args.out / 'index.html'}, {args.out / 'xray.json'}")


def _shape(text: str) -> tuple[int, ...]:
    try:
        numbers = [int(n) for n in text.split("x")]
    except ValueError as error:
        told = f"{text!r} must be channels and pixels per axis, such as 3x224x224"
        raise argparse.ArgumentTypeError(told) from error
    try:
        return check_shape(numbers)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    raise SystemExit(main())
