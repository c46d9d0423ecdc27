"""What one convolution of a network does in one call."""

from contextlib import suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cbnlib.network.layers import CircularConv
from cbnlib.spectra._embedding import Geometry
from cbnlib.spectra._supported import TorchConv, in_precision, own_forward
from cbnlib.spectra.convolutions import layer_spectrum
from cbnlib.spectra.spectrum import Spectrum

Conv = TorchConv | CircularConv


@dataclass(eq=False)
class Convolution:
    """An operation of PyTorch.

    Attributes:
        grid: Pixels per axis of what it acted on, before padding.
        weight: A copy.
        geometry: How it acted, with padding by zeros before it.
        of_input: Whether it acted on what the module received.
        output: What it returned, and may change in place.
        result: A copy of that.
    """

    grid: tuple[int, ...]
    weight: Tensor
    geometry: Geometry
    of_input: bool
    output: Tensor
    result: Tensor


@dataclass(eq=False)
class Call:
    """One call of a convolution module, or one convolution outside of them.

    Attributes:
        name: What the module is called, or the parameter that is the weight, without `.weight`.
        conv: The module, if it is one's.
        grid: Pixels per axis of its input.
        problem: Why the module is not just one convolution of its input, or empty.
        weight: The weight that acted, empty of a `CircularConv`.
        geometry: How it acted.
        uses: What was done with the output, of batch norm its factor per channel, else None.
    """

    name: str
    conv: Conv | None
    grid: tuple[int, ...]
    problem: str = ""
    weight: Tensor = field(default_factory=lambda: torch.empty(0))
    geometry: Geometry | None = None
    uses: list[Tensor | None] = field(default_factory=list)

    def is_like(self, other: "Call") -> bool:
        """Whether two calls of one name have the same spectrum, or the same problem."""
        mine, theirs = ((call.grid, call.geometry, call.problem) for call in (self, other))
        return mine == theirs and torch.equal(self.scaled_weight(), other.scaled_weight())

    @property
    def with_batch_norm(self) -> bool:
        """Whether only batch norm was done with the output."""
        return len(self.uses) == 1 and self.uses[0] is not None

    def spectrum(self, *, circular: bool, dtype: torch.dtype | None) -> Spectrum:
        """That of the convolution, and of batch norm if only this was done with the output.

        Raises:
            ValueError: If the weight is no real number, NaN or infinite.
        """
        if isinstance(self.conv, CircularConv):
            return layer_spectrum(self.conv, dtype=dtype)
        assert self.geometry is not None, self.problem
        weight = in_precision(self.scaled_weight(), dtype)
        return self.geometry.spectrum(weight, self.grid, circular=circular)

    def scaled_weight(self) -> Tensor:
        """The weight that acted, times the factors of batch norm."""
        factor = self.uses[0] if len(self.uses) == 1 else None
        if factor is None or self.geometry is None:
            return self.weight
        by_group = self.weight.unflatten(0, (self.geometry.groups, -1)).flatten(3)
        shape = (1, -1) if self.geometry.transposed else (-1, 1)
        factor = factor.reshape(self.geometry.groups, *shape, 1)
        scaled: Tensor = (by_group * factor).reshape(self.weight.shape)
        return scaled


@dataclass(eq=False)
class OpenCall:
    """A call that has not returned, with its input, a copy of it, and the convolutions so far."""

    call: Call
    conv: Conv
    x: Tensor
    received: Tensor
    inside: list[Convolution] = field(default_factory=list)

    def is_input(self, x: object) -> bool:
        """Whether this is the input as the module received it."""
        return _same(x, self.x) and _equal(x, self.received)

    def close(self, output: object, copied: object) -> None:
        """Note how the one convolution of the call acted, or the problem.

        Args:
            output: What the module returns.
            copied: What that is a copy of, else the same.
        """
        call, conv = self.call, self.conv
        hooks = len(conv._forward_pre_hooks) > 1, len(conv._forward_hooks) > 1  # one is ours
        if type(conv).__call__ is not nn.Module.__call__:
            call.problem = "this module has a __call__ of its own"
            return
        if isinstance(conv, CircularConv):
            if any(hooks) or own_forward(conv):
                call.problem = "this module has hooks or a forward of its own"
            return
        if conv.weight.is_complex():
            call.problem = "the weight is complex"
            return
        if len(self.inside) != 1:
            call.problem = f"{len(self.inside)} convolutions act inside this module, not one"
            return
        (done,) = self.inside
        call.weight, call.geometry = done.weight, done.geometry
        if call.problem:
            return
        same = _same(copied, done.output) and not version_of(output)
        if not (same and _equal(output, done.result)):
            call.problem = "this module changes what comes out of its convolution"
        elif not done.of_input:
            call.geometry = Geometry.of(conv)
            if hooks[0] or own_forward(conv) or call.geometry.mode == "zeros":
                call.problem = "this module changes what goes into its convolution"


def _same(a: object, b: Tensor) -> bool:
    """Whether these are the same entries in the same order, but for the axis of a batch of one."""
    if not isinstance(a, Tensor):
        return False
    if a.ndim < b.ndim:
        a, b = b, a
    extra = a.ndim - b.ndim
    with suppress(NotImplementedError):  # a batch of `torch.vmap` has no storage
        return a is b or (
            a.untyped_storage()._cdata == b.untyped_storage()._cdata
            and a.storage_offset() == b.storage_offset()
            and (a.shape, a.stride()) == ((1,) * extra + b.shape, a.stride()[:extra] + b.stride())
        )
    return False


def _equal(a: object, b: Tensor) -> bool:
    """Whether these are equal numbers, but for the precision."""
    if not isinstance(a, Tensor) or a.numel() != b.numel():
        return False
    if a.is_meta:  # has none
        return True
    return torch.allclose(a, b.to(a.dtype).reshape(a.shape), rtol=0, atol=0, equal_nan=True)


def version_of(x: object) -> int:
    """Counts changes in place."""
    return x._version if isinstance(x, Tensor) and not x.is_inference() else 0
