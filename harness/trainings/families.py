"""Families of fits: training procedures that claims are about, asked under a name of their own as models are."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from harness.models.subject import ModelCard, Preprocessing, Subject
from harness.models.zoo import ModelEntry
from harness.trainings.pictures import SIDE

TRAINED_ON = 6_000  # pictures, as in the pilots that bounds rest on
# What is trained, by the name under which results are kept.
FAMILIES: Mapping[str, str] = {
    "autoencoders": "autoencoders with two heads, trained in this run on grey pictures, in float32 on the processor",
}


@dataclass(frozen=True)
class FitFamily:
    """What stands where a model would: a card. There is no network before claims of the family train some."""

    card: ModelCard

    def weights_hash(self) -> str:
        """Identify the family: its fits are named by their recipes."""
        return hashlib.sha256(self.card.name.encode()).hexdigest()

    def __getattr__(self, name: str) -> object:
        """Refuse what a model would have."""
        raise AttributeError(f"a family of fits is no model and has no {name!r}")


def family_card(name: str) -> ModelCard:
    """Describe a family in the words of a model: it has no blocks, no head and no capability."""
    return ModelCard(
        name=name,
        family="fits",
        arch=name,
        depth=1,
        width=1,
        grid=None,
        prefix=(),
        native="none",
        classes=0,
        capabilities=frozenset(),
        preprocessing=Preprocessing(size=(SIDE, SIDE), mean=(0.5,) * 3, std=(0.5,) * 3),
        pretrained=False,
    )


def family_subject(name: str) -> Subject:
    """Give what stands where a run has a model."""
    return cast(Subject, FitFamily(family_card(name)))


def family_entry(name: str) -> ModelEntry:
    """Describe a family as a run describes a model."""
    return ModelEntry(
        name=name,
        resolved=name,
        note=FAMILIES[name],
        card=family_card(name),
        kind="family",
        data=None,
        build=lambda: family_subject(name),
    )
