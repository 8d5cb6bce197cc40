"""The embedded pictures come from the generator unchanged, in measuring order, and are told apart by fingerprint."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.fingerprint import CODE
from harness.fixtures import colours, counter_random, pictures, scenes, shapes, surfaces, switches, textures
from harness.images.open import ImageSet, ObjectImages, open_images
from harness.images.procedural import EmbeddedImages
from harness.images.procedural_switches import EmbeddedWorld
from harness.models.subject import ModelCard, Preprocessing

PLAIN = Preprocessing(size=(24, 24), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), crop=0.9)


def card(classes: int, preprocessing: Preprocessing = PLAIN) -> ModelCard:
    facts = {"family": "f", "arch": "a", "depth": 2, "width": 4, "grid": None, "prefix": (), "native": "none"}
    return ModelCard(name="model", classes=classes, capabilities=frozenset(), preprocessing=preprocessing, **facts)


def opened(classes: int, *, seed: int = 0, split="test", limit=None, data=None) -> ImageSet:
    return open_images(data, seed=seed, split=split, limit=limit, card=card(classes))


def test_embedded_pictures_are_those_of_the_generator_in_measuring_order():
    images = opened(10, limit=7)
    numbers = np.array([int(name.split("/")[1]) for name in images.names])
    rendered = pictures.render(numbers, split="test", seed=0, size=32)
    assert images.labels.tolist() == rendered.labels.tolist()
    at_32 = replace(PLAIN, size=(32, 32))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (PLAIN.mean, PLAIN.std))
    assert torch.equal(images.load(range(7), at_32), (torch.from_numpy(rendered.images) / 255 - mean) / std)
    assert images.load([3, 1], replace(PLAIN, size=(48, 40))).shape == (2, 3, 48, 40)


def test_embedded_resizing_stays_in_range_and_follows_the_models_interpolation():
    images = opened(10, limit=4)
    raw = Preprocessing(size=(64, 64), mean=(0.0,) * 3, std=(1.0,) * 3)
    smooth = images.load(range(4), replace(raw, interpolation="bilinear"))
    sharp = images.load(range(4), raw)
    assert not torch.equal(smooth, sharp)
    assert sharp.min() >= 0
    assert sharp.max() <= 1


def test_embedded_splits_have_their_counts_and_different_fingerprints():
    test, train = opened(10), opened(0, split="train")
    assert (len(test), len(train)) == (2_000, 10_000)
    assert test.class_names == pictures.CLASS_NAMES
    assert len({test.fingerprint, train.fingerprint, opened(10, seed=1).fingerprint}) == 3


def test_the_embedded_fingerprint_covers_every_module_that_draws_pictures():
    reached = {reference.module for reference in CODE.reached(pictures.render)}
    modules = (colours, counter_random, pictures, scenes, shapes, surfaces, switches, textures)
    assert {module.__name__ for module in modules} <= reached


def test_embedded_pictures_are_refused_to_a_model_of_other_classes_before_anything_is_rendered():
    with pytest.raises(ClaimsError, match=r"embedded pictures have 10 classes, the model 'model' answers 1000: give"):
        opened(1000)


def test_turned_switches_are_rendered_named_and_told_apart_by_fingerprint():
    data = "embedded:background_correlation=1,size=64"
    turned, plain = opened(10, data=data), opened(10)
    assert (turned.name, plain.name) == ("embedded/test:background_correlation=1.0,size=64", "embedded/test")
    assert isinstance(turned, EmbeddedImages)
    assert turned.rendered.images.shape == (2_000, 3, 64, 64)
    assert np.array_equal(turned.rendered.textures, turned.labels)
    assert np.array_equal(turned.labels, plain.labels)
    others = ("embedded:background_correlation=0.5", "embedded:size=64", "embedded:objects=1-2", data)
    assert len({plain.fingerprint, *(opened(10, data=other).fingerprint for other in others)}) == 5
    assert opened(10, data="embedded").fingerprint == plain.fingerprint
    with pytest.raises(ClaimsError, match="unknown switch 'colour'"):
        opened(10, data="embedded:colour=1")


@pytest.mark.parametrize("data", [None, "embedded:objects=1-3,size=64"])
def test_masks_and_boxes_are_those_of_the_main_object_in_measuring_order(data):
    images = opened(10, limit=40, data=data)
    assert (images.has_masks, images.has_boxes) == (True, True)
    assert isinstance(images, ObjectImages)
    rendered = images.rendered
    size = rendered.images.shape[-1]
    own = replace(PLAIN, size=(size, size))
    assert torch.equal(images.masks([5, 2], own), torch.from_numpy(rendered.masks[[5, 2]]))
    assert torch.equal(torch.cat(images.boxes([5, 2], own)), torch.from_numpy(rendered.boxes[[5, 2]]).float())
    assert (rendered.owners == 0).sum() == images.masks(range(40), own).sum()


def test_masks_and_boxes_are_resized_like_the_pictures():
    images = opened(10, limit=60)
    assert isinstance(images, ObjectImages)
    for rows, columns in ((64, 64), (48, 80), (16, 16)):
        looks = Preprocessing(size=(rows, columns), mean=(0.0,) * 3, std=(1.0,) * 3, interpolation="bilinear")
        masks, boxes = images.masks(range(60), looks), images.boxes(range(60), looks)
        light = images.load(range(60), looks).mean(dim=1)
        assert masks.shape == light.shape
        assert masks.dtype == torch.bool
        for picture, mask, ((x0, y0, x1, y1),) in zip(light, masks, boxes, strict=True):
            front, back = picture[mask].mean(), picture[~mask].mean()
            side = (picture > (front + back) / 2) == (front > back)
            assert (side == mask).float().mean() > 0.97
            ys, xs = torch.nonzero(mask, as_tuple=True)
            reach = torch.tensor([columns, rows]) / 32 + 1  # a pixel of the picture, and one of the input
            assert (xs.min() - x0).abs() <= reach[0]
            assert (xs.max() + 1 - x1).abs() <= reach[0]
            assert (ys.min() - y0).abs() <= reach[1]
            assert (ys.max() + 1 - y1).abs() <= reach[1]
    with pytest.raises(IndexError):
        images.masks([60], PLAIN)


def test_a_set_of_the_same_world_is_the_same_set():
    world = EmbeddedWorld(switches.Switches(vivid=True))
    sets = [EmbeddedImages(split="train", seed=3, limit=limit, world=world) for limit in (5, None)]
    assert sets[0].fingerprint == sets[1].fingerprint
    assert list(sets[0].names) == list(sets[1].names[:5])
