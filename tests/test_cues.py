"""Pictures of two cues: read by name, from a folder, and decided for."""

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import ClaimsError
from harness.fixtures.planted.cue_conflict_worlds import CueSeer
from harness.images.cues import CATEGORIES, CLASSES_OF, cues_of
from harness.images.loading import chunk_of
from harness.images.open import open_images
from harness.measurement.settings import Settings
from harness.readouts.cue_decisions import DecidesFor, categories
from harness.readouts.reading import Reading
from harness.running.run_images import have

CARD = CueSeer(looks=(), classes=1000).card


def folder(root, names=("cat/cat7-elephant1.png", "cat/cat1-cat2.png", "dog/dog3-knife1.png", "oven/oven1-bear9.png")):
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (40 * number, 9, 9)).save(root / name)
    return root


def opened(root):
    return open_images(str(root), seed=0, split="test", limit=None, card=CARD)


def test_names_tell_shape_and_texture():
    found = cues_of(["cat/cat7-elephant1.png", "dog3-knife12.jpeg"])
    assert [[CATEGORIES[cue] for cue in row] for row in found] == [["cat", "elephant"], ["dog", "knife"]]
    for other in ("cat7.png", "cat7-elephant", "lion1-cat2.png", "cat1-cat2-cat3.png", "n01440764/n01440764_1.JPEG"):
        expected = None if other != "cat7-elephant" else [[CATEGORIES.index("cat"), CATEGORIES.index("elephant")]]
        assert expected == (None if (got := cues_of([other])) is None else got.tolist())
    assert cues_of([]) is None


def test_categories_share_no_class():
    every = [number for own in CLASSES_OF.values() for number in own]
    assert len(every) == len(set(every)) == 207
    assert tuple(sorted(CATEGORIES)) == CATEGORIES
    assert max(every) < 1000


def test_a_folder_of_cues_has_no_labels_and_is_another_set_under_other_names(tmp_path):
    images = opened(folder(tmp_path / "one"))
    assert images.labels is None
    assert "cue conflict" in images.note
    assert have(images, 4, 0.0)["cues"]
    assert not have(images, 4, 0.0)["labels"]
    chunk = chunk_of(images, range(4), CARD.preprocessing, Settings())
    assert [CATEGORIES[shape] for shape in chunk.cues[:, 0]] == [name.split("/")[0] for name in images.names]
    renamed = folder(
        tmp_path / "two", ("cat/cat7-bear1.png", "cat/cat1-cat2.png", "dog/dog3-knife1.png", "oven/oven1-bear9.png")
    )
    assert opened(renamed).fingerprint != images.fingerprint


def test_folders_of_categories_with_other_files_are_classes_that_do_not_fit(tmp_path):
    with pytest.raises(ClaimsError, match="classes"):
        opened(folder(tmp_path, ("cat/a.png", "dog/b.png")))


def test_the_category_of_the_largest_mean_probability_is_named():
    logits = torch.randn(50, 1000, generator=torch.Generator().manual_seed(0)) * 3
    shares = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    means = np.stack([shares[:, own].mean(axis=1) for own in map(list, CLASSES_OF.values())], axis=1)
    assert categories(logits).tolist() == means.argmax(axis=1).tolist()
    with pytest.raises(ClaimsError, match="the head has 10"):
        categories(logits[:, :10])


@pytest.mark.parametrize("cue", ["shape", "texture"])
def test_pictures_whose_cues_agree_do_not_count(tmp_path, cue):
    images = opened(folder(tmp_path))
    chunk = chunk_of(images, range(4), CARD.preprocessing, Settings())
    subject = CueSeer(looks=(), classes=1000)
    meant = chunk.cues[:, 0 if cue == "shape" else 1]
    reading = Reading(subject, subject.start(torch.zeros(4, 3, 16, 16)), 0, chunk, {}, None)
    reading.stream.tokens[:, 0, 0] = meant.float()
    read = DecidesFor(cue=cue).read(reading.lent_to(False, ()))
    assert read.tolist() == [float("cat1-cat2" not in name) for name in images.names]
