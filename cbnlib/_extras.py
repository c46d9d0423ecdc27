"""Optional packages. If one is missing, the error names the extra that brings it."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Import packages of an extra of `cbnlib` inside this context.

    Args:
        name: The extra, as in `pip install "cbnlib[plots]"`.

    Raises:
        ModuleNotFoundError: If a package is missing. The message names it and the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = f'{error.name} is not installed; it comes with pip install "cbnlib[{name}]"'
        raise ModuleNotFoundError(message, name=error.name) from error
