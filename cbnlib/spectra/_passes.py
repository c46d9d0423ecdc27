"""Passes of a data set through any network, with the inputs and outputs of its layers."""

import inspect
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import chain
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from cbnlib._checks import check_count, check_finite, check_type
from cbnlib.network.model import evaluating
from cbnlib.spectra._supported import CONVOLUTIONS
from cbnlib.spectra._watch import Operations
from cbnlib.spectra.modules import without_replicas

T = TypeVar("T")
Loader = Iterable[Any]
End = Literal["input", "output"]
Named = dict[nn.Module, str]
Inputs = tuple[tuple[Any, ...], dict[str, Any]]

SAMPLES = 64
"""A single tensor goes through the network in batches of this many samples."""


class PerLayer(list[T]):
    """What was found, in the order of the network's modules.

    Attributes:
        left_out: For each layer of which nothing can be said, its name and the reason.
    """

    def __init__(self, found: Iterable[T], left_out: dict[str, str]) -> None:
        """Take both."""
        super().__init__(found)
        self.left_out = left_out


def find_layers(model: nn.Module, layers: Collection[str] | None) -> Named:
    """The modules with these names, None for all convolutions.

    Raises:
        TypeError: If the model is no network.
        ValueError: If there is no such module, or none at all.
    """
    modules = dict(check_type("model", model, nn.Module).named_modules(remove_duplicate=False))
    found: Named
    if layers is None:
        found = {m: name for name, m in model.named_modules() if isinstance(m, CONVOLUTIONS)}
    else:
        for name in layers:
            if name not in modules:
                known = ", ".join(map(repr, modules))
                raise ValueError(f"the network has no layer {name!r}; it has {known}")
        found = {modules[name]: name for name in modules if name in layers}
    if not found:
        raise ValueError("the network has no convolution" if layers is None else "no layer named")
    return found


def inputs_of(model: nn.Module, loader: Loader) -> Iterator[Inputs]:
    """Arguments and keywords for the network, one pair per batch, on its device.

    Raises:
        TypeError: If the loader holds no batches, or one of a kind that is not known.
        ValueError: If there is no batch.
    """
    forward = inspect.signature(without_replicas(model).forward).parameters
    first = None
    try:
        batches = iter(loader.split(SAMPLES) if isinstance(loader, Tensor) else loader)
    except TypeError as error:
        raise TypeError(f"the loader must hold batches, got {loader!r:.80}") from error
    for batch in batches:
        first = batch[0] if isinstance(batch, list | tuple) and batch else batch
        if isinstance(first, Tensor):
            yield (on_device_of(model, first),), {}
            continue
        if not isinstance(first, Mapping):
            raise TypeError(
                "a batch must be a tensor, a dict, or a list or tuple that begins with one; got "
                f"{batch!r:.80}"
            )
        takes_all = any(p.kind is p.VAR_KEYWORD for p in forward.values())
        keywords = {k: v for k, v in first.items() if takes_all or k in forward}
        if not keywords:
            raise TypeError(f"forward takes {list(forward)}, the batch has {list(first)}")
        yield (), on_device_of(model, keywords)
    if first is None:
        raise ValueError("the loader has no batch")


def on_device_of(model: nn.Module, values: Any) -> Any:  # noqa: ANN401  # any nest of tensors
    """The values, tensors moved to where the network's first parameter is."""
    first = next(chain(model.parameters(), model.buffers()), None)
    return values if first is None else tree_map_only(Tensor, lambda v: v.to(first.device), values)


@contextmanager
def watching(layers: Named, see: Callable[[nn.Module, int, End, Any], None]) -> Iterator[None]:
    """Show the inputs and outputs of the layers, in a context of one pass.

    Args:
        layers: The modules, and their names.
        see: Takes the module, the number of its call in this pass, which end, and what is there.
            Of the input it takes the first tensor.
    """
    calls = dict.fromkeys(layers, 0)

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls[module] += 1
        tensors = (v for v in (*args, *kwargs.values()) if isinstance(v, Tensor))
        see(module, calls[module], "input", next(tensors, None))

    def leave(module: nn.Module, _: object, output: object) -> None:
        see(module, calls[module], "output", output)

    with ExitStack() as hooks, uncompiled():
        for module in layers:
            hooks.enter_context(module.register_forward_pre_hook(enter, with_kwargs=True))
            hooks.enter_context(module.register_forward_hook(leave))
        yield


def uncompiled() -> AbstractContextManager[object]:
    """In this context compiled networks run as they were written, so that hooks are called."""
    compilers = "torch._dynamo" in sys.modules  # else none is compiled
    return Operations() if compilers else nullcontext()


def signals(module: nn.Module, end: End, value: object) -> Tensor | str:
    """A batch of signals, shape `[samples, channels, *grid]`, or why it is none."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return f"its {end} is no tensor of real numbers"
    kernel = getattr(module, "kernel_size", None)
    if isinstance(module, CONVOLUTIONS) and kernel and value.ndim == 1 + len(kernel):
        value = value.unsqueeze(0)  # a single sample
    if not 3 <= value.ndim <= 5:
        return f"its {end} has shape {tuple(value.shape)}, not [samples, channels, *grid]"
    return value


def run(
    model: nn.Module,
    inputs: Iterable[Inputs],
    layers: Named,
    see: Callable[[nn.Module, int, End, Tensor], None],
) -> dict[str, str]:
    """Send data through a network and show the signals that its layers receive and return.

    Returns:
        The name of each layer that had to be left out, and the reason.

    Raises:
        ValueError: If signals are NaN or infinite, or there is no sample in a batch.
    """
    left_out = dict.fromkeys(layers.values(), "not called in these passes")

    def look(module: nn.Module, call: int, end: End, value: object) -> None:
        found = signals(module, end, value)
        if isinstance(found, str):
            left_out[f"{layers[module]} ({end})"] = found
        else:
            what = f"{end} of {layers[module]!r}"
            check_count(f"samples in the {what}", len(found))
            see(module, call, end, check_finite(what, found))
        left_out.pop(layers[module], None)

    with torch.no_grad(), evaluating(model):
        for args, kwargs in inputs:
            with watching(layers, look):
                without_replicas(model)(*args, **kwargs)
    return left_out
