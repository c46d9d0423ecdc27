"""The benchmark compares like with like, counts what it says, and writes what the book draws."""

import json

import numpy as np
import pytest
import torch

from benchmarks import __main__ as bench
from benchmarks import network
from benchmarks.contenders import (
    SpectraCase,
    StepCase,
    library_spectra,
    numpy_spectra,
    spectra_error,
)
from benchmarks.floor import count, floor_seconds
from cbnlib import CNN

CASE = StepCase(n=6, width=3, depth=3, batch=4)


def test_count_is_that_of_the_products_written_out():
    """From the shapes of the blocks: products c_out × c_in × batch, three per layer.

    Of the even grid's frequencies 4 are their own negatives, the others form pairs.
    """
    model = CNN(CASE.config(), seed=0)
    flops = 0
    for i, conv in enumerate(model.convs):
        flops_per_entry = 2 * 4 + 8 * (CASE.n**2 - 4) / 2  # real products, complex products
        flops += flops_per_entry * conv.c_out * conv.c_in * CASE.batch * (3 if i else 2)
    assert count(CASE)["flops"] == flops
    signals = [1, 3 + 3, 3 + 3, 3 + 3, 3 + 3, 1 + 1]  # in, then out and in of the three layers
    once_read_and_written = 2 * 4 * CASE.n**2 * CASE.batch
    assert count(CASE)["bytes"] == once_read_and_written * sum(signals)
    rates = {"flops_per_second": flops, "bytes_per_second": float("inf")}
    assert floor_seconds(CASE, rates) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_spectra_of_both_are_the_same(dtype):
    case = SpectraCase(6, 3, 3, dtype)
    assert spectra_error(case) < (1e-5 if dtype == "float32" else 1e-10)
    assert numpy_spectra(case)().shape == (6, 6, 3)
    values = library_spectra(case)()
    assert float(values.max()) == pytest.approx(float(np.max(numpy_spectra(case)())), rel=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_a_rehearsal_writes_what_the_page_reads(tmp_path):
    threads = torch.get_num_threads()
    out = tmp_path / "results" / "benchmark.json"
    try:
        options = ["--small", "--rounds", "1", "--threads", "1"]
        assert bench.main([*options, "--out", str(out)]) == 0
    finally:
        torch.set_num_threads(threads)
    written = json.loads(out.read_text(encoding="utf-8"))
    committed = json.loads(bench.RESULTS.read_text(encoding="utf-8"))
    assert _shape(written) == _shape(committed)


def test_both_find_the_spectra_of_a_network(tmp_path):
    out = tmp_path / "network.json"
    assert network.main(["--small", "--threads", "1", "--out", str(out)]) == 0
    written = json.loads(out.read_text(encoding="utf-8"))
    assert (written["cbnlib"]["layers"], written["numpy"]["share_done"]) == (53, 1)
    assert written["cbnlib"]["error"] < 1e-5
    assert written["ratio"] > 0


def _shape(value):
    """The keys of nested results; of a list, those of its first entry."""
    if isinstance(value, dict):
        return {key: _shape(entry) for key, entry in value.items() if key != "commit"}
    return _shape(value[0]) if isinstance(value, list) else type(value).__name__
