"""Planted models: hand-made subjects whose every answer is known by construction, and pictures that they can read.

A picture shows its class by its colour; a patch token holds one score per class in its first channels and a decoy
(how bright the patch is) in its last. Every block mixes decoys between the class token and the patches, so that masks
and exchanges change the stream everywhere, and the head never reads the decoy. Where the class scores travel is what
is planted:

- "late reader": the class token copies the patch mean in the last block only;
- "early carrier": it copies it in block 0 and carries it;
- "patch mean": the head reads the patches; the class token is a late reader's.
"""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from harness.errors import ClaimsError
from harness.models.sites import UnitShape, Writes
from harness.models.subject import CAPABILITIES, ModelCard, Positions, Preprocessing, Stream, Subject
from support.closed import WITHIN, Closed

Kind = Literal["late reader", "early carrier", "patch mean"]

DEPTH = 6
GRID = 4
SIZE = 8  # pixels per side: patches of 2 x 2
COLOURS = np.array([[k >> 2 & 1, k >> 1 & 1, k & 1] for k in (4, 2, 1, 7, 0, 6, 5, 3)], dtype=np.float32)
BRIGHTNESS = np.array([4.0, 2.0, 1.0], dtype=np.float32) / 7.0  # tells all colours apart
PREPROCESSING = Preprocessing(size=(SIZE, SIZE), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
LACKING = {"distillation_token", "distillation_readout"} | WITHIN


@dataclass(frozen=True, kw_only=True, eq=False)
class Planted(Closed):
    """A Subject made by hand; `shift` 0 names every class rightly, any other shift names none rightly."""

    kind: Kind = "late reader"
    classes: int = 4
    depth: int = DEPTH
    shift: int = 0
    lacks: frozenset[str] = frozenset()

    @cached_property
    def card(self) -> ModelCard:
        """Describe it like any other model."""
        wrong = {"class": "patch_mean_readout", "patch mean": "class_readout"}
        native = "patch mean" if self.kind == "patch mean" else "class"
        missing = LACKING | self.lacks | {wrong[native]}
        return ModelCard(
            name=f"planted {self.kind}",
            family="planted",
            arch="planted",
            depth=self.depth,
            width=self.classes + 1,
            grid=(GRID, GRID),
            prefix=("class",),
            native=native,
            classes=self.classes,
            capabilities=frozenset(CAPABILITIES) - missing,
            preprocessing=PREPROCESSING,
            pretrained=self.shift == 0,
        )

    def start(self, images: torch.Tensor, positions: Positions = "own") -> Stream:
        """Score every patch against the colours: nearest colour wins. The class token starts at zero."""
        count = len(images)
        colours = torch.roll(torch.from_numpy(COLOURS[: self.classes]), self.shift, 0).to(images)
        side = SIZE // GRID
        patches = images.unfold(2, side, side).unfold(3, side, side).mean(dim=(-2, -1)).flatten(2).transpose(1, 2)
        scores = 2 * patches @ colours.T - (colours**2).sum(1)
        decoy = patches @ torch.from_numpy(BRIGHTNESS).to(images)
        tokens = torch.cat([scores, decoy[..., None]], dim=-1)
        return Stream(torch.cat([tokens.new_zeros(count, 1, tokens.shape[-1]), tokens], dim=1))

    def step(self, block: int, stream: Stream, mask: torch.Tensor | None = None, renormalize: bool = True) -> Stream:
        """Let the class token read what it may of the patches, and the patches the class token's decoy."""
        if mask is not None and not bool(mask.any(dim=1).all()):
            raise ClaimsError("a row of the attention mask allows no key at all")
        return stream.with_tokens(stream.tokens + self._write(block, stream.tokens, mask))

    def watch(self, block, stream, sites, mask=None, renormalize=True):
        """Step, and give the writes where they are asked for."""
        if unknown := set(sites) - {"attention write", "mlp write"}:
            raise ClaimsError(f"a planted model has no sites {sorted(unknown)}")
        after = self.step(block, stream, mask)
        attention = self._write(block, stream.tokens, mask)
        written = {"attention write": attention, "mlp write": torch.zeros_like(attention)}
        return after, {site: written[site] for site in sites}

    def writes(self, block: int, stream: Stream) -> Writes:
        """Give the attention write; there is no MLP."""
        attention = self._write(block, stream.tokens, None)
        return Writes(attention, torch.zeros_like(attention))

    def logits(self, stream: Stream) -> torch.Tensor:
        """Read the class scores of the class token, or of the mean patch."""
        pooled = stream.tokens[:, 1:].mean(dim=1) if self.kind == "patch mean" else stream.tokens[:, 0]
        return pooled[:, : self.classes]

    def normed(self, stream: Stream) -> torch.Tensor:
        """Nothing to norm."""
        return stream.tokens

    def token_logits(self, features: torch.Tensor) -> torch.Tensor:
        """Read the class scores."""
        return features[..., : self.classes]

    def untrained(self, seed: int) -> Subject:
        """Give a twin that names every class wrongly."""
        return replace(self, shift=1 + seed % (self.classes - 1))

    def weights_hash(self) -> str:
        """Identify what was planted."""
        return hashlib.sha256(repr((self.kind, self.classes, self.depth, self.shift)).encode()).hexdigest()

    def _write(self, block: int, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        count = tokens.shape[1]
        allowed = torch.ones(count, count, dtype=torch.bool) if mask is None else mask
        reads = allowed[0, 1:].to(tokens)
        read = (tokens[:, 1:] * reads[:, None]).sum(dim=1) / reads.sum().clamp(min=1.0)
        write = torch.zeros_like(tokens)
        write[:, 0, -1] = 0.5 * read[:, -1]
        write[:, 1:, -1] = 0.01 * tokens[:, :1, -1] * allowed[1:, 0].to(tokens)
        if block == (0 if self.kind == "early carrier" else self.depth - 1):
            write[:, 0, : self.classes] = read[:, : self.classes]
        return write


@dataclass(kw_only=True, eq=False)
class Counting(Closed):
    """A Subject that passes everything on and counts images through `start`, and image x blocks that are run."""

    inner: Subject
    started: list[int] = field(default_factory=list)
    stepped: list[tuple[int, int]] = field(default_factory=list)

    @property
    def card(self) -> ModelCard:
        return self.inner.card

    @property
    def passes(self) -> int:
        """Count images through `start`."""
        return sum(self.started)

    def start(self, images: torch.Tensor, positions: Positions = "own") -> Stream:
        self.started.append(len(images))
        return self.inner.start(images, positions)

    def step(self, block: int, stream: Stream, mask: torch.Tensor | None = None, renormalize: bool = True) -> Stream:
        self.stepped.append((block, len(stream.tokens)))
        return self.inner.step(block, stream, mask, renormalize)

    def watch(self, block, stream, sites, mask=None, renormalize=True):
        self.stepped.append((block, len(stream.tokens)))
        return self.inner.watch(block, stream, sites, mask, renormalize)

    def block_weights(self, block):
        return self.inner.block_weights(block)

    def head_weights(self):
        return self.inner.head_weights()

    def lens_gradient(self, states, labels, double_softmax=False):
        return self.inner.lens_gradient(states, labels, double_softmax)

    def respond(self, images, block, site):
        self.stepped += [(earlier, len(images)) for earlier in range(block + 1)]
        return self.inner.respond(images, block, site)

    def attention_gradients(self, images, labels):
        self.stepped += [(block, len(images)) for block in range(self.card.depth)]
        return self.inner.attention_gradients(images, labels)

    def attention_pattern(self, block: int, stream: Stream) -> torch.Tensor:
        self.stepped.append((block, len(stream.tokens)))
        return self.inner.attention_pattern(block, stream)

    def unit_shape(self, block: int) -> UnitShape:
        return self.inner.unit_shape(block)

    def writes(self, block: int, stream: Stream) -> Writes:
        return self.inner.writes(block, stream)

    def logits(self, stream: Stream) -> torch.Tensor:
        return self.inner.logits(stream)

    def normed(self, stream: Stream) -> torch.Tensor:
        return self.inner.normed(stream)

    def token_logits(self, features: torch.Tensor) -> torch.Tensor:
        return self.inner.token_logits(features)

    def untrained(self, seed: int) -> Subject:
        return replace(self, inner=self.inner.untrained(seed))

    def weights_hash(self) -> str:
        return self.inner.weights_hash()


@dataclass(frozen=True, kw_only=True, eq=False)
class PlantedImages:
    """Pictures of one colour per class, in measuring order (an ImageSet).

    Every picture shows its label but a share `wrong`, which shows another class; `noise` is added per pixel. `labels`
    are balanced and in random order, or sorted by class if asked for.
    """

    count: int = 256
    total: int | None = None
    classes: int = 4
    seed: int = 0
    wrong: float = 0.0
    noise: float = 0.0
    sorted_by_class: bool = False
    labelled: bool = True

    class_names = None
    left_out = ()
    note = "planted"
    has_boxes = False
    has_masks = False

    def __len__(self) -> int:
        return self.count

    @property
    def name(self) -> str:
        return "planted pictures"

    @property
    def fingerprint(self) -> str:
        parts = (self.total or self.count, self.classes, self.seed, self.wrong, self.noise, self.sorted_by_class)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"picture {place}" for place in range(self.count))

    @property
    def labels(self) -> np.ndarray | None:
        return self._labels[: self.count] if self.labelled else None

    @cached_property
    def shown(self) -> np.ndarray:
        """Give the class whose colour each picture has: int64 [picture]."""
        random = np.random.default_rng([self.seed, 2])
        total = len(self._labels)
        lies = random.permutation(total) < round(self.wrong * total)
        return np.where(
            lies, (self._labels + 1 + random.integers(0, self.classes - 1, total)) % self.classes, self._labels
        )

    def load(self, positions, preprocessing: Preprocessing) -> torch.Tensor:
        assert preprocessing == PREPROCESSING
        flat = torch.from_numpy(COLOURS[self.shown[list(positions)]])[:, :, None, None].expand(-1, 3, SIZE, SIZE)
        words = [torch.Generator().manual_seed(1000 * self.seed + int(place)) for place in positions]
        return flat + self.noise * torch.stack([torch.randn(3, SIZE, SIZE, generator=word) for word in words])

    @cached_property
    def _labels(self) -> np.ndarray:
        total = self.total or self.count
        labels = np.arange(total, dtype=np.int64) * self.classes // total
        return labels if self.sorted_by_class else np.random.default_rng([self.seed, 1]).permutation(labels)
