"""The interactive page: its table, its charts and what stands in it, without a browser."""

import base64
import html
import json
import re
from dataclasses import replace
from itertools import product

import pytest
import torch
from bs4 import BeautifulSoup
from run_cases import experiment

from cbnlib import CNNConfig, Spectrum, run_experiment
from cbnlib.book import explorer_page as page
from cbnlib.book.explorer import DIRECTIONS, SHAPES, explore, explorer_charts, explorer_data

DEPTHS, RIDGES, DEGREES = (2, 3), (1e-2, 1e-1), 5
ABOUT = 'Sliders over "spectra" & more'


def run_of(depth, ridge):
    network = CNNConfig(grid=8, width=2, depth=depth)
    what = experiment(network, ridge=ridge, steps=6, snapshots=4, records=3)
    [run] = run_experiment(what, progress=False)
    return run


@pytest.fixture(scope="module")
def runs():
    return [run_of(depth, ridge) for depth, ridge in product(DEPTHS, RIDGES)]


@pytest.fixture(scope="module")
def data(runs):
    return explorer_data(runs[::-1])  # their order does not matter


def test_the_sliders_stand_for_depths_ridges_and_steps(runs, data):
    assert (data["depths"], data["ridges"]) == (list(DEPTHS), list(RIDGES))
    assert data["steps"] == [shot.step for shot in runs[0].spectra]
    places = [(row["run"], row["time"]) for row in data["snapshots"]]
    assert sorted(places) == list(product(range(4), range(len(data["steps"]))))
    assert sorted(row["run"] for row in data["histories"]) == [0, 1, 2, 3]


def test_rows_hold_the_largest_values_of_each_degree_and_what_is_kept(runs, data):
    for place, run in enumerate(runs):
        for time, shot in enumerate(run.spectra):
            [row] = [r for r in data["snapshots"] if (r["run"], r["time"]) == (place, time)]
            values = torch.tensor(row["v"]).reshape(run.network.depth, DEGREES, DIRECTIONS) / 100
            for layer, shown in zip(shot.layers, values, strict=True):
                for degree in range(DEGREES):
                    there = layer.values[layer.degree == degree].flatten()
                    assert shown[degree, : len(there)].tolist() == pytest.approx(
                        there[:DIRECTIONS].tolist(), abs=0.006
                    )
                    assert not shown[degree, len(there) :].any()
            assert row["kept"] == [layer.real_dimensions(0.5) for layer in shot.layers]
            middle = shot.layers[run.network.depth // 2 - 1]
            assert row["degrees"] == list(middle.kept_by_degree(0.5))


def test_histories_hold_the_two_parts_of_the_loss(runs, data):
    [row] = [row for row in data["histories"] if row["run"] == 3]
    assert row["step"] == runs[3].history.step
    assert row["fit"] == pytest.approx(runs[3].history.fit, rel=6e-3)
    assert row["price"] == pytest.approx([0.1 * norm for norm in runs[3].history.norm], rel=6e-3)


def test_runs_that_do_not_make_a_grid_are_refused(runs):
    for some in ([], runs[:3], [*runs, runs[0]]):
        with pytest.raises(ValueError, match="need one run per depth in"):
            explorer_data(some)
    with pytest.raises(ValueError, match="at the same steps"):
        explorer_data([*runs[:3], replace(runs[3], spectra=runs[3].spectra[:2])])
    with pytest.raises(ValueError, match="at the same steps"):
        explorer_data([replace(run, spectra=[]) for run in runs])
    wide = run_of(2, 1e-2)
    layers = [Spectrum((20,), torch.ones(11, 2)) for _ in wide.spectra[0].layers]
    wide = replace(wide, spectra=[replace(wide.spectra[0], layers=layers)])
    with pytest.raises(ValueError, match="need one grid with at most 9 degrees"):
        explorer_data([wide])


def test_charts_follow_the_sliders_and_tell_degrees_by_shape_and_colour(data):
    charts = {name: chart.to_dict() for name, chart in explorer_charts(data).items()}
    assert list(charts) == ["values", "loss", "kept"]
    for chart in charts.values():
        bound = {param["name"]: param["bind"]["element"] for param in chart["params"]}
        assert bound == {"depth": "#depth", "ridge": "#ridge", "time": "#time"}
        assert chart["width"] == "container"
        assert chart["description"]
    [points] = [layer for layer in charts["values"]["layer"] if "shape" in layer["encoding"]]
    shape, colour = points["encoding"]["shape"]["scale"], points["encoding"]["color"]["scale"]
    assert shape["range"] == list(SHAPES[:DEGREES])
    assert colour["range"] == [f"var(--degree-{degree})" for degree in range(DEGREES)]


@pytest.fixture(scope="module")
def shown(runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_vega", lambda: "window.vegaEmbed = () => 1 < 2")  # a second's work
        return explore(runs, ABOUT, b"a picture")._repr_mimebundle_(include=None)


def test_the_frame_holds_the_page_and_has_a_title(shown):
    frame = BeautifulSoup(shown["text/html"], "html.parser").iframe
    assert frame["title"] == ABOUT
    assert "<noscript>" in shown["text/html"]
    assert "window.vegaEmbed = () => 1 < 2" in html.unescape(frame["srcdoc"])
    assert base64.b64decode(shown["image/png"]) == b"a picture"
    assert shown["text/plain"] == ABOUT


def test_the_page_can_be_used_by_keyboard_and_asks_nobody(shown):
    source = BeautifulSoup(shown["text/html"], "html.parser").iframe["srcdoc"]
    inner = BeautifulSoup(source, "html.parser")
    assert inner.html["lang"] == "en"
    assert inner.title.get_text()
    for name, last in {"depth": "1", "ridge": "1", "time": "3"}.items():
        [slider] = inner.select(f"input[type=range]#{name}")
        assert (slider["min"], slider["max"]) == ("0", last)
        assert inner.select_one(f"label[for={name}]").get_text().strip()
    assert inner.select_one("#time")["value"] == "3"  # opens at the end of training
    assert inner.select_one("button#play")["type"] == "button"
    assert inner.select_one("#reading")["aria-live"] == "polite"
    assert not inner.select("[src], [href]")
    assert not re.search(r"https?://(?!vega\.github\.io/schema)", source)


def test_every_degree_has_a_colour_in_both_themes():
    style = page._style(9)
    for degree in range(9):
        assert len(re.findall(rf"--degree-{degree}:#[0-9a-f]{{6}}", style)) == 2


def test_colours_go_from_dark_to_bright_in_both_themes():
    weights = torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.double)
    for theme in re.findall(r"color-scheme: \w+; ([^}]*)", page._style(9)):
        colours = re.findall(r"#(..)(..)(..)", theme)
        parts = torch.tensor([[int(part, 16) for part in colour] for colour in colours])
        assert len(parts) == 9
        assert (parts.double() @ weights).diff().gt(0).all()


def test_nothing_in_the_data_ends_the_script():
    assert json.loads(page._in_script({"a": "</script>"})) == {"a": "</script>"}
    assert "<" not in page._in_script({"a": "</script>"})
