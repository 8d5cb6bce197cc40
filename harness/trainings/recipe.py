"""A training as a record: what is trained, how, and from which seed; its result is a file named by all of that.

A run of a recipe goes step by step, and can be laid down and taken up between any two steps: a training that is killed
ends with the same bytes as one that is not.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from harness.errors import ClaimsError
from harness.fingerprint import fingerprint, roots_in
from harness.probes.training.files import Arrays, FitPlace, partial_name
from harness.trainings.pictures import TrainingPictures

CHECKPOINT_SECONDS = 20.0
Advance = Callable[[str, int, int], None]


class Run(Protocol):
    """A training on its way. `done` counts its steps so far; `state` is all that is needed to go on."""

    done: int

    def step(self) -> None:
        """Take one step."""

    def state(self) -> Arrays:
        """Lay everything down that the next steps depend on."""

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take up what `state` laid down."""

    def result(self) -> Arrays:
        """Give what was trained, by name."""


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """What is trained and how: everything but the pictures. Two equal recipes on the same pictures give the same bytes.

    `seed` is that of this fit: of its initial weights, and of the order of its pictures. Fits of other seeds are other
    draws from the same procedure.
    """

    seed: int
    steps: int

    @property
    @abstractmethod
    def what(self) -> str:
        """Name the training in a few words, for progress and errors."""

    @abstractmethod
    def begin(self, pictures: TrainingPictures) -> Run:
        """Set up a run at its first step."""


def trained(recipe: Recipe, pictures: TrainingPictures, place: FitPlace, advance: Advance) -> Arrays:
    """Give the result of a training: read back, taken up from its last checkpoint, or made from the start.

    Raises ClaimsError for a training that diverged: its numbers mean nothing, and leaving it out would choose among
    seeds.
    """
    name = place.id(recipe, fingerprint(trained, *roots_in(recipe, pictures)))
    if (kept := place.read(name)) is not None:
        return kept
    partial, run = partial_name([name]), recipe.begin(pictures)
    if (laid_down := place.read(partial)) is not None:
        run.restore(laid_down)
    written = time.monotonic()
    with one_thread():
        while run.done < recipe.steps:
            run.step()
            if time.monotonic() - written > CHECKPOINT_SECONDS:
                place.write(partial, run.state())
                written = time.monotonic()
            advance(recipe.what, run.done, recipe.steps)
    result = run.result()
    if broken := [key for key, array in result.items() if not np.isfinite(array).all()]:
        raise ClaimsError(f"{recipe.what} of seed {recipe.seed} diverged: {broken[0]} is not finite in {recipe!r}")
    place.write(name, result)
    place.drop(partial)
    return result


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: small networks gain nothing from more, and sums come out the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds_of(recipe: Recipe, pictures: TrainingPictures, steps: int = 9) -> float:
    """Estimate what a training takes on this machine, from a few of its steps, in CPU seconds."""
    run, took = recipe.begin(pictures), []
    with one_thread():
        for _ in range(steps + 1):
            start = time.process_time()
            run.step()
            took.append(time.process_time() - start)
    return float(np.median(took[1:])) * recipe.steps  # the first one sets things up
