"""Checks that every subject passes, for subjects of your own: what measurements take for granted of a model.

import pytest
from harness import subject_checks

@pytest.mark.parametrize("check", subject_checks(my_subject()), ids=str)
def test_my_subject_keeps_the_contract(check):
    check()
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.models.self_check import check_subject
from harness.models.sites import SITE_NEEDS
from harness.models.subject import Stream, Subject

PICTURES = 3
ROUNDING = 1e-4


@dataclass(frozen=True)
class SubjectCheck:
    """One check of one subject: calling it raises AssertionError or ClaimsError with what is wrong."""

    name: str
    subject: Subject
    check: Callable[[Subject], None]

    def __call__(self) -> None:
        self.check(self.subject)

    def __str__(self) -> str:
        return f"{self.subject.card.name}: {self.name}"


def subject_checks(*subjects: Subject) -> list[SubjectCheck]:
    """List every check of every subject, for `pytest.mark.parametrize`."""
    return [SubjectCheck(name, subject, check) for subject in subjects for name, check in CHECKS.items()]


def _says_what_it_is(subject: Subject) -> None:
    check_subject(subject)


def _resumes_from_any_block(subject: Subject) -> None:
    """Running on from a stored stream gives the same bits: arms share their first blocks."""
    streams = _streams(subject)
    for first, stream in enumerate(streams[:-1]):
        resumed = stream.with_tokens(stream.tokens.clone())
        for block in range(first, subject.card.depth):
            resumed = subject.step(block, resumed)
        assert torch.equal(resumed.tokens, streams[-1].tokens), f"other bits when resumed at block {first}"


def _writes_into_nothing(subject: Subject) -> None:
    pictures = _pictures(subject)
    before = pictures.clone()
    stream = subject.start(pictures)
    assert torch.equal(pictures, before), "start() wrote into the pictures"
    for block in range(subject.card.depth):
        kept = stream.tokens.clone()
        after = subject.step(block, stream)
        assert torch.equal(stream.tokens, kept), f"block {block} wrote into the stream that entered it"
        assert not after.tokens.requires_grad, f"block {block} tracks gradients"
        stream = after


def _treats_pictures_apart(subject: Subject) -> None:
    """A picture's stream does not depend on the pictures beside it."""
    together, alone = _streams(subject)[-1], _streams(subject, slice(0, 1))[-1]
    torch.testing.assert_close(together.tokens[:1], alone.tokens, atol=ROUNDING, rtol=ROUNDING)


def _tells_pictures_apart(subject: Subject) -> None:
    last = _streams(subject)[-1].tokens
    assert not torch.equal(last[0], last[1]), "two different pictures end in one stream"


def _watches_without_a_trace(subject: Subject) -> None:
    """Watching gives the bits of `step`, and every site that the card promises."""
    streams = _streams(subject)
    sites = tuple(site for site, need in SITE_NEEDS.items() if need in subject.card.capabilities)
    for block in range(subject.card.depth if sites else 0):
        after, inner = subject.watch(block, streams[block], sites)
        assert torch.equal(after.tokens, streams[block + 1].tokens), f"watching block {block} changes it"
        assert set(inner) == set(sites), f"sites {set(sites) ^ set(inner)} of block {block}"
        for site, values in inner.items():
            assert values.ndim == 3, f"{site} of block {block} is {list(values.shape)}, not [image, place, feature]"


def _writes_add_up(subject: Subject) -> None:
    if "writes" not in subject.card.capabilities:
        return
    streams = _streams(subject)
    for block in range(subject.card.depth):
        writes = subject.writes(block, streams[block])
        rebuilt = streams[block].tokens + writes.attention + writes.mlp
        torch.testing.assert_close(rebuilt, streams[block + 1].tokens, atol=ROUNDING, rtol=ROUNDING)


def _masks_what_is_forbidden(subject: Subject) -> None:
    """A mask that allows everything changes nothing but rounding, and one that forbids something changes something."""
    if "attn_mask" not in subject.card.capabilities:
        return
    stream, after = _streams(subject)[:2]
    tokens = stream.tokens.shape[1]
    free = torch.ones(tokens, tokens, dtype=torch.bool)
    torch.testing.assert_close(subject.step(0, stream, free).tokens, after.tokens, atol=ROUNDING, rtol=ROUNDING)
    own = torch.eye(tokens, dtype=torch.bool)
    assert not torch.allclose(subject.step(0, stream, own).tokens, after.tokens), "a mask has no effect in block 0"


def _has_a_twin(subject: Subject) -> None:
    twin, again, other = subject.untrained(0), subject.untrained(0), subject.untrained(1)
    hashes = [one.weights_hash() for one in (subject, twin, again, other)]
    assert hashes[1] == hashes[2], "two twins of one seed differ"
    assert len(set(hashes)) == 3, "twins of two seeds, and the model itself, have the same weights"
    assert not twin.card.pretrained, "the twin says that it is pretrained"
    check_subject(twin)


CHECKS: dict[str, Callable[[Subject], None]] = {
    "the chain is the model, and the card tells the truth": _says_what_it_is,
    "it resumes from the stream of any block, bit for bit": _resumes_from_any_block,
    "no step writes into its input or tracks gradients": _writes_into_nothing,
    "a picture does not depend on those beside it": _treats_pictures_apart,
    "different pictures end in different streams": _tells_pictures_apart,
    "watching a block leaves it as it is": _watches_without_a_trace,
    "attention and MLP add up to what a block writes": _writes_add_up,
    "attention masks do what they say": _masks_what_is_forbidden,
    "untrained twins are fixed by their seed": _has_a_twin,
}


def _pictures(subject: Subject) -> Tensor:
    looks = subject.card.preprocessing
    size = (PICTURES, len(looks.mean), *looks.size)
    return torch.randn(size, generator=torch.Generator().manual_seed(1))


def _streams(subject: Subject, of: slice = slice(None)) -> list[Stream]:
    """Give the streams before block 0 and after every block."""
    streams = [subject.start(_pictures(subject)[of])]
    for block in range(subject.card.depth):
        streams.append(subject.step(block, streams[-1]))
    return streams
