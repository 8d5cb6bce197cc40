"""Whether an intervention did anything: on how many images it changed what it edits, and the refusal where on none."""

import torch

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.results.measurements import Receipt


def changed(before: torch.Tensor, after: torch.Tensor) -> int:
    """Count the images that differ, along the first axis; all of them where the shapes do."""
    if before.shape != after.shape:
        return len(before)
    return int((before != after).flatten(1).any(dim=1).sum())


def refuse_idle(receipt: Receipt, chunk: Batch) -> None:
    """Raise ClaimsError for an intervention that changed nothing."""
    if receipt.changed == 0:
        raise ClaimsError(
            f"the intervention {receipt.place} changed nothing on images {chunk.positions.start}.."
            f"{chunk.positions.stop - 1}: whatever is measured under it says nothing about the model"
        )
