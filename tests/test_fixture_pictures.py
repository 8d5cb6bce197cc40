"""The picture set: addressed randomness, exact masks and boxes, declared correlations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fixtures.counter_random import splitmix64
from harness.fixtures.pictures import SPLITS, render
from harness.fixtures.scenes import CLASS_NAMES, TEXTURE_NAMES
from harness.fixtures.switches import SIZES, Switches

some_indices = st.lists(st.integers(0, 10**9), min_size=1, max_size=40)
COUNT = 2000


@pytest.fixture(scope="module")
def many():
    return render(np.arange(COUNT), split="train")


def test_splitmix64_gives_the_published_sequence() -> None:
    golden = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + k * golden) % 2**64 for k in range(3)], dtype=np.uint64)
    assert splitmix64(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@settings(max_examples=25, deadline=None)
@given(indices=some_indices, split=st.sampled_from(SPLITS), size=st.sampled_from(SIZES), seed=st.integers(-5, 2**60))
def test_a_picture_is_the_same_bytes_in_any_order_and_batch(indices, split, size, seed) -> None:
    together = render(np.array(indices), split=split, size=size, seed=seed)
    backwards = render(np.array(indices[::-1]), split=split, size=size, seed=seed)
    alone = render(np.array(indices[:1]), split=split, size=size, seed=seed)
    for field in ("images", "labels", "textures", "masks", "boxes"):
        assert np.array_equal(getattr(together, field), getattr(backwards, field)[::-1])
        assert np.array_equal(getattr(together, field)[:1], getattr(alone, field))


@pytest.mark.parametrize("size", SIZES)
def test_arrays_have_the_declared_types_and_shapes(size) -> None:
    pictures = render(np.arange(130), split="test", size=size)
    assert (pictures.images.shape, pictures.images.dtype) == ((130, 3, size, size), np.uint8)
    assert (pictures.masks.shape, pictures.masks.dtype) == ((130, size, size), np.bool_)
    assert (pictures.boxes.shape, pictures.boxes.dtype) == ((130, 4), np.int64)
    assert (pictures.labels.shape, pictures.labels.dtype) == ((130,), np.int64)
    assert len(pictures) == 130


def test_no_indices_give_no_pictures() -> None:
    assert render(np.array([], dtype=np.int64), split="test").images.shape == (0, 3, 32, 32)


@settings(max_examples=20, deadline=None)
@given(indices=some_indices, rho=st.floats(0, 1))
def test_turning_the_background_leaves_every_object_pixel_as_it_was(indices, rho) -> None:
    plain = render(np.array(indices), split="train")
    turned = render(np.array(indices), split="train", switches=Switches(background_correlation=rho))
    assert np.array_equal(plain.masks, turned.masks)
    same = (plain.images == turned.images).all(axis=1)
    assert same[plain.masks].all()
    kept = plain.textures == turned.textures
    assert same[kept].all()
    assert not same[~kept].all(axis=(1, 2)).any()


def test_the_mask_is_the_lighter_or_the_darker_side_of_the_picture(many) -> None:
    light = many.images.astype(float).mean(axis=1)
    for picture, mask in zip(light[:300], many.masks[:300], strict=True):
        front, back = picture[mask].mean(), picture[~mask].mean()
        side = (picture > (front + back) / 2) == (front > back)
        assert (side == mask).mean() > 0.98


@settings(max_examples=20, deadline=None)
@given(indices=some_indices, size=st.sampled_from(SIZES))
def test_boxes_are_the_tightest_around_their_masks(indices, size) -> None:
    pictures = render(np.array(indices), split="test", size=size)
    for mask, (x0, y0, x1, y1) in zip(pictures.masks, pictures.boxes, strict=True):
        rows, columns = np.nonzero(mask)
        assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert 0.25 * size < max(x1 - x0, y1 - y0) <= 0.75 * size + 1


def test_masks_at_both_sizes_show_the_same_scene() -> None:
    small, large = (render(np.arange(200), split="test", size=size) for size in SIZES)
    assert np.array_equal(small.labels, large.labels)
    halved = large.masks.reshape(200, 32, 2, 32, 2).mean(axis=(2, 4)) >= 0.5
    assert (halved == small.masks).mean() > 0.97


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.9, 1.0])
def test_the_texture_equals_the_class_as_often_as_declared(rho) -> None:
    pictures = render(np.arange(COUNT), split="train", switches=Switches(background_correlation=rho))
    expected = rho + (1 - rho) / len(TEXTURE_NAMES)
    error = np.sqrt(expected * (1 - expected) / COUNT)
    assert abs((pictures.textures == pictures.labels).mean() - expected) <= 4 * error


def test_at_zero_correlation_the_texture_says_nothing_about_the_class(many) -> None:
    table = np.zeros((len(CLASS_NAMES), len(TEXTURE_NAMES)))
    np.add.at(table, (many.labels, many.textures), 1)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / COUNT
    chi_square = ((table - expected) ** 2 / expected).sum()
    assert chi_square < 81 + 4 * np.sqrt(2 * 81)  # 9 x 9 degrees of freedom, four standard deviations


def test_every_ten_consecutive_pictures_hold_every_class_once(many) -> None:
    blocks = np.sort(many.labels.reshape(-1, 10), axis=1)
    assert (blocks == np.arange(10)).all()
    assert len(np.unique(many.labels.reshape(-1, 10), axis=0)) == 40


def test_no_picture_occurs_twice_within_or_across_the_splits_and_seeds(many) -> None:
    others = (render(np.arange(COUNT), split="test"), render(np.arange(COUNT), split="train", seed=1))
    images = np.concatenate([many.images, *(other.images for other in others)])
    assert len({image.tobytes() for image in images}) == 3 * COUNT


def test_position_and_brightness_do_not_depend_on_the_class(many) -> None:
    back = np.where(many.masks, np.nan, many.images.astype(float).mean(axis=1))
    traits = {"brightness": np.nanmean(back, axis=(1, 2)), "x": many.boxes[:, ::2].mean(axis=1)}
    for name, trait in traits.items():
        means = np.array([trait[many.labels == label].mean() for label in range(10)])
        assert np.ptp(means) < 8 * trait.std() / np.sqrt(COUNT / 10), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"indices": np.array([[1]])}, "shape"),
        ({"indices": np.array([0.5])}, "float64"),
        ({"indices": np.array([3, -1])}, "-1"),
        ({"split": "val"}, "'val'"),
        ({"size": 48}, "48"),
    ],
)
def test_impossible_pictures_are_refused_with_the_offending_value(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        render(**({"indices": np.arange(2), "split": "test", "size": 32} | arguments))


@pytest.mark.parametrize("rho", [-0.1, 1.5, float("nan")])
def test_a_correlation_that_is_no_probability_is_refused(rho) -> None:
    with pytest.raises(ValueError, match="background_correlation"):
        Switches(background_correlation=rho)
