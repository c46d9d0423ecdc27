"""Input frequencies that the output of a network, or of a part of it, depends on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten

from cbnlib._checks import check_count, check_finite, check_type
from cbnlib.network.model import evaluating
from cbnlib.spectra._passes import find_layers, on_device_of, signals, uncompiled
from cbnlib.spectra._triangle import coefficients
from cbnlib.spectra.modules import without_replicas
from cbnlib.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class FrequencyResponse:
    r"""Measure how strongly an output depends on each input frequency.

    Attributes:
        grid: Pixels per axis of the input.
        values: The norm per mode, shape `[modes]`.
        exact: Whether every output was differentiated. If not, the values are estimates.
        standard_error: Standard error of the values, shape `[modes]`, 0 if they are exact.
    """

    grid: tuple[int, ...]
    values: Tensor
    exact: bool
    standard_error: Tensor

    @property
    def spectrum(self) -> Spectrum:
        """The values as a spectrum with one direction, for plots and tables."""
        return Spectrum(self.grid, self.values.unsqueeze(1))

    @property
    def frequencies(self) -> Tensor:
        """Frequency vectors of the modes, shape `[modes, axes]`."""
        return self.spectrum.omega


def frequency_response(
    model: nn.Module,
    x: Tensor,
    *,
    layer: str | None = None,
    probes: int = 64,
    generator: torch.Generator | None = None,
) -> FrequencyResponse:
    r"""Input frequencies that the output of a network, or of a part of it, depends on.

    $$\Bigl(\frac1B\sum_b\Bigl\lVert\frac{\partial f}{\partial\hat x(\omega)}(x_b)\Bigr
    \rVert_F^2\Bigr)^{1/2}$$

    with the unitary Fourier transform $\hat x$ of the inputs, all their channels and all outputs.
    The squares, counted with `Spectrum.multiplicity`, sum to the mean of $\lVert Jf(x_b)
    \rVert_F^2$. The row $v^\top Jf$ comes from one backward pass through the batch, and its
    Fourier transform is the derivative by $\hat x$. Random signs $v$ have $\mathbb E\,vv^\top=I$,
    so the squares of a few such rows estimate the sum over all outputs (Hutchinson 1990).

    A part can be any module, such as a residual block. The skip connection and the layers then
    count together.

    Args:
        model: Any network. It is in evaluation mode during the passes, and afterwards in the mode
            it was in before. Gradients of its parameters stay as they are.
        x: Inputs, shape `[samples, channels, *grid]`, moved to the network's device.
        layer: The name of a part, as in `named_modules`, None for the whole network. Its output is
            differentiated by its own input, at what it receives in its first call when `x` goes
            through the network.
        probes: How many backward passes at most. With no more outputs per sample than that, the
            values are exact, with one pass for each output. Else they are estimates from so many
            random directions.
        generator: Source of the directions, None for torch's global one.

    Raises:
        TypeError: If the model is no network, or `x` no tensor.
        ValueError: If there are fewer than 2 probes, no such part, or it is not called. Also if
            input or output are no signals or not differentiable, or something is NaN or infinite.

    Example:
        >>> blur = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular", bias=False)
        >>> _ = nn.init.constant_(blur.weight, 1 / 3)
        >>> response = frequency_response(blur, torch.zeros(1, 1, 6))
        >>> response.exact, response.values  # frequencies 0, ±1, ±2, 3; six outputs
        (True, tensor([1.0000, 0.6667, 0.0000, 0.3333], dtype=torch.float64))
    """
    check_count("probes", probes, minimum=2)
    check_finite("x", check_type("x", x, Tensor))
    with evaluating(check_type("model", model, nn.Module)):
        part, x = without_replicas(model), on_device_of(model, x)
        function, received = (part, x) if layer is None else _received(part, x, layer)
        start = signals(part, "input", received)
        if isinstance(start, str):
            raise ValueError(f"{'the network' if layer is None else repr(layer)}: {start}")
        with torch.enable_grad(), uncompiled():
            start = start.detach().requires_grad_()
            outputs = _outputs(function(start.clone()), len(start))  # it may work in place
    exact = outputs.shape[1] <= probes
    count = outputs.shape[1] if exact else probes
    squares = []
    for number in range(count):
        direction = torch.zeros_like(outputs)
        if exact:
            direction[:, number] = 1
        else:
            signs = torch.randint(2, outputs.shape, generator=generator)
            direction += 2 * signs.to(outputs) - 1
        (row,) = torch.autograd.grad(outputs, start, direction, retain_graph=True)
        row_hat = coefficients(check_finite("derivative", row))
        squares.append(row_hat.abs().square().sum(dim=2).mean(dim=1))
    each = torch.stack(squares)
    values = (each.sum(dim=0) if exact else each.mean(dim=0)).sqrt()
    error = torch.zeros_like(values)
    if not exact:  # of the square root
        tiny = torch.finfo(values.dtype).tiny
        error = each.std(dim=0) / count**0.5 / (2 * values.clamp_min(tiny))
    return FrequencyResponse(tuple(start.shape[2:]), values, exact, error)


def _received(
    model: nn.Module, x: Tensor, layer: str
) -> tuple[Callable[[Tensor], object], Tensor | None]:
    """A part of a network as a function of the first signal that it receives, and that signal."""
    (part,) = find_layers(model, [layer])
    calls: list[Any] = []

    def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append(tree_map_only(Tensor, Tensor.clone, (args, kwargs)) if not calls else None)

    hook = part.register_forward_pre_hook(enter, with_kwargs=True)
    with hook, torch.no_grad(), uncompiled():
        model(x)
    if not calls:
        raise ValueError(f"layer {layer!r} is not called in this pass")
    values, structure = tree_flatten(calls[0])
    tensors = [i for i, value in enumerate(values) if isinstance(value, Tensor)]

    def function(signal: Tensor) -> object:
        values[tensors[0]] = signal
        args, kwargs = tree_unflatten(values, structure)
        return part(*args, **kwargs)

    return function, values[tensors[0]] if tensors else None


def _outputs(returned: object, samples: int) -> Tensor:
    """The first tensor that is returned, shape `[samples, outputs]`.

    Raises:
        ValueError: If there is none that depends on the input, sample by sample.
    """
    for y in tree_leaves(returned):
        if isinstance(y, Tensor) and y.requires_grad and y.ndim and len(y) == samples:
            return y.reshape(samples, -1)
    raise ValueError(f"no output for each sample that can be differentiated, got {returned!r:.80}")
