"""A process that appends chunks of known numbers to a store until it is killed or done."""

import sys
import zlib
from pathlib import Path

import numpy as np

from harness.results.measurements import MeasuredBatch, MeasurementKey, Receipt, Store

KEYS = 4
CHUNK = 16


def key(number: int, **changes) -> MeasurementKey:
    """Make one of the keys that writers write under."""
    fields = {
        "weights": "w",
        "subject_code": "s",
        "preprocessing": "p",
        "images": "i",
        "batch_size": CHUNK,
        "seed": 0,
        "dtype": "float32",
        "device": "cpu",
        "intervention": f"edit {number}",
        "intervention_code": "e",
        "readout": "r",
        "readout_code": "c",
        "fits": "f",
    }
    return MeasurementKey(**{**fields, **changes})


def truth(number: int, positions: range) -> np.ndarray:
    """Give the numbers that belong to these images: a pure function of key and image."""
    return np.array([zlib.crc32(f"{number}/{place}".encode()) / 2**32 for place in positions])


def grid(chunks: int) -> list[range]:
    """Cut the images into chunks."""
    return [range(start * CHUNK, (start + 1) * CHUNK) for start in range(chunks)]


def write(folder: Path, chunks: int, seen: Path | None = None) -> None:
    """Measure what is missing, as a run does; every measured chunk is noted in `seen`."""
    store = Store(folder)
    for positions in grid(chunks):
        keys = {key(number): number for number in range(KEYS)}
        found = store.load([k.id for k in keys], positions)
        missing = {
            k: MeasuredBatch(numbers=truth(n, positions), receipts=(Receipt("x", 1, 2),))
            for k, n in keys.items()
            if k.id not in found
        }
        if missing:
            store.append(positions, missing)
            if seen is not None:
                with seen.open("a", encoding="utf-8") as log:
                    log.write(f"{positions.start} {len(missing)}\n")
    store.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
