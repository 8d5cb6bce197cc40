"""A user's own folders: pictures that planted models can read, and claims with their ledger."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from support.planted import COLOURS, SIZE

CLAIMS = """
from dataclasses import dataclass, replace

from harness.errors import NotApplicable
from harness.measurement.plan import Arm, Plan, claim, curve, level
from harness.readouts.own_answer import Accuracy
from support.claims import accuracy, retention


@dataclass(frozen=True, kw_only=True)
class Raising(Accuracy):
    def read(self, reading):
        raise ZeroDivisionError("a bug in this readout")


@claim("holds")
def test_early_shuffles_are_harmless(card):
    return replace(retention(2, control=5), curves={"accuracy": curve({2: level("shuffled")})})


@claim("fails")
def test_the_last_shuffle_is_harmless(card):
    return retention(5)


@claim("empty")
def test_the_control_clears_the_bound_too(card):
    return retention(2, control=1)


@claim("open")
def test_accuracy_is_nearly_perfect(card):
    return accuracy()


@claim("told")
def test_accuracy_is_reported(card):
    return replace(accuracy(), report_only="published for another model")


@claim("needy")
def test_a_distillation_token_is_there(card):
    raise AssertionError("a claim whose needs are not met is not asked")


@claim("choosy")
def test_it_is_asked_of_deep_models_only(card):
    raise NotApplicable("it is asked of deep models only")


def test_no_claim_at_all():
    assert True
"""
BROKEN = """

@claim("raises")
def test_the_readout_has_a_bug(card):
    return Plan(arms={"clean": Arm(readout=Raising())}, effect=level("clean"))
"""
ENTRY = {
    "code": "X1",
    "statement": "Something is so.",
    "place": "p",
    "protocol": "p",
    "tier": "core",
    "published": {"value": 0.99, "text": "The paper says 0.99."},
    "bounds": {"bound": {"value": 0.9, "direction": ">=", "origin": "o"}},
    "control": "A rival.",
    "needs": ["class_token", "labels"],
    "budget": 256,
    "delta": 0.05,
    "version": 1,
}
SPECIAL = {
    "open": {"bounds": {"bound": {"value": 0.97, "direction": ">=", "origin": "o"}}, "budget": 40},
    "needy": {"needs": ["distillation_token"]},
}
SOURCE = {"key": "planted", "title": "t", "authors": "a", "year": 2026, "url": "https://example.org"}


def pictures(folder: Path, count: int = 256, classes: int = 4) -> Path:
    """Write pictures of one colour per class, each told apart by its first pixel, with labels.csv."""
    (folder / "images").mkdir(parents=True)
    rows = ["file,index"]
    for number in range(count):
        pixels = np.broadcast_to(COLOURS[number % classes] * 255, (SIZE, SIZE, 3)).astype(np.uint8)
        pixels[0, 0] ^= np.array([number >> 6 & 7, number >> 3 & 7, number & 7], dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number:03}.png")
        rows.append(f"{number:03}.png,{number % classes}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def claims(folder: Path, broken: bool = False, leave_out: str | None = None) -> Path:
    """Write a folder of claims, one per outcome, and its ledger."""
    source = folder / "planted"
    source.mkdir(parents=True)
    (source / "test_planted.py").write_text(CLAIMS + (BROKEN if broken else ""), encoding="utf-8")
    names = ["holds", "fails", "empty", "open", "told", "needy", "choosy", "raises"]
    entries = [{**ENTRY, "id": name, **SPECIAL.get(name, {})} for name in names if name != leave_out]
    (source / "ledger.yaml").write_text(yaml.safe_dump({"source": SOURCE, "claims": entries}), encoding="utf-8")
    return folder
