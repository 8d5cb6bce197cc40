"""One pass over a chunk for many arms: arms that agree on their first blocks share them.

The interventions of all wanted measurements form a tree of programs. Walking it depth first runs every distinct
prefix once, keeps at most one stream per level, and visits the unedited branch first, so that readouts which compare
with it find it there.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from harness.errors import ClaimsError
from harness.fittable import Fittable, Fitted
from harness.interventions import EMBEDDING, NONE, Chunk, Edit, Intervention, Mask
from harness.reading import Reading
from harness.readouts import Readout, block_of
from harness.store import Receipt, Row
from harness.subject import ModelCard, Stream, Subject

PROBED = 1  # images per chunk on which a mask's effect is checked against the mask that allows everything


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One measurement to make in this pass: what is edited, what is read, and who wants it (for the bill)."""

    intervention: Intervention
    readout: Readout
    claimants: frozenset[Hashable]


@dataclass
class Node:
    """A state of the stream: reached through a block (with a mask) and an edit."""

    branches: dict[Mask | None, dict[Edit | None, "Node"]] = field(default_factory=dict)
    readers: list[int] = field(default_factory=list)
    claimants: set[Hashable] = field(default_factory=set)


@dataclass
class Bill:
    """Block evaluations times images, by claimant: shared blocks are split evenly among those who want them."""

    shares: dict[Hashable, float] = field(default_factory=dict)
    total: float = 0.0

    def charge(self, claimants: set[Hashable], evaluations: float) -> None:
        """Split one cost."""
        self.total += evaluations
        for claimant in claimants:
            self.shares[claimant] = self.shares.get(claimant, 0.0) + evaluations / len(claimants)

    def add(self, other: "Bill") -> None:
        """Add another bill to this one."""
        self.total += other.total
        for claimant, share in other.shares.items():
            self.shares[claimant] = self.shares.get(claimant, 0.0) + share


def measure_chunk(
    subject: Subject,
    images: torch.Tensor,
    chunk: Chunk,
    wanted: Sequence[Wanted],
    fits: Mapping[Fittable, Fitted],
    bill: Bill,
) -> list[Row]:
    """Measure all wanted readouts on one chunk: one row per entry of `wanted`, in order.

    Raises ClaimsError where a number is not finite or out of its declared range, or where an intervention never fired
    or changed nothing.
    """
    return _Pass(subject, images, chunk, wanted, fits, bill).run()


def program_tree(wanted: Sequence[Wanted], card: ModelCard) -> Node:
    """Merge the programs of all wanted measurements: a branch for each distinct prefix, readers where they read."""
    root = Node()
    entries: list[tuple[Intervention, int, int | None, frozenset[Hashable]]]
    entries = [(w.intervention, block_of(w.readout, card), i, w.claimants) for i, w in enumerate(wanted)]
    if watchers := [w.claimants for w in wanted if w.readout.needs_clean]:
        entries.append((NONE, card.depth - 1, None, frozenset().union(*watchers)))
    for intervention, last, index, claimants in entries:
        node = root
        for mask, edit in intervention.program(card)[: last + 2]:
            node = node.branches.setdefault(mask, {}).setdefault(edit, Node())
            node.claimants |= claimants
        if index is not None:
            node.readers.append(index)
    return root


class _Pass:
    def __init__(self, subject, images, chunk, wanted, fits, bill) -> None:
        self.subject, self.images, self.chunk = subject, images, chunk
        self.wanted, self.fits, self.bill = wanted, fits, bill
        self.rows: list[Row | None] = [None] * len(wanted)
        self.clean: Reading | None = None
        self.full_tokens = 0

    def run(self) -> list[Row]:
        root = program_tree(self.wanted, self.subject.card)
        with torch.inference_mode():
            stream = self.subject.start(self.images)
            self.full_tokens = stream.tokens.shape[1]
            # The embedding has no mask: its only branch leads to the edits that follow it.
            self._edits(root.branches[None], stream, EMBEDDING, ())
        assert all(row is not None for row in self.rows), "the walk visits every node of the tree"
        return [row for row in self.rows if row is not None]

    def _walk(self, node: Node, stream: Stream, block: int, receipts: tuple[Receipt, ...], clean: bool) -> None:
        """Read what is to be read after `block`, then run the next block for each mask."""
        self._read(node, stream, block, receipts, clean)
        for mask in sorted(node.branches, key=_unedited_first):
            following = block + 1
            allowed = None if mask is None else mask.allowed(self.subject.card, stream.tokens.shape[1])
            allowed = None if allowed is None else allowed.to(stream.tokens.device)
            after = self.subject.step(following, stream, allowed)
            children = node.branches[mask]
            claimants = set().union(*(child.claimants for child in children.values()))
            cost = len(self.images) * self._share(stream)
            mine = receipts
            if mask is not None and allowed is not None:
                mine = (*receipts, self._probe_mask(mask, following, stream, allowed))
                cost += 2 * PROBED * self._share(stream)
            self.bill.charge(claimants, cost)
            self._edits(children, after, following, mine, clean and mask is None)

    def _edits(
        self,
        children: dict[Edit | None, Node],
        stream: Stream,
        block: int,
        receipts: tuple[Receipt, ...],
        clean: bool = True,
    ) -> None:
        """Apply each edit that follows `block` and walk on; the unedited branch comes first."""
        for edit in sorted(children, key=_unedited_first):
            if edit is None:
                self._walk(children[None], stream, block, receipts, clean)
                continue
            chunk = self.chunk if edit.exchanges else self.chunk.alone
            tokens = edit.apply(stream.tokens, self.subject.card, chunk)
            receipt = Receipt(f"{edit!r}@{block}", 1, _changed(stream.tokens, tokens))
            _refuse_idle(receipt, self.chunk)
            self._walk(children[edit], stream.with_tokens(tokens), block, (*receipts, receipt), False)

    def _read(self, node: Node, stream: Stream, block: int, receipts: tuple[Receipt, ...], clean: bool) -> None:
        last = block == self.subject.card.depth - 1
        if not node.readers and not (clean and last):
            return
        reading = Reading(self.subject, stream, block, self.chunk, self.fits, self.clean)
        if clean and last:
            self.clean = reading
            reading.clean = reading
        for index in node.readers:
            readout = self.wanted[index].readout
            reading.lends = readout.exchanges
            numbers = readout.read(reading).double().cpu().numpy()
            _refuse_outside(numbers, readout, self.wanted[index].intervention, self.chunk)
            self.rows[index] = Row(numbers=numbers, receipts=receipts)

    def _probe_mask(self, mask: Mask, block: int, stream: Stream, allowed: torch.Tensor) -> Receipt:
        """Count on a few images whether the mask changes the block at all, on the same code path."""
        few = stream.with_tokens(stream.tokens[:PROBED])
        masked = self.subject.step(block, few, allowed).tokens
        free = self.subject.step(block, few, torch.ones_like(allowed)).tokens
        receipt = Receipt(f"{mask!r}@block{block}", 1, _changed(masked, free))
        _refuse_idle(receipt, self.chunk)
        return receipt

    def _share(self, stream: Stream) -> float:
        """Give the share of the tokens that are still in the stream: what a block costs of a full one."""
        return stream.tokens.shape[1] / self.full_tokens if stream.tokens.ndim == 3 else 1.0


def _unedited_first(step: Mask | Edit | None) -> tuple[bool, str]:
    return (step is not None, repr(step))


def _changed(before: torch.Tensor, after: torch.Tensor) -> int:
    if before.shape != after.shape:
        return len(before)
    return int((before != after).flatten(1).any(dim=1).sum())


def _refuse_idle(receipt: Receipt, chunk: Chunk) -> None:
    if receipt.changed == 0:
        raise ClaimsError(
            f"the intervention {receipt.place} changed nothing on images {chunk.positions.start}.."
            f"{chunk.positions.stop - 1}: whatever is measured under it says nothing about the model"
        )


def _refuse_outside(numbers: np.ndarray, readout: Readout, intervention: Intervention, chunk: Chunk) -> None:
    wrong = ~np.isfinite(numbers) | (numbers < readout.low - 1e-6) | (numbers > readout.high + 1e-6)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise ClaimsError(
            f"{readout!r} under {intervention.key} read {numbers[place]!r} on image {chunk.positions[place]}; "
            f"allowed: finite numbers from {readout.low} to {readout.high}"
        )
