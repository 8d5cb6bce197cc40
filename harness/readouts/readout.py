"""What a readout is: one bounded number per image, read after the block that it names."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from harness.models.sites import EMBEDDING, Site
from harness.models.subject import ModelCard
from harness.probes.fittable import Fittable
from harness.readouts.reading import Reading


@runtime_checkable
class Readout(Protocol):
    """One number per image, between `low` and `high`, read after block `layer` (None: the last one).

    `needs_clean` asks for the unedited arm to be read beside; `fits` are what must be fitted before it can read;
    `exchanges` says that it reads something of the donors, so that a claim with such an arm is judged pair by pair;
    `sites` are those within its block that it reads (`Reading.inner`).
    """

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    @property
    def needs_clean(self) -> bool: ...

    @property
    def exchanges(self) -> bool: ...

    @property
    def layer(self) -> int | None: ...

    @property
    def fits(self) -> tuple[Fittable, ...]: ...

    @property
    def sites(self) -> tuple[Site, ...]: ...

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        """Read one number per image."""


class StreamReadout:
    """What most readouts say of themselves (see `Readout`): they read the stream as it is, and nothing beside it."""

    @property
    def needs_clean(self) -> bool:
        """Ask for no unedited arm."""
        return False

    @property
    def exchanges(self) -> bool:
        """Read nothing of the donors."""
        return False

    @property
    def sites(self) -> tuple[Site, ...]:
        """Read no site within the block."""
        return ()

    @property
    def fits(self) -> tuple[Fittable, ...]:
        """Read no fit."""
        return ()


def block_of(readout: Readout, card: ModelCard) -> int:
    """Give the block after which a readout reads on this model (-1: the embedding).

    Raises ValueError for a layer that the model does not have, and for sites within a block after the embedding.
    """
    block = card.depth - 1 if readout.layer is None else readout.layer
    if block not in range(-1, card.depth):
        raise ValueError(f"layer {block} does not exist; {card.name} has blocks 0..{card.depth - 1} (-1: embedding)")
    if block == EMBEDDING and readout.sites:
        raise ValueError(f"{readout!r} reads {list(readout.sites)}, which lie within a block; the embedding has none")
    return block
