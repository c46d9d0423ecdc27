"""Time in turns, and memory, each contender in a process of its own."""

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import torch
from threadpoolctl import threadpool_limits

WARM_UP = 3
"""Calls that are not counted."""
PAUSE = 0.05
"""Seconds before each turn."""
WARM_SECONDS = 0.1
"""Seconds of calls in each turn before the one that counts. At least one call is made."""


T = TypeVar("T")
Work = Callable[[], object]
Contender = tuple[Callable[[Any], Work], object]
"""What makes the work from a case, and the case."""

_made: Work | None = None
"""The work of a process of `side_by_side`."""


def median_seconds(work: Work, rounds: int = 9) -> float:
    """Median time of a call in this process, after a warm-up."""
    for _ in range(WARM_UP):
        work()
    return statistics.median(_timed(work) for _ in range(rounds))


def side_by_side(
    contenders: Mapping[str, Contender], rounds: int, threads: int
) -> dict[str, float]:
    """Median seconds of each contender, measured in turns, so that a slow spell hits all alike.

    Each works in a process of its own, with as many threads. Within one process, threads of one
    numerical library that spin while they wait would slow the others.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.contenders"])  # imported once, not in each process
    times: dict[str, list[float]] = {name: [] for name in contenders}
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(ProcessPoolExecutor(1, context, _make, (*contender, threads)))
            for name, contender in contenders.items()
        }
        for turn in range(1 + rounds):
            for name, process in processes.items():
                seconds = process.submit(_turn).result()
                if turn:
                    times[name].append(seconds)
    medians = {name: statistics.median(measured) for name, measured in times.items()}
    told = ", ".join(f"{name} {1e3 * seconds:.3g} ms" for name, seconds in medians.items())
    print(f"bench: {told}", flush=True)  # the whole takes minutes
    return medians


def use_threads(threads: int) -> None:
    """Let all numerical libraries of this process use so many threads."""
    threadpool_limits(threads)
    torch.set_num_threads(threads)


def _make(make: Callable[[Any], Work], case: object, threads: int) -> None:
    global _made  # noqa: PLW0603  # a process of a pool keeps its work there
    use_threads(threads)
    _made = make(case)


def _turn() -> float:
    """Time one call, after others have brought caches, clock and threads back."""
    assert _made is not None
    time.sleep(PAUSE)
    spent = 0.0
    while spent < WARM_SECONDS:
        spent += _timed(_made)
    return _timed(_made)


def _timed(work: Work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def resident_peak() -> int:
    """The most memory that this program has held so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts in ru_maxrss what the parent held, too
        lines = status.read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def alone(work: Callable[..., T], threads: int, *arguments: object) -> T:
    """The result of a function that is called in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, context, use_threads, (threads,)) as process:
        return process.submit(work, *arguments).result()
