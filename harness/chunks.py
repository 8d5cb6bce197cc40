"""In which order pictures are measured, which of them together, and which of its chunk is each one's donor.

All of it is fixed by numbers alone (count, batch size, seed, labels), never by what else runs, so that a verdict
depends on its own claim only.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from harness.errors import ClaimsError

SWAPS_PER_PICTURE = 20  # random swaps that take the donors from the first valid arrangement to a random one


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


def chunk_grid(count: int, batch_size: int) -> tuple[range, ...]:
    """Cut positions 0..count-1 into consecutive chunks of `batch_size`; the last one holds the rest.

    A chunk that is full is the same whatever `count` is, so a larger budget adds chunks and moves none.

    Raises:
        ClaimsError: batch_size is below 1 or count below 0.
    """
    if batch_size < 1 or count < 0:
        raise ClaimsError(f"{count!r} pictures in chunks of at most {batch_size!r}; allowed: count >= 0, size >= 1")
    return tuple(range(start, min(start + batch_size, count)) for start in range(0, count, batch_size))


def donors(labels: np.ndarray | None, chunk: range, seed: int) -> np.ndarray:
    """Give every picture of the chunk a donor of another class: int64 [picture], positions within the chunk.

    `labels` are those of the whole set in measuring order; without labels a donor is any other picture. The donors
    are a permutation without fixed points, drawn about uniformly among all that respect the classes: a walk of random
    swaps, each of which keeps them valid, from a first valid arrangement. Fixed by (seed, chunk, its labels).

    Raises:
        ClaimsError: the chunk has one picture, or more than half of it is of one class.
    """
    kinds, largest = check_donors(labels, chunk)
    random = np.random.Generator(np.random.PCG64([seed, chunk.start, chunk.stop]))
    return _shuffle_validly(_rotated(kinds, largest, random), kinds, random)


def check_donors(labels: np.ndarray | None, chunk: range) -> tuple[np.ndarray, int]:
    """Return the classes of the chunk [picture] and how many pictures its largest class has.

    Raises:
        ClaimsError: no donors of other classes can be found in this chunk.
    """
    size = len(chunk)
    if size < 2:
        raise ClaimsError(f"chunk {chunk} has {size} picture(s); a donor needs 2: use more pictures or larger chunks")
    if labels is not None and chunk.stop > len(labels):
        raise ClaimsError(f"chunk {chunk} reaches beyond the {len(labels)} labels of the set")
    kinds = np.arange(size) if labels is None else np.asarray(labels)[chunk.start : chunk.stop]
    return kinds, _largest_class(kinds, chunk)


def _largest_class(kinds: np.ndarray, chunk: range) -> int:
    kind, most = Counter(kinds.tolist()).most_common(1)[0]
    if 2 * most > len(kinds):
        raise ClaimsError(
            f"class {kind} has {most} of the {len(kinds)} pictures of chunk {chunk}; donors from other classes need "
            f"at most half ({len(kinds) // 2}): use larger chunks (batch size) or pictures of more classes"
        )
    return most


def _rotated(kinds: np.ndarray, largest: int, random: np.random.Generator) -> np.ndarray:
    """Order by class, classes and pictures at random, and rotate by the largest class: never onto the own class."""
    _, codes = np.unique(kinds, return_inverse=True)
    rank = random.permutation(codes.max() + 1)[codes]
    order = np.lexsort((random.random(len(kinds)), rank))
    donor = np.empty(len(kinds), dtype=np.int64)
    donor[order] = np.roll(order, -largest)
    return donor


def _shuffle_validly(donor: np.ndarray, kinds: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Swap donors of random pairs wherever both stay valid; symmetric, so its long run is uniform."""
    size = len(donor)
    own, given = kinds.tolist(), donor.tolist()
    for one, other in random.integers(0, size, (SWAPS_PER_PICTURE * size, 2)).tolist():
        if own[one] != own[given[other]] and own[other] != own[given[one]]:
            given[one], given[other] = given[other], given[one]
    return np.array(given, dtype=np.int64)
