"""The page: figures and tables, in one file that asks nothing of the internet."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from cbnlib.xray.analyse import XRay
from cbnlib.xray.measure import Activation, Curve, Layer, Response

_WIDTH, _HEIGHT = 150, 70
"""Of a small figure, in its own units."""
_DECADES = 3
_LOGARITHMIC = f"The height is logarithmic, over {_DECADES} decades."
_WHOLE = "the network itself"
"""Name of a network that is a convolution."""

_LAYERS: dict[str, Callable[[Layer], Any]] = {
    "layer": lambda layer: layer.name,
    "filter": lambda layer: _times(layer.weight) + (" transposed" if _transposed(layer) else ""),
    "input": lambda layer: _times(layer.input),
    "stride": lambda layer: _times(layer.stride),
    "batch norm": lambda layer: "yes" if layer.batch_norm else "no",
    "kind": lambda layer: layer.kind,
    "exact largest": lambda layer: layer.exact_largest,
    "exact smallest": lambda layer: layer.exact_smallest,
    "condition": lambda layer: layer.condition,
    "grid": lambda layer: _times(layer.grid),
    "largest": lambda layer: layer.largest,
    "smallest": lambda layer: layer.smallest,
    "above ½": lambda layer: layer.kept,
    "effective": lambda layer: layer.effective,
    "of": lambda layer: layer.dimensions,
    "flatness": lambda layer: layer.flatness,
    "low": lambda layer: layer.low,
    "if flat": lambda layer: layer.low_if_flat,
}
_ACTIVATIONS: dict[str, Callable[[Activation], Any]] = {
    "layer": lambda found: found.name,
    "end": lambda found: found.end,
    "grid": lambda found: _times(found.grid),
    "rms": lambda found: found.rms,
    "effective": lambda found: found.effective,
    "of": lambda found: found.dimensions,
    "low": lambda found: found.low,
    "if flat": lambda found: found.low_if_flat,
    "aligned": lambda found: found.aligned,
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
        figures="".join(map(_figure_of_layer, found.layers)),
        table=_table(_LAYERS, found.layers, "Table of the layers", _ABOUT_LAYERS),
        data=_of_data(found.activations, found.response),
        left_out=_left_out(found.left_out),
    )


_KINDS = {
    "exact": "The numbers are the layer's singular values.",
    "bound": "The layer's padding is not circular, or the stride does not divide the grid. So its "
    "singular values do not belong to frequencies. The numbers are those of the circular "
    "convolution on a larger grid. The i-th largest of them is at least the layer's i-th singular "
    "value, and small ones can be far above it. In an exported "
    "or scripted network, padding that is not by zeros is no part of the layer.",
    "approximation": "The numbers are those that the layer would have with circular padding.",
}


_ABOUT_LAYERS = {
    "filter": "Shape of the weight, as PyTorch stores it.",
    "input": "Pixels of what the layer receives.",
    "batch norm": "Whether a batch norm follows the layer directly and is multiplied in.",
    "kind": "Exact, bound or approximation, see the top of the page.",
    "exact largest, exact smallest": "Of the layer's own singular values, the largest (its "
    "operator norm) and the smallest that is not 0. With its own padding, whatever the kind. Of a "
    "large layer that is not exact they are computed with the option --extremes.",
    "condition": "The first of them over the second.",
    "grid": "Pixels on which the frequencies live. This column and those to the right of it are "
    "about the circular convolution on this grid. It is the layer itself if the kind is exact.",
    "largest, smallest": "Of the singular values σ.",
    "above ½, effective, of": "Real dimensions with σ &gt; ½, their effective number "
    "(Σσ²)²/Σσ⁴, and the number of all.",
    "flatness": "Geometric over arithmetic mean of the σ². It is 1 if all are equal.",
    "low": "Share of Σσ² in the lower half of the band on every axis.",
    "if flat": "What that share is if all σ are equal.",
    "–": "Not known or not computed.",
}
_ABOUT_ACTIVATIONS = {
    "rms": "Root mean square over samples, channels and pixels.",
    "effective, of, low, if flat": "As above, of the root-mean-square amplitudes.",
    "aligned": "Share of the received energy that lies in the strongest tenth of the layer's "
    "dimensions. It is at most 0.1 for signals without any preference.",
}


def _of_data(activations: Sequence[Activation], response: Response | None) -> str:
    parts = []
    if response is not None:
        how = "exact" if response.exact else "estimated from random directions"
        curve = Curve(response.degree, response.value, response.value, response.value)
        told = f"{how}, {response.samples} inputs, largest {max(response.value):.3g}"
        parts += [
            "<h2>Response of the network</h2><p>How strongly the output depends on the input, by "
            f"degree: ‖∂f/∂x̂(ω)‖. {_LOGARITHMIC}</p>"
            '<div class="figures">',
            _figure("whole network", told, curve, logarithmic=True),
            "</div>",
        ]
    if activations:
        figures = (
            _figure(
                f"{found.name} ({found.end})", f"rms {found.rms:.3g}", found.curve, logarithmic=True
            )
            for found in activations
        )
        parts += [
            f"<h2>Activations</h2><p>What the layers receive and return over "
            f"{activations[0].samples} samples: root-mean-square amplitudes by degree. The band "
            "and the line are as above. The constant frequency holds the mean, and the top is the "
            f'largest value. {_LOGARITHMIC}</p><div class="figures">',
            *figures,
            "</div>",
            _table(_ACTIVATIONS, activations, "Table of the activations", _ABOUT_ACTIVATIONS),
        ]
    return "".join(parts)


def _figure_of_layer(layer: Layer) -> str:
    return _figure(layer.name, f"{layer.kind}, {layer.largest:.3g}", layer.curve)


def _figure(name: str, told: str, curve: Curve, *, logarithmic: bool = False) -> str:
    top, right, name = max(curve.largest) or 1.0, max(1, curve.degree[-1]), name or _WHOLE

    def height(value: float) -> float:
        if not logarithmic:
            return _HEIGHT * value / top
        return _HEIGHT * (1 + math.log10(max(value / top, 10**-_DECADES)) / _DECADES)

    def points(values: Iterable[float]) -> list[str]:
        pairs = zip(curve.degree, values, strict=True)
        return [f"{_WIDTH * d / right:.4g},{_HEIGHT - height(v):.4g}" for d, v in pairs]

    area = " ".join([*points(curve.largest), *reversed(points(curve.smallest))])
    label = escape(f"{name}: {told}, degrees 0 to {right}")
    return (
        f'<figure><svg viewBox="-2 -2 {_WIDTH + 4} {_HEIGHT + 4}" role="img" '
        f'aria-label="{label}"><polygon points="{area}"/>'
        f'<polyline points="{" ".join(points(curve.median))}"/>'
        f'<path d="M0 0V{_HEIGHT}H{_WIDTH}"/></svg>'
        f"<figcaption><b>{escape(name)}</b> {told}</figcaption></figure>\n"
    )


def _table(
    columns: Mapping[str, Callable[[Any], Any]],
    items: Iterable[Any],
    label: str,
    about: Mapping[str, str],
) -> str:
    heads = "".join(
        f'<th scope="col" aria-sort="none"><button type="button">{name}</button></th>'
        for name in columns
    )
    rows = "\n".join(_row([of(item) for of in columns.values()]) for item in items)
    meanings = "".join(f"<dt>{name}</dt><dd>{meaning}</dd>" for name, meaning in about.items())
    return (
        "<p>Press a column's name to sort by it.</p>"
        f"<details><summary>What the columns mean</summary><dl>{meanings}</dl></details>"
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(values: Sequence[Any]) -> str:
    name = escape(values[0] or _WHOLE)
    cells = "".join(map(_cell, values[1:]))
    return f'<tr><th scope="row" data-key="{name}">{name}</th>{cells}</tr>'


def _cell(value: Any) -> str:  # noqa: ANN401  # of a column
    if value is None:
        return '<td data-key=""><abbr title="not known">–</abbr></td>'
    digits = ".0f" if isinstance(value, float) and value >= 1000 else ".3g"
    told = format(value, digits) if isinstance(value, float) else str(value)
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
