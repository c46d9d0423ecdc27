"""Measure each convolution of a network and, with data, its activations and its response."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cbnlib._checks import check_grid
from cbnlib._version import __version__
from cbnlib.spectra._calls import Call
from cbnlib.spectra._supported import CONVOLUTIONS
from cbnlib.spectra.activations import activation_spectra
from cbnlib.spectra.alignment import alignment
from cbnlib.spectra.extremes import Extremes, extremes_of
from cbnlib.spectra.modules import convolutions_of
from cbnlib.spectra.response import frequency_response
from cbnlib.xray.measure import Activation, Layer, Response

SCHEMA = 1
"""The version of `xray.json`, which changes when a key changes its meaning or is removed."""

_PRODUCTS = 10_000_000
"""Products of two numbers in one pass of a layer whose extremes take about a second to find."""

_SAMPLES = 8
"""Number of inputs by which the output is differentiated."""


@dataclass(frozen=True)
class XRay:
    """What was found in a network.

    Attributes:
        facts: Name of the network, shape of the input, precision, versions.
        layers: The convolutions.
        left_out: The reason for each layer that was not measured, and for each number that was
            not computed.
        activations: What the layers receive and return, if there are data.
        response: Of the whole network, if there are data.
    """

    facts: dict[str, Any]
    layers: list[Layer]
    left_out: dict[str, str] = field(default_factory=dict)
    activations: list[Activation] = field(default_factory=list)
    response: Response | None = None

    def to_json(self) -> dict[str, Any]:
        """All numbers, with the names of the attributes as keys."""
        return {"schema": SCHEMA, **asdict(self)}


def xray(
    model: nn.Module,
    shape: Sequence[int] = (3, 224, 224),
    *,
    data: Iterable[Tensor] | None = None,
    name: str = "",
    circular: bool = False,
    extremes: bool = False,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[str], None] = lambda _: None,
) -> XRay:
    """Measure every convolution of a network.

    Args:
        model: A network, which is not changed.
        shape: Channels and pixels per axis of its input. The input itself is random.
        data: Batches of inputs. If there are any, the activations are measured, too, and how the
            output depends on the first few inputs.
        name: What to call the network. If empty, its class.
        circular: Whether to approximate where a spectrum is not exact, as in `conv_spectrum`.
        extremes: Whether to find the exact largest and smallest singular values of all layers
            whose spectrum is not exact. This takes minutes for each large layer. If not, only the
            largest value of each small layer is found, by SciPy.
        dtype: Precision of the computation, whatever that of the weights.
        progress: Called with a line about each layer, before it is measured.

    Raises:
        ValueError: If the shape has no spatial axes, no layer can be measured, or a weight is
            complex, NaN or infinite. The message names the layer.
        Exception: What the network raises on the input, with the layer reached in a note.

    Example:
        >>> found = xray(nn.Conv1d(1, 4, 3, padding=1), (1, 16))
        >>> [(layer.kind, layer.grid, layer.dimensions) for layer in found.layers]
        [('bound', [18], 18)]
    """
    channels, *grid = check_shape(shape)
    calls, left_out = convolutions_of(model, example(model, (channels, *grid)))
    layers, skipped = [], defaultdict[str, list[str]](list)
    for number, (label, call) in enumerate(calls.items(), start=1):
        progress(f"layer {number} of {len(calls)}: {label}")
        try:
            spectrum = call.spectrum(circular=circular, dtype=dtype)
        except ValueError as error:
            raise ValueError(f"layer {label!r}: {error}") from error
        own = None if spectrum.kind == "exact" else _extremes(call, every=extremes)
        if isinstance(own, str):
            skipped[own].append(label)
            own = None
        layers.append(Layer.of(label, call, spectrum, own))
    if not layers:
        reasons = "; ".join(f"{label}: {reason}" for label, reason in left_out.items())
        raise ValueError(f"nothing can be said of any layer of this network ({reasons})")
    for reason, labels in skipped.items():
        left_out[f"exact largest of {len(labels)} layers"] = f"{reason} ({', '.join(labels)})"
    facts = {
        "name": name or type(model).__name__,
        "input": [channels, *grid],
        "precision": str(dtype).removeprefix("torch."),
        "cbnlib": __version__,
        "torch": torch.__version__,
    }
    if data is None:
        return XRay(facts, layers, left_out)
    return XRay(facts, layers, left_out, *_of_data(model, data, left_out, progress))


def _extremes(call: Call, *, every: bool) -> Extremes | str:
    """The extremes of a layer, or why they are not computed."""
    assert call.geometry is not None
    weight = call.scaled_weight()
    if not every and call.geometry.products(weight, call.grid) > _PRODUCTS:
        return (
            "takes long, as a pass is of more than "
            f"{_PRODUCTS:,} products; computed with --extremes (extremes=True)"
        )
    weight = weight.cpu() if weight.device.type == "mps" else weight  # has no double precision
    try:
        return extremes_of(weight.double(), call.geometry, call.grid, only_largest=not every)
    except (ModuleNotFoundError, RuntimeError) as error:
        return str(error)


def _of_data(
    model: nn.Module,
    data: Iterable[Tensor],
    left_out: dict[str, str],
    progress: Callable[[str], None],
) -> tuple[list[Activation], Response | None]:
    """The activations and the response, with what cannot be computed added to `left_out`."""
    activations, response = [], None
    names = [name for name, m in model.named_modules() if isinstance(m, CONVOLUTIONS)]
    if not names:
        left_out["activations"] = "no convolution of this network is a module of torch.nn"
    for number, name in enumerate(names, start=1):  # alone: the memory is that of one layer
        progress(f"activations {number} of {len(names)}: {name}")
        found = activation_spectra(model, data, layers=[name])
        along = alignment(model, data, layers=[name])
        shares = {("input", one.name): one.strongest() for one in along}
        activations += [Activation.of(one, shares.get((one.kind, one.name))) for one in found]
        left_out |= {f"activations of {label}": why for label, why in found.left_out.items()}
        left_out |= {f"alignment of {label}": why for label, why in along.left_out.items()}
    progress("response")
    first = next(iter(data))[:_SAMPLES]
    try:
        generator = torch.Generator().manual_seed(0)
        response = Response.of(frequency_response(model, first, generator=generator), len(first))
    except ValueError as error:
        left_out["response"] = str(error)
    return activations, response


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
