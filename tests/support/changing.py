"""A planted model that changes from one night to the next, as the variable CHANGING_MODEL says, and its pictures.

"plain" names a quarter of the pictures wrongly; "drifted" three points more; "flipped" is an early carrier. The darker
the last pixel of a picture, the sooner it is misread.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import yaml
from PIL import Image

from harness.models.sites import Writes
from harness.models.subject import ModelCard, Stream, Subject
from support.closed import Closed
from support.folders import ENTRY, SOURCE
from support.planted import COLOURS, SIZE, Kind, Planted

VARIABLE = "CHANGING_MODEL"
NAME = "support.changing:model"
PICTURES = 400
LEVELS = 200  # of grey, two pictures each
CLAIMS = """
from harness.measurement.plan import claim
from support.claims import accuracy, retention

BLOCK = 2


@claim("early")
def test_early_shuffles_are_harmless(card):
    return retention(BLOCK, control=5)


@claim("right")
def test_three_of_four_are_right(card):
    return accuracy()


@claim("needy")
def test_a_distillation_token_is_there(card):
    raise AssertionError("a claim whose needs are not met is not asked")
"""
BOUNDS = {"early": 0.8, "right": 0.74, "needy": 0.9}


@dataclass(kw_only=True, eq=False)
class Changing(Closed):
    """A planted model that misreads pictures with a last pixel darker than `misread`."""

    inner: Subject
    misread: int = 50

    @property
    def card(self) -> ModelCard:
        return self.inner.card

    def start(self, images: torch.Tensor, positions: str = "own") -> Stream:
        stream = self.inner.start(images)
        classes = self.card.classes
        wrong = torch.cat([stream.tokens[..., :classes].roll(1, dims=-1), stream.tokens[..., classes:]], dim=-1)
        dark = images[:, 0, -1, -1] * 255 < self.misread - 0.5
        return stream.with_tokens(torch.where(dark[:, None, None], wrong, stream.tokens))

    def step(self, block: int, stream: Stream, mask: torch.Tensor | None = None, renormalize: bool = True) -> Stream:
        return self.inner.step(block, stream, mask)

    def writes(self, block: int, stream: Stream) -> Writes:
        return self.inner.writes(block, stream)

    def logits(self, stream: Stream) -> torch.Tensor:
        return self.inner.logits(stream)

    def normed(self, stream: Stream) -> torch.Tensor:
        return self.inner.normed(stream)

    def token_logits(self, features: torch.Tensor) -> torch.Tensor:
        return self.inner.token_logits(features)

    def untrained(self, seed: int) -> Subject:
        return Changing(inner=self.inner.untrained(seed), misread=self.misread)

    def weights_hash(self) -> str:
        return hashlib.sha256(f"{self.inner.weights_hash()} {self.misread}".encode()).hexdigest()


def model() -> Changing:
    """Make the model of tonight."""
    tonight: Literal["plain", "drifted", "flipped"] = os.environ.get(VARIABLE, "plain")
    kind: Kind = "early carrier" if tonight == "flipped" else "late reader"
    misread = 56 if tonight == "drifted" else 50
    return Changing(inner=Planted(kind=kind), misread=misread)


def pictures(folder: Path) -> Path:
    """Write pictures of one colour per class whose last pixel is grey, of LEVELS levels."""
    (folder / "images").mkdir(parents=True)
    rows = ["file,index"]
    greys = np.random.default_rng(0).permutation(PICTURES) * LEVELS // PICTURES
    for number in range(PICTURES):
        pixels = np.broadcast_to(COLOURS[number % 4] * 255, (SIZE, SIZE, 3)).astype(np.uint8)
        pixels[-1, -1] = greys[number]
        pixels[0, 0] ^= np.array([number >> 6 & 7, number >> 3 & 7, number & 7], dtype=np.uint8)  # no two are the same
        Image.fromarray(pixels).save(folder / "images" / f"{number:03}.png")
        rows.append(f"{number:03}.png,{number % 4}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def claims(folder: Path, code: str = CLAIMS) -> Path:
    """Write the claims and their ledger."""
    source = folder / "planted"
    source.mkdir(parents=True, exist_ok=True)
    (source / "test_planted.py").write_text(code, encoding="utf-8")
    entries = [
        {
            **ENTRY,
            "id": name,
            "budget": PICTURES,
            "bounds": {"bound": {"value": value, "direction": ">=", "origin": "o"}},
        }
        for name, value in BOUNDS.items()
    ]
    entries[-1]["needs"] = ["distillation_token"]
    (source / "ledger.yaml").write_text(yaml.safe_dump({"source": SOURCE, "claims": entries}), encoding="utf-8")
    return folder
