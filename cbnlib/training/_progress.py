"""A progress bar by tqdm, or none, as the core does without that package."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

try:
    import tqdm
except ModuleNotFoundError:
    tqdm = None  # type: ignore[assignment]


@contextmanager
def progress_bar(total: int, label: str, *, shown: bool) -> Iterator[Callable[[int, str], None]]:
    """A context with a function that shows how many steps are done, and a text.

    It draws nothing if tqdm is not installed or `shown` is false.
    """
    if tqdm is None or not shown:
        yield lambda step, text: None
        return
    with tqdm.tqdm(total=total, file=sys.stderr, mininterval=0.5, desc=label) as bar:

        def show(step: int, text: str) -> None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(step - bar.n)

        yield show
