"""A dozen numbers and a curve for a layer, for activations or for a response."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cbnlib.spectra._calls import Call
from cbnlib.spectra.activations import ActivationSpectrum
from cbnlib.spectra.extremes import Extremes
from cbnlib.spectra.response import FrequencyResponse
from cbnlib.spectra.spectrum import Kind, Spectrum

_BINS = 32
"""Degrees in a curve. More of them are put together."""


@dataclass(frozen=True)
class Curve:
    """Singular values by degree, for a strided layer by the degree on its coarser grid.

    Attributes:
        degree: The highest degree of each bin, of which there are at most 32.
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
        """The curve of a spectrum."""
        curve = cls([], [], [], [])
        for degree, here in _bins(spectrum):
            counted = spectrum.values[here].repeat_interleave(spectrum.multiplicity[here], dim=0)
            values = counted.flatten().sort(descending=True)[0]
            curve.degree.append(degree)
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
        stride: Per axis, and so is `dilation`.
        dilation: Distance of the taps.
        padding: Zeros before and after, per axis, or another mode's name.
        groups: Blocks of channels that do not mix.
        batch_norm: Whether the batch norm that follows is counted in.
        kind: `exact`, `bound` or `approximation`, see `Spectrum`.
        grid: Pixels per axis of the grid on which the frequencies live.
        dimensions: Real dimensions of all modes.
        largest: The largest singular value. Of a bound, the operator norm is at most this.
        smallest: The smallest one.
        kept: Real dimensions whose singular value exceeds ½.
        effective: $(\sum_i\sigma_i^2)^2/\sum_i\sigma_i^4$, k if k values are equal, the others 0.
        flatness: Geometric mean of the $\sigma_i^2$ over their mean, 1 if all are equal.
        exact_largest: The layer's own largest singular value, its operator norm. None if it was
            not computed.
        exact_smallest: The layer's own smallest one that is not 0. None if it is not known.
        condition: `exact_largest` over `exact_smallest`.
        low: Share of $\sum_i\sigma_i^2$ in the lower half of the band on every axis,
            $\lvert\omega_i\rvert\le n_i/4$. None for a strided bound.
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
    exact_largest: float | None
    exact_smallest: float | None
    condition: float | None
    low: float | None
    low_if_flat: float | None
    curve: Curve

    @property
    def filter(self) -> str:
        """Shape of the filter in words."""
        shape = "×".join(map(str, self.weight))
        return f"{shape} transposed" if self.operation.startswith("transposed") else shape

    @classmethod
    def of(
        cls, name: str, call: Call, spectrum: Spectrum, extremes: Extremes | None = None
    ) -> "Layer":
        """Measure a call, with its extremes where the spectrum is not exact."""
        values = spectrum.operator_values().double()
        squares = values.square()
        total, ones = float(squares.sum()), torch.ones_like(spectrum.values)
        largest, smallest = float(values[0]), float(values[-1])
        own_largest, own_smallest = extremes or (None, None)
        if spectrum.kind == "exact":
            tiny = torch.finfo(spectrum.values.dtype).eps * largest
            own_largest, own_smallest = largest, smallest if smallest > tiny else None
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
            effective=_effective(squares),
            flatness=float(squares.log().mean().exp()) / (total / len(values)) if total else 0.0,
            exact_largest=own_largest,
            exact_smallest=own_smallest,
            condition=own_largest / own_smallest if own_largest and own_smallest else None,
            low=_low_share(spectrum, spectrum.values) if total else None,
            low_if_flat=_low_share(spectrum, ones),
            curve=Curve.of(spectrum),
        )


@dataclass(frozen=True)
class Activation:
    """What a layer receives or returns over a data set, see `activation_spectra`.

    Attributes:
        name: The layer's name.
        end: `input` for what it receives, `output` for what it returns.
        samples: How many there were.
        grid: Pixels per axis.
        dimensions: Real dimensions of all modes.
        rms: Root mean square over samples, channels and pixels.
        effective: As of a `Layer`, and so are `low`, `low_if_flat` and `curve`.
        low: Share of the energy in the lower half of the band.
        low_if_flat: What that share is if all frequencies have the same energy.
        aligned: Share of the energy that a convolution receives in the strongest tenth of its
            dimensions, see `alignment`. None if it is not known.
        curve: Root-mean-square amplitudes by degree.
    """

    name: str
    end: str
    samples: int
    grid: list[int]
    dimensions: int
    rms: float
    effective: float
    low: float | None
    low_if_flat: float | None
    aligned: float | None
    curve: Curve

    @classmethod
    def of(cls, found: ActivationSpectrum, aligned: float | None = None) -> "Activation":
        """Measure a spectrum."""
        spectrum = found.spectrum
        squares = spectrum.operator_values().double().square()
        total, entries = float(squares.sum()), found.triangle.shape[-1] * math.prod(spectrum.grid)
        return cls(
            found.name,
            found.kind,
            found.samples,
            list(spectrum.grid),
            len(squares),
            rms=math.sqrt(total / entries),
            effective=_effective(squares),
            low=_low_share(spectrum, spectrum.values) if total else None,
            low_if_flat=_low_share(spectrum, torch.ones_like(spectrum.values)),
            aligned=aligned,
            curve=Curve.of(spectrum),
        )


@dataclass(frozen=True)
class Response:
    """How strongly the output depends on the input, by degree, see `frequency_response`.

    Attributes:
        samples: How many there were.
        exact: Whether every output was differentiated. If not, the values are estimates.
        degree: The highest degree of each bin.
        value: Root mean square over the frequencies of the bin.
        standard_error: Mean standard error of the frequencies of the bin.
    """

    samples: int
    exact: bool
    degree: list[int]
    value: list[float]
    standard_error: list[float]

    @property
    def curve(self) -> Curve:
        """The values by degree."""
        return Curve(self.degree, self.value, self.value, self.value)

    @classmethod
    def of(cls, found: FrequencyResponse, samples: int) -> "Response":
        """Measure a response."""
        spectrum, response = found.spectrum, cls(samples, found.exact, [], [], [])
        for degree, here in _bins(spectrum):
            weight = spectrum.multiplicity[here] / spectrum.multiplicity[here].sum()
            response.degree.append(degree)
            response.value.append(_six_digits((weight * found.values[here].square()).sum().sqrt()))
            response.standard_error.append(_six_digits((weight * found.standard_error[here]).sum()))
        return response


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


def _effective(squares: Tensor) -> float:
    return float(squares.sum() ** 2 / squares.square().sum()) if squares.any() else 0.0


def _bins(spectrum: Spectrum) -> list[tuple[int, Tensor]]:
    """Bins of degrees, as the highest degree of each and which modes belong to it."""
    degrees = int(spectrum.degree.max()) + 1
    count = min(degrees, _BINS)
    bins = (spectrum.degree * count).div(degrees, rounding_mode="floor")
    return [(int(spectrum.degree[bins == b].max()), bins == b) for b in range(count)]


def _six_digits(value: Tensor) -> float:
    return float(f"{float(value):.6g}")
