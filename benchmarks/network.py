"""All spectra of a network of ResNet-50's size, against the published NumPy method.

python -m benchmarks.network          # about a minute on two idle cores
python -m benchmarks.network --whole  # all of NumPy's decompositions, in minutes

NumPy's method (Sedghi, Gupta and Long, ICLR 2019) goes layer by layer, on the grids where the
library's values live. It takes a layer with a stride in its polyphase form. Both give the same
numbers. Equal layers take equal time, so NumPy does one of each kind, transforms it, and decomposes
its blocks for a fifth of a second. The time for all is in proportion, unless asked for the whole.
"""

import argparse
import json
import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import alone, resident_peak
from cbnlib.runs.provenance import environment
from cbnlib.spectra.modules import convolutions_of, module_spectra
from cbnlib.spectra.spectrum import Spectrum

RESULTS = Path(__file__).resolve().parents[1] / "records" / "90_performance" / "network.json"
SECONDS = 0.2
"""That NumPy decomposes blocks of one kind of layer."""

STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Channels and blocks."""


class Block(nn.Module):
    """A bottleneck block of ResNet-50, without batch norm."""

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        """Random weights. The first block of a stage has a skip connection of its own."""
        super().__init__()
        self.reduce = nn.Conv2d(c_in, width, 1, bias=False)
        self.filter = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.expand = nn.Conv2d(width, 4 * width, 1, bias=False)
        fits = c_in == 4 * width
        self.skip = nn.Identity() if fits else nn.Conv2d(c_in, 4 * width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The block."""
        inside = self.filter(self.reduce(x).relu()).relu()
        y: Tensor = self.skip(x) + self.expand(inside)
        return y.relu()


def network(shrink: int = 1) -> nn.Module:
    """The network, with its widths divided by `shrink`."""
    torch.manual_seed(0)
    c = 64 // shrink
    layers: list[nn.Module] = [nn.Conv2d(3, c, 7, 2, 3, bias=False), nn.MaxPool2d(3, 2, 1)]
    for stage, (width, blocks) in enumerate(STAGES):
        for number in range(blocks):
            stride = 2 if stage and not number else 1
            layers.append(Block(c, width // shrink, stride))
            c = 4 * width // shrink
    return nn.Sequential(*layers)


class Kind(NamedTuple):
    """What makes layers equal, namely shape of the filter, grid and stride."""

    shape: tuple[int, ...]
    grid: tuple[int, ...]
    stride: tuple[int, ...]

    def blocks(self, w: np.ndarray) -> np.ndarray:
        """The blocks of a filter at every frequency, `[*grid, c_out, c_in * phases]`."""
        starts = np.ndindex(*self.stride)
        phases = (w[:, :, a :: self.stride[0], b :: self.stride[1]] for a, b in starts)
        return np.concatenate(
            [
                np.fft.fft2(p.transpose(2, 3, 0, 1), self.grid, axes=[0, 1])
                for p in phases
                if p.size
            ],
            axis=-1,
        )


def kinds(shrink: int, size: int) -> Iterator[tuple[Kind, np.ndarray, int]]:
    """The kinds of layers, each with the filter of one and how many there are."""
    calls, _ = convolutions_of(network(shrink), torch.zeros(1, 3, size, size))
    filters, counts = {}, Counter[Kind]()
    for call in calls.values():
        assert call.geometry is not None
        grid, *_ = call.geometry.embed(call.grid, circular=False)
        kind = Kind(tuple(call.weight.shape), grid, call.geometry.stride)
        filters[kind] = call.weight.numpy()
        counts[kind] += 1
    for kind, count in counts.items():
        yield kind, filters[kind], count


class Clock:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        """Start."""
        self.start = time.perf_counter(), time.process_time()

    def seconds(self) -> np.ndarray:
        """Both."""
        return np.array([time.perf_counter(), time.process_time()]) - self.start


def library(shrink: int, size: int) -> dict[str, Any]:
    """Time, memory and error of `module_spectra`."""
    model = network(shrink)
    module_spectra(network(8), torch.zeros(1, 3, 32, 32))  # a warm-up
    before, clock = resident_peak(), Clock()
    spectra, _ = module_spectra(model, torch.zeros(1, 3, size, size))
    wall, cpu = map(float, clock.seconds())
    peak = resident_peak() - before
    weights = [m.weight.numpy(force=True) for m in model.modules() if isinstance(m, nn.Conv2d)]
    told = {"seconds": wall, "cpu_seconds": cpu, "peak_bytes": peak, "layers": len(spectra)}
    first = {
        Kind(w.shape, s.grid, s.stride): (w, s)
        for w, s in zip(weights, spectra.values(), strict=True)
    }
    return told | {"error": max(_error(kind, w, s) for kind, (w, s) in first.items())}


def _error(kind: Kind, w: np.ndarray, spectrum: Spectrum) -> float:
    """Of the values at one frequency, in units of the largest, against NumPy's in double."""
    at = np.array([1, 2]) % kind.grid
    block = kind.blocks(w.astype(np.float64))[tuple(at)]
    exact = np.linalg.svd(block, compute_uv=False)
    n, omega = np.array(kind.grid), spectrum.omega.numpy()
    same = ((omega - at) % n == 0).all(axis=1) | ((omega + at) % n == 0).all(axis=1)
    [row] = np.flatnonzero(same)
    return float(np.abs(spectrum.values[row].numpy() - exact).max() / spectrum.values.max())


def published(shrink: int, size: int, limit: float = SECONDS) -> dict[str, Any]:
    """Time of NumPy's method, in proportion beyond `limit` seconds of decomposing per kind."""
    total, done, all_blocks = np.zeros(2), 0, 0
    for kind, w, count in kinds(shrink, size):
        clock = Clock()
        blocks = kind.blocks(w).reshape(math.prod(kind.grid), len(w), -1)
        transformed, step = clock.seconds(), max(1, 2**18 // blocks[0].size)
        order, at, clock = np.random.default_rng(0).permutation(len(blocks)), 0, Clock()
        while at < len(blocks) and (not at or clock.seconds()[0] < limit):
            np.linalg.svd(blocks[order[at : at + step]], compute_uv=False)
            at += step
        at = min(at, len(blocks))
        total += count * (transformed + clock.seconds() * len(blocks) / at)
        done, all_blocks = done + at, all_blocks + len(blocks)
    wall, cpu = map(float, total)
    return {"seconds": wall, "cpu_seconds": cpu, "share_done": done / all_blocks}


def network_results(threads: int, *, small: bool, whole: bool = False) -> dict[str, Any]:
    """Both, one after the other, each in a process of its own."""
    sizes = (8, 32) if small else (1, 224)
    ours = alone(library, threads, *sizes)
    theirs = alone(published, threads, *sizes, math.inf if whole or small else SECONDS)
    ratio = theirs["seconds"] / ours["seconds"]
    print(f"bench: network, {ours['seconds']:.3g} s, numpy {ratio:.1f} times that", flush=True)
    facts = environment() | {"cores": str(os.cpu_count()), "threads": str(threads)}
    return {"environment": facts, "cbnlib": ours, "numpy": theirs, "ratio": ratio}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--whole", action="store_true", help="NumPy's decompositions all done")
    parser.add_argument("--small", action="store_true", help="a tiny network")
    args = parser.parse_args(argv)
    results = network_results(args.threads, small=args.small, whole=args.whole)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
