"""Time side by side; memory in processes of their own."""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

WARM_UP = 1
"""Turns that are not counted."""
PAUSE = 0.1
"""Seconds."""


def median_seconds(work: Callable[[], object], rounds: int = 9) -> float:
    """Median time of a call, after a warm-up."""
    return side_by_side({"work": work}, rounds)["work"]


def side_by_side(
    contenders: Mapping[str, Callable[[], object]], rounds: int = 9
) -> dict[str, float]:
    """Median seconds of each contender, measured in turns, so that a slow spell hits all alike.

    Idle threads of numerical libraries go on spinning for a while and would slow the next
    contender; so each turn begins with a pause and a call that is not timed.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(WARM_UP + rounds):
        for name, work in contenders.items():
            time.sleep(PAUSE)
            work()
            start = time.perf_counter()
            work()
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(measured) for name, measured in times.items()}


def resident_peak() -> int:
    """The most memory that this program has held so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts in ru_maxrss what the parent held, too
        lines = status.read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_memory(contender: str, facts: Mapping[str, int], threads: int) -> int:
    """Memory that some training steps take beyond what was held before, in bytes.

    Measured in a fresh process, as the growth of its peak.
    """
    sizes = [str(facts[key]) for key in ("n", "width", "depth", "batch")]
    command = [sys.executable, "-m", "benchmarks.peak", contender, str(threads), *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)
