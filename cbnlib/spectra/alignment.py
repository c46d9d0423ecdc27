"""Share of the activations in the modes that the next layer keeps."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional

from cbnlib._checks import check_positive
from cbnlib.network.layers import CircularConv
from cbnlib.network.model import evaluating
from cbnlib.spectra._calls import Call
from cbnlib.spectra._passes import End, Loader, PerLayer, find_layers, inputs_of, run
from cbnlib.spectra._supported import CONVOLUTIONS
from cbnlib.spectra._svd import singular_vectors
from cbnlib.spectra._watch import Watch
from cbnlib.spectra._windows import Window
from cbnlib.spectra.modules import without_replicas
from cbnlib.spectra.spectrum import KEPT, Spectrum

_SAMPLES = 32
"""This many are transformed at once, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class Alignment:
    r"""Divide the energy of a layer's input among the layer's modes.

    Attributes:
        name: The layer's name, with the number of the call, as in `activation_spectra`.
        spectrum: The layer's, as in `module_spectra`.
        shares: The share of the energy along each right singular vector, shape
            `[modes, directions]`, like the values of `spectrum`. The rest up to 1 has no effect on
            the output. All 0 if the layer receives only zeros.
    """

    name: str
    spectrum: Spectrum
    shares: Tensor

    def kept(self, threshold: float = KEPT) -> float:
        """The share of the energy in the modes whose singular value exceeds `threshold`."""
        return float(self.shares[self.spectrum.values > threshold].sum())

    def strongest(self, part: float = 0.1) -> float:
        """The share of the energy in the modes of the largest singular values.

        A signal without preference for any mode has at most `part` there.

        Args:
            part: So much of all real dimensions these modes have at most.

        Raises:
            ValueError: If `part` is no finite number >= 0.
        """
        part = check_positive("part", part, zero=True)
        values = self.spectrum.values
        order = values.flatten().argsort(descending=True, stable=True)
        each = self.spectrum.multiplicity.repeat_interleave(values.shape[1])[order]
        dimensions = each.cumsum(dim=0)
        return float(self.shares.flatten()[order][dimensions <= part * dimensions[-1]].sum())


def alignment(
    model: nn.Module, loader: Loader, *, layers: Collection[str] | None = None
) -> PerLayer[Alignment]:
    r"""Return the share of the activations' energy in the modes that the next layer keeps.

    Let the layer be $PWE$ with $W$ circular (S8), where $P=E=I$ if its spectrum is exact. Let
    $v_i(\nu)$ be the right singular vectors of its block at $\nu$, and $\alpha$ the input of the
    layer. Each singular value has the share

    $$\frac{m(\nu)\sum_\alpha\lvert v_i(\nu)^*\,\widehat{E\alpha}(\nu)\rvert^2}
    {\sum_\alpha\lVert E\alpha\rVert^2},$$

    where $m$ is the multiplicity and, with a stride, $\widehat{E\alpha}(\nu)$ holds all members of
    the alias group (S7). So the shares of the kept modes sum to $\lVert\Pi E\alpha\rVert^2/
    \lVert E\alpha\rVert^2$ over the data, with the projection $\Pi$ onto them. It is the
    counterpart of S5 at the layer's input. To compare, a signal without preference for any mode has
    the share (kept dimensions) / (dimensions of the input).

    The weights, with batch norm folded in, are those of the pass with the first batch.

    Args:
        model: Any network, as in `activation_spectra`.
        loader: The data, as in `activation_spectra`.
        layers: Names of convolutions, as in `named_modules`, None for all.

    Returns:
        One for each layer and call. `left_out` names the others, with the reason.

    Raises:
        TypeError: As `activation_spectra`, or if a layer is no convolution.
        ValueError: As `activation_spectra`.

    Example:
        >>> blur = nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")
        >>> _ = nn.init.constant_(blur.weight, 1 / 3)  # keeps 0 and ±1 of the frequencies 0, ..., 3
        >>> step = torch.tensor([[[1.0, 1, 1, 0, 0, 0]]])
        >>> (found,) = alignment(blur, [step])
        >>> round(found.kept(), 3), [round(s, 3) for s in found.shares.flatten().tolist()]
        (0.944, [0.5, 0.444, 0.0, 0.056])
    """
    names = find_layers(model, layers)
    for layer, name in names.items():
        if not isinstance(layer, CONVOLUTIONS):
            raise TypeError(f"layer {name!r} must be a convolution, got {type(layer).__name__}")
    batches = inputs_of(model, loader)
    first = args, kwargs = next(batches)
    watch = Watch(model)
    with torch.no_grad(), evaluating(model), watch.watching(first):
        without_replicas(model)(*args, **kwargs)
    parts: dict[tuple[nn.Module, int, tuple[int, ...]], _Projection] = {}
    problems: dict[str, str] = {}
    for layer, name in names.items():
        calls = [call for call in watch.calls if call.conv is layer]
        for number, call in enumerate(calls, start=1):
            label = name if len(calls) == 1 else f"{name} (call {number})"
            if call.problem:
                problems[label] = call.problem
            else:
                parts[layer, number, call.grid] = _Projection(label, call)

    def see(module: nn.Module, call: int, end: End, signals: Tensor) -> None:
        part = parts.get((module, call, tuple(signals.shape[2:])))
        if part is not None and end == "input":
            part.add(signals)
        elif end == "input" and names[module] not in problems:
            problems[f"{names[module]} (call {call})"] = "this call differs from the first batch's"

    left_out = run(model, chain([first], batches), names, see)
    return PerLayer([part.result() for part in parts.values()], left_out | problems)


class _Projection:
    """Return the coefficients of signals along a convolution's right singular vectors."""

    @torch.no_grad()
    def __init__(self, label: str, call: Call) -> None:
        """Decompose the blocks."""
        self.label, self.geometry = label, call.geometry
        self.spectrum = call.spectrum(circular=False, dtype=torch.float64)
        self.members = self.spectrum.members
        if isinstance(call.conv, CircularConv):
            blocks = call.conv.modes().to(torch.complex128).unsqueeze(1)
        elif call.geometry is not None:
            how = call.geometry
            weight = call.scaled_weight().double()
            window = Window(weight, self.spectrum.grid, how.stride, how.dilation, how.groups)
            alike = max(how.kernel_size) == max(how.stride) == 1
            rows = torch.arange(1 if alike else len(self.members))
            blocks = window.blocks(rows).conj()  # a cross-correlation
            if how.transposed:
                blocks, self.members = blocks.mH, self.spectrum.omega.unsqueeze(1)
        _, values, self.vh = singular_vectors(blocks)  # [modes, groups, directions, inputs]
        values = values.expand(len(self.members), -1, -1)
        self.order = values.flatten(1).argsort(dim=1, descending=True)
        self.energy = torch.zeros_like(self.order, dtype=values.dtype)
        self.total = self.energy.new_zeros(())

    def add(self, signals: Tensor) -> None:
        """Take a batch, shape `[samples, channels, *grid]`."""
        for part in signals.double().split(_SAMPLES):
            embedded = self._embed(part)
            axes = tuple(range(2, embedded.ndim))
            full = torch.fft.fftn(embedded, dim=axes, norm="ortho")
            at_modes = full[(..., *self.members.unbind(dim=-1))]  # negative indices wrap around
            by_group = at_modes.unflatten(1, (self.vh.shape[1], -1)).permute(3, 1, 4, 2, 0)
            along = self.vh @ by_group.flatten(2, 3)  # [modes, groups, directions, samples]
            self.energy += along.abs().square().sum(dim=-1).flatten(1)
            self.total += embedded.square().sum()

    def _embed(self, signals: Tensor) -> Tensor:
        """$E$ applied to signals, padded and in the cyclic grid."""
        how = self.geometry
        if how is None:
            return signals
        stride = (1,) * len(how.stride) if how.transposed else how.stride
        if not how.transposed:
            signals = how.pad(signals)
        fine = [n * s for n, s in zip(self.spectrum.grid, stride, strict=True)]
        missing = [n - k for n, k in zip(fine, signals.shape[2:], strict=True)]
        return functional.pad(signals, [side for k in reversed(missing) for side in (0, k)])

    def result(self) -> Alignment:
        """The shares, in the order of the spectrum's values."""
        weighted = self.energy * self.spectrum.multiplicity.unsqueeze(1)
        shares = weighted.take_along_dim(self.order, dim=1) / self.total
        return Alignment(self.label, self.spectrum, shares.nan_to_num())
