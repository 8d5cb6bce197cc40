"""Processors, and how many threads the numerical libraries of a new process may use of them.

Imports none of these libraries: they read it once, when they are loaded.
"""

import os

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(count: int) -> None:
    """Tell numpy's and torch's libraries, before they are loaded, to use so many threads each."""
    os.environ |= dict.fromkeys(VARIABLES, str(count))
