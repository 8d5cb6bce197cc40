"""Blocks that are left out, that write with one branch alone, or that write without a skip connection."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from harness.errors import ClaimsError, NotApplicable
from harness.images.batch import Batch
from harness.interventions.intervention import Intervention
from harness.models.branches import Branched
from harness.models.sites import Branch
from harness.models.subject import ModelCard, Stream, Subject

Through = Literal["attention", "attention and mlp"]


class _KeepsTokens:
    """What edits say of themselves that leave all tokens there."""

    def left(self, card: ModelCard, block: int, tokens: int) -> int:
        """Count as many tokens as before."""
        return tokens


@dataclass(frozen=True)
class SkipBlock(_KeepsTokens):
    """Leave a block out: the stream after it is the stream before it."""

    runs = 0.0

    def refusal(self, card: ModelCard, block: int) -> str:
        """Refuse blocks that change the shape of the stream."""
        if card.grid is not None:
            return ""
        same = 0 < block < len(card.units) and card.units[block] == card.units[block - 1]
        return "" if same else f"block {block} of {card.name!r} changes the shape of the stream, or may do so"

    def run(self, subject: Subject, block: int, stream: Stream, chunk: Batch) -> Stream:
        """Return the stream that enters."""
        return stream


@dataclass(frozen=True)
class DropWrite(_KeepsTokens):
    """Let one branch of a block write nothing: what it adds to the stream is zero."""

    branch: Branch
    runs = 1.0

    def refusal(self, card: ModelCard, block: int) -> str:
        """Refuse blocks that are no sum of two writes."""
        return card.missing(("writes",)) or ""

    def run(self, subject: Subject, block: int, stream: Stream, chunk: Batch) -> Stream:
        """Run the block without the write."""
        return branched(subject).without(block, stream, self.branch)[0]


@dataclass(frozen=True)
class DropSkip(_KeepsTokens):
    """Cut the skip connections of a block: what leaves a branch is its write alone, x <- MLP(LN(Attn(LN x))).

    `through` "attention" leaves the MLP out as well. Post-norms and LayerScale belong to what a branch writes.
    """

    through: Through = "attention and mlp"

    @property
    def runs(self) -> float:
        """Count one run of the block for each branch."""
        return 1.0 if self.through == "attention" else 2.0

    def refusal(self, card: ModelCard, block: int) -> str:
        """Refuse blocks that are no sum of two writes, or that write some tokens and not others."""
        return _some_tokens_alone(card) or card.missing(("writes",)) or ""

    def run(self, subject: Subject, block: int, stream: Stream, chunk: Batch) -> Stream:
        """Give attention's write to the MLP in the place of the stream, and return what it writes."""
        able = branched(subject)
        attended = able.without(block, stream, "mlp", ("attention write",))[1]["attention write"]
        stream = stream.with_tokens(attended)
        if self.through == "attention":
            return stream
        return stream.with_tokens(able.without(block, stream, "attention", ("mlp write",))[1]["mlp write"])


def skip_blocks(blocks: Iterable[int]) -> Intervention:
    """Leave these blocks (0-based) out."""
    return _in(blocks, SkipBlock())


def drop_writes(blocks: Iterable[int], branch: Branch) -> Intervention:
    """Let one branch write nothing in these blocks (0-based)."""
    return _in(blocks, DropWrite(branch))


def drop_skips(blocks: Iterable[int], through: Through = "attention and mlp") -> Intervention:
    """Cut the skip connections of these blocks (0-based)."""
    return _in(blocks, DropSkip(through))


def branches_of(card: ModelCard) -> tuple[Branch, ...]:
    """List the branches whose writes can be dropped; none where blocks are no sum of two writes."""
    return ("attention", "mlp") if "writes" in card.capabilities else ()


def like_blocks(card: ModelCard) -> range:
    """List the blocks of a model in which every block reads and writes all tokens.

    Raises NotApplicable where some blocks write the patches and others the class token alone (CaiT).
    """
    if reason := _some_tokens_alone(card):
        raise NotApplicable(reason)
    return range(card.depth)


def branched(subject: Subject) -> Branched:
    """Return a subject whose branches run apart; ClaimsError for one of its own that has no `without`."""
    if not isinstance(subject, Branched):
        raise ClaimsError(f"{subject.card.name!r} cannot run a block without one branch: it has no method `without`")
    return subject


def _some_tokens_alone(card: ModelCard) -> str:
    if "class" not in card.prefix or "class_token" in card.capabilities:
        return ""
    return f"the blocks of {card.name!r} are of two kinds: some write the patches alone, others the class token"


def _in(blocks: Iterable[int], edit: SkipBlock | DropWrite | DropSkip) -> Intervention:
    return Intervention(blocks=tuple((block, edit) for block in sorted(blocks)))
