"""Show the cell that a running notebook is at, the time, and its progress bars.

papermill's own bar is silent during a cell, however long it takes.
"""

import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LINE_ENDS = re.compile(r"[\r\n]")


class Progress:
    """The place a notebook is at, on a line of standard error every `interval` seconds.

    It tells the cell, the time since the start, and what the cell wrote last to standard error, as
    a rule its progress bar.
    """

    def __init__(self, name: str, interval: float = 10.0) -> None:
        self.name = name
        self.interval = interval
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

    def next_cell(self, **_: object) -> None:
        """Take notice that a code cell starts, as a hook of nbclient."""
        self._cell, self._told = self._cell + 1, ""

    def write(self, text: str) -> None:
        """Take a piece of the notebook's standard error."""
        lines = [line.strip() for line in LINE_ENDS.split(text) if line.strip()]
        self._told = lines[-1] if lines else self._told

    def flush(self) -> None:
        """Nothing is held back that could be shown earlier."""

    def line(self) -> str:
        """The place in words.

        >>> progress = Progress("02_digits")
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
            print(self.line(), file=sys.stderr, flush=True)


class Outlook:
    """How far an execution of several notebooks is, and about how long it still takes."""

    def __init__(self, expected: Mapping[str, float], workers: int) -> None:
        """Before anything is begun.

        Args:
            expected: Seconds that each notebook is expected to take.
            workers: How many run at a time.
        """
        self._expected, self._workers = dict(expected), workers
        self._started: dict[str, float] = {}
        self._done: set[str] = set()

    def start(self, name: str) -> None:
        """Take notice that a notebook starts."""
        self._started[name] = time.monotonic()

    def end(self, name: str) -> None:
        """Take notice that a notebook ended."""
        self._done.add(name)

    def line(self) -> str:
        """In words.

        >>> outlook = Outlook({"01_a": 500, "02_b": 80, "03_c": 100}, workers=2)
        >>> outlook.start("01_a"), outlook.start("03_c"), outlook.end("03_c")
        (None, None, None)
        >>> outlook.line()
        '1 of 3 chapters done, running: 01_a; about 8 min to go'
        """
        left = self._left()
        running = ", ".join(name for name in self._started if name in left) or "none"
        seconds = max([*left.values(), sum(left.values()) / self._workers], default=0.0)
        time_left = f"about {seconds / 60:.0f} min" if seconds >= 90 else f"about {seconds:.0f} s"
        told = f"{len(self._done)} of {len(self._expected)} chapters done"
        return f"{told}, running: {running}; {time_left} to go" if left else told

    def _left(self) -> dict[str, float]:
        """Seconds that each notebook still takes, if it is not done."""
        now = time.monotonic()
        spent = {name: now - start for name, start in self._started.items()}
        left = (name for name in self._expected if name not in self._done)
        return {name: max(0.0, self._expected[name] - spent.get(name, 0.0)) for name in left}
