r"""The training step, loss and gradient of a network, computed fast.

The same numbers as `CNN.forward` and automatic differentiation give, by other means:

* Signals lie pixel-major, `[pixels, channels, batch]`, and are transformed by matrix products
  (`cbnlib.network.real_dft`). Per frequency the filter acts by one real matrix product,
  $\begin{pmatrix}A&-B\\B&A\end{pmatrix}$ with $\hat W(\omega)=A+iB$, and nothing is transposed.
  Between two layers the pixels stay in the order of their transform. They are put into it
  and taken out of it where signals enter, leave, or change their grid.
* The transform is orthogonal, so backward is the same sequence with transposed matrices.
* All memory, and every view of it, is set up once and used again in each step. A step keeps the
  input of each layer in Fourier coordinates and its activations. The rest shares a few buffers.

It computes what the class `CNN` defines, and nothing else. `obstacle` says why a network differs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

from cbnlib._checks import PRECISIONS
from cbnlib.network._dft_ways import part
from cbnlib.network.frequencies import frequencies
from cbnlib.network.layers import CircularConv, GlobalPool
from cbnlib.network.model import CNN
from cbnlib.network.real_dft import (
    PartialDFT,
    RealDFT,
    blocks_to_coordinates,
    coordinates_to_blocks,
    real_dft,
)
from cbnlib.network.resampling import Resample

HALF = 0.5**0.5

_PARTS = (CNN, CircularConv, Resample, GlobalPool, nn.Identity, nn.Linear, nn.ModuleList)
_PLACE = re.compile(r"(convs\.\d+|dense)\.(weight|bias)")


def obstacle(model: nn.Module) -> str:
    """Why a network computes or learns something other than a plain `CNN` does.

    Returns:
        The first reason found, empty for a plain `CNN` (no subclass, no other layers, no hooks).
        Its parameters are all trained, separate, of one dtype and device.
    """
    return next(_obstacles(model), "")


def _obstacles(model: nn.Module) -> Iterator[str]:
    if type(model) is not CNN:
        yield f"it is a {type(model).__name__}, not a CNN"
        return
    if nn.modules.module._has_any_global_hook():
        yield "a hook acts on all modules"
    for name, module in model.named_modules():
        place, facts = name or "the network", vars(module)
        if type(module) not in _PARTS:
            yield f"{place} is a {type(module).__name__}"
        if own := facts.keys() & set(dir(type(module))):
            yield f"{place} has its own {', '.join(sorted(own))}"
        if any(hooks for fact, hooks in facts.items() if fact.endswith("_hooks")):
            yield f"{place} has a hook"
    if {type(conv) for conv in model.convs} != {CircularConv}:
        yield "not all of its convolutions are circular"
    if (model.pool is None) != (model.dense is None):
        yield "its pooling head is incomplete"
    yield from _obstacles_of_parameters(model)


def _obstacles_of_parameters(model: CNN) -> Iterator[str]:
    first, seen = next(model.parameters()), set()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if not _PLACE.fullmatch(name):
            yield f"{name} is not a parameter of a CNN"
        if not parameter.requires_grad:
            yield f"{name} is frozen"
        if id(parameter) in seen:
            yield f"{name} is shared with another layer"
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            yield f"{name} has a hook"
        if type(parameter) is not nn.Parameter or not parameter.is_contiguous():
            yield f"{name} is not stored as a plain contiguous tensor"
        if (parameter.dtype, parameter.device) != (first.dtype, first.device):
            yield f"{name} has another dtype or device than other parameters"
        if parameter.dtype not in PRECISIONS or parameter.is_meta:
            yield f"{name} is {parameter.dtype} on {parameter.device}"
        seen.add(id(parameter))


class FewModes:
    """A convolution with trained blocks at some modes only. The others count as 0.

    It stands in for its layer in the engine. With so few blocks, a step needs no other products and
    no full transform.

    Attributes:
        conv: The layer.
        dft: The transform to these modes. The constant one, where biases act, is among them.
        weight: Parameter with the blocks' real coordinates, shape `[dft.count, c_out, c_in]`.
    """

    parametrization = "spectral"

    def __init__(self, conv: CircularConv, modes: Tensor) -> None:
        """Start with the layer's blocks.

        Args:
            conv: The layer, with filters as large as its grid.
            modes: Which modes, rows of `RealDFT.omega`, ascending.
        """
        kind = conv.weight
        self.conv, self.bias, self.grid = conv, conv.bias, conv.grid
        self.c_in, self.c_out = conv.c_in, conv.c_out
        self.dft = PartialDFT(real_dft(conv.grid, kind.dtype, kind.device), modes, kind.dtype)
        coordinates = blocks_to_coordinates(
            conv.blocks().detach().flatten(2).movedim(-1, 0), conv.grid
        )
        self.weight = nn.Parameter(coordinates[self.dft.coordinates].to(kind).contiguous())

    def blocks(self) -> tuple[Tensor, Tensor]:
        """Blocks at the pairs, complex, and at the self-conjugate frequencies, real."""
        pairs = self.dft.pairs
        halves = self.weight.detach()[: 2 * pairs].unflatten(0, (pairs, 2)) * HALF
        return torch.complex(halves[:, 0], halves[:, 1]), self.weight.detach()[2 * pairs :]

    @torch.no_grad()
    def set_blocks(self, at_pairs: Tensor, at_selfs: Tensor) -> None:
        """Set what `blocks` returns."""
        pairs = self.dft.pairs
        halves = torch.stack([at_pairs.real, at_pairs.imag], dim=1) / HALF
        self.weight[: 2 * pairs] = halves.flatten(0, 1)
        self.weight[2 * pairs :] = at_selfs

    @torch.no_grad()
    def write(self) -> None:
        """Write the blocks into the layer, and zero at all other modes."""
        conv, spectral = self.conv, self.conv.parametrization == "spectral"
        shape = (self.dft.pixels, conv.c_out, conv.c_in)
        coordinates = conv.weight.zero_() if spectral else self.weight.new_zeros(shape)
        coordinates[self.dft.coordinates] = self.weight
        if not spectral:
            stored = coordinates_to_blocks(coordinates, conv.grid).movedim(0, -1)
            conv.set_blocks(stored.unflatten(-1, frequencies(conv.grid).half_grid))


class Engine:
    """Loss and gradients of one network over batches of a fixed size."""

    def __init__(
        self,
        model: CNN,
        fit_function: Callable[[Tensor, Tensor], Tensor],
        batch_size: int,
        *,
        few_modes: Mapping[int, FewModes] | None = None,
    ) -> None:
        """Allocate the memory of a step.

        Args:
            model: The network. Its parameters are read and their `grad` is written in each step.
            fit_function: The data loss, a function of outputs and targets.
            batch_size: Samples per step.
            few_modes: Replacements of layers, which are counted from 1.

        Raises:
            TypeError: If the network is not a plain `CNN`, see `obstacle`.
        """
        if reason := obstacle(model):
            raise TypeError(f"the engine computes plain CNNs only: {reason}")
        self.model, self.fit_function = model, fit_function
        self.relu = model.config.nonlinearity == "relu"
        stand_ins = few_modes or {}
        instead = {id(f.conv.weight): f.weight for f in stand_ins.values()}
        self.parameters = [instead.get(id(p), p) for p in model.parameters()]
        self._gradients = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._attach()
        memory = _Memory(model, batch_size)
        self.layers: list[_Layer] = []
        for i, resample in enumerate(model.resamples, start=1):
            conv = stand_ins.get(i, model.convs[i - 1])
            before = self.layers[-1] if self.layers and isinstance(resample, nn.Identity) else None
            self.layers.append(_Layer(conv, batch_size, memory, before))
        self._crossings: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Write the gradient of the data loss into the parameters' `grad`.

        Args:
            x: Inputs, shape `[batch, c_in, *grid]`.
            y: Targets.

        Returns:
            The data loss, and the output, shape `[batch, ...]`. The next step overwrites it.
        """
        self._attach()
        last = self.layers[-1]
        rectified = self.layers if self.model.dense is not None else self.layers[:-1]
        self.layers[0].write(self.model.resamples[0](x), self.layers[0].signal)
        for i, layer in enumerate(self.layers):
            if i and not layer.continues:
                self._cross(self.layers[i - 1], layer)
            layer.forward()
            if self.relu and i < len(rectified):
                layer.activations.relu_()
        fit, output, slope = self._data_term(last.read(last.activations), y)
        last.write(slope, last.gradient)
        for i, layer in reversed(list(enumerate(self.layers))):
            if self.relu and i < len(rectified):
                torch.ops.aten.threshold_backward.grad_input(
                    layer.gradient, layer.activations, 0, grad_input=layer.gradient
                )
            layer.backward(needs_input=i > 0)
            if i and not layer.continues:
                self._cross_back(self.layers[i - 1], layer)
        return fit, output

    def _attach(self) -> None:
        """The gradients belong to the parameters, even if someone called `zero_grad` in between."""
        for parameter, gradient in zip(self.parameters, self._gradients, strict=True):
            parameter.grad = gradient

    def _cross(self, before: "_Layer", layer: "_Layer") -> None:
        """Resample to the grid of the next layer. Autograd keeps the way back."""
        with torch.enable_grad():
            leaf = before.read(before.activations).requires_grad_()
            there = self.model.resamples[self.layers.index(layer)](leaf)
        self._crossings.append((leaf, there))
        layer.write(there, layer.signal)

    def _cross_back(self, before: "_Layer", layer: "_Layer") -> None:
        leaf, there = self._crossings.pop()
        (back,) = torch.autograd.grad(there, leaf, layer.read(layer.input_gradient))
        before.write(back, before.gradient)

    def _data_term(self, signal: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The head, if any, and the loss, with the gradient at what enters them."""
        pool, dense = self.model.pool, self.model.dense
        with torch.enable_grad():
            leaf = signal.requires_grad_()
            output = leaf if pool is None or dense is None else dense(pool(leaf))
            fit = self.fit_function(output, y)
        if dense is not None:
            dense.zero_grad(set_to_none=False)
        fit.backward()
        assert leaf.grad is not None
        return fit.detach(), output.detach(), leaf.grad


_Conv: TypeAlias = CircularConv | FewModes


class _Memory:
    """Buffers that no layer needs beyond its own turn."""

    def __init__(self, model: CNN, batch_size: int) -> None:
        kind = next(model.parameters()).detach()
        signals, filters, in_pixels = [], [], 0
        for conv in model.convs:
            rows = real_dft(conv.grid, kind.dtype, kind.device).rows
            signals.append(rows * max(conv.c_in, conv.c_out) * batch_size)
            filters.append(rows * conv.c_in * conv.c_out)
            if conv.parametrization == "pixel":
                in_pixels = max(in_pixels, filters[-1])

        def buffer(elements: int) -> Tensor:
            return kind.new_zeros(elements)  # zeros: rows that nobody writes stay finite

        self.gradient, self.out_hat = buffer(max(signals)), buffer(max(signals))
        self.in_hat = buffer(max(*signals, in_pixels))
        self.scratch = buffer(max(*signals, in_pixels))
        self.rotations = buffer(2 * max(filters))
        self.taps = buffer(in_pixels)


class _Layer:
    """One convolution with its part of a step, in fixed places in memory.

    Attributes:
        signal: Its input, `[N, c_in, batch]`, the activations of the layer before, or its own.
        activations: Its outputs, `[N, c_out, batch]`. The ReLU acts on it in place.
        gradient: The gradient at its output, to be written before `backward`.
        input_gradient: The gradient at its input, after `backward`. If both are on one grid, the
            layer before expects its `gradient` there.
        continues: Whether its input is the activations of the layer before, on the same grid.
    """

    def __init__(
        self, conv: _Conv, batch_size: int, memory: _Memory, before: "_Layer | None"
    ) -> None:
        kind = conv.weight
        full = real_dft(conv.grid, kind.dtype, kind.device)
        dft = conv.dft if isinstance(conv, FewModes) else full
        n, pairs = dft.pixels, dft.pairs
        new, inside, outside = kind.detach().new_zeros, conv.c_in, conv.c_out
        self.conv, self.continues = conv, before is not None
        self.order = dft.order
        self.places = None if self.order is None else self.order.argsort()
        self.activations = new(n, outside, batch_size)
        self.signal = new(n, inside, batch_size) if before is None else before.activations
        self.gradient = part(memory.gradient, n, outside, batch_size)
        self.input_gradient = part(memory.gradient, n, inside, batch_size)

        x_hat = new(dft.rows, inside, batch_size)
        y_hat = part(memory.out_hat, dft.rows, outside, batch_size)
        x_grad = part(memory.in_hat, dft.rows, inside, batch_size)
        room = memory.scratch
        self.transform_input = dft.transform(self.signal.flatten(1), x_hat.flatten(1), room)
        self.invert_output = dft.invert(y_hat.flatten(1), self.activations.flatten(1), room)
        self.transform_gradient = dft.transform(self.gradient.flatten(1), y_hat.flatten(1), room)
        self.invert_gradient = dft.invert(x_grad.flatten(1), self.input_gradient.flatten(1), room)
        self.filter = _Filter(conv, dft, memory)
        self.at_pairs = [
            coordinates[: 2 * pairs].view(pairs, 2 * coordinates.shape[1], batch_size)
            for coordinates in (x_hat, y_hat, x_grad)
        ]
        selfs = slice(2 * pairs, dft.count)
        self.at_selfs = [coordinates[selfs] for coordinates in (x_hat, y_hat, x_grad)]
        self.constant = y_hat[2 * pairs]

    def write(self, x: Tensor, place: Tensor) -> None:
        """Write signals `[batch, c, *grid]` to a place with pixels in their order."""
        _put(x.flatten(2).permute(2, 1, 0), self.order, place)

    def read(self, place: Tensor) -> Tensor:
        """The signals at a place, `[batch, c, *grid]`."""
        pixels = place if self.places is None else place.index_select(0, self.places)
        x: Tensor = pixels.permute(2, 1, 0).unflatten(2, self.conv.grid)
        return x

    def forward(self) -> None:
        """Compute the pre-activations of `signal`."""
        (x, y, _), (x_self, y_self, _) = self.at_pairs, self.at_selfs
        conv, filtering = self.conv, self.filter
        self.transform_input()
        filtering.prepare()
        filtering.write_rotations()
        torch.baddbmm(y, filtering.rotations, x, beta=0, alpha=HALF, out=y)
        torch.bmm(filtering.selfs, x_self, out=y_self)
        if conv.bias is not None:
            self.constant.add_(conv.bias.unsqueeze(1))
        self.invert_output()

    def backward(self, *, needs_input: bool) -> None:
        """Compute the parameters' gradients and, where it is needed, `input_gradient`."""
        (x, g, below), (x_self, g_self, below_self) = self.at_pairs, self.at_selfs
        conv, filtering = self.conv, self.filter
        self.transform_gradient()
        if conv.bias is not None and conv.bias.grad is not None:
            torch.sum(self.constant, dim=1, out=conv.bias.grad)
        if needs_input:
            filtering.write_rotations()
            torch.baddbmm(below, filtering.rotations.mT, g, beta=0, alpha=HALF, out=below)
            torch.bmm(filtering.selfs.mT, g_self, out=below_self)
            self.invert_gradient()
        torch.baddbmm(filtering.rotations, g, x.mT, beta=0, alpha=HALF, out=filtering.rotations)
        torch.bmm(g_self, x_self.mT, out=filtering.selfs_gradient)
        filtering.write_gradient()


class _Filter:
    """The filter of a layer in the form that the products need, and its gradient back.

    Attributes:
        rotations: The blocks at the pairs as real matrices, `[pairs, 2 * c_out, 2 * c_in]`, times
            the square root of 2. In `backward` the place of their gradient.
        selfs: The blocks at the self-conjugate frequencies, `[selfs, c_out, c_in]`.
        selfs_gradient: Memory for the gradient of `selfs`.
    """

    def __init__(self, conv: _Conv, dft: RealDFT, memory: _Memory) -> None:
        weight, gradient = conv.weight.detach(), conv.weight.grad
        assert gradient is not None
        self.prepare: Callable[[], object] = _nothing
        self.finish: Callable[[], object] = _nothing
        if isinstance(conv, CircularConv) and conv.parametrization == "pixel":
            pixels = _FilterInPixels(conv, dft, memory)
            self.prepare, self.finish = pixels.prepare, pixels.finish
            weight, gradient = pixels.w_hat, pixels.w_grad
        pairs, (outside, inside) = dft.pairs, weight.shape[1:]
        blocks = part(memory.rotations, pairs, 2, outside, 2, inside)
        self.rotations = blocks.view(pairs, 2 * outside, 2 * inside)
        self.selfs = weight[2 * pairs : dft.count]
        self.selfs_gradient = gradient[2 * pairs : dft.count]
        self.corners = [blocks[:, i, :, j] for i in (0, 1) for j in (0, 1)]
        self.parts = weight[: 2 * pairs].view(pairs, 2, outside, inside).unbind(1)
        self.gradients = gradient[: 2 * pairs].view(pairs, 2, outside, inside).unbind(1)

    def write_rotations(self) -> None:
        """Write `rotations` from the weight."""
        (a, b), (upper, right, left, lower) = self.parts, self.corners
        upper.copy_(a)
        lower.copy_(a)
        left.copy_(b)
        torch.neg(b, out=right)

    def write_gradient(self) -> None:
        """Write the weight's gradient from that of `rotations`."""
        (a, b), (upper, right, left, lower) = self.gradients, self.corners
        torch.add(upper, lower, out=a)
        torch.sub(left, right, out=b)
        self.finish()


class _FilterInPixels:
    """To Fourier coordinates and back, for a filter that is kept in pixels."""

    def __init__(self, conv: CircularConv, dft: RealDFT, memory: _Memory) -> None:
        shape = (conv.c_out, conv.c_in)
        self.conv = conv
        self.w_hat = conv.weight.detach().new_zeros(dft.rows, *shape)
        self.w_grad = part(memory.in_hat, dft.rows, *shape)
        self.filter = part(memory.taps, dft.pixels, *shape)
        flat = self.filter.flatten(1)
        self.transform = dft.transform(flat, self.w_hat.flatten(1), memory.scratch)
        self.invert = dft.invert(self.w_grad.flatten(1), flat, memory.scratch)
        self.order = dft.order
        self.places = _places_of_taps(conv, dft.order)
        self.taps = part(memory.scratch, torch.Size(conv.window).numel(), *shape)
        self.weight = conv.weight.detach().flatten(2).permute(2, 0, 1)

    def prepare(self) -> None:
        """Transform the filter."""
        if self.places is None or self.conv.window == self.conv.grid:
            _put(self.weight, self.order, self.filter)
        else:
            self.filter.zero_()
            self.filter.index_copy_(0, self.places, self.taps.copy_(self.weight))
        self.transform()

    def finish(self) -> None:
        """Transform its gradient back."""
        self.invert()
        gradient = self.filter
        if self.places is not None:
            gradient = torch.index_select(self.filter, 0, self.places, out=self.taps)
        assert self.conv.weight.grad is not None
        self.conv.weight.grad.flatten(2).copy_(gradient.permute(1, 2, 0))


def _places_of_taps(conv: CircularConv, order: Tensor | None) -> Tensor | None:
    """Return the pixel of each tap of a filter, or None if the taps are in the order of pixels."""
    if conv.window == conv.grid:
        return None if order is None else order.argsort()
    pixels = torch.arange(torch.Size(conv.grid).numel(), device=conv.weight.device)
    places = pixels if order is None else order.argsort()
    axes = [(torch.arange(k) - k // 2) % n for k, n in zip(conv.window, conv.grid, strict=True)]
    return places.view(conv.grid)[torch.meshgrid(*axes, indexing="ij")].flatten()


def _nothing() -> None:
    """Maps that a filter in Fourier coordinates needs before and after it."""


def _put(pixel_major: Tensor, order: Tensor | None, place: Tensor) -> None:
    """Write something with pixels in front to a place, with the pixels in an order."""
    if order is None:
        place.copy_(pixel_major)
    else:
        torch.index_select(pixel_major, 0, order, out=place)
