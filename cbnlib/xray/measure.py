"""What is said of each layer: its singular values by frequency, in a dozen numbers and a curve."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cbnlib._checks import check_grid
from cbnlib._version import __version__
from cbnlib.spectra._watch import Call
from cbnlib.spectra.modules import convolutions_of
from cbnlib.spectra.spectrum import Kind, Spectrum

SCHEMA = 1
"""Of `xray.json`: changes when a key changes its meaning or goes."""

_BINS = 32
"""Degrees in a curve; more of them are put together."""


@dataclass(frozen=True)
class Curve:
    """Singular values by degree, of a strided layer by that on its coarser grid.

    Attributes:
        degree: The highest degree of each bin; there are at most 32.
        largest: The largest singular value in it.
        median: Half of the values in it are at least this.
        smallest: The smallest one.
    """

    degree: list[int]
    largest: list[float]
    median: list[float]
    smallest: list[float]

    @classmethod
    def of(cls, spectrum: Spectrum) -> "Curve":
        """That of a spectrum."""
        highest = int(spectrum.degree.max())
        count = min(highest + 1, _BINS)
        bins = (spectrum.degree * count).div(highest + 1, rounding_mode="floor")
        curve = cls([], [], [], [])
        for b in range(count):
            here = bins == b
            counted = spectrum.values[here].repeat_interleave(spectrum.multiplicity[here], dim=0)
            values = counted.flatten().sort(descending=True)[0]
            curve.degree.append(int(spectrum.degree[here].max()))
            curve.largest.append(_six_digits(values[0]))
            curve.median.append(_six_digits(values[(len(values) - 1) // 2]))
            curve.smallest.append(_six_digits(values[-1]))
        return curve


@dataclass(frozen=True)
class Layer:
    r"""A convolution of a network, and its spectrum in numbers.

    With a bound the numbers are those of the circular convolution on the larger grid (S8).

    Attributes:
        name: As in `module_spectra`.
        operation: `convolution` or `transposed convolution`.
        weight: Shape of the filter.
        input: Pixels per axis of its input.
        stride: Per axis; so `dilation`.
        dilation: Distance of the taps.
        padding: Zeros before and after, per axis; another mode's name.
        groups: Blocks of channels that do not mix.
        batch_norm: Whether the batch norm that follows is counted in.
        kind: `exact`, `bound` or `approximation`, see `Spectrum`.
        grid: Pixels per axis of the grid on which the frequencies live.
        dimensions: Real dimensions of all modes.
        largest: The largest singular value. Of a bound, the operator norm is at most this.
        smallest: The smallest one.
        kept: Real dimensions whose singular value exceeds ½.
        effective: $(\sum_i\sigma_i^2)^2/\sum_i\sigma_i^4$: k if k values are equal, the others 0.
        flatness: Geometric mean of the $\sigma_i^2$ over their mean: 1 if all are equal.
        condition: The largest over the smallest; None of a bound, or if the smallest is 0.
        low: Share of $\sum_i\sigma_i^2$ in the lower half of the band on every axis,
            $\lvert\omega_i\rvert\le n_i/4$; None of a strided bound.
        low_if_flat: What that share is if all values are equal.
        curve: Singular values by degree.
    """

    name: str
    operation: str
    weight: list[int]
    input: list[int]
    stride: list[int]
    dilation: list[int]
    padding: list[tuple[int, int]] | str
    groups: int
    batch_norm: bool
    kind: Kind
    grid: list[int]
    dimensions: int
    largest: float
    smallest: float
    kept: int
    effective: float
    flatness: float
    condition: float | None
    low: float | None
    low_if_flat: float | None
    curve: Curve

    @classmethod
    def of(cls, name: str, call: Call, spectrum: Spectrum) -> "Layer":
        """Measure a call."""
        values = spectrum.operator_values().double()
        squares = values.square()
        total, ones = float(squares.sum()), torch.ones_like(spectrum.values)
        largest, smallest = float(values[0]), float(values[-1])
        tiny = torch.finfo(spectrum.values.dtype).eps * largest
        known = spectrum.kind != "bound" and smallest > tiny
        return cls(
            name,
            **_geometry(call),
            batch_norm=call.with_batch_norm,
            kind=spectrum.kind,
            grid=list(spectrum.grid),
            dimensions=len(values),
            largest=largest,
            smallest=smallest,
            kept=spectrum.real_dimensions(),
            effective=total**2 / float(squares.square().sum()) if total else 0.0,
            flatness=float(squares.log().mean().exp()) / (total / len(values)) if total else 0.0,
            condition=largest / smallest if known else None,
            low=_low_share(spectrum, spectrum.values) if total else None,
            low_if_flat=_low_share(spectrum, ones),
            curve=Curve.of(spectrum),
        )


@dataclass(frozen=True)
class XRay:
    """What was found in a network.

    Attributes:
        facts: Name of the network, shape of the input, precision, versions.
        layers: The convolutions.
        left_out: For each layer of which nothing is said, the reason.
    """

    facts: dict[str, Any]
    layers: list[Layer]
    left_out: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All numbers; the keys are the names of the attributes."""
        return {"schema": SCHEMA, **asdict(self)}


def xray(
    model: nn.Module,
    shape: Sequence[int] = (3, 224, 224),
    *,
    name: str = "",
    circular: bool = False,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[str], None] = lambda _: None,
) -> XRay:
    """Measure every convolution of a network.

    Args:
        model: A network; it is not changed.
        shape: Channels and pixels per axis of its input. The input itself is random.
        name: What to call the network; its class if empty.
        circular: Whether to approximate where a spectrum is not exact, as in `conv_spectrum`.
        dtype: Precision of the computation, whatever that of the weights.
        progress: Is told of each layer, before it is measured.

    Raises:
        ValueError: If the shape has no spatial axes; if nothing can be said of any layer; if a
            weight is complex, NaN or infinite. The message names the layer.
        Exception: What the network raises on the input, with the layer reached in a note.

    Example:
        >>> found = xray(nn.Conv1d(1, 4, 3, padding=1), (1, 16))
        >>> [(layer.kind, layer.grid, layer.dimensions) for layer in found.layers]
        [('bound', [18], 18)]
    """
    channels, *grid = check_shape(shape)
    calls, left_out = convolutions_of(model, example(model, (channels, *grid)))
    layers = []
    for number, (label, call) in enumerate(calls.items(), start=1):
        progress(f"layer {number} of {len(calls)}: {label}")
        try:
            spectrum = call.spectrum(circular=circular, dtype=dtype)
        except ValueError as error:
            raise ValueError(f"layer {label!r}: {error}") from error
        layers.append(Layer.of(label, call, spectrum))
    if not layers:
        reasons = "; ".join(f"{label}: {reason}" for label, reason in left_out.items())
        raise ValueError(f"nothing can be said of any layer of this network ({reasons})")
    facts = {
        "name": name or type(model).__name__,
        "input": [channels, *grid],
        "precision": str(dtype).removeprefix("torch."),
        "cbnlib": __version__,
        "torch": torch.__version__,
    }
    return XRay(facts, layers, left_out)


def check_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of an input, without the batch, if it has channels and 1 to 3 axes.

    Raises:
        ValueError: If it has not.
    """
    if not 2 <= len(shape) <= 4:
        raise ValueError(
            "an input has channels and 1 to 3 spatial axes, such as 3x224x224; got "
            f"{'x'.join(map(str, shape))}"
        )
    return check_grid(shape, 4)


def example(model: nn.Module, shape: Sequence[int]) -> Tensor:
    """A random input of a network, on its device and in its precision, the same each time."""
    held = [*model.parameters(), *model.buffers()]
    like = next((t for t in held if t.is_floating_point()), torch.empty(0))
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    return x.to(like)


def _geometry(call: Call) -> dict[str, Any]:
    geometry, ones = call.geometry, [1] * len(call.grid)
    conv: Any = call.conv
    return {
        "operation": ("transposed " if geometry and geometry.transposed else "") + "convolution",
        "weight": list(call.weight.shape if geometry else (conv.c_out, conv.c_in, *conv.grid)),
        "input": list(call.grid),
        "stride": list(geometry.stride) if geometry else ones,
        "dilation": list(geometry.dilation) if geometry else ones,
        "padding": list(geometry.padding)
        if geometry and geometry.mode == "zeros"
        else (geometry.mode if geometry else "circular"),
        "groups": geometry.groups if geometry else 1,
    }


def _low_share(spectrum: Spectrum, values: Tensor) -> float | None:
    """Share of the sum of squares in the lower half of the band, if it is known."""
    if spectrum.shares is None and max(spectrum.stride) > 1:
        return None
    members = spectrum.members
    n = torch.tensor(spectrum.grid) * torch.tensor(spectrum.stride)
    low = (4 * members.abs() <= n.to(members)).all(dim=2).to(values)  # [modes, members]
    squares = values.double().square() * spectrum.multiplicity[:, None]
    shares = values.new_ones(1, 1, 1) if spectrum.shares is None else spectrum.shares
    inside = squares * (shares * low[:, None]).sum(dim=2)
    return float(inside.sum() / squares.sum())


def _six_digits(value: Tensor) -> float:
    return float(f"{float(value):.6g}")
