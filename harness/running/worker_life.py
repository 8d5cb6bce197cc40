"""How long a worker process lives: as long as the run that started it, and no longer.

A run may end in any way (Ctrl-C, SIGTERM, kill -9, a crash): its workers look for its end and go. What they stored is
whole, and measured for whoever runs next.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import ModuleType

from harness.running.threads import limit_threads

ENDED = 1  # exit code of a worker whose run has ended


def begin(threads: int, run: Connection) -> None:
    """Prepare a new worker process: its share of the processors, and an end with that of the `run`.

    The run holds the other end of the connection and writes nothing: its end closes it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal: the run decides
    threading.Thread(target=_end_with, args=(run,), daemon=True).start()
    limit_threads(threads)


@contextmanager
def no_main_module() -> Iterator[None]:
    """Let processes that are started here know nothing of the script of this one.

    They would run it again, and where it asks for claims without `if __name__ == "__main__"` ask for them again.
    """
    script = sys.modules.get("__main__")
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        if script is None:
            del sys.modules["__main__"]
        else:
            sys.modules["__main__"] = script


def _end_with(run: Connection) -> None:
    parent = multiprocessing.parent_process()
    wait([run] if parent is None else [run, parent.sentinel])
    os._exit(ENDED)  # at once, from a thread: the main one may be within a long operation
