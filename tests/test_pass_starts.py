"""Arms with edited pictures or other positions share what they can, and read what a pass of their own reads."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from test_forward import CHUNK, DEPTH, IMAGES, LabelLogit, measured, pictures, subject, wanted

from harness.errors import ClaimsError
from harness.interventions.intervention import NONE, Intervention, Start, shuffle_cls
from harness.interventions.pixel_filters import LowPass, Roll, ShufflePatches
from harness.interventions.pixels import FillObject
from harness.measurement.cost import expected_bill
from harness.measurement.measured_code import of_intervention
from harness.measurement.prefix_tree import Bill
from harness.readouts.own_answer import Agreement
from support.planted import Counting

LOOKS = subject().card.preprocessing


@dataclass(frozen=True, eq=False)
class Marked:
    masks: torch.Tensor
    boxes = None


MASKS = torch.zeros(IMAGES, 16, 16, dtype=torch.bool)
for place in range(IMAGES):
    MASKS[place, place : place + 6, 2:10] = True
MARKED = replace(CHUNK, marks=Marked(MASKS))


def logits_of(images: torch.Tensor, positions: str = "own") -> np.ndarray:
    stream = subject().start(images, positions)
    for block in range(DEPTH):
        stream = subject().step(block, stream)
    return subject().logits(stream).gather(1, CHUNK.labels[:, None])[:, 0].double().numpy()


def edited(edit, chunk=MARKED) -> torch.Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (LOOKS.mean, LOOKS.std))
    return (edit.apply((pictures() * std + mean).clamp(0, 1), chunk) - mean) / std


def test_an_arm_with_edited_pictures_reads_what_the_model_answers_to_them():
    edits = [FillObject(region="mask"), FillObject(whose="donor"), LowPass(0.4), ShufflePatches(4), Roll(2, 0)]
    rows = measured(wanted(NONE, *(Intervention(pixels=edit) for edit in edits)), MARKED)
    np.testing.assert_array_equal(rows[0].numbers, logits_of(pictures()))
    for edit, row in zip(edits, rows[1:], strict=True):
        np.testing.assert_allclose(row.numbers, logits_of(edited(edit)), atol=1e-4)
        assert not np.allclose(row.numbers, rows[0].numbers)
        assert [(r.place, r.changed) for r in row.receipts] == [(f"{edit!r}@pixels", IMAGES)]


def test_pictures_are_edited_once_and_blocks_behind_them_are_shared_among_their_arms_only(monkeypatch):
    applied, apply = [], LowPass.apply
    monkeypatch.setattr(LowPass, "apply", lambda self, *rest: applied.append(self) or apply(self, *rest))
    low = LowPass(0.4)
    arms = [
        NONE,
        shuffle_cls(2),
        Intervention(pixels=low),
        Intervention(pixels=low, edits=shuffle_cls(2).edits),
        Intervention(pixels=low, positions="none"),
        Intervention(positions="none"),
    ]
    counted, bill = Counting(inner=subject()), Bill()
    measured(wanted(*arms), CHUNK, bill, counted)
    assert applied == [low]
    distinct = (DEPTH + 2) * 2 + 2 * DEPTH  # clean and shuffled, for both kinds of pictures; two without positions
    assert sum(images for _, images in counted.stepped) == bill.total == IMAGES * distinct
    assert expected_bill(wanted(*arms), subject().card, IMAGES).total == bill.total


def test_readouts_compare_with_the_arm_whose_pictures_nobody_edited():
    arms = wanted(Intervention(pixels=LowPass(0.2)), Intervention(positions="random"), NONE, readout=Agreement())
    rows = measured(arms)
    clean = subject().logits(_through(subject().start(pictures()))).argmax(-1)
    blurred = subject().logits(_through(subject().start(edited(LowPass(0.2))))).argmax(-1)
    np.testing.assert_array_equal(rows[0].numbers, (clean == blurred).double().numpy())
    assert (rows[2].numbers == 1).all()


def _through(stream):
    for block in range(DEPTH):
        stream = subject().step(block, stream)
    return stream


def test_edits_of_pictures_that_change_none_are_refused():
    with pytest.raises(ClaimsError, match=r"Roll\(rows=0, columns=0\)@pixels changed nothing"):
        measured(wanted(Intervention(pixels=Roll(0, 0))))


def test_edits_that_need_masks_or_donors_get_them_or_are_refused():
    with pytest.raises(ClaimsError, match="object masks are needed"):
        measured(wanted(Intervention(pixels=FillObject())))
    assert Intervention(pixels=FillObject(whose="donor")).exchanges
    assert not Intervention(pixels=FillObject()).exchanges


def test_positions_are_zero_or_noise_and_the_models_own_ones_are_back_afterwards():
    own = subject().model.pos_embed
    rows = measured(wanted(NONE, Intervention(positions="none"), Intervention(positions="random")))
    assert subject().model.pos_embed is own
    np.testing.assert_array_equal(rows[1].numbers, logits_of(pictures(), "none"))
    without = subject().start(pictures(), "none").tokens
    torch.testing.assert_close(without + own, subject().start(pictures()).tokens)
    noise = (subject().start(pictures(), "random").tokens - without)[0]
    assert noise.std() == pytest.approx(0.02, rel=0.2)
    assert [r.place for r in rows[1].receipts] == ["positions=none"]
    assert not np.allclose(rows[1].numbers, rows[2].numbers)


def test_interventions_with_other_starts_have_names_of_their_own_and_old_names_are_kept():
    assert NONE.key == "none"
    assert shuffle_cls(1).key == "ShuffleClass()@1"
    assert Intervention(pixels=LowPass(0.4)).key == "LowPass(radius=0.4)@pixels"
    both = Intervention(pixels=LowPass(0.4), positions="none", edits=shuffle_cls(1).edits)
    assert both.key == "positions=none+LowPass(radius=0.4)@pixels+ShuffleClass()@1"
    assert both.program(subject().card)[0] == (Start(pixels=LowPass(0.4), positions="none"), None)
    assert of_intervention(Intervention(pixels=LowPass(0.4))) != of_intervention(NONE)
    assert Intervention(pixels=LowPass(0.4)) != Intervention(pixels=LowPass(0.3))


def test_positions_of_a_model_without_such_an_embedding_are_refused_before_anything_runs():
    card = replace(subject().card, capabilities=subject().card.capabilities - {"position_embedding"})
    with pytest.raises(ValueError, match="adds no learned position embedding"):
        Intervention(positions="none").program(card)


def test_a_readout_knows_the_patches_of_the_object_and_of_the_donors_if_it_exchanges():
    @dataclass(frozen=True, kw_only=True)
    class OnObject(LabelLogit):
        exchanges: bool

        def read(self, reading):
            own, other = reading.object_patches, reading.object_patches_of("donor")
            assert own.shape == (IMAGES, 16)
            assert torch.equal(other, own[CHUNK.donors])
            return own.float().sum(dim=1)

    (row,) = measured(wanted(NONE, readout=OnObject(exchanges=True)), MARKED)
    cells = MASKS.unflatten(2, (4, 4)).unflatten(1, (4, 4)).float().mean(dim=(2, 4)) >= 0.5
    np.testing.assert_array_equal(row.numbers, cells.sum(dim=(1, 2)).numpy())
    with pytest.raises(ClaimsError, match="masks of donors but says exchanges = False"):
        measured(wanted(NONE, readout=OnObject(exchanges=False)), MARKED)
    with pytest.raises(ClaimsError, match="object masks are needed"):
        measured(wanted(NONE, readout=OnObject(exchanges=True)))
