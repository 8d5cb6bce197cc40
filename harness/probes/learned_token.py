"""Learned readouts of one block: a token enters the frozen block, and a linear probe reads what comes out of it.

Tokens at the INPUT of block `block` -> the block, frozen -> linear probe on one token. Source: lrast, lab note
2026-02-13 on multiple readouts (catalogue mr, B7-B14).
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.models.subject import ModelCard, Stream, Subject

Mode = Literal["null", "null_reinit", "replace", "augment", "deterministic"]
Learns = Literal["all", "probe", "nothing"]
HIDDEN = (512, 512, 512)  # of the generator of tokens
TOKEN_STD = 0.02  # of a single learned token at the start, as class tokens are initialized
DRAWS = 1000  # purposes of a chunk's random generator from here on are draws of tokens


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a readout is trained: on the first `images` training images (None: all), by Adam with a cosine schedule.

    The figures are the source's for 200,000 images; with few of them more epochs are to be stated.
    Raises ValueError for numbers below one and rates that are not positive.
    """

    images: int | None = None
    epochs: int = 5
    batch: int = 64
    rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch, 1 if self.images is None else self.images) < 1 or self.rate <= 0:
            raise ValueError(f"{self!r}: images, epochs and batch are at least 1, the rate is positive")


@dataclass(frozen=True, kw_only=True)
class TokenReadout:
    """A readout of one block to be learned.

    Modes: "null" leaves the class token as it is; "null_reinit" does, with another initial probe in every block (the
    other modes and blocks start from one and the same); "replace" puts a token from a learned generator in its place,
    one draw per image; "augment" puts such a token before it; "deterministic" puts one learned vector in its place.
    `learns` "probe" leaves the token as it was initialized, "nothing" the probe too: the controls.
    Raises ValueError for a block below 0.
    """

    block: int
    mode: Mode
    learns: Learns = "all"
    recipe: Recipe = field(default_factory=Recipe)

    def __post_init__(self) -> None:
        if self.block < 0:
            raise ValueError(f"a readout of block {self.block}; allowed: 0 or more")

    @property
    def draws(self) -> bool:
        """Tell whether a token is drawn for each image."""
        return self.mode in ("replace", "augment")

    @property
    def keeps_class(self) -> bool:
        """Tell whether the class token alone is read as it is, so that no token is trained."""
        return self.mode in ("null", "null_reinit")

    def evaluations(self, images: int) -> int:
        """Count what training costs in evaluations of the block, a backward pass as two, beside reaching its input."""
        if self.learns == "nothing":
            return 0
        used = images if self.recipe.images is None else min(images, self.recipe.images)
        if self.keeps_class:
            return used
        return used * self.recipe.epochs * (3 if self.learns == "all" else 1)


@dataclass(frozen=True, kw_only=True)
class TokenFit:
    """A learned readout: the parameters of the probe and of the token or its generator, fp32 by name."""

    parameters: Mapping[str, Tensor]


def initial_parameters(readout: TokenReadout, width: int, classes: int) -> dict[str, Tensor]:
    """Draw the parameters before training, as `nn.Linear` does; the probe is shared by modes and blocks."""
    seed = readout.recipe.seed
    fresh = readout.block + 1 if readout.mode == "null_reinit" else 0
    drawn = _linear("probe", width, classes, seeded(seed, "probe", fresh))
    random = seeded(seed, "token", readout.block)
    if readout.mode == "deterministic":
        drawn["token"] = TOKEN_STD * torch.randn(width, generator=random)
    if readout.draws:
        sizes = (width, *HIDDEN, width)
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            drawn |= _linear(f"generator.{layer}", inputs, outputs, random)
    return drawn


def learned(readout: TokenReadout, name: str) -> bool:
    """Tell whether a parameter is trained."""
    return readout.learns == "all" or (readout.learns == "probe" and name.startswith("probe"))


def entering(
    readout: TokenReadout, parameters: Mapping[str, Tensor], card: ModelCard, tokens: Tensor, noise: Tensor | None
) -> Float[Tensor, "image token width"]:
    """Put the readout's token among the tokens that enter the block; `noise` [image, width] where tokens are drawn."""
    if readout.keeps_class:
        return tokens
    if noise is None:
        token = parameters["token"].expand(len(tokens), -1)
    else:
        token = _generate(parameters, noise.to(parameters["generator.0.weight"]))
    token = token.to(tokens)[:, None]
    if readout.mode == "augment":
        return torch.cat([token, tokens], dim=1)
    place = card.prefix.index("class")
    return torch.cat([tokens[:, :place], token, tokens[:, place + 1 :]], dim=1)


def read_token(readout: TokenReadout, card: ModelCard, tokens: Tensor) -> Float[Tensor, "image width"]:
    """Take the token that the probe reads from what leaves the block, fp32."""
    return tokens[:, 0 if readout.mode == "augment" else card.prefix.index("class")].float()


def probe_logits(parameters: Mapping[str, Tensor], token: Tensor) -> Float[Tensor, "image class"]:
    """Apply the linear probe."""
    return torch.nn.functional.linear(token, parameters["probe.weight"], parameters["probe.bias"])


def answers(
    readout: TokenReadout, fit: TokenFit, subject: Subject, stream: Stream, noise: Tensor | None
) -> Float[Tensor, "image class"]:
    """Read logits from the stream that enters the block; `noise` [image, width] where tokens are drawn."""
    parameters = {name: value.to(stream.tokens.device) for name, value in fit.parameters.items()}
    tokens = entering(readout, parameters, subject.card, stream.tokens, noise)
    after = subject.step(readout.block, stream.with_tokens(tokens))
    return probe_logits(parameters, read_token(readout, subject.card, after.tokens))


def check_token_readout(readout: TokenReadout, card: ModelCard) -> None:
    """Refuse what the model does not have, before any forward pass.

    Raises ClaimsError without a class token, for blocks that do not exist, and where blocks take no further token.
    """
    where = f"{readout!r} on {card.name!r}"
    if readout.block >= card.depth:
        raise ClaimsError(f"{where}: the blocks are 0..{card.depth - 1}")
    needs = ("class_token", *(("token_subset",) if readout.mode == "augment" else ()))
    if reason := card.missing(needs):
        raise ClaimsError(f"{where}: {reason}")


def seeded(*words: object) -> torch.Generator:
    """Make a random generator from words."""
    digest = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _linear(name: str, inputs: int, outputs: int, random: torch.Generator) -> dict[str, Tensor]:
    bound = 1.0 / math.sqrt(inputs)
    weight = (2 * torch.rand(outputs, inputs, generator=random) - 1) * bound
    return {f"{name}.weight": weight, f"{name}.bias": (2 * torch.rand(outputs, generator=random) - 1) * bound}


def _generate(parameters: Mapping[str, Tensor], noise: Tensor) -> Tensor:
    value = noise
    for layer in range(len(HIDDEN) + 1):
        weight, bias = parameters[f"generator.{layer}.weight"], parameters[f"generator.{layer}.bias"]
        value = torch.nn.functional.linear(value, weight, bias)
        value = torch.nn.functional.leaky_relu(value) if layer < len(HIDDEN) else value
    return value
