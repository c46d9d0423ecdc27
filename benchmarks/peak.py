"""Print how much memory some training steps take: run in a process of its own by `measure`."""

import sys

import torch

from benchmarks.contenders import STEPS, StepCase
from benchmarks.measure import resident_peak


def main(contender: str, threads: str, *sizes: str) -> None:
    """Run a few steps of a contender; a tiny case first, so that libraries are loaded before."""
    torch.set_num_threads(int(threads))
    STEPS[contender](StepCase(8, 2, 2, 2))()
    before = resident_peak()
    step = STEPS[contender](StepCase(*map(int, sizes)))
    for _ in range(3):
        step()
    print(resident_peak() - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
