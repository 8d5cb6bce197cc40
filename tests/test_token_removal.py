"""Patches leave in the order of their scores; a score is computed once, and paid for by those who asked."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from test_forward import CHUNK, DEPTH, IMAGES, measured, pictures, subject, wanted

from harness.errors import ClaimsError
from harness.interventions.intervention import NONE, Intervention
from harness.interventions.patch_scores import RandomOrder, Score
from harness.interventions.pixel_filters import Roll
from harness.interventions.token_removal import KeepPatches, keep_patches_by
from harness.measurement.cost import expected_bill
from harness.measurement.measured_code import of_intervention
from harness.measurement.prefix_tree import Bill, Request
from harness.readouts.own_answer import Accuracy
from support.planted import Counting

CARD = subject().card
CALLS: list = []


@dataclass(frozen=True)
class Brightness:
    """Score a patch by how bright it is."""

    passes: float = 0.5
    needs_labels = False
    exchanges = False
    fits = ()

    def compute(self, subject, images, chunk, fits):
        CALLS.append(images)
        return torch.nn.functional.avg_pool2d(images.mean(dim=1), 4).flatten(1)


@dataclass(frozen=True)
class Broken:
    """A score with a wrong shape, or with no number."""

    how: str
    needs_labels = False
    exchanges = False
    passes = 0.0
    fits = ()

    def compute(self, subject, images, chunk, fits):
        scores = torch.zeros(len(images), 16)
        return scores[:, 1:] if self.how == "shape" else scores.log().log()


def kept_by_hand(image: int, keep: int, first: str) -> list[int]:
    picture = pictures()[image].mean(dim=0).numpy()
    scores = [picture[4 * row : 4 * row + 4, 4 * col : 4 * col + 4].mean() for row in range(4) for col in range(4)]
    order = np.argsort(scores)  # the darkest first
    return sorted((order[-keep:] if first == "least" else order[:keep]).tolist())


@pytest.mark.parametrize("first", ["most", "least"])
@pytest.mark.parametrize("keep", [1, 5, 15])
def test_an_arm_without_some_patches_is_the_model_on_the_others(keep, first):
    (row,) = measured(wanted(keep_patches_by(Brightness(), keep, first=first)))
    embedded = subject().start(pictures())
    for image in range(IMAGES):
        places = [0, *(1 + place for place in kept_by_hand(image, keep, first))]
        stream = embedded.with_tokens(embedded.tokens[image : image + 1, places])
        for block in range(DEPTH):
            stream = subject().step(block, stream)
        alone = float(subject().logits(stream)[0, CHUNK.labels[image]])
        assert row.numbers[image] == pytest.approx(alone, abs=1e-3)
    assert [receipt.changed for receipt in row.receipts] == [IMAGES]


def test_both_orders_of_removal_share_the_patches_out_between_them():
    tokens = torch.arange(17.0)[None, :, None].expand(2, 17, 3)
    scores = torch.rand(2, 16, generator=torch.Generator().manual_seed(0))
    chunk = replace(CHUNK, scores={Brightness(): scores})
    most = KeepPatches(score=Brightness(), keep=6, first="most").apply(tokens, CARD, chunk)[..., 0]
    least = KeepPatches(score=Brightness(), keep=10, first="least").apply(tokens, CARD, chunk)[..., 0]
    for image in range(2):
        assert sorted(most[image, 1:].tolist() + least[image, 1:].tolist()) == list(range(1, 17))
        assert most[image].tolist() == sorted(most[image].tolist()), "what is kept stays in its order"
    assert (most[:, 0] == 0).all()
    ties = replace(CHUNK, scores={Brightness(): torch.zeros(2, 16)})
    kept = KeepPatches(score=Brightness(), keep=2, first="least").apply(tokens, CARD, ties)[0, :, 0]
    assert kept.tolist() == [0, 1, 2]


def test_a_score_is_computed_once_for_each_kind_of_pictures_and_billed_to_those_who_asked():
    CALLS.clear()
    arms = [keep_patches_by(Brightness(), keep, first="most") for keep in (2, 8)]
    moved = replace(arms[0], pixels=Roll(3, 0))
    claims = [
        Request(intervention=arm, readout=Accuracy(), claimants=frozenset({str(number)}))
        for number, arm in enumerate([NONE, *arms, moved])
    ]
    counted, bill = Counting(inner=subject()), Bill()
    measured(claims, CHUNK, bill, counted)
    assert len(CALLS) == 2
    assert not torch.equal(CALLS[0], CALLS[1]), "the score sees the pictures of its arm"
    scoring = 0.5 * DEPTH * IMAGES
    assert bill.shares["0"] == DEPTH * IMAGES
    assert bill.shares["1"] == pytest.approx(scoring / 2 + DEPTH * IMAGES * 3 / 17)
    assert bill.shares["3"] == pytest.approx(scoring + DEPTH * IMAGES * 3 / 17)
    assert expected_bill(claims, CARD, IMAGES).shares == pytest.approx(bill.shares)


def test_random_orders_are_fixed_by_the_chunk_and_another_offset_is_another_order():
    first, again, other = (RandomOrder(n).compute(subject(), pictures(), CHUNK, {}) for n in (0, 0, 1))
    assert first.shape == (IMAGES, 16)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len({tuple(row.argsort().tolist()) for row in first}) == IMAGES
    assert isinstance(RandomOrder(), Score)


@pytest.mark.parametrize("how", ["shape", "number"])
def test_scores_that_are_no_numbers_per_patch_are_refused(how):
    with pytest.raises(ClaimsError, match=r"Broken.* allowed: finite numbers \[6, 16\]"):
        measured(wanted(keep_patches_by(Broken(how), 3, first="most")))


def test_removals_that_are_none_or_impossible_are_refused():
    with pytest.raises(ValueError, match="keeps a negative number"):
        KeepPatches(score=Brightness(), keep=-1, first="most")
    with pytest.raises(ClaimsError, match="changed nothing"):
        measured(wanted(keep_patches_by(Brightness(), 16, first="most")))
    with pytest.raises(ClaimsError, match="keeps no more"):
        measured(wanted(keep_patches_by(Brightness(), 17, first="most")))
    edit = KeepPatches(score=Brightness(), keep=3, first="most")
    with pytest.raises(ClaimsError, match="it takes all 16 patches"):
        measured(wanted(Intervention(edits=((-1, edit), (0, edit)))))


def test_the_score_is_part_of_what_an_arm_is():
    arms = [keep_patches_by(score, 3, first="most") for score in (RandomOrder(0), RandomOrder(1), Brightness())]
    assert len({arm.key for arm in arms}) == 3
    code = [of_intervention(arm) for arm in arms]
    assert code[0] == code[1] != code[2]
