"""Time side by side; memory in processes of their own."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

WARM_UP = 3


def median_seconds(work: Callable[[], object], rounds: int = 9) -> float:
    """Median time of a call, after a warm-up."""
    return side_by_side({"work": work}, rounds)["work"]


def side_by_side(
    contenders: Mapping[str, Callable[[], object]], rounds: int = 9
) -> dict[str, float]:
    """Median seconds of each contender, measured in turns, so that a slow spell hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(WARM_UP + rounds):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


def resident_peak() -> int:
    """The most memory that this process has held so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def peak_memory(contender: str, facts: Mapping[str, int], threads: int) -> int:
    """Memory that some training steps take beyond what was held before, in bytes.

    Measured in a fresh process, as the growth of its peak.
    """
    sizes = [str(facts[key]) for key in ("n", "width", "depth", "batch")]
    command = [sys.executable, "-m", "benchmarks.peak", contender, str(threads), *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)
