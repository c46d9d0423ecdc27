"""A progress bar by tqdm, or none: the core does without that package."""

import sys
from typing import Any

try:
    import tqdm
except ModuleNotFoundError:
    tqdm = None  # type: ignore[assignment]


class _Silent:
    """Stand-in for a progress bar where nothing is drawn."""

    n = 0

    def __enter__(self) -> "_Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, n: int) -> None:
        pass

    def set_postfix_str(self, text: str, *, refresh: bool = True) -> None:
        pass


def progress_bar(total: int, label: str, *, shown: bool) -> Any:  # noqa: ANN401  # tqdm has no types
    """A context with `update` and `set_postfix_str`; it draws if tqdm is installed."""
    if tqdm is None or not shown:
        return _Silent()
    return tqdm.tqdm(total=total, file=sys.stderr, mininterval=0.5, desc=label)
