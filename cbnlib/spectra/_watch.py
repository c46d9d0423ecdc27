"""Record what the convolutions of a network do in one pass, from PyTorch's own operations.

A module only says how it was set up. A subclass may standardise its weight, a hook may change the
output, batch norm may follow in one call and not in the next.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cbnlib.network.layers import CircularConv
from cbnlib.spectra._embedding import Geometry
from cbnlib.spectra._supported import CONVOLUTIONS, TorchConv, in_precision, own_forward
from cbnlib.spectra.convolutions import layer_spectrum
from cbnlib.spectra.spectrum import Spectrum

Conv = TorchConv | CircularConv


@dataclass(eq=False)
class Convolution:
    """An operation of PyTorch: on what, in which state that was, how, and the result."""

    x: Tensor
    version: int
    weight: Tensor
    geometry: Geometry
    output: Tensor


@dataclass(eq=False)
class Call:
    """One call of a convolution module, or one convolution outside of them.

    Attributes:
        name: Name of the module, or of the parameter that is the weight, without `.weight`.
        conv: The module, if it is one's.
        grid: Pixels per axis of its input.
        problem: Why the module is not just one convolution of its input, or empty.
        weight: The weight that acted; empty of a `CircularConv`.
        geometry: Geometry with which it acted.
        uses: What was done with the output: of batch norm its factor per channel, else None.
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
        """Return the spectrum of the convolution, with batch norm if that alone follows.

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
class _Open:
    """A call that has not returned: its input, in which state, and the convolutions so far."""

    call: Call
    conv: Conv
    x: Tensor
    version: int
    inside: list[Convolution] = field(default_factory=list)

    def close(self, output: object) -> None:
        """Note what the call did: how its one convolution acted, or the problem."""
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
        if not isinstance(output, Tensor) or not _same(output, done.output) or _version(output):
            call.problem = "this module changes what comes out of its convolution"
        elif not _same(done.x, self.x) or done.version != self.version:
            call.geometry = Geometry.of(conv)
            if hooks[0] or own_forward(conv) or call.geometry.mode == "zeros":
                call.problem = "this module changes what goes into its convolution"


class Watch(TorchDispatchMode):
    """Notes the calls of convolution modules, and the convolutions outside of them.

    Attributes:
        names: The modules to watch, with their names.
        calls: The recorded calls.
        others: How many operations are of a kind that is not known, as of a quantised network.
    """

    def __init__(self, model: nn.Module) -> None:
        """Take the network to watch."""
        super().__init__()  # type: ignore[no-untyped-call]  # torch declares no types there
        modules = model.named_modules()
        self.names: dict[Conv, str] = {
            m: name for name, m in modules if isinstance(m, CONVOLUTIONS)
        }
        self.calls: list[Call] = []
        self.others = 0
        held = [*model.named_parameters(), *model.named_buffers()]
        self._held = {id(tensor): (tensor, name.removesuffix(".weight")) for name, tensor in held}
        self._loose = 0
        self._open: list[_Open] = []
        self._outputs: dict[int, tuple[ref[Tensor], Call]] = {}
        self._weights: dict[str, Tensor] = {}
        self._padded: dict[int, tuple[ref[Tensor], Tensor, int, list[int]]] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what happens in this context. An error says which convolution was called last."""
        hooks = []
        try:
            for conv in self.names:
                enter = conv.register_forward_pre_hook(self._enter, with_kwargs=True, prepend=True)
                leave = conv.register_forward_hook(self._leave, always_call=True)
                hooks += [enter, leave]
            with self:
                yield
        except Exception as error:
            if self.calls:
                error.add_note(f"last convolution called: {self.calls[-1].name!r}")
            raise
        finally:
            for hook in hooks:
                hook.remove()

    def different_calls(self, name: str) -> dict[int, Call]:
        """The calls of one name, each the first of those that are alike, by number from 1."""
        different: dict[int, Call] = {}
        for number, call in enumerate((call for call in self.calls if call.name == name), start=1):
            if not any(call.is_like(other) for other in different.values()):
                different[number] = call
        return different

    def _enter(self, conv: Conv, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        x = next(v for v in (*args, *kwargs.values()) if isinstance(v, Tensor))
        axes = len(conv.grid if isinstance(conv, CircularConv) else conv.kernel_size)
        self.calls.append(Call(self.names[conv], conv, tuple(x.shape[-axes:])))
        self._open.append(_Open(self.calls[-1], conv, x, _version(x)))

    def _leave(self, _: object, __: object, output: object) -> None:
        opened = self._open.pop()
        opened.close(output)
        weight = opened.call.weight
        if isinstance(output, Tensor) and output.ndim == weight.ndim:  # channels are the second
            self._outputs[id(output)] = ref(output), opened.call

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401  # torch declares no type for operations
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        name = func.name()
        for value in tree_leaves((args, kwargs)):
            known, call = self._outputs.get(id(value), (None, None))
            if known and call and known() is value:
                call.uses.append(_factor_of_batch_norm(name, args) if args[0] is value else None)
        version = _version(args[0]) if args and isinstance(args[0], Tensor) else 0
        output = func(*args, **(kwargs or {}))
        if name == "aten::constant_pad_nd" and not any(args[2:]) and min(args[1]) >= 0:
            self._padded[id(output)] = ref(output), args[0], version, args[1]
        elif name in ("aten::convolution", "aten::_convolution"):
            self._note(args, version, output)
        elif re.search("conv(?!ert)", name):
            self.others += 1
        return output

    def _note(self, args: tuple[Any, ...], version: int, output: Tensor) -> None:
        if self._open:
            name = self._open[-1].call.name
            self._open[-1].inside.append(self._convolution(name, args, version, output))
            return
        self._loose += 1
        _, name = self._held.get(id(args[1]), (None, f"convolution {self._loose}"))
        done = self._convolution(name, args, version, output)
        grid = tuple(done.x.shape[2:])
        self.calls.append(Call(name, None, grid, "", done.weight, done.geometry))
        self._outputs[id(output)] = ref(output), self.calls[-1]

    def _convolution(
        self, name: str, args: tuple[Any, ...], version: int, output: Tensor
    ) -> Convolution:
        x, weight, _, stride, padding, dilation, transposed, output_padding, groups = args[:9]
        added = [(p, p) for p in padding]
        known, source, before, pads = self._padded.get(id(x), (None, x, 0, []))
        received = self._open and _same(x, self._open[-1].x)  # then padding came before the module
        fits = not (received or transposed) and len(pads) <= 2 * len(added)
        if known and known() is x and fits:
            x, version = source, before
            for i in range(len(pads) // 2):  # last axis first
                left, right = added[-1 - i]
                added[-1 - i] = left + pads[2 * i], right + pads[2 * i + 1]
        how = tuple(stride), tuple(added), tuple(dilation), transposed, tuple(output_padding)
        geometry = Geometry(tuple(weight.shape[2:]), *how, groups)
        return Convolution(x, version, self._copy(name, weight), geometry, output)

    def _copy(self, name: str, weight: Tensor) -> Tensor:
        """A copy, as later calls may overwrite the weight; the last one if it is the same."""
        last = self._weights.get(name)
        if last is None or not torch.equal(last, weight):
            last = self._weights[name] = weight.detach().clone()
        return last


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether these are the same entries in the same order, but for the axis of a batch of one."""
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


def _version(x: Tensor) -> int:
    """Counts changes in place."""
    return 0 if x.is_inference() else x._version


def _factor_of_batch_norm(name: str, args: tuple[Any, ...]) -> Tensor | None:
    """Return batch norm's factor per channel, if the operation is batch norm and does not train."""
    if not name.endswith("_batch_norm") or len(args) < 8:
        return None
    _, weight, _, _, variance, training, _, eps = args[:8]
    if training or variance is None:
        return None
    factor: Tensor = (variance + eps).rsqrt()
    return factor if weight is None else factor * weight
