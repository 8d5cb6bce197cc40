"""The order of pictures where classes are what is counted, because a finding is to hold for classes not yet seen.

Classes come in random order, a few pictures of each, and two classes take turns: a, b, a, b, ... So a class is
complete soon, and neighbours, which exchange what they exchange, are of two classes. Classes are independent of one
another where they were drawn at random; pictures of one class are not.
"""

from collections.abc import Sequence

import numpy as np

from harness.errors import ClaimsError
from harness.judging.observations import Groups

PER_CLASS = 4  # pictures of a class at most: beyond that more classes tell more than more pictures of one


def class_order(labels: np.ndarray | None, seed: int, name: str) -> np.ndarray:
    """Draw an order by class: int64 [place], entries of `labels` int64 [entry], at most PER_CLASS of each class.

    Raises:
        ClaimsError: the pictures, which are called `name`, have no labels or are of fewer than two classes.
    """
    kinds = np.zeros(0) if labels is None else np.unique(labels)
    if labels is None or len(kinds) < 2:
        has = "no labels" if labels is None else f"pictures of {len(kinds)} class"
        raise ClaimsError(f"--claims-target classes: {name!r} has {has}; allowed: labelled pictures of many classes")
    draw = np.random.Generator(np.random.PCG64(seed))
    shuffled = draw.permutation(len(labels))
    members = {kind: shuffled[labels[shuffled] == kind][:PER_CLASS] for kind in draw.permutation(kinds)}
    order: list[int] = []
    for first, second in _by_twos(list(members.values())):
        shared = min(len(first), len(second)) if len(second) else len(first)
        order += [int(one[turn]) for turn in range(shared) for one in (first, second) if len(one)]
    return np.array(order, dtype=np.int64)


def class_units(labels: np.ndarray, pairs: np.ndarray | None) -> Groups:
    """Tell which pictures, given their labels in an order by class, make up a unit, and where each is complete.

    The unit is a class; where pictures exchange something (`pairs` are the first positions of those that count), it is
    two classes that take turns. It is complete when a picture of a later one has come, so that what it holds does not
    depend on how many pictures were opened.
    """
    _, firsts, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(firsts))[inverse]  # [position]: the how-manieth class of the order
    two = rank // 2
    starts = np.array([np.flatnonzero(two == block)[0] for block in range(two.max(initial=-1) + 1)], dtype=np.int64)
    closes = starts[1:]  # where the block after it begins
    if pairs is None:
        return Groups(of=tuple(rank.tolist()), closes=tuple(np.repeat(closes, 2).tolist()))
    within = pairs[two[pairs] == two[pairs + 1]]
    of = np.full(len(labels), -1)
    of[within] = of[within + 1] = two[within]
    return Groups(of=tuple(of.tolist()), closes=tuple(closes.tolist()))


def _by_twos(lists: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Put lists together by twos; an odd last one stands beside nothing."""
    padded = [*lists, *([np.zeros(0, dtype=np.int64)] if len(lists) % 2 else [])]
    return list(zip(padded[::2], padded[1::2], strict=True))
