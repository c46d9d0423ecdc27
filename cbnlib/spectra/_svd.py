"""Singular values of many small matrices, in slices that the cores share.

LAPACK takes a batch of matrices on one core. Slices also bound the memory. Beside the half spectrum
only some MiB per core are in use, however many frequencies there are.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import lru_cache
from threading import Barrier
from typing import Any, TypeVar

import torch
from torch import Tensor

from cbnlib._checks import check_finite

T = TypeVar("T")

_SLICE_ENTRIES = 2**15
"""Block entries in one slice, about a millisecond's work, so no core waits long for another."""

_POOL_ENTRIES = 2**13
"""Below this many block entries, threads cost more than they give."""


def singular_values(
    blocks_at: Callable[[Tensor], Tensor], count: int, shape: Sequence[int]
) -> Tensor:
    """Singular values of many blocks, in slices that the cores share.

    Args:
        blocks_at: Makes the blocks with these numbers, shape `[len(numbers), *shape]`.
        count: How many blocks there are.
        shape: Rows and columns of a block. With several blocks per number, `[blocks, ...]`.

    Returns:
        Shape `[count, min(rows, columns)]`, largest first, or of several blocks
        `[count, blocks, ...]`.
    """
    return torch.cat(in_slices(lambda rows: _values(blocks_at(rows)), count, math.prod(shape)))


def in_slices(function: Callable[[Tensor], T], count: int, size: int) -> list[T]:
    """The function's results for slices of the numbers below `count`, which the cores share.

    Args:
        function: Takes numbers, as a tensor.
        count: How many numbers there are.
        size: Entries that the function works on for one number.
    """
    if count * size < _POOL_ENTRIES:
        return [function(torch.arange(count))]
    share = -(-count // (2 * torch.get_num_threads()))
    slices = torch.arange(count).split(min(share, max(1, _SLICE_ENTRIES // size)))
    return on_cores(function, slices)


def _values(matrices: Tensor) -> Tensor:
    """Singular values of a batch, also where underflow makes the decomposition give up.

    Raises:
        ValueError: If an entry is NaN or infinite.
    """
    with suppress(torch.linalg.LinAlgError):  # type: ignore[attr-defined]  # undeclared there
        values: Tensor = torch.linalg.svdvals(matrices)
        if values.isfinite().all():
            return values
    check_finite("Fourier blocks", matrices)
    again: Tensor = torch.linalg.svdvals(without_dust(matrices))
    return again


def singular_vectors(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""$U$, $\sigma$ and $V^*$ of a batch of matrices, also where underflow disturbs the library.

    Args:
        matrices: Real or complex, shape `[..., rows, columns]`.

    Raises:
        ValueError: If an entry is NaN or infinite.
    """
    check_finite("matrices", matrices)
    u, s, vh = torch.linalg.svd(without_dust(matrices), full_matrices=False)
    return u, s, vh


def without_dust(matrices: Tensor) -> Tensor:
    """The matrices with 0 for entries too small to count beside the largest of their matrix.

    What they square to, or what they are, falls below the smallest normal number, and then the
    decomposition may return NaN in single precision. A ridge makes such entries, as the weights of
    a dead channel decay as far as numbers go. The values change by less than rounding does.
    """
    complex_ones = matrices.is_complex()
    entries = torch.view_as_real(matrices.resolve_conj()) if complex_ones else matrices
    size, kind = entries.abs(), torch.finfo(matrices.dtype)
    axes = (-3, -2, -1) if complex_ones else (-2, -1)
    largest = size.amax(dim=axes, keepdim=True)
    noise = size < (kind.eps**2 * largest).clamp_min(kind.tiny)
    cleaned = entries.masked_fill(noise, 0)
    return torch.view_as_complex(cleaned) if complex_ones else cleaned


def on_cores(function: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
    """`map`, with each core working on one call. A single call has all cores.

    The caller takes its share. If it only waited, the system might wake all workers on the core
    that it leaves. A worker's operations run on one thread, or the cores would be shared out twice.
    """
    calls = list(zip(*arguments, strict=True))
    threads = torch.get_num_threads()
    if threads == 1 or len(calls) == 1:
        return [function(*call) for call in calls]
    results: dict[int, T] = {}
    left = iter(enumerate(calls))  # shared: taking the next one is atomic

    def work() -> None:
        for i, call in left:
            results[i] = function(*call)

    helpers = [_pool(threads - 1).submit(work) for _ in range(min(threads, len(calls)) - 1)]
    torch.set_num_threads(1)
    try:
        work()
    finally:
        torch.set_num_threads(threads)
        wait(helpers)
    for helper in helpers:
        helper.result()
    return [results[i] for i in range(len(calls))]


@lru_cache(maxsize=1)
def _pool(workers: int) -> ThreadPoolExecutor:
    """Workers that have all started. Only then is the process's number of threads put back."""
    threads = torch.get_num_threads()
    pool, all_started = ThreadPoolExecutor(workers, initializer=_start_worker), Barrier(workers)
    list(pool.map(lambda _: all_started.wait(), range(workers)))
    torch.set_num_threads(threads)
    return pool


def _start_worker() -> None:
    torch.get_num_threads()  # here a thread takes over the process's number, later it would
    torch.set_num_threads(1)  # overwrite this one, which in turn changes the process's number
    torch.set_grad_enabled(False)  # is on in every new thread


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
