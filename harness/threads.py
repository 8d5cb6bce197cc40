"""How many threads the numerical libraries of a new process may use; imports none of them, as they read it once."""

import os

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def limit_threads(count: int) -> None:
    """Tell numpy's and torch's libraries, before they are loaded, to use so many threads each."""
    os.environ |= dict.fromkeys(VARIABLES, str(count))
