"""The page: a figure and a table of all layers, in one file that asks nothing of the network."""

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from cbnlib.xray.measure import Layer, XRay

_WIDTH, _HEIGHT = 150, 70
"""Of a small figure, in its own units."""

_COLUMNS: dict[str, Callable[[Layer], Any]] = {
    "layer": lambda layer: layer.name,
    "filter": lambda layer: _times(layer.weight) + (" transposed" if _transposed(layer) else ""),
    "input": lambda layer: _times(layer.input),
    "stride": lambda layer: _times(layer.stride),
    "norm": lambda layer: "yes" if layer.batch_norm else "no",
    "kind": lambda layer: layer.kind,
    "grid": lambda layer: _times(layer.grid),
    "largest": lambda layer: layer.largest,
    "smallest": lambda layer: layer.smallest,
    "condition": lambda layer: layer.condition,
    "above ½": lambda layer: layer.kept,
    "effective": lambda layer: layer.effective,
    "of": lambda layer: layer.dimensions,
    "flatness": lambda layer: layer.flatness,
    "low": lambda layer: layer.low,
    "if flat": lambda layer: layer.low_if_flat,
}


def page(found: XRay) -> str:
    """The page as HTML: light and dark, with the numbers of `XRay.to_json`.

    Args:
        found: What was found in a network.
    """
    facts = found.facts
    kinds = {kind: sum(layer.kind == kind for layer in found.layers) for kind in _KINDS}
    template = Path(__file__).with_name("template.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        name=escape(facts["name"]),
        facts=escape(
            f"Input {_times(facts['input'])}, computed in {facts['precision']} by cbnlib "
            f"{facts['cbnlib']} with PyTorch {facts['torch']}."
        ),
        count=len(found.layers),
        kinds=", ".join(f"{number} {kind}" for kind, number in kinds.items() if number),
        meanings="".join(
            f"<dt>{kind}</dt><dd>{_KINDS[kind]}</dd>" for kind, number in kinds.items() if number
        ),
        figures="\n".join(map(_figure, found.layers)),
        head="".join(_header(name) for name in _COLUMNS),
        rows="\n".join(map(_row, found.layers)),
        left_out=_left_out(found.left_out),
    )


_KINDS = {
    "exact": "The numbers are the layer's singular values.",
    "bound": "Padding with zeros, or none, mixes frequencies. The numbers belong to the circular "
    "convolution on a larger grid. The i-th largest of them is at least the layer's i-th singular "
    "value; small ones can be far above.",
    "approximation": "The numbers are those that the layer would have with circular padding.",
}


def _figure(layer: Layer) -> str:
    curve, scale = layer.curve, layer.largest or 1.0
    right = max(1, curve.degree[-1])

    def points(values: Iterable[float]) -> list[str]:
        pairs = zip(curve.degree, values, strict=True)
        return [f"{_WIDTH * d / right:.4g},{_HEIGHT * (1 - v / scale):.4g}" for d, v in pairs]

    area = " ".join([*points(curve.largest), *reversed(points(curve.smallest))])
    told = f"{layer.name}: {layer.kind}, largest {layer.largest:.3g}, degrees 0 to {right}"
    return (
        f'<figure><svg viewBox="-2 -2 {_WIDTH + 4} {_HEIGHT + 4}" role="img" '
        f'aria-label="{escape(told)}"><polygon points="{area}"/>'
        f'<polyline points="{" ".join(points(curve.median))}"/>'
        f'<path d="M0 0V{_HEIGHT}H{_WIDTH}"/></svg><figcaption><b>{escape(layer.name)}</b> '
        f"{layer.kind}, {layer.largest:.3g}</figcaption></figure>"
    )


def _header(name: str) -> str:
    return f'<th scope="col" aria-sort="none"><button type="button">{name}</button></th>'


def _row(layer: Layer) -> str:
    name, *others = (of(layer) for of in _COLUMNS.values())
    cells = "".join(map(_cell, others))
    return f'<tr><th scope="row" data-key="{escape(name)}">{escape(name)}</th>{cells}</tr>'


def _cell(value: Any) -> str:  # noqa: ANN401  # of a column
    if value is None:
        return '<td data-key=""><abbr title="not known">–</abbr></td>'
    told = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f'<td data-key="{value}">{told}</td>'


def _left_out(reasons: dict[str, str]) -> str:
    if not reasons:
        return "<p>Nothing: every convolution that ran is in the table.</p>"
    items = (
        f"<dt>{escape(name)}</dt><dd>{escape(reason)}</dd>" for name, reason in reasons.items()
    )
    return f"<dl>{''.join(items)}</dl>"


def _transposed(layer: Layer) -> bool:
    return layer.operation.startswith("transposed")


def _times(numbers: Iterable[int]) -> str:
    return "×".join(map(str, numbers))
