"""The model under study: what is known of it without weights, and the interface every family implements.

A subject is a chain: `start` embeds pictures into the residual stream, `step` runs one block, `logits` reads the
model's own answer. Everything that the harness measures is written in terms of this chain, so a run can be
resumed from the stored stream of any block, and arms that agree on their first blocks share them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.models.sites import BlockWeights, HeadWeights, Site, UnitShape, Writes

Native = Literal["class", "class+distillation", "patch mean", "class+patch mean", "token pool", "map pool", "none"]

# What a model can do beyond answering; a claim's `needs` name these. The text is what its absence means.
CAPABILITIES: Mapping[str, str] = {
    "class_token": "the model has no class token in its residual stream from the first block on",
    "distillation_token": "the model has no distillation token",
    "registers": "the model has no registers",
    "patch_tokens": "the model's stream is no sequence of patch tokens",
    "head": "the model has no classification head of its own",
    "class_readout": "the model's own head does not read the class token alone",
    "distillation_readout": "the model's own head does not average a class and a distillation head",
    "patch_mean_readout": "the model's own head does not read the mean of the patch tokens",
    "token_head": "the model's own head cannot be applied to a single token",
    "attn_mask": "the blocks of the model take no attention mask",
    "token_subset": "the blocks of the model cannot run on a part of the tokens",
    "writes": "the blocks of the model are no sum of an attention and an MLP write",
    "attention_keys": "what enters the output projection of the model's attention is no plain mixture of values",
    "mlp_keys": "the blocks of the model have no MLP with a plain first layer before a nonlinearity",
    "units": "the blocks of the model have no hidden units after a nonlinearity",
    "qkv": "the blocks of the model have no queries, keys and values of one size for all tokens",
    "attention_pattern": "the attention pattern of the model's blocks cannot be read or edited after the softmax",
    "weights": "the blocks of the model are not made of plain query, key, value, output and MLP matrices",
    "value_vectors": "the blocks norm what they write (post-norm), or their attention is not as wide as the stream",
    "patch_projection": "the model's first layer is no linear projection of patches that tile the picture",
    "position_embedding": "the model adds no learned position embedding to its tokens",
    "attention": "the model does not mix the tokens of a patch grid by self-attention",
    "convolution": "the model is no convolutional network",
    "caption_trained": "the model was not trained to match pictures with captions",
    "label_trained": "the model was not trained with class labels",
    "self_supervised": "the model was not taught by pictures alone",
}

Positions = Literal["own", "none", "random"]


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How pictures become input: sizes in pixels, mean and std per channel on the [0, 1] scale."""

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"
    crop: float = 1.0
    crop_mode: str = "center"


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of a model without its weights.

    `depth` counts the steps of the chain (blocks), `width` the channels of the stream after the last one, `grid` the
    patch grid (rows, columns) or None, `prefix` the kinds of the prefix tokens in order ("class", "distillation",
    "register"), `classes` the outputs of the head (0: none), `lacks` a reason of the family's own for a capability
    that is missing, where the general text would mislead, `units` the shape of every block's units (with the
    capability "units").
    """

    name: str
    family: str
    arch: str
    depth: int
    width: int
    grid: tuple[int, int] | None
    prefix: tuple[str, ...]
    native: Native
    classes: int
    capabilities: frozenset[str]
    preprocessing: Preprocessing
    lacks: Mapping[str, str] = field(default_factory=dict)
    units: tuple[UnitShape, ...] = ()
    pretrained: bool = True
    parameters: int = 0

    def __post_init__(self) -> None:
        if unlisted := (self.capabilities | set(self.lacks)) - set(CAPABILITIES):
            raise ValueError(f"card of {self.name!r} names unknown capabilities {sorted(unlisted)}")
        if self.depth < 1:
            raise ValueError(f"card of {self.name!r} has depth {self.depth}; a model has at least one block")
        if len(self.units) != (self.depth if "units" in self.capabilities else 0):
            raise ValueError(f"card of {self.name!r} has {len(self.units)} shapes of units for {self.depth} blocks")

    @property
    def patches(self) -> int:
        """Count the patch tokens (0 where the stream is no token sequence)."""
        return self.grid[0] * self.grid[1] if self.grid else 0

    @property
    def chance(self) -> float:
        """Give the accuracy of guessing, 1/classes (nan without a head)."""
        return 1.0 / self.classes if self.classes else float("nan")

    def missing(self, needs: tuple[str, ...]) -> str | None:
        """Say why the first unmet one of the needed capabilities is unmet, or None if all are there."""
        for need in needs:
            if need in CAPABILITIES and need not in self.capabilities:
                return self.lacks.get(need, CAPABILITIES[need])
        return None

    def named(self, name: str) -> "ModelCard":
        """Return the same card under another name."""
        return replace(self, name=name)


@dataclass(frozen=True)
class Stream:
    """The residual stream of one chunk after some block: `tokens` [image, token, width], prefix tokens first.

    Staged models (Swin, ConvNeXt, ResNet) keep a feature map in the model's own layout instead. `extra` holds what
    later blocks need beside it (rotary angles, a shared position bias); `sizes` how many tokens each one stands for,
    None where nothing was merged.
    """

    tokens: Float[Tensor, "image *place"]
    extra: Any = None
    sizes: Float[Tensor, "image token"] | None = None

    def with_tokens(self, tokens: Tensor) -> "Stream":
        """Return the stream with other tokens; the original is untouched."""
        return Stream(tokens, self.extra, self.sizes)

    def only(self, images: slice) -> "Stream":
        """Return the stream of some of the images."""
        return Stream(self.tokens[images], self.extra, None if self.sizes is None else self.sizes[images])


@runtime_checkable
class Subject(Protocol):
    """A model as a chain of blocks, between which the stream can be read and edited; `watch` reads within a block."""

    @property
    def card(self) -> ModelCard:
        """Describe the model, without its weights."""

    def start(self, images: Float[Tensor, "image channel row column"], positions: Positions = "own") -> Stream:
        """Embed preprocessed pictures: the stream before block 0.

        `positions` "none" puts zeros in the place of the learned position embedding, "random" noise as at its start.
        """

    def step(
        self,
        block: int,
        stream: Stream,
        mask: Bool[Tensor, "*image query key"] | None = None,
        renormalize: bool = True,
    ) -> Stream:
        """Run one block; `mask` is True where a query may attend to a key, for all images or for each of its own.

        The softmax runs over the allowed keys, so that fully masked rows are refused. Without `renormalize` it runs
        over all keys, and the weights of the others are set to 0 afterwards (capability "attention_pattern").
        """

    def attention_pattern(self, block: int, stream: Stream) -> Float[Tensor, "image head query key"]:
        """Give the attention weights of one block, by the explicit path where the model has a fused one."""

    def watch(
        self,
        block: int,
        stream: Stream,
        sites: tuple[Site, ...],
        mask: Bool[Tensor, "*image query key"] | None = None,
        renormalize: bool = True,
    ) -> tuple[Stream, Mapping[Site, Tensor]]:
        """Run one block as `step` does, bit for bit, and give what passed these sites: [image, place, feature] each.

        Raises ClaimsError for a site that the card's capabilities do not name (`SITE_NEEDS`).
        """

    def unit_shape(self, block: int) -> UnitShape:
        """Say where the units of this block are."""

    def writes(self, block: int, stream: Stream) -> Writes:
        """Give what this block's attention and MLP add: resid_post = resid_pre + attention + mlp."""

    def block_weights(self, block: int) -> BlockWeights:
        """Give the weights of one block as plain matrices (capability "weights")."""

    def head_weights(self) -> HeadWeights:
        """Give the class head that `token_logits` applies (capability "token_head")."""

    def lens_gradient(
        self, states: Float[Tensor, "*place width"], labels: Int[Tensor, "*place"], double_softmax: bool = False
    ) -> Float[Tensor, "*place width"]:
        """Give the gradient of the lens's cross-entropy (norm and head on single tokens) with respect to states.

        With `double_softmax` a softmax precedes the cross-entropy, as in the code of arXiv 2310.18969.
        """

    def respond(
        self, images: Float[Tensor, "image channel row column"], block: int, site: Site
    ) -> Float[Tensor, "image place feature"]:
        """Give what passes a site as a differentiable function of preprocessed pictures, also within inference mode."""

    def attention_gradients(
        self, images: Float[Tensor, "image channel row column"], labels: Int[Tensor, "image"]
    ) -> list[tuple[Tensor, Tensor]]:
        """Give the attention pattern [image, head, query, key] of every block, and the gradient of the label's logit.

        Needs "attention_pattern" and "head"; works also within inference mode.
        """

    def logits(self, stream: Stream) -> Float[Tensor, "image class"]:
        """Give the model's own answer from the stream after the last block, exactly as its forward does."""

    def normed(self, stream: Stream) -> Float[Tensor, "image token width"]:
        """Apply the norm that the head expects to every token of a stream (the first half of the lens)."""

    def token_logits(self, features: Float[Tensor, "*place width"]) -> Float[Tensor, "*place class"]:
        """Apply the class head to already normed features of single or averaged tokens (the second half)."""

    def untrained(self, seed: int) -> "Subject":
        """Return a twin of the same architecture with freshly initialized weights."""

    def weights_hash(self) -> str:
        """Identify the weights: sha256 over names, shapes, dtypes and bytes of the state dict."""
