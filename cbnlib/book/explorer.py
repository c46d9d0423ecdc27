"""Many runs behind three sliders, depth, ridge and time, in one page without server or network.

`explorer_data` makes a small table of the runs' spectra over training, `explorer_charts` draws it
with Altair, and `explore` puts both into a page of its own (`cbnlib.book.explorer_page`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from cbnlib._extras import extra
from cbnlib.book.explorer_page import Explorer
from cbnlib.runs.run import Run
from cbnlib.spectra.spectrum import KEPT, Spectrum, middle_layer

with extra("book"):
    import altair as alt

DIRECTIONS = 3
"""How many singular values of each degree are shown, the largest ones."""

SHAPES = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "triangle-down",
    "cross",
    "triangle-right",
    "triangle-left",
    "M-1,-.5L-.5,-1L0,-.5L.5,-1L1,-.5L.5,0L1,.5L.5,1L0,.5L-.5,1L-1,.5L-.5,0Z",
)
"""Markers of degree 0, 1, ..., so that degrees differ without colour. The last is a path."""

_LARGEST, _TOP = 2.5, 2.8  # rare larger values stand at the first, the counts at the second


def explore(runs: Sequence[Run], description: str, picture: bytes) -> Explorer:
    """The page in which a reader moves through runs by depth, ridge and time.

    Args:
        runs: With spectra over training, one for each combination of a depth and a ridge.
        description: What there is to see, for those who cannot see it.
        picture: A PNG to show where HTML cannot be shown.

    Raises:
        ValueError: As `explorer_data`, or if there is no description.
    """
    data = explorer_data(runs)
    charts = {name: chart.to_dict() for name, chart in explorer_charts(data).items()}
    return Explorer(data, charts, description, picture)


def explorer_data(runs: Sequence[Run]) -> dict[str, Any]:
    r"""What the page shows of runs, as JSON with few bytes.

    Args:
        runs: One for each combination of a depth and a ridge, all with spectra at the same steps
            and on one grid with at most `len(SHAPES)` degrees.

    Returns:
        `depths`, `ridges` and `steps` (what the sliders stand for, ascending), `degrees` (how
        many there are), `snapshots` and `histories`. A row of `snapshots` is a run at a step.
        `run` counts depths × ridges, `time` the steps, `v` has the singular values in hundredths by
        layer, degree and rank. `kept` has the real dimensions above `KEPT` by layer, `degrees`
        those that layer L/2 keeps. A row of `histories` is a run, with the lists `step`, `fit` and
        `price`, which is $\lambda\lVert\theta\rVert^2$.

    Raises:
        ValueError: If a combination is missing or stands twice, the steps or grids differ, or
            there are too many degrees.
    """
    depths = sorted({run.network.depth for run in runs})
    ridges = sorted({run.training.ridge for run in runs})
    steps = [shot.step for shot in runs[0].spectra] if runs else []
    found = sorted((run.network.depth, run.training.ridge) for run in runs)
    if not runs or found != [(depth, ridge) for depth in depths for ridge in ridges]:
        raise ValueError(f"need one run per depth in {depths} and ridge in {ridges}, got {found}")
    if not steps or any([shot.step for shot in run.spectra] != steps for run in runs):
        raise ValueError("all runs must have spectra over training, at the same steps")
    grids = {layer.grid for run in runs for layer in run.spectra[0].layers}
    degrees = 1 + int(runs[0].spectra[0].layers[0].degree.max())
    if len(grids) > 1 or degrees > len(SHAPES):
        raise ValueError(f"need one grid with at most {len(SHAPES)} degrees, got {grids}")
    snapshots, histories = [], []
    for run in runs:
        place = depths.index(run.network.depth) * len(ridges) + ridges.index(run.training.ridge)
        snapshots += [{"run": place, **row} for row in _snapshots(run, degrees)]
        histories.append({"run": place, **_history(run)})
    return {
        "depths": depths,
        "ridges": ridges,
        "steps": steps,
        "degrees": degrees,
        "snapshots": snapshots,
        "histories": histories,
    }


def _snapshots(run: Run, degrees: int) -> list[dict[str, Any]]:
    middle = middle_layer(run.network.depth) - 1
    return [
        {
            "time": time,
            "v": [v for layer in shot.layers for v in _hundredths(layer, degrees)],
            "kept": [layer.real_dimensions(KEPT) for layer in shot.layers],
            "degrees": list(shot.layers[middle].kept_by_degree(KEPT)),
        }
        for time, shot in enumerate(run.spectra)
    ]


def _hundredths(layer: Spectrum, degrees: int) -> list[int]:
    """The largest values of each degree in hundredths, filled up with 0."""
    rounded: list[int] = []
    for degree in range(degrees):
        values: Tensor = layer.values[layer.degree == degree].flatten()
        top = values.sort(descending=True)[0][:DIRECTIONS].tolist()
        rounded += [round(100 * value) for value in top] + [0] * (DIRECTIONS - len(top))
    return rounded


def _history(run: Run) -> dict[str, list[float]]:
    price = [run.training.ridge * norm for norm in run.history.norm]
    return {
        "step": [float(step) for step in run.history.step],
        "fit": [float(f"{value:.3g}") for value in run.history.fit],
        "price": [float(f"{value:.3g}") for value in price],
    }


def explorer_charts(data: Mapping[str, Any]) -> dict[str, alt.LayerChart]:
    """The charts of `explorer_data`, whose parameters are bound to the page's sliders.

    They take their rows from named data, `snapshots` and `histories`. Colours of degrees are the
    style sheet's `--degree-0` and so on, so that the page's theme chooses them.

    Returns:
        `values` (singular values by layer), `loss` and `kept`, both against time.
    """
    return {"values": _values(data), "loss": _loss(data), "kept": _kept(data)}


def _here(data: Mapping[str, Any], *, now: bool = False) -> str:
    """The rows of the chosen run, or of the chosen time in it."""
    run = f"datum.run == toNumber(depth) * {len(data['ridges'])} + toNumber(ridge)"
    return run + " && datum.time == toNumber(time)" * now


def _finish(layers: list[alt.Chart], height: int, description: str) -> alt.LayerChart:
    plain = {"titleFontWeight": "normal", "titleFontSize": 12, "labelFontSize": 12}
    sliders = (  # their positions, counted from 0, as text
        alt.param(name, value="0", bind=alt.BindDirect(element=f"#{name}"))
        for name in ("depth", "ridge", "time")
    )
    chart: alt.LayerChart = (
        alt.layer(*layers)
        .add_params(*sliders)
        .properties(width="container", height=height, description=description)
        .configure(background="transparent", font="sans-serif", axis=plain, legend=plain)
    )
    return chart


def _values(data: Mapping[str, Any]) -> alt.LayerChart:
    degrees, per_layer = data["degrees"], data["degrees"] * DIRECTIONS
    now = alt.Chart(alt.NamedData("snapshots")).transform_filter(_here(data, now=True))
    last = alt.ExprRef(f"{data['depths']}[+depth] + 0.5")
    layers = alt.Scale(domainMin=0.5, domainMax=last, zero=False, nice=False)
    axis = alt.Axis(format="d", tickMinStep=1, grid=False)
    x = alt.X("x:Q", title="layer", scale=layers, axis=axis)
    y = alt.Y("value:Q", title="singular value", scale=alt.Scale(domain=[0, _TOP]))
    colours = [f"var(--degree-{degree})" for degree in range(degrees)]
    key = alt.Legend(orient="bottom", direction="horizontal", columns=degrees, columnPadding=4)
    color = alt.Scale(domain=list(range(degrees)), range=colours)
    shape = alt.Scale(domain=list(range(degrees)), range=SHAPES[:degrees])
    points = (
        now.transform_calculate(cell="sequence(length(datum.v))")
        .transform_flatten(["v", "cell"])
        .transform_filter("datum.v > 0")
        .transform_calculate(
            degree=f"floor(datum.cell / {DIRECTIONS}) % {degrees}",
            value=f"min(datum.v / 100, {_LARGEST})",
            x=f"floor(datum.cell / {per_layer}) + 1 + 0.7 * (datum.degree / {degrees - 1} - 0.5)",
        )
        .mark_point(filled=True, size=45, opacity=1, aria=False)
        .encode(
            x,
            y,
            color=alt.Color("degree:N", title=None, scale=color, legend=key),
            shape=alt.Shape("degree:N", title=None, scale=shape),
        )
    )
    kept = (
        now.transform_calculate(layer="sequence(1, length(datum.kept) + 1)")
        .transform_flatten(["kept", "layer"])
        .mark_text(baseline="top", fontSize=12, fontWeight="bold", aria=False)
        .encode(alt.X("layer:Q"), alt.YDatum(_TOP), text="kept:Q")
    )
    lines = [_level(KEPT, [2, 3]), _level(1.0, [6, 3])]
    about = "Singular values by layer and degree at the chosen depth, ridge and time."
    return _finish([*lines, points, kept], 260, about)


def _level(value: float, dash: list[int]) -> alt.Chart:
    """A horizontal line."""
    line = alt.Chart(alt.InlineData([{}])).mark_rule(strokeDash=dash, aria=False)
    rule: alt.Chart = line.encode(y=alt.YDatum(value))
    return rule


def _steps(data: Mapping[str, Any], name: str) -> alt.X:
    """The horizontal axis of time, where a square root gives room to the first steps."""
    scale = alt.Scale(type="sqrt", domain=[0, data["steps"][-1]])
    axis = alt.Axis(grid=False, tickCount=5, labelOverlap=True, format="d")
    title = "gradient step (square-root scale)"
    return alt.X(f"{name}:Q", title=title, scale=scale, axis=axis)


def _present(data: Mapping[str, Any]) -> alt.Chart:
    """A vertical line at the chosen time."""
    step = f"{data['steps']}[toNumber(time)]"
    line = alt.Chart(alt.InlineData([{}])).transform_calculate(now=step)
    rule: alt.Chart = line.mark_rule(strokeWidth=2, aria=False).encode(_steps(data, "now"))
    return rule


def _loss(data: Mapping[str, Any]) -> alt.LayerChart:
    both = [value for row in data["histories"] for value in (*row["fit"], *row["price"])]
    domain = [float(f"{bound:.2g}") for bound in (0.9 * min(both), 1.1 * max(both))]
    scale = alt.Scale(type="log", domain=domain, clamp=True)
    axis = alt.Axis(tickCount=4, format="~g")
    names = {"fit": "data loss", "price": "ridge × squared norm"}
    key = alt.Legend(orient="top", direction="horizontal", title=None, labelLimit=300, columns=2)
    dashes = alt.Scale(domain=list(names.values()), range=[[1, 0], [5, 3]])
    lines = [
        alt.Chart(alt.NamedData("histories"))
        .transform_filter(_here(data))
        .transform_flatten(["step", series])
        .transform_calculate(part=f"'{name}'")
        .mark_line(aria=False)
        .encode(
            _steps(data, "step"),
            alt.Y(f"{series}:Q", title="part of the loss (log)", scale=scale, axis=axis),
            strokeDash=alt.StrokeDash("part:N", scale=dashes, legend=key),
        )
        for series, name in names.items()
    ]
    about = "Data loss and price of the weights against time, the chosen time marked."
    return _finish([*lines, _present(data)], 150, about)


def _kept(data: Mapping[str, Any]) -> alt.LayerChart:
    most = max(max(row["kept"]) for row in data["snapshots"])
    scale = alt.Scale(type="symlog", domain=[0, int(np.ceil(most / 10)) * 10])
    axis = alt.Axis(values=[0, 1, 3, 5, 10, 20, 40, 80], format="d")
    line = (
        alt.Chart(alt.NamedData("snapshots"))
        .transform_filter(_here(data))
        .transform_calculate(
            step=f"{data['steps']}[datum.time]",
            middle="datum.kept[floor(length(datum.kept) / 2) - 1]",
        )
        .mark_line(interpolate="step-after", point=True, aria=False)
        .encode(
            _steps(data, "step"),
            alt.Y("middle:Q", title="kept (log of 1 + n)", scale=scale, axis=axis),
        )
    )
    about = "Real dimensions kept by layer L/2 against time, the chosen time marked."
    return _finish([line, _present(data)], 130, about)
