"""What tokens on the object and beside it know, on random models and pictures with drawn masks, against loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.fixtures.planted.code_model import CodeBlock, Read, code_subject
from harness.fixtures.planted.code_pictures import CodePictures
from harness.images.batch import Batch
from harness.images.object_marks import ObjectMarks
from harness.interventions.attention_masks import keep_patches
from harness.interventions.intervention import NONE
from harness.measurement.forward import measure_chunk
from harness.measurement.prefix_tree import Bill, Request
from harness.readouts.objects import LOTTERY, AttentionLead, HasBoth, RegionAccuracy, RegionIdentifiability
from support.tiny import CLASSES, PATCHES, RandomImages, tiny_vit

COUNT = 12
IMAGES = RandomImages(count=COUNT)
# Which of the four patches are object, per image; two pictures lack one of the regions.
ON_OBJECT = np.array([[number >> patch & 1 for patch in range(PATCHES)] for number in range(COUNT)], dtype=bool)
ON_OBJECT[5] = True
MASKS = torch.from_numpy(ON_OBJECT.reshape(COUNT, 2, 2).repeat(8, axis=1).repeat(8, axis=2))


class Marked:
    """Masks for the pictures of the chunk."""

    masks = MASKS
    boxes = None


def chunk_of(marks=None, donors=None):
    neighbours = torch.arange(COUNT) ^ 1
    labels = torch.from_numpy(IMAGES.labels)
    return Batch(
        positions=range(COUNT),
        donors=neighbours if donors is None else donors,
        labels=labels,
        seed=0,
        marks=marks or Marked(),
    )


def measured(model, readouts, chunk, images=IMAGES, edit=NONE):
    """Read on the pictures of one chunk, [readout, image]."""
    wanted = [Request(intervention=edit, readout=readout, claimants=frozenset({"claim"})) for readout in readouts]
    loaded = images.load(chunk.positions, model.card.preprocessing)
    return np.array([row.numbers for row in measure_chunk(model, loaded, chunk, wanted, {}, Bill())])


def by_loops(model, block, on_object, of):
    """Average a function of block input, write, stream after and label over both regions, picture by picture."""
    stream = model.start(IMAGES.load(range(COUNT), model.card.preprocessing))
    for before in range(block):
        stream = model.step(before, stream)
    written, after = model.writes(block, stream).attention, model.step(block, stream).tokens
    rows = []
    for number, label in enumerate(IMAGES.labels):
        tokens = (part[number, len(model.card.prefix) :] for part in (stream.tokens, written, after))
        values = of(*(model.token_logits(model.model.norm(one).detach()).numpy() for one in tokens), label)
        chosen = on_object[number]
        whole = chosen.all() or not chosen.any()
        rows.append((0.0, 0.0) if whole else (values[chosen].mean(), values[~chosen].mean()))
    return np.array(rows).T


def identifiability(before, written, after, label):
    return 1 - (after > after[:, [label]]).sum(axis=1) / CLASSES


def right(before, written, after, label):
    return (after > after[:, [label]]).sum(axis=1) == 0


def change(before, written, after, label):
    return written[:, label] - before[:, label]


@pytest.mark.parametrize("whose", ["own", "donor"])
@pytest.mark.parametrize("changes", [{}, {"reg_tokens": 2}])
def test_means_over_regions_are_those_of_a_loop_over_pictures(whose, changes):
    model, block = tiny_vit(seed=2, **changes), 1
    masks = ON_OBJECT if whose == "own" else ON_OBJECT[np.arange(COUNT) ^ 1]
    readouts = [
        *(RegionIdentifiability(layer=block, region=region, whose=whose) for region in ("object", "context")),
        *(RegionAccuracy(layer=block, region=region, whose=whose) for region in ("object", "context")),
        HasBoth(whose=whose),
        AttentionLead(layer=block, whose=whose, high=1000.0),
    ]
    found = measured(model, readouts, chunk_of())
    expected = [by_loops(model, block, masks, of) for of in (identifiability, right)]
    np.testing.assert_allclose(found[:4], np.concatenate(expected), atol=1e-6)
    both = masks.any(axis=1) & ~masks.all(axis=1)
    np.testing.assert_array_equal(found[4], both)
    on_object, beside = by_loops(model, block, masks, change)
    np.testing.assert_allclose(found[5], on_object - beside, atol=1e-4)
    assert all(readout.exchanges == (whose == "donor") for readout in readouts)


def test_pictures_that_lack_object_or_context_have_no_say():
    found = measured(tiny_vit(seed=2), [HasBoth(), RegionIdentifiability(layer=2, region="context")], chunk_of())
    whole = ON_OBJECT.all(axis=1) | ~ON_OBJECT.any(axis=1)
    assert whole.sum() == 2
    np.testing.assert_array_equal(found[0] == 0, whole)
    np.testing.assert_array_equal(found[1][whole], 0)


def test_a_large_lead_of_attention_is_cut_off_on_both_sides():
    (whole,) = measured(tiny_vit(seed=2), [AttentionLead(layer=1, high=1000.0)], chunk_of())
    (cut,) = measured(tiny_vit(seed=2), [AttentionLead(layer=1, high=0.1)], chunk_of())
    assert (whole > 0.1).any()
    assert (whole < -0.1).any()
    np.testing.assert_allclose(cut, whole.clip(-0.1, 0.1), atol=1e-6)
    assert (AttentionLead(layer=1).low, AttentionLead(layer=1).high) == (-10.0, 10.0)


def test_a_drawn_region_is_that_part_of_the_object_which_the_random_removal_leaves():
    model, chunk = tiny_vit(seed=2), chunk_of()
    kept = LOTTERY.kept(model.card, chunk).numpy()
    np.testing.assert_array_equal(kept.sum(axis=1), ON_OBJECT.sum(axis=1))
    both = ON_OBJECT.any(axis=1) & ~ON_OBJECT.all(axis=1)
    readouts = [HasBoth(drawn=True), RegionAccuracy(layer=2, region="object", drawn=True)]
    found = measured(model, readouts, chunk)
    np.testing.assert_array_equal(found[0], both & (ON_OBJECT & kept).any(axis=1))
    (correct,) = measured(model, [replace(readouts[1], drawn=False)], chunk_of(_marks(ON_OBJECT & kept)))
    counts = (ON_OBJECT & kept).any(axis=1) & both
    np.testing.assert_allclose(found[1][counts], correct[counts], atol=1e-6)


def test_object_tokens_without_context_are_those_of_a_run_on_object_patches_alone():
    drawn = CodePictures(seed=1, count=16, object_right=0.5, context_right=1.0, objects=(3, 6))
    blocks = (CodeBlock(reads=(Read(by="all"),)),) * 2
    model = code_subject(blocks, seed=1, name="codes")
    marks = ObjectMarks(drawn, range(16), model.card.preprocessing, "cpu")
    chunk = Batch(
        positions=range(16), donors=torch.arange(16), labels=torch.from_numpy(drawn.labels), seed=0, marks=marks
    )
    readouts = [RegionAccuracy(layer=1, region="object")]
    (alone,) = measured(model, readouts, chunk, drawn, keep_patches(model.card, "object"))
    (whole,) = measured(model, readouts, chunk, drawn)
    object_right = (drawn.shown == drawn.labels[:, None])[np.arange(16), drawn.on_object.argmax(axis=1)]
    np.testing.assert_array_equal(alone == 1, object_right)
    assert (whole == 1).all()


def test_without_masks_nothing_is_read():
    with pytest.raises(ClaimsError, match="object masks are needed"):
        measured(tiny_vit(), [HasBoth()], replace(chunk_of(), marks=None))


def _marks(on_object):
    class Other:
        masks = torch.from_numpy(on_object.reshape(COUNT, 2, 2).repeat(8, axis=1).repeat(8, axis=2))
        boxes = None

    return Other()
