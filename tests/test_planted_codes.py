"""Planted pictures and models of many classes: what they show and write is what is declared."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.fixtures.planted.code_model import LEANT_TO, CodeBlock, Read, channels, code_subject
from harness.fixtures.planted.code_pictures import CLASSES, GRID, PATCHES, SIDE, SIZE, CodePictures, codes
from support.cards import PREPROCESSING

NEAR = 0.1  # of what is read with weight 1: noise of pixels
BLOCKS = (
    CodeBlock(reads=(Read(by="all"),), answer=-0.5),
    CodeBlock(reads=(Read(by="class", of=3, weight=2.0), Read(by="patch", of="self")), evidence=0.5),
    CodeBlock(reads=(Read(by="patch", of="self", weight=-1.0),), leans=5.0),
)


def by_hand(drawn, blocks):
    """Follow the blocks without a network: the answer after attention and after the MLP, [image, token, code]."""
    evidence = np.concatenate([np.zeros((len(drawn), 1, 48)), codes(drawn.seed)[drawn.shown]], axis=1)
    answer, trace = np.zeros_like(evidence), []
    for block in blocks:
        before = answer
        for read in block.reads:
            tokens = {"class": slice(0, 1), "patch": slice(1, None), "all": slice(None)}[read.by]
            if read.of == "self":
                content = evidence
            else:
                content = evidence[:, 1:].mean(axis=1) if read.of == "patches" else evidence[:, 1 + read.of]
                content = np.broadcast_to(content[:, None], evidence.shape)
            answer = answer.copy()
            answer[:, tokens] += read.weight * content[:, tokens]
        lean = block.leans * codes(drawn.seed)[LEANT_TO]
        attended = answer + lean
        answer = attended + block.evidence * evidence + block.answer * attended - lean
        trace.append((attended - before, answer))
    return trace


def test_a_model_writes_what_its_blocks_say():
    drawn = CodePictures(seed=5, count=24, object_right=0.5, context_right=0.5)
    model, where = code_subject(BLOCKS, seed=5, name="codes"), channels(5)
    stream = model.start(drawn.load(range(24), model.card.preprocessing))
    for block, (attention, answer) in enumerate(by_hand(drawn, BLOCKS)):
        written = model.writes(block, stream)
        stream = model.step(block, stream)
        np.testing.assert_allclose(written.attention[..., where["answer"]], attention, atol=2 * NEAR)
        np.testing.assert_allclose(stream.tokens[..., where["answer"]], answer, atol=4 * NEAR)


def test_the_head_names_the_class_whose_code_is_the_answer():
    drawn = CodePictures(seed=2, count=40)
    model = code_subject((CodeBlock(reads=(Read(by="class"),)),), seed=2, name="codes")
    stream = model.step(0, model.start(drawn.load(range(40), model.card.preprocessing)))
    assert (model.logits(stream).argmax(-1).numpy() == drawn.labels).all()
    with torch.no_grad():
        images = drawn.load(range(40), model.card.preprocessing)
        assert torch.equal(model.logits(stream), model.model(images))


def test_pictures_show_the_label_on_object_and_context_as_often_as_declared():
    drawn = CodePictures(seed=1, count=4000, object_right=0.9, context_right=0.3, objects=(3, 6))
    right = drawn.shown == drawn.labels[:, None]
    on_object = [right[number][drawn.on_object[number]].all() for number in range(4000)]
    beside = [right[number][~drawn.on_object[number]].all() for number in range(4000)]
    assert np.mean(on_object) == pytest.approx(0.9, abs=0.02)
    assert np.mean(beside) == pytest.approx(0.3, abs=0.03)
    assert right.mean() == pytest.approx((0.9 * 4.5 + 0.3 * 11.5) / 16, abs=0.02)
    assert set(drawn.on_object.sum(axis=1)) == {3, 4, 5, 6}
    np.testing.assert_allclose(drawn.on_object.mean(axis=0), 4.5 / 16, atol=0.03)
    assert np.bincount(drawn.labels, minlength=CLASSES).max() < 45


def test_masks_are_the_patches_of_the_object_at_every_size():
    drawn = CodePictures(seed=4, count=3)
    for times in (1, 3):
        looks = replace(PREPROCESSING, size=(times * SIZE, times * SIZE))
        masks, images = drawn.masks(range(3), looks), drawn.load(range(3), looks)
        assert masks.shape == (3, *images.shape[-2:])
        side = times * SIDE
        for patch in range(PATCHES):
            row, column = divmod(patch, GRID)
            cut = masks[:, row * side : (row + 1) * side, column * side : (column + 1) * side].flatten(1)
            assert (cut == torch.from_numpy(drawn.on_object[:, patch, None])).all()


def test_a_model_of_larger_input_reads_the_same_pictures():
    drawn = CodePictures(seed=1, count=8)
    small, large = (code_subject(BLOCKS, seed=1, name="codes", size=size) for size in (SIZE, 14 * SIZE))
    read = [model.start(drawn.load(range(8), model.card.preprocessing)).tokens for model in (small, large)]
    torch.testing.assert_close(*read, atol=1e-3, rtol=0)


def test_seeds_draw_other_pictures_codes_and_channels():
    first, other = CodePictures(seed=0, count=8), CodePictures(seed=1, count=8)
    assert first.fingerprint != other.fingerprint
    assert not np.array_equal(first.labels, other.labels)
    assert not np.array_equal(codes(0), codes(1))
    assert not np.array_equal(channels(0)["answer"], channels(1)["answer"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CodePictures(seed=0, count=1, objects=(5, 3)), "objects of 5 to 3 patches; allowed: 0 to 16"),
        (lambda: CodePictures(seed=0, count=1, objects=(0, 17)), "objects of 0 to 17 patches"),
        (lambda: CodePictures(seed=0, count=1, object_right=1.5), "right on shares 1.5 and 1.0"),
        (lambda: CodeBlock(reads=(Read(by="all"),) * 3), "3 reads in one block; allowed: up to 2"),
        (
            lambda: CodePictures(seed=0, count=1).load([0], replace(PREPROCESSING, size=(20, 16))),
            "of \\(20, 16\\) pixels; allowed: multiples of 16",
        ),
    ],
)
def test_what_cannot_be_planted_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
