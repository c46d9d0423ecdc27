"""End a process that runs a notebook, and the notebook's kernel, together with the build.

papermill ends a kernel only if its own process ends in order.
"""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from types import FrameType

GRACE_SECONDS = 15.0
"""How long the kernel may take to end before the process leaves without it."""


class StoppedError(BaseException):
    """The process is to end: no failure, so nothing that handles failures may catch it."""


def end_with_parent() -> None:
    """Turn SIGTERM into `StoppedError`, and send it as soon as the parent process is gone.

    What the main thread is at can so clean up behind it, even if the parent was killed and could
    tell nobody.
    """
    signal.signal(signal.SIGTERM, _stop)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise StoppedError


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_SECONDS)
    os._exit(1)
