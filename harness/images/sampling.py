"""In which order pictures are measured, which of them together, and which two of them exchange class tokens.

All of it is fixed by numbers alone (count, batch size, seed, labels), never by what else runs, so that a verdict
depends on its own claim only.

Pictures exchange in pairs of neighbours in the measuring order, which is random. A pair counts if its classes differ.
Who is paired with whom follows from the places alone, and whether a pair counts from that pair alone, so the pairs
that count are as independent of one another as the pictures are. Partners that are looked for by class are not: what
is left for one pair depends on what the others took (tests/test_error_rates.py shows what that does to the error).
"""

from collections.abc import Sequence

import numpy as np

from harness.errors import ClaimsError


def measuring_order(count: int, seed: int) -> np.ndarray:
    """Draw the random order of the pictures: int64 [place], a permutation of 0..count-1 fixed by (count, seed)."""
    return np.random.Generator(np.random.PCG64(seed)).permutation(count)


def checked_positions(positions: Sequence[int], count: int) -> np.ndarray:
    """Return positions of the measuring order as int64 [picture].

    Raises:
        IndexError: a position is negative or not below `count`.
    """
    array = np.asarray(positions, dtype=np.int64)
    if outside := array[(array < 0) | (array >= count)].tolist():
        raise IndexError(f"position {outside[0]} of the measuring order; allowed: 0 to {count - 1}")
    return array


def batch_ranges(count: int, batch_size: int) -> tuple[range, ...]:
    """Cut positions 0..count-1 into consecutive chunks of `batch_size`; the last one holds the rest.

    A chunk that is full is the same whatever `count` is, so a larger budget adds chunks and moves none.

    Raises:
        ClaimsError: batch_size is below 1 or count below 0.
    """
    if batch_size < 1 or count < 0:
        raise ClaimsError(f"{count!r} pictures in chunks of at most {batch_size!r}; allowed: count >= 0, size >= 1")
    return tuple(range(start, min(start + batch_size, count)) for start in range(0, count, batch_size))


def usable_grid(count: int, batch_size: int) -> tuple[range, ...]:
    """Cut as `batch_ranges`, leaving out a last chunk of one picture, which has no neighbour.

    Raises:
        ClaimsError: as `batch_ranges`, and where every chunk has one picture.
    """
    grid = batch_ranges(count, batch_size)
    if grid and len(grid[0]) < 2:
        raise ClaimsError(
            f"chunk {grid[0]} has 1 picture; class tokens are exchanged in pairs within a chunk: use more pictures or "
            "larger chunks (batch size)"
        )
    return grid[:-1] if grid and len(grid[-1]) < 2 else grid


def donors(size: int) -> np.ndarray:
    """Give each picture of a chunk its neighbour as donor: int64 [picture], places within the chunk.

    The first two exchange, the next two, and so on; an odd last one keeps its own.
    """
    places = np.arange(size, dtype=np.int64)
    return np.where(places ^ 1 < size, places ^ 1, places)


def exchange_pairs(labels: np.ndarray | None, grid: Sequence[range]) -> np.ndarray:
    """List the pairs that count, by the position of their first picture: int64 [pair], rising.

    The other picture of a pair is the next one. `labels` are those of the set in measuring order; a pair of one class
    does not count, as its class tokens tell the same; without labels every pair does.

    Raises:
        ClaimsError: the grid reaches beyond the labels.
    """
    first = np.array([place for chunk in grid for place in chunk[: len(chunk) - 1 : 2]], dtype=np.int64)
    if labels is None:
        return first
    if grid and grid[-1].stop > len(labels):
        raise ClaimsError(f"chunk {grid[-1]} reaches beyond the {len(labels)} labels of the set")
    return first[labels[first] != labels[first + 1]]


def whole_pairs(count: int, grid: Sequence[range]) -> int:
    """Round a number of pictures down so that it cuts no pair of neighbours in two."""
    cut = any(count in chunk and (count - chunk.start) % 2 for chunk in grid)
    return count - 1 if cut else count
