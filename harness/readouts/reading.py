"""The stream of one chunk after one block, and what the readouts of it share: norm, lens logits, ranks."""

from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Literal, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.errors import ClaimsError
from harness.images.batch import Batch, Whose, object_patches
from harness.models.finite import refuse_not_finite
from harness.models.sites import Site
from harness.models.subject import ModelCard, Stream, Subject
from harness.probes.fittable import Fittable, Fitted

Head = Literal["native", "class", "patch mean"]
Labels = Literal["own", "donor"]
Made = TypeVar("Made")
AT_ONCE = 2**18  # logits of single tokens that are compared at a time: they stay in the cache of a core


class Reading:
    """The stream of one chunk after one block under one arm, with what readouts share of it.

    `clean` is the unedited reading after the last block (None unless a readout asked for it by `needs_clean`);
    `before` the stream that entered the block and `passed` what passed its sites, both before any edit that follows
    the block (None and empty after the embedding); `earlier` what readouts shared of the stream before.
    """

    def __init__(
        self,
        subject: Subject,
        stream: Stream,
        block: int,
        chunk: Batch,
        fits: Mapping[Fittable, Fitted],
        clean: "Reading | None",
        *,
        before: Stream | None = None,
        passed: Mapping[Site, Tensor] | None = None,
        earlier: Mapping[Hashable, object] | None = None,
    ) -> None:
        self.subject, self.stream, self.block, self.chunk = subject, stream, block, chunk
        self.fits, self.clean, self.before = fits, clean, before
        self._passed = passed or {}
        self.lends = True  # whether the readout at work may ask for what belongs to the donors
        self.sites: tuple[Site, ...] = ()  # the sites that the readout at work named
        self.shared: dict[Hashable, object] = {}
        self._earlier = earlier or {}

    @property
    def card(self) -> ModelCard:
        return self.subject.card

    def lent_to(self, exchanges: bool, sites: tuple[Site, ...]) -> "Reading":
        """Return itself, open to a readout that exchanges or not, and that reads these sites."""
        for reading in (self, self.clean) if self.clean else (self,):
            reading.lends, reading.sites = exchanges, sites
        return self

    @property
    def inner(self) -> Mapping[Site, Tensor]:
        """What passed the sites that the readout at work named, [image, place, feature] each; no others."""
        if unread := [site for site in self.sites if site not in self._passed]:
            raise ClaimsError(f"sites {unread} were not read in block {self.block} of this arm")
        return {site: self._passed[site] for site in self.sites}

    def once(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """Make something that several readouts share, once per reading."""
        if name not in self.shared:
            self.shared[name] = make()
        return self.shared[name]  # type: ignore[return-value]

    def once_before(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """Take what was shared by this name of the stream that entered the block, or make it once."""
        return self._earlier[name] if name in self._earlier else self.once(("before", name), make)  # type: ignore[return-value]

    @cached_property
    def normed(self) -> Tensor:
        """Tokens after the norm that the head expects, fp32 [image, token, width]."""
        return self.subject.normed(self.stream).float()

    @property
    def label_logits(self) -> Float[Tensor, "image token"]:
        """Logit of the label on every token, without the head's bias."""
        return self.once("label logits", lambda: self.label_row_on(self.normed))

    @property
    def label_logits_before(self) -> Float[Tensor, "image token"]:
        """Give the same of the stream that entered the block; ClaimsError after the embedding, which nothing enters."""
        if (before := self.before) is None:
            raise ClaimsError("what a block changes is read after a block; nothing enters the embedding")
        return self.once_before("label logits", lambda: self.label_row_on(self.subject.normed(before).float()))

    def label_row_on(self, normed: Float[Tensor, "image token width"]) -> Float[Tensor, "image token"]:
        """Project normed tokens on the head's row of each image's label."""
        rows = self.subject.head_weights().weight.float()[self.labels("own")]
        return (normed @ rows[:, :, None]).squeeze(-1)

    @property
    def patches(self) -> Tensor:
        """Patch tokens after that norm, fp32 [image, patch, width]."""
        return self.normed[:, len(self.card.prefix) :]

    @cached_property
    def patch_ranks(self) -> Int[Tensor, "image patch"]:
        """How many classes the head puts above the label on each patch token."""
        return self.ranks_on(self.patches)

    def ranks_on(self, features: Float[Tensor, "image token width"]) -> Int[Tensor, "image token"]:
        """Count the classes that the head puts above the image's label on each of these normed tokens."""
        labels = self.labels("own")[:, None].expand(features.shape[:2]).flatten()
        tokens = features.flatten(0, 1)
        rows = max(1, AT_ONCE // max(1, self.card.classes))
        parts = zip(tokens.split(rows), labels.split(rows), strict=True)
        return torch.cat([ranks(self.subject.token_logits(part), its) for part, its in parts]).view(features.shape[:2])

    @cached_property
    def _logits(self) -> dict[Head, Tensor]:
        return {}

    def logits(self, head: Head) -> Tensor:
        """Logits [image, class] of the native readout, the head on the class token, or on the mean patch token."""
        if head not in self._logits:
            self._logits[head] = self._compute(head)
            refuse_not_finite(self._logits[head], f"the logits of {self.card.name!r} after block {self.block}")
        return self._logits[head]

    def labels(self, whose: Labels) -> Tensor:
        """Labels [image], one's own or those of the donors.

        Raises ClaimsError without labels, and for labels of the donors asked for by a readout that exchanges nothing.
        """
        if self.chunk.labels is None:
            raise ClaimsError("a readout needs labels, but the image set has none; name 'labels' in the claim's needs")
        if whose == "donor" and not self.lends:
            raise ClaimsError("a readout reads the labels of donors but says exchanges = False")
        return self.chunk.labels if whose == "own" else self.chunk.labels[self.chunk.donors]

    @cached_property
    def object_patches(self) -> Bool[Tensor, "image patch"]:
        """Say which patches lie on the object, with at least half of their pixels; raises ClaimsError without masks."""
        return self.object_patches_of("own")

    def object_patches_of(self, whose: Whose) -> Bool[Tensor, "image patch"]:
        """Say which patches lie on the object of the image itself, or would lie on that of its donor.

        Raises ClaimsError without masks, for models without patch tokens, and for masks of the donors asked for by a
        readout that exchanges nothing.
        """
        if self.card.grid is None:
            raise ClaimsError(f"{self.card.name!r} has no patch tokens that could lie on an object")
        if whose == "donor" and not self.lends:
            raise ClaimsError("a readout reads the masks of donors but says exchanges = False")
        return object_patches(self.chunk.masks_of(whose), self.card.grid).to(self.stream.tokens.device)

    @property
    def patch_correct(self) -> Tensor:
        """Whether the head is right on each single patch token: bool [image, patch]."""
        return self.patch_ranks == 0

    def _compute(self, head: Head) -> Tensor:
        if head == "native":
            return self.subject.logits(self.stream)
        if head == "class":
            return self.subject.token_logits(self.normed[:, self.card.prefix.index("class")])
        return self.subject.token_logits(self.patches.mean(dim=1))


def ranks(logits: Float[Tensor, "*place classes"], labels: Tensor) -> Tensor:
    """Count strictly greater logits; a constant row ranks last, so that a zero head is never right."""
    chosen = logits.gather(-1, labels.unsqueeze(-1))
    greater = (logits > chosen).view(torch.uint8).sum(-1, dtype=torch.int32).long()
    first = greater == 0  # only there may a row be constant
    constant = logits[first].amax(-1) == logits[first].amin(-1)
    greater[first] = constant * (logits.shape[-1] - 1)
    return greater
