"""The slot of a block: what stands there instead of the block as it is, as a frozen description.

A mask restricts a block, a block edit runs it otherwise. Both stand in one slot, one at a time.
"""

from typing import Protocol, runtime_checkable

from harness.images.batch import Batch
from harness.models.subject import ModelCard, Stream, Subject


@runtime_checkable
class BlockEdit(Protocol):
    """Another way to run one block; frozen and hashable.

    `runs` is what it costs, in runs of the block as it is. It reads nothing of the donors.
    """

    @property
    def runs(self) -> float: ...

    def refusal(self, card: ModelCard, block: int) -> str:
        """Say why this block of a model cannot be run so, "" where it can."""

    def left(self, card: ModelCard, block: int, tokens: int) -> int:
        """Count the tokens that it leaves of so many."""

    def run(self, subject: Subject, block: int, stream: Stream, chunk: Batch) -> Stream:
        """Give the stream after the block, run otherwise; the stream that enters is never changed in place."""
