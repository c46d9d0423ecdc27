"""What the convolutions of a network do in one pass, from the operations that PyTorch carries out.

A module only says how it was set up. A subclass may standardise its weight, a hook may change the
output, batch norm may follow in one call and not in the next.
"""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from cbnlib.network.layers import CircularConv
from cbnlib.spectra._calls import Call, Conv, Convolution, OpenCall, version_of
from cbnlib.spectra._embedding import Geometry
from cbnlib.spectra._supported import CONVOLUTIONS

T = TypeVar("T")

_COPIES = "aten::_to_copy", "aten::clone"
"""Operations that change the precision or the layout in memory, not the signal."""

_SHAPES = re.compile("_like$|::new_")
"""Operations that take from a tensor no more than its shape, precision and device."""

_UNKNOWN = re.compile("conv(?!ert)|im2col|mkldnn|^(?!aten|prim|profiler)")
"""Operations that may be convolutions. Those of other packages may be anything."""


class Operations(TorchDispatchMode):
    """Sees every operation. Compiled code does not allow that, so it runs as it was written."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch declares no types there

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401  # torch declares no type for operations
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        output = func(*args, **(kwargs or {}))
        self.see(func.name(), args, output)
        return output

    def see(self, name: str, args: tuple[Any, ...], output: object) -> None:
        """Look at an operation that was carried out."""


class Watch(Operations):
    """Notes the calls of convolution modules, and the convolutions outside of them.

    Attributes:
        names: The modules to watch, with their names.
        calls: What was noted.
        unknown: Operations that may be convolutions, and how often they were carried out.
    """

    def __init__(self, model: nn.Module) -> None:
        """Take the network to watch."""
        super().__init__()
        modules = model.named_modules()
        self.names: dict[Conv, str] = {
            m: name for name, m in modules if isinstance(m, CONVOLUTIONS)
        }
        self.calls: list[Call] = []
        self.unknown: Counter[str] = Counter()
        held = [*model.named_parameters(), *model.named_buffers()]
        self._held = {id(tensor): (tensor, name.removesuffix(".weight")) for name, tensor in held}
        self._loose = 0
        self._open: list[OpenCall] = []
        self._paused = False
        self._weights: dict[str, Tensor] = {}
        self._outputs = WeakTensorKeyDictionary()
        self._origins = WeakTensorKeyDictionary()
        self._of_data = WeakTensorKeyDictionary()

    @contextmanager
    def watching(self, inputs: object) -> Iterator[None]:
        """Watch what happens in this context. An error says which convolution was called last.

        Args:
            inputs: What the network will get, a nest of tensors. Weights may depend on it.
        """
        self._mark(inputs)
        try:
            with ExitStack() as hooks, self:
                for conv in self.names:
                    enter = conv.register_forward_pre_hook(
                        self._enter, with_kwargs=True, prepend=True
                    )
                    hooks.enter_context(enter)
                    hooks.enter_context(conv.register_forward_hook(self._leave, always_call=True))
                yield
        except Exception as error:
            if self.calls:
                error.add_note(f"last convolution called: {self.calls[-1].name!r}")
            raise

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
        with self._pause():
            self._open.append(OpenCall(self.calls[-1], conv, x, x.clone()))

    def _leave(self, _: object, __: object, output: object) -> None:
        opened = self._open.pop()
        with self._pause():
            opened.close(output, self._origin(output)[0])
        weight = opened.call.weight
        if isinstance(output, Tensor) and output.ndim == weight.ndim:  # channels are the second
            self._outputs[output] = opened.call

    @contextmanager
    def _pause(self) -> Iterator[None]:
        """In this context operations are our own."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def see(self, name: str, args: tuple[Any, ...], output: object) -> None:
        """Note what was done with outputs and inputs of convolutions."""
        if self._paused:
            return
        read = [value for value in tree_leaves(args) if isinstance(value, Tensor)]
        for value in read:
            if call := self._outputs.get(value):
                call.uses.append(_factor_of_batch_norm(name, args) if args[0] is value else None)
        if any(value in self._of_data for value in read) and not _SHAPES.search(name):
            self._mark(output)
        pads = _added_zeros(name, args)
        if isinstance(output, Tensor) and pads is not None:
            source, before, of_input = self._origin(args[0])
            pads = [sum(both) for both in zip_longest(pads, before, fillvalue=0)]
            self._origins[output] = source, pads, of_input, version_of(output)
        elif isinstance(output, Tensor) and name in ("aten::convolution", "aten::_convolution"):
            self._note(args, output)
        elif _UNKNOWN.search(name):
            self.unknown[name] += 1

    def _mark(self, values: object) -> None:
        """Note that tensors depend on the network's input."""
        for value in tree_leaves(values):
            if isinstance(value, Tensor):
                self._of_data[value] = True

    def _origin(self, x: T) -> tuple[T | Tensor, list[int], bool]:
        """What a tensor is a copy of, how many zeros were added, if it is the module's input."""
        of_input = bool(self._open) and self._open[-1].is_input(x)
        known = self._origins.get(x) if isinstance(x, Tensor) else None
        if of_input or known is None or known[-1] != version_of(x):
            return x, [], of_input
        source, pads, was_input, _ = known
        return source, pads, was_input

    def _note(self, args: tuple[Any, ...], output: Tensor) -> None:
        problem = "its weight depends on the input" if args[1] in self._of_data else ""
        if self._open:
            opened = self._open[-1]
            opened.call.problem = problem
            opened.inside.append(self._convolution(opened.call.name, args, output))
            return
        self._loose += 1
        weight, *_ = self._origin(args[1])
        _, name = self._held.get(id(weight), (None, f"convolution {self._loose}"))
        done = self._convolution(name, args, output)
        self.calls.append(Call(name, None, done.grid, problem, done.weight, done.geometry))
        self._outputs[output] = self.calls[-1]

    def _convolution(self, name: str, args: tuple[Any, ...], output: Tensor) -> Convolution:
        x, weight, _, stride, padding, dilation, transposed, output_padding, groups = args[:9]
        added = [(p, p) for p in padding]
        source, pads, of_input = self._origin(x)
        if any(pads) and (transposed or len(pads) > 2 * len(added)):
            source, pads, of_input = x, [], False
        for i in range(len(pads) // 2):  # last axis first
            left, right = added[-1 - i]
            added[-1 - i] = left + pads[2 * i], right + pads[2 * i + 1]
        how = tuple(stride), tuple(added), tuple(dilation), transposed, tuple(output_padding)
        geometry = Geometry(tuple(weight.shape[2:]), *how, groups)
        grid = tuple(source.shape[2:])
        return Convolution(
            grid, self._copy(name, weight), geometry, of_input, output, output.clone()
        )

    def _copy(self, name: str, weight: Tensor) -> Tensor:
        """A copy, as later calls may overwrite the weight. The last one if it is the same."""
        last = self._weights.get(name)
        if last is None or not torch.equal(last, weight):
            last = self._weights[name] = weight.detach().clone()
        return last


def _added_zeros(name: str, args: tuple[Any, ...]) -> list[int] | None:
    """By how many zeros per side, last axis first, an operation copies a tensor, if it does."""
    if name in _COPIES:
        return []
    if name == "aten::constant_pad_nd" and not any(args[2:]) and min(args[1]) >= 0:
        return list(args[1])
    return None


def _factor_of_batch_norm(name: str, args: tuple[Any, ...]) -> Tensor | None:
    """By what batch norm multiplies each channel, if the operation is one and does not train."""
    if not name.endswith("_batch_norm") or len(args) < 8:
        return None
    _, weight, _, _, variance, training, _, eps = args[:8]
    if training or variance is None:
        return None
    factor: Tensor = (variance + eps).rsqrt()
    return factor if weight is None else factor * weight
