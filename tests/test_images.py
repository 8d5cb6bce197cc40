"""Image sets come in a random order that nothing moves, and read pictures exactly as timm does."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from harness.errors import ClaimsError
from harness.images.open import ImageSet, open_images
from harness.models.subject import ModelCard, Preprocessing

PLAIN = Preprocessing(size=(24, 24), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), crop=0.9)
REAL = os.environ.get("CLAIMS_REAL_DATA")


def card(classes: int, preprocessing: Preprocessing = PLAIN) -> ModelCard:
    facts = {"family": "f", "arch": "a", "depth": 2, "width": 4, "grid": None, "prefix": (), "native": "none"}
    return ModelCard(name="model", classes=classes, capabilities=frozenset(), preprocessing=preprocessing, **facts)


def save(path: Path, seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve JPEGs of three classes with a labels.csv in file order."""
    root = tmp_path / "pictures"
    for number in range(12):
        save(root / "images" / f"p{number:02d}.jpg", number, size=(40 + number, 30))
    rows = [f"p{number:02d}.jpg,{number // 4}" for number in range(12)]
    (root / "labels.csv").write_text("\n".join(["file,index", *rows]) + "\n")
    return root


def opened(data: Path | str | None, classes: int = 3, *, seed: int = 0, split="test", limit=None) -> ImageSet:
    return open_images(data and str(data), seed=seed, split=split, limit=limit, card=card(classes))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def test_every_kind_of_image_set_fulfils_the_protocol(folder):
    for images in (opened(folder), opened(None, 10)):
        assert isinstance(images, ImageSet)
        assert len(images) == len(images.names) == len(images.labels)
        assert images.labels.dtype == np.int64


def test_the_order_is_random_and_not_that_of_the_files(folder):
    images = opened(folder)
    assert sorted(images.names) == [f"p{number:02d}.jpg" for number in range(12)]
    assert list(images.names) != sorted(images.names)
    assert images.labels.tolist() == [int(name[1:3]) // 4 for name in images.names]
    assert images.labels.tolist() != sorted(images.labels.tolist())


def test_a_seed_gives_the_same_order_again_and_another_seed_another(folder):
    assert opened(folder).names == opened(folder).names
    assert opened(folder).names != opened(folder, seed=1).names


def test_the_order_of_the_rows_in_the_table_does_not_matter(folder):
    before = opened(folder)
    head, *rows = (folder / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join([head, *reversed(rows)]))
    after = opened(folder)
    assert (after.names, after.fingerprint) == (before.names, before.fingerprint)


@pytest.mark.parametrize("data", ["folder", None])
def test_a_larger_limit_adds_pictures_and_moves_none(folder, data):
    data, classes = (folder, 3) if data else (None, 10)
    few, many = opened(data, classes, limit=5), opened(data, classes, limit=9)
    assert (len(few), len(many)) == (5, 9)
    assert list(few.names) == list(many.names[:5])
    assert few.labels.tolist() == many.labels[:5].tolist()
    assert few.fingerprint == many.fingerprint


def test_the_fingerprint_changes_with_a_label_a_file_a_name_or_the_seed(folder):
    seen = {opened(folder).fingerprint, opened(folder, seed=1).fingerprint}
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("p05.jpg,1", "p05.jpg,2"))
    seen.add(opened(folder).fingerprint)
    save(folder / "images" / "p05.jpg", 99)
    seen.add(opened(folder).fingerprint)
    (folder / "images" / "p05.jpg").rename(folder / "images" / "renamed.jpg")
    table.write_text(table.read_text().replace("p05.jpg", "renamed.jpg"))
    seen.add(opened(folder).fingerprint)
    assert len(seen) == 5


def test_the_fingerprint_of_a_large_file_changes_with_its_size_though_both_ends_stay(tmp_path):
    save(tmp_path / "a.png", 1)
    padded = (tmp_path / "a.png").read_bytes() + bytes(10_000)
    (tmp_path / "a.png").write_bytes(padded)
    before = opened(tmp_path).fingerprint
    (tmp_path / "a.png").write_bytes(padded + bytes(1))
    assert opened(tmp_path).fingerprint != before


def test_the_fingerprint_stays_when_the_folder_is_moved_and_touched(folder):
    before = opened(folder).fingerprint
    moved = folder.rename(folder.with_name("elsewhere"))
    os.utime(moved / "images" / "p00.jpg", (1, 1))
    assert opened(moved).fingerprint == before


def test_unreadable_pictures_are_left_out_by_name_and_shift_nothing(folder):
    whole = opened(folder)
    names = list(whole.names)
    truncate(folder / "images" / names[2])
    (folder / "images" / names[7]).write_bytes(b"no picture at all")
    images = opened(folder)
    assert list(images.names) == [name for name in names if name not in (names[2], names[7])]
    assert [entry.split(":")[0] for entry in images.left_out] == [names[2], names[7]]
    assert "truncated" in images.left_out[0]
    assert "cannot identify" in images.left_out[1]
    assert torch.equal(images.load([2], PLAIN), whole.load([3], PLAIN))


def test_a_limit_is_filled_up_past_unreadable_pictures_and_names_only_those_met(folder):
    names = list(opened(folder).names)
    truncate(folder / "images" / names[1])
    truncate(folder / "images" / names[11])
    images = opened(folder, limit=4)
    assert list(images.names) == [names[0], *names[2:5]]
    assert len(images.left_out) == 1


def test_a_set_of_unreadable_pictures_only_is_refused_with_the_first_reason(folder):
    for path in (folder / "images").iterdir():
        path.write_bytes(b"broken " + path.name.encode())
    with pytest.raises(ClaimsError, match=r"none of the 12 pictures of 'pictures' can be used: p.*cannot identify"):
        opened(folder)


def test_a_picture_that_breaks_during_the_run_is_an_error_with_its_name(folder):
    images = opened(folder)
    truncate(folder / "images" / images.names[3])
    with pytest.raises(ClaimsError, match=rf"picture '{images.names[3]}' of 'pictures' could be read when the run"):
        images.load(range(6), PLAIN)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "preprocessing",
    [
        PLAIN,
        Preprocessing(size=(20, 20), mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bilinear", crop=1.0),
        Preprocessing(size=(18, 26), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), crop=0.875),
        Preprocessing(size=(24, 24), mean=(0.1,) * 3, std=(0.7,) * 3, crop=0.95, crop_mode="squash"),
        Preprocessing(size=(24, 24), mean=(0.1,) * 3, std=(0.7,) * 3, crop=0.95, crop_mode="border"),
    ],
)
def test_stored_pictures_equal_timms_evaluation_transform_to_the_bit(tmp_path, mode, preprocessing):
    for number in range(3):
        save(tmp_path / f"{number}.jpg", number, size=(37 + number, 61), mode=mode)
    images = opened(tmp_path)
    p = preprocessing
    config = {"input_size": (3, *p.size), "interpolation": p.interpolation, "mean": p.mean, "std": p.std}
    transform = create_transform(**config, crop_pct=p.crop, crop_mode=p.crop_mode, is_training=False)
    expected = torch.stack([transform(Image.open(tmp_path / name).convert("RGB")) for name in images.names])
    loaded = images.load(range(3), preprocessing)
    assert loaded.dtype == torch.float32
    assert torch.equal(loaded, expected)


def test_pictures_are_loaded_in_the_asked_order_whatever_the_number_of_workers(folder):
    images = opened(folder)
    one = replace(images, workers=1).load([5, 0, 5], PLAIN)
    many = replace(images, workers=4).load([5, 0, 5], PLAIN)
    assert torch.equal(one, many)
    assert torch.equal(one[0], one[2])
    assert torch.equal(one[1:2], images.load([0], PLAIN))
    assert images.load([], PLAIN).shape == (0, 3, 24, 24)


def test_a_model_of_other_than_three_channels_is_refused():
    grey = card(10, Preprocessing(size=(28, 28), mean=(0.1,), std=(0.3,)))
    with pytest.raises(ClaimsError, match=r"'model' takes 1 channels"):
        open_images(None, seed=0, split="test", limit=None, card=grey)


def test_an_empty_budget_is_refused():
    with pytest.raises(ClaimsError, match=r"budget of 0 pictures"):
        opened(None, 10, limit=0)


@pytest.mark.skipif(not REAL, reason="CLAIMS_REAL_DATA names no folder with real pictures")
def test_real_pictures_open_with_timms_class_order():
    images = opened(Path(REAL) / "imagenet1k-sample-1000", 1000, limit=64)
    assert (len(images), images.classes, images.left_out) == (64, 1000, ())
    assert images.class_names[:2] == ("tench", "goldfish")
    assert images.load(range(4), PLAIN).isfinite().all()
