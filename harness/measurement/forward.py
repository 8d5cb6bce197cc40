"""One pass over a chunk for many arms: arms that agree on their first blocks share them.

The interventions of all wanted measurements form a tree of programs. Walking it depth first runs every distinct
prefix once, keeps at most one stream per level, and visits the unedited branch first, so that readouts which compare
with it find it there.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.intervention import Edit, ImageMask, Mask, PixelEdit, Start
from harness.interventions.patch_scores import Score
from harness.interventions.pixels import edit_pictures
from harness.interventions.slots import BlockEdit
from harness.measurement.effects import changed, refuse_idle
from harness.measurement.prefix_tree import Bill, Node, Request, claimants_of, program_tree, scores_in, sites_of
from harness.models.sites import EMBEDDING, Site
from harness.models.subject import Stream, Subject
from harness.probes.fittable import Fittable, Fitted
from harness.readouts.reading import Reading
from harness.results.measurements import MeasuredBatch, Receipt, refuse_outside

PROBED = 1  # images per chunk on which a mask's effect is checked against the mask that allows everything


def measure_chunk(
    subject: Subject,
    images: torch.Tensor,
    chunk: Batch,
    wanted: Sequence[Request],
    fits: Mapping[Fittable, Fitted],
    bill: Bill,
) -> list[MeasuredBatch]:
    """Measure all wanted readouts on one chunk: one row per entry of `wanted`, in order.

    Raises ClaimsError where a number is not finite or out of its declared range, or where an intervention never fired
    or changed nothing.
    """
    return _Pass(subject, images, chunk, wanted, fits, bill).run()


@dataclass(frozen=True, kw_only=True)
class _State:
    """Where a walk stands: the stream after a block, how it came there, what passed within that block.

    `earlier` is what readouts shared of the stream that entered it.
    """

    stream: Stream
    block: int
    receipts: tuple[Receipt, ...] = ()
    clean: bool = True
    before: Stream | None = None
    passed: Mapping[Site, torch.Tensor] = field(default_factory=dict)
    earlier: Mapping[Hashable, object] = field(default_factory=dict)


# The stream after a block, what passed within it, whether its slot changed anything, and images times runs.
_Ran = tuple[Stream, Mapping[Site, torch.Tensor], Receipt | None, float]


class _Pass:
    def __init__(self, subject, images, chunk, wanted, fits, bill) -> None:
        self.subject, self.images, self.chunk = subject, images, chunk
        self.wanted, self.fits, self.bill = wanted, fits, bill
        self.rows: list[MeasuredBatch | None] = [None] * len(wanted)
        self.clean: Reading | None = None
        self.edited: tuple[PixelEdit, torch.Tensor, Receipt] | None = None
        self.scores: Mapping[Score, torch.Tensor] = {}
        self.full_tokens = 0

    def run(self) -> list[MeasuredBatch]:
        root = program_tree(self.wanted, self.subject.card)
        with torch.inference_mode():
            for start in sorted(root.branches, key=_unedited_first):
                assert start is None or isinstance(start, Start), "a program begins with how pictures enter"
                self._edits(root.branches[start], self._enter(start, root.branches[start]))
        assert all(row is not None for row in self.rows), "the walk visits every node of the tree"
        return [row for row in self.rows if row is not None]

    def _enter(self, start: Start | None, children: Mapping[Edit | None, Node]) -> _State:
        """Embed the pictures, edited and at other positions where asked for, and score their patches if need be."""
        images = self.images
        receipts: tuple[Receipt, ...] = ()
        if start is not None and start.pixels is not None:
            images, receipt = self._pictures(start.pixels)
            receipts = (receipt,)
        stream = self.subject.start(images)
        if start is not None and start.positions != "own":
            moved = self.subject.start(images, start.positions)
            receipt = Receipt(f"positions={start.positions}", 1, changed(stream.tokens, moved.tokens))
            refuse_idle(receipt, self.chunk)
            stream, receipts = moved, (*receipts, receipt)
        self.full_tokens = stream.tokens.shape[1]
        self.scores = {score: self._score(score, images, who) for score, who in scores_in(children).items()}
        return _State(stream=stream, block=EMBEDDING, receipts=receipts, clean=start is None)

    def _score(self, score: Score, images: torch.Tensor, claimants: set[Hashable]) -> torch.Tensor:
        """Score the patches of the pictures as they enter, once for all edits that ask for it."""
        card, chunk = self.subject.card, self.chunk if score.exchanges else self.chunk.alone
        if score.needs_labels and chunk.labels is None:
            raise ClaimsError(f"{score!r} needs labels, but the image set has none; name 'labels' in the claim's needs")
        values = score.compute(self.subject, images, chunk, self.fits)
        if tuple(values.shape) != (len(images), card.patches) or not bool(values.isfinite().all()):
            raise ClaimsError(
                f"{score!r} gave {list(values.shape)}; allowed: finite numbers [{len(images)}, {card.patches}]"
            )
        self.bill.charge(claimants, score.passes * card.depth * len(images))
        return values

    def _pictures(self, edit: PixelEdit) -> tuple[torch.Tensor, Receipt]:
        """Edit the pictures once for all arms that begin with this edit; they follow one another."""
        if self.edited is None or self.edited[0] != edit:
            chunk = self.chunk if edit.exchanges else self.chunk.alone
            pictures, edited = edit_pictures(self.images, edit, chunk, self.subject.card.preprocessing)
            receipt = Receipt(f"{edit!r}@pixels", 1, edited)
            refuse_idle(receipt, self.chunk)
            self.edited = (edit, pictures, receipt)
        return self.edited[1], self.edited[2]

    def _walk(self, node: Node, state: _State) -> None:
        """Read what is to be read after a block, then run the next block as each slot says."""
        shared = self._read(node, state)
        for slot in sorted(node.branches, key=_unedited_first):
            assert not isinstance(slot, Start), "only the first step of a program is a start"
            children = node.branches[slot]
            following, share = state.block + 1, self._share(state.stream)
            if isinstance(slot, BlockEdit):
                after, passed, receipt, runs = self._otherwise(slot, following, state.stream, sites_of(children))
            else:
                after, passed, receipt, runs = self._masked(slot, following, state.stream, sites_of(children))
            self.bill.charge(claimants_of(children), runs * share)
            reached = _State(
                stream=after,
                block=following,
                receipts=state.receipts if receipt is None else (*state.receipts, receipt),
                clean=state.clean and slot is None,
                before=state.stream,
                passed=passed,
                earlier=shared,
            )
            self._edits(children, reached)

    def _masked(self, mask: Mask | None, block: int, stream: Stream, sites: tuple[Site, ...]) -> _Ran:
        """Run a block under a mask, or as it is."""
        if mask is None:
            return *self._run(block, stream, sites, None, True), None, float(len(self.images))
        allowed = self._allowed(mask, stream)
        after, passed = self._run(block, stream, sites, allowed, mask.renormalized)
        receipt = self._probe_mask(mask, block, stream, allowed)
        return after, passed, receipt, float(len(self.images) + 2 * PROBED)

    def _otherwise(self, edit: BlockEdit, block: int, stream: Stream, sites: tuple[Site, ...]) -> _Ran:
        """Run a block as an edit says, and count on a few images whether that changes the block at all."""
        if sites:
            raise ClaimsError(f"{list(sites)} cannot be read in block {block}, which {edit!r} runs")
        after = edit.run(self.subject, block, stream, self.chunk.alone)
        few = slice(0, PROBED)
        plain = self.subject.step(block, stream.only(few)).tokens
        receipt = Receipt(f"{edit!r}@block{block}", 1, changed(plain, after.tokens[few]))
        refuse_idle(receipt, self.chunk)
        return after, {}, receipt, edit.runs * len(self.images) + PROBED

    def _run(
        self, block: int, stream: Stream, sites: tuple[Site, ...], allowed: torch.Tensor | None, renormalize: bool
    ) -> tuple[Stream, Mapping[Site, torch.Tensor]]:
        """Run a block once, watched if anybody reads within it."""
        if not sites:
            return self.subject.step(block, stream, allowed, renormalize), {}
        return self.subject.watch(block, stream, sites, allowed, renormalize)

    def _allowed(self, mask: Mask, stream: Stream) -> torch.Tensor:
        """Ask a mask who may read whom among the tokens that are there: bool [query, key] or [image, query, key]."""
        card, tokens = self.subject.card, stream.tokens.shape[1]
        if isinstance(mask, ImageMask):
            allowed = mask.allowed_by_image(card, tokens, self.chunk if mask.exchanges else self.chunk.alone)
        else:
            allowed = mask.allowed(card, tokens)
        return allowed.to(stream.tokens.device)

    def _edits(self, children: Mapping[Edit | None, Node], state: _State) -> None:
        """Apply each edit that follows a block and walk on; the unedited branch comes first."""
        for edit in sorted(children, key=_unedited_first):
            if edit is None:
                self._walk(children[None], state)
                continue
            chunk = replace(self.chunk if edit.exchanges else self.chunk.alone, scores=self.scores, fits=self.fits)
            tokens = edit.apply(state.stream.tokens, self.subject.card, chunk)
            receipt = Receipt(f"{edit!r}@{state.block}", 1, changed(state.stream.tokens, tokens))
            refuse_idle(receipt, self.chunk)
            edited = replace(
                state, stream=state.stream.with_tokens(tokens), receipts=(*state.receipts, receipt), clean=False
            )
            self._walk(children[edit], edited)

    def _read(self, node: Node, state: _State) -> Mapping[Hashable, object]:
        answers = state.clean and state.block == self.subject.card.depth - 1
        if not node.readers and not answers:
            return {}
        reading = Reading(
            self.subject,
            state.stream,
            state.block,
            self.chunk,
            self.fits,
            self.clean,
            before=state.before,
            passed=state.passed,
            earlier=state.earlier,
        )
        if answers:
            self.clean = reading
            reading.clean = reading
        for index in node.readers:
            readout = self.wanted[index].readout
            numbers = readout.read(reading.lent_to(readout.exchanges, readout.sites)).double().cpu().numpy()
            what = f"{readout!r} under {self.wanted[index].intervention.key}"
            refuse_outside(numbers, (readout.low, readout.high), what, "image", self.chunk.positions)
            self.rows[index] = MeasuredBatch(numbers=numbers, receipts=state.receipts)
        return reading.shared

    def _probe_mask(self, mask: Mask, block: int, stream: Stream, allowed: torch.Tensor) -> Receipt:
        """Count on a few images whether the mask changes the block at all, on the same code path."""
        few = slice(0, PROBED)
        if allowed.ndim == 3:  # an image of which the mask forbids nothing says nothing about the others
            first = int((~allowed).flatten(1).any(dim=1).int().argmax())
            few = slice(first, first + PROBED)
            allowed = allowed[few]
        probed = stream.only(few)
        masked = self.subject.step(block, probed, allowed, mask.renormalized).tokens
        free = self.subject.step(block, probed, torch.ones_like(allowed), mask.renormalized).tokens
        receipt = Receipt(f"{mask!r}@block{block}", 1, changed(masked, free))
        refuse_idle(receipt, self.chunk)
        return receipt

    def _share(self, stream: Stream) -> float:
        """Give the share of the tokens that are still in the stream: what a block costs of a full one."""
        return stream.tokens.shape[1] / self.full_tokens if stream.tokens.ndim == 3 else 1.0


def _unedited_first(step: Mask | BlockEdit | Edit | Start | None) -> tuple[bool, str]:
    return (step is not None, repr(step))
