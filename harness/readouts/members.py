"""Populations other than images: what a member is, how many there are, and what is read of each.

Some findings are about the units of a layer, about classes, or about the weights alone. Their members are finite and
known, so a claim about them is judged without replacement: a part of them, drawn in a random order, carries the same
guarantee as images do, and once all are seen the answer is exact. That holds for numbers that rest on weights alone, or
on pictures that the claim is about. A number that takes many pictures to compute, or an untrained twin drawn at random,
is a sample of one: such claims read disjoint batches of pictures, each with its own twin, and judge the typical one.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from harness.images.batch import Batch
from harness.models.subject import Preprocessing, Subject

Found = TypeVar("Found")


class Pictures(Protocol):
    """The set of pictures, as far as a census may look at it (an `ImageSet`)."""

    @property
    def fingerprint(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def labels(self) -> np.ndarray | None: ...
    @property
    def classes(self) -> int: ...

    def __len__(self) -> int:
        """Count them."""

    def load(self, positions: Sequence[int], preprocessing: Preprocessing) -> Tensor:
        """Give the pictures at these places of the measuring order."""


@dataclass(frozen=True, kw_only=True)
class MemberContext:
    """What a reading of members may look at: the model, and the first pictures of the set in measuring order.

    `grid` cuts these pictures into chunks, `load` gives the preprocessed pictures of a chunk, `chunk_of` its labels
    and masks; `train` are other pictures, for fits. Costly things may be kept in `folder` (None: nowhere) under a name
    that includes `context`, which says all that they depend on. `charge` counts block evaluations (blocks x images),
    `advance` tells what is gone through, how much of it is done and how much there is.
    `beside` are the readings of these members by the same weights that are made now: what they share is made for all.
    """

    subject: Subject
    images: Pictures
    train: Pictures | None
    grid: tuple[range, ...]
    load: Callable[[range], Tensor]
    chunk_of: Callable[[range], Batch]
    seed: int
    folder: Path | None
    context: str
    charge: Callable[[float], None]
    advance: Callable[[str, int, int], None] = lambda what, done, total: None
    shared: dict[Hashable, object] = field(default_factory=dict)
    beside: "tuple[MemberReadout, ...]" = ()

    @property
    def pictures(self) -> int:
        """Count the pictures."""
        return self.grid[-1].stop if self.grid else 0

    def once(self, name: Hashable, make: Callable[[], Found]) -> Found:
        """Make something that several readings share, once per model and set of pictures."""
        if name not in self.shared:
            self.shared[name] = make()
        return self.shared[name]  # type: ignore[return-value]


@runtime_checkable
class FinitePopulation(Protocol):
    """A finite population; frozen and hashable. `what` names its members in the plural ("units", "classes")."""

    @property
    def what(self) -> str: ...

    @property
    def chunk(self) -> int:
        """Give how many members are measured together."""

    def members(self, subject: Subject) -> int:
        """Count them on this model."""


@runtime_checkable
class MemberReadout(Protocol):
    """One number per member, between `low` and `high`; frozen and hashable."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    def numbers(self, place: MemberContext, members: Int[np.ndarray, "member"]) -> Float[np.ndarray, "member"]:
        """Read the members with these numbers (from 0 on)."""


@dataclass(frozen=True)
class TheModel:
    """The model itself as the one member: for a number about its weights, or a fact about given pictures.

    Exact, so it is for numbers that would be the same with other pictures; `Batches` are for others.
    """

    what = "models"
    chunk = 1

    def members(self, subject: Subject) -> int:
        """Count one."""
        return 1


@dataclass(frozen=True)
class Batches:
    """Disjoint batches of pictures, as many in each as the ledger says, each with an untrained twin drawn for it.

    Every batch is read as if it were the whole set. Judged is the typical batch: a comparison holds if it holds in at
    least half of all such batches, which is tested on the batches that there are and assumes nothing about the numbers.
    """

    what = "batches"
    chunk = 1

    def members(self, subject: Subject) -> int:
        """Count those of one model: they are cut from the pictures, so a table of batches asks the pictures instead."""
        raise NotImplementedError("batches are counted from pictures")


@dataclass(frozen=True)
class TrainBatches(Batches):
    """Disjoint batches of training pictures, as many of each class on average as the ledger says, otherwise alike.

    For what is said of the pictures that a model was trained on: clean ones, without the augmentation of the training.
    """

    what = "batches of training pictures"


@dataclass(frozen=True)
class Fits:
    """Fits of one training procedure, each from a seed of its own: draws from the procedure, of which there is no end.

    Judged is the typical fit: a comparison holds if it holds in at least half of all fits, whatever its size.
    """

    what = "fits"
    chunk = 2

    def members(self, subject: Subject) -> int:
        """Count none: as many can be made as a claim may use."""
        raise NotImplementedError("fits are made as they are asked for")


@dataclass(frozen=True)
class Classes:
    """The classes of the model's head, all at once."""

    what = "classes"
    chunk = 1 << 16

    def members(self, subject: Subject) -> int:
        """Count the outputs of the head."""
        return subject.card.classes
