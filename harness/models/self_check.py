"""What is proved of a model before anything is measured on it: the chain is the model, and the card tells the truth.

Two random pictures go through once. Whatever differs is refused with both numbers, since everything that is measured
trusts them: tokens are prefix and grid, the head answers as many classes, units are as many as pass, and the chain of
blocks ends in the answer of the model's own `forward`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import ClaimsError, UnsupportedModel
from harness.models.chain import ChainSubject
from harness.models.finite import refuse_not_finite, refuse_not_finite_weights
from harness.models.subject import ModelCard, Stream, Subject

PICTURES = 2
# Largest difference between chain and model, as a share of the largest number: what rounding may leave.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
HALF_TOLERANCE = 3e-2


def check_subject(subject: Subject) -> Subject:
    """Return a subject that keeps what its card says.

    Raises ClaimsError that names what differs, with both numbers.
    """
    card, model = subject.card, subject.model if isinstance(subject, ChainSubject) else None
    if model is not None:
        refuse_not_finite_weights(model, card.name)
    pictures = _pictures(card)
    try:
        last = _run(subject, pictures)
    except RuntimeError:  # of torch: what a layer is given is not of the size that it takes
        if model is not None:
            _check_channels(card, model)
        raise
    if "head" in card.capabilities:
        logits = _tensor(card, subject.logits(last))
        refuse_not_finite(logits, f"the logits of {card.name!r}")
        _agree(card, "classes in the answer of its head", card.classes, logits.shape[-1])
        if model is not None:
            _compare(card, logits, _own(model, model.forward, pictures), "logits")
        _check_alone(subject, pictures, logits)
    elif model is not None and "patch_tokens" in card.capabilities:
        _compare(card, subject.normed(last), _own(model, model.forward_features, pictures), "features")
    elif isinstance(subject, ChainSubject):
        _compare(card, _answer(subject, last), _own(subject.model, subject.model.forward, pictures), "outputs")
    return subject


def _pictures(card: ModelCard) -> Tensor:
    size = (PICTURES, len(card.preprocessing.mean), *card.preprocessing.size)
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


def _run(subject: Subject, pictures: Tensor) -> Stream:
    """Go through all blocks; tokens and units are as many as the card says, and finite."""
    card = subject.card
    stream = subject.start(pictures)
    refuse_not_finite(stream.tokens, f"the embedding of {card.name!r}")
    if card.grid is not None and stream.tokens.ndim == 3:
        expected = len(card.prefix) + card.patches
        where = f"tokens of the embedding ({len(card.prefix)} prefix, {card.grid[0]} x {card.grid[1]} patches)"
        _agree(card, where, expected, stream.tokens.shape[1])
    for block in range(card.depth):
        if "units" not in card.capabilities:
            stream = subject.step(block, stream)
        else:
            shape = subject.unit_shape(block)
            stream, inner = subject.watch(block, stream, ("units",))
            _agree(card, f"units of block {block}", shape.units, inner["units"].shape[-1])
            _agree(card, f"places of units of block {block}", shape.places, inner["units"].shape[1])
        refuse_not_finite(_tensor(card, stream.tokens), f"the stream of {card.name!r} after block {block}")
    if card.grid is not None and stream.tokens.ndim == 3:
        _agree(card, "channels of the stream after the last block", card.width, stream.tokens.shape[-1])
    return stream


@torch.no_grad()
def _check_alone(subject: Subject, pictures: Tensor, logits: Tensor) -> None:
    """Refuse a model whose answer to a picture changes with the other pictures of its batch."""
    stream = subject.start(torch.stack([pictures[0], -pictures[1]]))
    for block in range(subject.card.depth):
        stream = subject.step(block, stream)
    found, before = subject.logits(stream)[0].float(), logits[0].float()
    difference, largest = float((found - before).abs().max()), float(before.abs().max())
    if difference > TOLERANCE.get(logits.dtype, HALF_TOLERANCE) * max(largest, 1e-6):
        raise ClaimsError(
            f"{subject.card.name!r}: the answer to a picture depends on the others of its batch: with another "
            f"one beside it logits differ by up to {difference:.3g}, of {largest:.3g} at most"
        )


def _tensor(card: ModelCard, value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise UnsupportedModel(
            f"{card.name!r} gives a {type(value).__name__}, not one tensor: nothing can be read of it"
        )
    return value


def _check_channels(card: ModelCard, model: nn.Module) -> None:
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    if first is not None:
        _agree(card, "channels of its pictures", len(card.preprocessing.mean), first.in_channels)


def _agree(card: ModelCard, what: str, said: int, found: int) -> None:
    if said != found:
        raise ClaimsError(
            f"{card.name!r}: {what}: {said} by its card, {found} when it runs. A model that was changed after it was "
            "built is described by what it was; build it with its final shape"
        )


@torch.no_grad()
def _own(model: nn.Module, forward: Any, pictures: Tensor) -> Tensor:
    weight = next(model.parameters())
    return forward(pictures.to(weight.device, weight.dtype))


@torch.no_grad()
def _answer(subject: ChainSubject, last: Stream) -> Tensor:
    return subject.family.answer(subject.model, last.tokens)


def _compare(card: ModelCard, chain: Tensor, own: Tensor, what: str) -> None:
    """Refuse a chain of blocks that is not the model: a patched `forward` would be measured in part."""
    chain = _tensor(card, chain)
    if chain.shape != own.shape:
        shapes = f"{list(chain.shape)} by its chain of blocks, {list(own.shape)} by itself"
        raise ClaimsError(f"{card.name!r}: {what} {shapes}")
    refuse_not_finite(own, f"the {what} of {card.name!r}")
    largest = float(own.float().abs().max())
    difference = float((chain.float() - own.float()).abs().max())
    if difference > TOLERANCE.get(own.dtype, HALF_TOLERANCE) * max(largest, 1e-6):
        raise ClaimsError(
            f"{card.name!r}: its chain of blocks is not the model: {what} differ by up to {difference:.3g}, of "
            f"{largest:.3g} at most; was its `forward`, or that of a part, replaced? Return a Subject from a factory"
        )
