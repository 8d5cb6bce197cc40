"""The embedded pictures come from the generator unchanged, in measuring order, and are told apart by fingerprint."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fixtures import counter_random, pictures, shapes, textures
from harness import embedded_images
from harness.errors import ClaimsError
from harness.images import ImageSet, open_images
from harness.subject import ModelCard, Preprocessing

PLAIN = Preprocessing(size=(24, 24), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), crop=0.9)


def card(classes: int, preprocessing: Preprocessing = PLAIN) -> ModelCard:
    facts = {"family": "f", "arch": "a", "depth": 2, "width": 4, "grid": None, "prefix": (), "native": "none"}
    return ModelCard(name="model", classes=classes, capabilities=frozenset(), preprocessing=preprocessing, **facts)


def opened(classes: int, *, seed: int = 0, split="test", limit=None) -> ImageSet:
    return open_images(None, seed=seed, split=split, limit=limit, card=card(classes))


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
    drawn = {Path(module.__file__).name for module in (pictures, counter_random, shapes, textures)}
    assert set(embedded_images.SOURCES) == drawn
    for name in drawn:
        source = (Path(pictures.__file__).parent / name).read_text()
        imported = [line.split()[1] for line in source.splitlines() if line.startswith("from fixtures.")]
        assert {f"{module.removeprefix('fixtures.')}.py" for module in imported} <= drawn


def test_embedded_pictures_are_refused_to_a_model_of_other_classes_before_anything_is_rendered():
    with pytest.raises(ClaimsError, match=r"embedded pictures have 10 classes, the model 'model' answers 1000: give"):
        opened(1000)
