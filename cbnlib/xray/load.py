"""Networks from the command line, without reading a pickle."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Loaded(NamedTuple):
    """A network, and the shape of the input that it was made with, without the batch.

    Attributes:
        model: The network.
        shape: Channels and pixels per axis, or None if the source does not tell.
    """

    model: nn.Module
    shape: tuple[int, ...] | None = None


def load(source: str) -> Loaded:
    """Load a network from a file or from a module.

    Files are told apart by their contents, not by their names. An exported or scripted network is
    a program, which runs when it is analysed. Open only what you would run.

    Args:
        source: A file of `torch.export.save` or of `torch.jit.save`, or `module:callable`, which
            returns the network when it is called without arguments.

    Raises:
        ValueError: If the file is of another kind, there is no such file, module or callable, or
            it returns no network. Files of `torch.save` are of another kind. They are pickles, and
            whoever reads a pickle runs what it contains.
    """
    path = Path(source)
    if path.is_file():
        names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
        if any(name.endswith(("models/model.json", "exported_program.json")) for name in names):
            return _exported(path, names)
        if any("/code/" in name for name in names):
            scripted: nn.Module = torch.jit.load(path, map_location="cpu")
            return Loaded(scripted)
        raise ValueError(
            f"{source} is no file of torch.export.save or torch.jit.save. If torch.save wrote it, "
            "it is a pickle: reading one can run any code, and weights alone are no network. Write "
            "a function that builds the network and calls load_state_dict(torch.load(file, "
            "weights_only=True)), and give it as module:callable"
        )
    return Loaded(_called(source))


def _exported(path: Path, names: list[str]) -> Loaded:
    if any("opaque_obj" in name for name in names):
        raise ValueError(f"{path} has objects in it that only unpickling can read")
    with path.open("rb") as file, _no_pickles():
        program = torch.export.load(file)
    model: Any = program.module()
    args: tuple[Any, ...] = (program.example_inputs or ((),))[0]
    one = len(args) == 1 and isinstance(args[0], Tensor)
    return Loaded(model, tuple(args[0].shape[1:]) if one else None)


@contextmanager
def _no_pickles() -> Iterator[None]:
    """In this context `torch.load` reads tensors only, whoever calls it."""
    key = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(key)
    os.environ[key] = "1"
    try:
        yield
    finally:
        os.environ.pop(key)
        if before is not None:
            os.environ[key] = before


def _called(source: str) -> nn.Module:
    module, colon, name = source.partition(":")
    if not (module and colon and name):
        raise ValueError(f"there is no file {source!r}, and it is no module:callable either")
    try:
        made = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"{source}: there is no module {error.name!r}") from error
    except AttributeError as error:
        raise ValueError(f"{source}: module {module!r} has no {name!r}") from error
    if not callable(made):
        raise ValueError(f"{source} is no callable but {type(made).__name__}")
    try:
        model = made if isinstance(made, nn.Module) else made()
    except Exception as error:
        error.add_note(f"{source} was called without arguments")
        raise
    if not isinstance(model, nn.Module):
        raise ValueError(f"{source} returned no torch.nn.Module but {type(model).__name__}")
    return model
