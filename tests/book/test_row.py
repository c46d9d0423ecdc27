"""Tables of runs, and what chapters read off a run alike."""

import pytest

from cbnlib import CNNConfig, TrainConfig, run_task
from cbnlib.book.notebook import central_modes, rows_of, shortest, summary
from cbnlib.runs.run import failed
from cbnlib.spectra.bottleneck import kept_modes, measure_bottleneck
from cbnlib.tasks import bump

TASK = bump(8, samples=20)
NARROW, WIDE = (
    run_task(TASK, CNNConfig(grid=8, width=2, depth=4), TrainConfig(0.02, rate, 2), progress=False)
    for rate in (0.01, 0.02)
)
LOST = failed(run_task(TASK, CNNConfig(8, 2, 4), TrainConfig(0.1, 0.01, 1), progress=False), "why")


def test_a_summary_has_the_columns_asked_for():
    table = summary([NARROW, LOST], ["ridge", "bottleneck", "kept"])
    assert list(table) == ["ridge", "bottleneck", "kept"]
    assert table["ridge"].tolist() == [0.02, 0.1]
    assert table["bottleneck"].tolist()[1] == "failed"
    assert table["kept"].isna().tolist() == [False, True]
    assert list(summary([], ("ridge",))) == ["ridge"]
    with pytest.raises(KeyError, match="depths"):
        summary([NARROW], ["depths"])


def test_rows_of_groups_keep_their_place():
    runs = [NARROW, LOST, WIDE]
    rows = rows_of(summary(runs, ["ridge"]), runs, {"a": [WIDE, NARROW], "none": []})
    assert rows["a"].index.tolist() == [0, 2]
    assert rows["none"].empty


def test_central_modes_are_those_of_the_bottleneck_or_of_the_middle_layer():
    modes, layer = central_modes(NARROW)
    found = measure_bottleneck(NARROW.weight_spectra)
    if found.layers:
        assert (modes, layer) == (found.modes, sum(found.layers) // 2)
    else:
        assert (modes, layer) == (kept_modes(NARROW.weight_spectra[1], 0.5), 2)
    assert central_modes(LOST) == ((), 2)


def test_the_shortest_of_several_repeats():
    calls = []
    assert shortest(lambda: calls.append(1), 3) >= 0
    assert len(calls) == 3
