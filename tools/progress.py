"""What is seen of a notebook while it runs: the cell it is at, the time, its progress bars."""

import re
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LINE_ENDS = re.compile(r"[\r\n]")
CLEAR_LINE = "\r\x1b[K"


class Progress:
    """The place a notebook is at, on standard error.

    A notebook on its own in a terminal has a line that is written anew: the cell, the time since
    the start, and what the cell wrote last to standard error, as a rule its progress bar. Where
    several run at once, or there is no terminal, such a line is printed every `interval` seconds.
    """

    def __init__(self, name: str, *, live: bool, interval: float | None = None) -> None:
        self.name = name
        self.live = live
        self.interval = interval or (0.5 if live else 10.0)
        self.cells = 0
        self._cell = 0
        self._told = ""
        self._start = time.monotonic()
        self._over = threading.Event()

    @contextmanager
    def shown(self, cells: int) -> Iterator[None]:
        """Show the progress of an execution of so many code cells while the block runs."""
        self.cells = cells
        ticker = threading.Thread(target=self._tick, daemon=True)
        ticker.start()
        try:
            yield
        finally:
            self._over.set()
            ticker.join()
            if self.live:
                print(CLEAR_LINE, end="", file=sys.stderr, flush=True)

    def next_cell(self, **_: object) -> None:
        """Take notice that a code cell starts; a hook of nbclient."""
        self._cell, self._told = self._cell + 1, ""

    def write(self, text: str) -> None:
        """Take a piece of the notebook's standard error."""
        lines = [line.strip() for line in LINE_ENDS.split(text) if line.strip()]
        self._told = lines[-1] if lines else self._told

    def flush(self) -> None:
        """Nothing is held back that could be shown earlier."""

    def line(self) -> str:
        """The place in words.

        >>> progress = Progress("02_digits", live=False)
        >>> progress.cells = 12
        >>> for _ in range(3):
        ...     progress.next_cell()
        >>> progress.write("50%|#####     | 5/10")
        >>> progress.line()
        '02_digits: cell 3 of 12, 0:00, 50%|#####     | 5/10'
        """
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        place = f"cell {self._cell} of {self.cells}" if self._cell else "starting"
        parts = [place, f"{minutes}:{seconds:02d}", self._told]
        return f"{self.name}: {', '.join(filter(None, parts))}"

    def _tick(self) -> None:
        while not self._over.wait(self.interval):
            if self.live:
                width = shutil.get_terminal_size().columns - 1
                print(CLEAR_LINE + self.line()[:width], end="", file=sys.stderr, flush=True)
            else:
                print(self.line(), file=sys.stderr, flush=True)
