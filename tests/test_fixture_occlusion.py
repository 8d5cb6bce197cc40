"""What a removed or covered object still says: nothing where it is removed, its silhouette where its mask is filled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fixtures.occlusion import GREY, fill_boxes, fill_masks, frames
from harness.fixtures.pictures import remove_objects, render
from harness.fixtures.switches import CAPTIONED, SIZES, TEXTURE_IS_CLASS, Switches

INDICES = np.arange(60)
some_indices = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).map(np.array)
WORLDS = (Switches(), TEXTURE_IS_CLASS, CAPTIONED, Switches(background_correlation=0.7))


@settings(max_examples=20, deadline=None)
@given(indices=some_indices, world=st.sampled_from(WORLDS), size=st.sampled_from(SIZES))
def test_a_removed_object_leaves_the_rest_of_the_picture_to_the_bit(indices, world, size) -> None:
    pictures = render(indices, split="test", size=size, switches=world)
    for slots in ((0, 1, 2), (0,), (1, 2)):
        without = remove_objects(indices, split="test", size=size, switches=world, slots=slots)
        kept = ~np.isin(pictures.owners, slots)
        same = (pictures.images == without).all(axis=1)
        assert same[kept].all()
        # Object and background differ by a step of lightness, so hardly any removed pixel keeps its value.
        assert same[~kept].mean() < 0.01 if (~kept).any() else same.all()


@pytest.mark.parametrize("switches", [Switches(), TEXTURE_IS_CLASS, CAPTIONED])
@pytest.mark.parametrize("size", SIZES)
def test_without_its_object_a_picture_is_the_same_whatever_the_class(switches, size) -> None:
    arguments = {"split": "test", "size": size, "switches": switches}
    drawn = remove_objects(INDICES, **arguments)
    for label in range(10):
        assert np.array_equal(remove_objects(INDICES, **arguments, labels=np.full(60, label)), drawn)


def test_with_a_correlated_background_the_picture_without_object_does_tell_the_class() -> None:
    arguments = {"split": "test", "switches": Switches(background_correlation=1.0)}
    first, second = (remove_objects(INDICES, **arguments, labels=np.full(60, label)) for label in (3, 4))
    assert (first != second).any(axis=(1, 2, 3)).all()


def test_a_filled_mask_shows_the_silhouette() -> None:
    pictures = render(INDICES, split="test")
    filled = fill_masks(pictures.images, pictures.masks)
    assert (filled[:, 0][pictures.masks] == GREY).all()
    seen = (filled == GREY).all(axis=1)  # noise makes no three channels grey by chance but once in many thousands
    assert (seen == pictures.masks).mean() > 0.999
    others = [
        fill_masks(p.images, p.masks) for p in (render(INDICES, split="test", labels=np.full(60, k)) for k in (0, 5))
    ]
    assert (others[0] != others[1]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_filled_frame_hides_the_class_and_a_filled_box_does_not(size) -> None:
    framed, boxed = [], []
    for label in range(10):
        pictures = render(INDICES, split="test", size=size, labels=np.full(60, label))
        assert not pictures.masks[(fill_boxes(pictures.images * 0, frames(pictures.causes, size), 1) == 0)[:, 0]].any()
        framed.append(fill_boxes(pictures.images, frames(pictures.causes, size)))
        boxed.append(fill_boxes(pictures.images, pictures.boxes))
    assert all(np.array_equal(framed[0], other) for other in framed)
    assert any((boxed[0] != other).any() for other in boxed)


def test_boxes_are_filled_to_their_exclusive_ends_and_empty_slots_fill_nothing() -> None:
    images = np.zeros((2, 3, 8, 8), dtype=np.uint8)
    boxes = np.array([[[1, 2, 3, 8], [-1] * 4, [-1] * 4], [[0, 0, 1, 1], [6, 6, 8, 8], [-1] * 4]])
    expected = images.copy()
    expected[0, :, 2:8, 1:3] = expected[1, :, :1, :1] = expected[1, :, 6:, 6:] = 7
    assert np.array_equal(fill_boxes(images, boxes, 7), expected)
    assert np.array_equal(fill_boxes(images, boxes[:, 0], 7)[0], expected[0])


def test_a_slot_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"slots contains \[3\]; allowed: 0, 1, 2"):
        remove_objects(INDICES, split="test", slots=(0, 3))
