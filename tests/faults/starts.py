"""Many processes that make one store at the same moment: none may find it locked, and no row may be lost.

    python tests/faults/starts.py --rounds 1000 --processes 8

Prints one line, and ends with 1 where a process failed.
"""

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
import traceback
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from harness.results.measurements import MeasuredBatch, MeasurementKey, Store

NUMBERS = np.arange(4.0)


def key(number: int) -> MeasurementKey:
    empty = dict.fromkeys((field for field in MeasurementKey.__dataclass_fields__), "")
    return MeasurementKey(**{**empty, "batch_size": 4, "seed": number})


def start(folder: Path, number: int, gate: Barrier, rounds: int, failed: multiprocessing.SimpleQueue) -> None:
    """Open the store of each round together with the others, write one row, and close."""
    for round_ in range(rounds):
        gate.wait()
        try:
            store = Store(folder / str(round_))
            store.append(range(4), {key(number): MeasuredBatch(numbers=NUMBERS)})
            store.close()
        except Exception:  # noqa: BLE001 - counted and shown
            failed.put(traceback.format_exc())


def starts(rounds: int, processes: int) -> list[str]:
    """Run all rounds; give what went wrong."""
    fork, folder = multiprocessing.get_context("fork"), Path(tempfile.mkdtemp())
    gate, failed = fork.Barrier(processes), fork.SimpleQueue()
    children = [fork.Process(target=start, args=(folder, n, gate, rounds, failed)) for n in range(processes)]
    for child in children:
        child.start()
    found = []
    while any(child.is_alive() for child in children) or not failed.empty():
        while not failed.empty():
            found.append(failed.get())
        time.sleep(0.05)
    for round_ in range(rounds):
        store = Store(folder / str(round_))
        lost = [n for n in range(processes) if not store.load([key(n).id], range(4))]
        found += [f"round {round_}: rows of {lost} are lost"] if lost else []
        store.close()
    shutil.rmtree(folder)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=8)
    asked = parser.parse_args()
    began = time.monotonic()
    found = starts(asked.rounds, asked.processes)
    for text in found[:5]:
        print(text, file=sys.stderr)
    took = time.monotonic() - began
    print(f"| {asked.processes} starts at once x {asked.rounds} | {len(found)} failures | {took:.0f} s |")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
