"""Measure everything and write the results as JSON.

python -m benchmarks                     # all of it, some minutes on two idle cores
python -m benchmarks --rounds 1 --small  # a rehearsal of all cases
"""

import argparse
import json
import os
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch.profiler import ProfilerActivity, profile

from benchmarks import floor, measure
from benchmarks.contenders import (
    HELD,
    HELD_LAYERS,
    STEPS,
    SpectraCase,
    StepCase,
    free_steps,
    held_steps,
    library_spectra,
    numpy_spectra,
    peak_memory,
    spectra_error,
)
from cbnlib.runs.provenance import environment
from cbnlib.training.budget import EVERY

RESULTS = Path(__file__).resolve().parents[1] / "records" / "90_performance" / "benchmark.json"
LARGE, SMALL, DEEP = StepCase(28, 32, 8), StepCase(14, 16, 8), StepCase(14, 16, 10)
SCALING = {
    "n": [replace(SMALL, n=n) for n in (8, 10, 14, 20, 28, 40)],
    "width": [replace(SMALL, width=c) for c in (4, 8, 16, 32, 64)],
    "depth": [replace(SMALL, depth=L) for L in (2, 4, 8, 16)],
}
SPECTRA = [(14, 16, 14), (28, 32, 28), (28, 64, 3), (32, 128, 3), (28, 128, 28)]
PARTS = {
    "transforms": ("aten::bmm", "aten::mm"),
    "products": ("aten::baddbmm",),
    "folding, layout": ("aten::copy_", "aten::neg", "aten::add", "aten::sub"),
    "ReLU": ("aten::clamp_min_", "aten::threshold_backward"),
    "optimiser": ("aten::_fused_adam_",),
}
"""Where the engine's time goes, by the operations that do it."""


def step_results(rounds: int, rates: dict[str, float], *, small: bool) -> list[dict[str, Any]]:
    """Training steps against their peers, with the floor and the memory."""
    results = []
    for case, rivals in ((LARGE, ["plain torch.fft"]), (SMALL, ["plain torch.fft", "nn.Conv2d"])):
        shrunk = replace(case, n=8, width=4, depth=3, batch=4) if small else case
        names = ["engine", "engine, filters in pixels", *rivals]
        threads = torch.get_num_threads()
        contenders = {k: (STEPS[k], shrunk) for k in names}
        seconds = measure.side_by_side(contenders, rounds, threads)
        weighed = names if case is LARGE else []
        memory = {k: measure.alone(peak_memory, threads, k, shrunk) for k in weighed}
        results.append(
            {
                "case": shrunk.facts(),
                "seconds": seconds,
                "peak_bytes": memory,
                "floor_seconds": floor.floor_seconds(shrunk, rates),
                "count": floor.count(shrunk),
                "parts": parts_of_a_step(shrunk),
            }
        )
    return results


def budget_results(rounds: int, *, small: bool) -> dict[str, Any]:
    """A step of the engine, and one with the middle held to a budget, its projection included."""
    case = replace(DEEP, batch=2) if small else DEEP
    contenders = {"engine": (free_steps, case), "within the budget": (held_steps, case)}
    seconds = measure.side_by_side(contenders, rounds, torch.get_num_threads())
    return {
        "case": case.facts(),
        "budget": HELD,
        "layers": HELD_LAYERS,
        "seconds": {name: some / EVERY for name, some in seconds.items()},
    }


def parts_of_a_step(case: StepCase) -> dict[str, float]:
    """Seconds per engine step by kind of work. `rest` is everything else, Python included."""
    step, steps = STEPS["engine"](case), 5
    for _ in range(3):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(steps):
            step()
    spent: dict[str, float] = defaultdict(float)
    kinds = {operation: kind for kind, names in PARTS.items() for operation in names}
    for event in profiled.key_averages():
        spent[kinds.get(event.key, "rest")] += event.self_cpu_time_total * 1e-6 / steps
    return dict(spent)


def scaling_results(
    rounds: int, rates: dict[str, float], *, small: bool
) -> dict[str, list[dict[str, Any]]]:
    """How the step grows with grid, width and depth."""
    names = ("engine", "plain torch.fft")
    results: dict[str, list[dict[str, Any]]] = {}
    for axis, cases in SCALING.items():
        results[axis] = []
        for case in cases[:1] if small else cases:
            contenders = {k: (STEPS[k], case) for k in names}
            seconds = measure.side_by_side(contenders, rounds, torch.get_num_threads())
            lowest = floor.floor_seconds(case, rates)
            entry = {"case": case.facts(), "seconds": seconds, "floor_seconds": lowest}
            results[axis].append(entry)
    return results


def spectra_results(rounds: int, *, small: bool) -> dict[str, Any]:
    """Spectra of filters in both precisions."""
    results: dict[str, Any] = {}
    for dtype in ("float32", "float64"):
        rows, ratios = [], []
        for sizes in SPECTRA[:1] if small else SPECTRA:
            case = SpectraCase(*sizes, dtype)
            rivals = {"cbnlib": (library_spectra, case), "numpy": (numpy_spectra, case)}
            seconds = measure.side_by_side(rivals, rounds, torch.get_num_threads())
            error = spectra_error(case)
            rows.append({"case": case.facts(), "seconds": seconds, "error": error})
            ratios.append(seconds["numpy"] / seconds["cbnlib"])
        results[dtype] = {"rows": rows, "geometric_mean": statistics.geometric_mean(ratios)}
    return results


def everything(rounds: int, *, small: bool) -> dict[str, Any]:
    """All results, as they are written."""
    rates = floor.machine_rates(256) if small else floor.machine_rates()
    return {
        "environment": environment() | {"cores": str(os.cpu_count())},
        "rounds": rounds,
        "rates": rates,
        "steps": step_results(rounds, rates, small=small),
        "budget": budget_results(rounds, small=small),
        "spectra": spectra_results(max(1, rounds // 3), small=small),
        "scaling": scaling_results(rounds, rates, small=small),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="timed calls of each contender")
    parser.add_argument("--small", action="store_true", help="tiny cases, to see that it runs")
    args = parser.parse_args(argv)
    with threadpool_limits(args.threads):
        torch.set_num_threads(args.threads)
        results = everything(args.rounds, small=args.small)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for step in results["steps"]:
        ours = step["seconds"]["engine"]
        told = {k: f"{v / ours:.2f}" for k, v in step["seconds"].items()}
        print(step["case"], f"{1e3 * ours:.1f} ms; times the engine's:", told)
    for dtype, spectra in results["spectra"].items():
        print(f"spectra, {dtype}: geometric mean {spectra['geometric_mean']:.2f}")
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
