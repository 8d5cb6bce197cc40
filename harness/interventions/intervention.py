"""What is edited: frozen descriptions of interventions on pictures, on the residual stream and on attention.

An intervention is an edit of the pixels, a set of edits at sites (the stream after a block, -1: after the embedding)
and of masks or block edits at blocks. It is data: two arms that describe the same edits up to some block share the
forward pass up to there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from harness.images.batch import Batch, ShuffleClass
from harness.interventions.patch_scores import score_of
from harness.interventions.slots import BlockEdit
from harness.models.sites import EMBEDDING
from harness.models.subject import ModelCard, Positions
from harness.probes.fittable import Fittable


@runtime_checkable
class Edit(Protocol):
    """A change of the stream at one site; frozen and hashable.

    An edit with an attribute `score` (`harness.interventions.patch_scores.Score`) finds its values in `chunk.scores`,
    one with an attribute `fits` what it names there in `chunk.fits`.
    `exchanges` says that images receive something of their donors: a claim with such an arm is judged pair by pair.
    """

    @property
    def exchanges(self) -> bool: ...

    def apply(self, tokens: Tensor, card: ModelCard, chunk: Batch) -> Tensor:
        """Return the edited tokens [image, token, width]; the input is never changed in place."""


@runtime_checkable
class Mask(Protocol):
    """A restriction of attention in one block; frozen and hashable.

    `renormalized` says that the softmax runs over the allowed keys; otherwise it runs over all of them, and the weights
    of the others are set to 0 afterwards.
    """

    @property
    def renormalized(self) -> bool: ...

    def allowed(self, card: ModelCard, tokens: int) -> Bool[Tensor, "query key"]:
        """Say which query may attend to which key."""


@runtime_checkable
class ImageMask(Mask, Protocol):
    """A mask that differs from image to image; `exchanges` says that it reads something of the donors."""

    @property
    def exchanges(self) -> bool: ...

    def allowed_by_image(self, card: ModelCard, tokens: int, chunk: Batch) -> Bool[Tensor, "image query key"]:
        """Say of every image which query may attend to which key; it stands in for `allowed`."""


@runtime_checkable
class PixelEdit(Protocol):
    """A change of the pictures before they enter the model; frozen and hashable.

    `needs_masks` says that it reads object masks; `exchanges` is as for an `Edit`.
    """

    @property
    def exchanges(self) -> bool: ...

    @property
    def needs_masks(self) -> bool: ...

    def apply(self, pixels: Tensor, chunk: Batch) -> Tensor:
        """Return the edited pictures [image, channel, row, column] on the [0, 1] scale, never changed in place."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """How pictures enter the model where they do not enter as they are."""

    pixels: PixelEdit | None = None
    positions: Positions = "own"


@dataclass(frozen=True)
class NoiseClass:
    """Replace the class token by standard normal noise, one draw per image."""

    exchanges = False

    def apply(
        self, tokens: Float[Tensor, "image token width"], card: ModelCard, chunk: Batch
    ) -> Float[Tensor, "image token width"]:
        """Return the stream with noise for class tokens."""
        position = card.prefix.index("class")
        noise = torch.randn(tokens[:, position].shape, generator=chunk.generator(1))
        edited = tokens.clone()
        edited[:, position] = noise.to(tokens)
        return edited


@dataclass(frozen=True)
class DropPatches:
    """Remove every token but the class token (and the distillation token)."""

    exchanges = False

    def apply(
        self, tokens: Float[Tensor, "image token width"], card: ModelCard, chunk: Batch
    ) -> Float[Tensor, "image kept width"]:
        """Return the stream of the summary tokens alone."""
        return tokens[:, [i for i, kind in enumerate(card.prefix) if kind in ("class", "distillation")]]


@dataclass(frozen=True)
class IsolateClass:
    """Cut attention between the class token (with the distillation token) and all other tokens, both ways."""

    renormalized = True

    def allowed(self, card: ModelCard, tokens: int) -> Bool[Tensor, "query key"]:
        """Allow attention within the summary tokens and within the rest only."""
        summary = torch.zeros(tokens, dtype=torch.bool)
        summary[[i for i, kind in enumerate(card.prefix) if kind in ("class", "distillation")]] = True
        return summary[:, None] == summary[None, :]


@dataclass(frozen=True)
class Intervention:
    """Edits by site, masks and block edits by block, in canonical order: equal interventions compare equal.

    `pixels` edits the pictures themselves; `positions` "none" or "random" takes the position embedding away.
    """

    edits: tuple[tuple[int, Edit], ...] = ()
    masks: tuple[tuple[int, Mask], ...] = ()
    pixels: PixelEdit | None = None
    positions: Positions = "own"
    blocks: tuple[tuple[int, BlockEdit], ...] = ()

    def __post_init__(self) -> None:
        slots = sorted(self.masks + self.blocks, key=lambda pair: pair[0]) if self.blocks else self.masks
        for kind, pairs in (("edit", self.edits), ("mask", self.masks), ("block edit or mask", slots)):
            places = [place for place, _ in pairs]
            if places != sorted(set(places)):
                raise ValueError(f"an intervention takes one {kind} per place, in order; got places {places}")

    @property
    def key(self) -> str:
        """Name the intervention canonically, for stores and messages ("none" if nothing is edited)."""
        parts = [f"{edit!r}@{site}" for site, edit in self.edits]
        parts += [f"{slot!r}@block{block}" for block, slot in (*self.masks, *self.blocks)]
        if self.pixels is not None:
            parts.insert(0, f"{self.pixels!r}@pixels")
        if self.positions != "own":
            parts.insert(0, f"positions={self.positions}")
        return "+".join(parts) or "none"

    @property
    def fits(self) -> tuple[Fittable, ...]:
        """List the fits that its edits and their scores need."""
        needing = [one for _, edit in self.edits for one in (edit, score_of(edit))]
        return tuple(dict.fromkeys(fit for one in needing for fit in getattr(one, "fits", ())))

    @property
    def exchanges(self) -> bool:
        """Tell whether images receive something of one another."""
        edits = any(edit.exchanges for _, edit in self.edits)
        masks = any(mask.exchanges for _, mask in self.masks if isinstance(mask, ImageMask))
        return edits or masks or (self.pixels is not None and self.pixels.exchanges)

    @property
    def start(self) -> Start | None:
        """Say how pictures enter, None where as they are."""
        start = Start(pixels=self.pixels, positions=self.positions)
        return None if start == Start() else start

    def program(self, card: ModelCard) -> tuple[tuple[Mask | BlockEdit | Start | None, Edit | None], ...]:
        """List (start, edit) for the embedding and (slot, edit) for each block: the steps that prefix sharing compares.

        Raises ValueError for places that the model does not have, for positions where it has no such embedding, and
        for block edits that its blocks cannot honour.
        """
        edits, masks = dict(self.edits), dict[int, Mask | BlockEdit]((*self.masks, *self.blocks))
        if outside := [s for s in edits if not EMBEDDING <= s < card.depth] + [
            b for b in masks if b not in range(card.depth)
        ]:
            raise ValueError(f"{self.key}: places {outside} do not exist; {card.name} has blocks 0..{card.depth - 1}")
        if self.positions != "own" and (why := card.missing(("position_embedding",))):
            raise ValueError(f"{self.key}: {card.name}: {why}")
        if refusals := [why for block, edit in self.blocks if (why := edit.refusal(card, block))]:
            raise ValueError(f"{self.key}: {refusals[0]}")
        blocks = [(masks.get(block), edits.get(block)) for block in range(card.depth)]
        return ((self.start, edits.get(EMBEDDING)), *blocks)


NONE = Intervention()


def shuffle_cls(after: int) -> Intervention:
    """Exchange class tokens between images in the stream after block `after` (0-based; -1: the embedding)."""
    return Intervention(edits=((after, ShuffleClass()),))


def isolate_cls(blocks: Iterable[int]) -> Intervention:
    """Let class token and patch tokens not see one another in these blocks (0-based).

    With an attention mask: equal to running both groups apart, as in the code of arXiv 2212.06727.
    """
    return Intervention(masks=tuple((block, IsolateClass()) for block in sorted(blocks)))


def isolate_cls_with_noise(blocks: Iterable[int]) -> Intervention:
    """Isolate as `isolate_cls`, then replace the class token by noise after the last of these blocks."""
    isolated = isolate_cls(blocks)
    return Intervention(edits=((isolated.masks[-1][0], NoiseClass()),), masks=isolated.masks)


def cls_alone(after: int) -> Intervention:
    """Drop all patch tokens after block `after`, so that the class token runs on alone."""
    return Intervention(edits=((after, DropPatches()),))
