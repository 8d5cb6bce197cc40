"""Tar files are read in place, with the same labels and the same order rules as folders."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import ClaimsError, NotApplicable
from harness.images.open import ImageSet, open_images
from harness.models.subject import ModelCard, Preprocessing

EIGHT = Preprocessing(size=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)


def card(classes: int) -> ModelCard:
    facts = {"family": "f", "arch": "a", "depth": 2, "width": 4, "grid": None, "prefix": (), "native": "none"}
    return ModelCard(name="model", classes=classes, capabilities=frozenset(), preprocessing=EIGHT, **facts)


def opened(data: Path | str, classes: int, split="test", limit: int | None = None) -> ImageSet:
    return open_images(str(data), seed=0, split=split, limit=limit, card=card(classes))


def picture(shade: int) -> Image.Image:
    return Image.new("RGB", (9, 8), (shade, 7, 9))


def encoded(shade: int) -> bytes:
    buffer = io.BytesIO()
    picture(shade).save(buffer, "PNG")
    return buffer.getvalue()


def pack(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def by_name(images: ImageSet) -> dict[str, int]:
    return dict(zip(images.names, images.labels.tolist(), strict=True))


def shades(images: ImageSet) -> list[int]:
    red = images.load(range(len(images)), EIGHT)[:, 0, 0, 0]
    return ((red * 0.5 + 0.5) * 255).round().int().tolist()


def test_a_tar_of_class_folders_gives_labels_and_its_own_pictures(tmp_path):
    members = {
        f"{kind}/{shade}.png": encoded(shade)
        for kind, start in (("bee", 0), ("ant", 9))
        for shade in range(start, start + 9)
    }
    images = opened(pack(tmp_path / "set.tar", members), 2)
    assert by_name(images) == {name: int(name.startswith("bee")) for name in members}
    assert [int(name.split("/")[1][:-4]) for name in images.names] == shades(images)
    assert list(images.names) != sorted(images.names)


def test_a_folder_of_tars_has_one_class_per_tar(tmp_path):
    for kind, shade in (("n01443537", 3), ("n01440764", 5)):
        pack(tmp_path / f"{kind}.tar", {f"{kind}_1.png": encoded(shade), f"{kind}_2.png": encoded(shade + 1)})
    images = opened(tmp_path, 1000)
    assert by_name(images)["n01443537.tar/n01443537_2.png"] == 1
    assert shades(images) == [
        (5 if images.labels[place] == 0 else 3) + name.endswith("_2.png") for place, name in enumerate(images.names)
    ]


def test_a_tar_of_tars_is_read_too(tmp_path):
    inner = [
        pack(tmp_path / "inner" / f"{kind}.tar", {"x.png": encoded(shade)}) for kind, shade in (("ant", 4), ("bee", 6))
    ]
    images = opened(pack(tmp_path / "outer.tar", {path.name: path.read_bytes() for path in inner}), 2)
    assert by_name(images) == {"ant.tar/x.png": 0, "bee.tar/x.png": 1}
    assert dict(zip(images.names, shades(images), strict=True)) == {"ant.tar/x.png": 4, "bee.tar/x.png": 6}


def test_a_flat_tar_has_no_labels(tmp_path):
    images = opened(pack(tmp_path / "set.tar", {"a.png": encoded(1), "b.png": encoded(2)}), 5)
    assert images.labels is None
    assert len(images) == 2


def test_a_broken_picture_in_a_tar_is_left_out_by_name(tmp_path):
    members = {"ant/1.png": encoded(1), "ant/2.png": encoded(2)[:50], "bee/3.png": encoded(3)}
    images = opened(pack(tmp_path / "set.tar", members), 2)
    assert len(images) == 2
    assert [entry.split(":")[0] for entry in images.left_out] == ["ant/2.png"]


def test_the_fingerprint_of_a_tar_follows_its_pictures_and_not_its_place(tmp_path):
    members = {"ant/1.png": encoded(1), "bee/3.png": encoded(3)}
    first = opened(pack(tmp_path / "a" / "set.tar", members), 2).fingerprint
    again = opened(pack(tmp_path / "b" / "set.tar", dict(reversed(members.items()))), 2).fingerprint
    other = opened(pack(tmp_path / "c" / "set.tar", members | {"bee/3.png": encoded(4)}), 2).fingerprint
    assert first == again != other


def test_empty_and_broken_archives_are_refused_by_name(tmp_path):
    with pytest.raises(ClaimsError, match=r"no pictures .* can be read from the archive .*empty.tar"):
        opened(pack(tmp_path / "empty.tar", {}), 2)
    (tmp_path / "broken.tar").write_bytes(b"this is no tar" * 100)
    with pytest.raises(ClaimsError, match=r"no pictures .* can be read from the archive .*broken.tar"):
        opened(tmp_path / "broken.tar", 2)


def test_a_single_tar_has_no_train_pictures(tmp_path):
    with pytest.raises(NotApplicable, match=r"no train pictures"):
        opened(pack(tmp_path / "set.tar", {"ant/1.png": encoded(1)}), 1, "train")


def shard(path: Path, labels: list[str], start: int = 0) -> Path:
    files = {f"{path.stem}/{n}.png": encoded(start + 10 * n) for n in range(len(labels))}
    return pack(path, files | {f"{path.stem}/{n}.cls": label.encode() for n, label in enumerate(labels)})


def test_webdataset_shards_are_read_in_random_order_and_chosen_by_split(tmp_path):
    shard(tmp_path / "set-val-0.tar", ["3", "1\n"])
    shard(tmp_path / "set-val-1.tar", ["0", "2"], start=5)
    shard(tmp_path / "set-train-0.tar", ["2"])
    images = opened(tmp_path, 4)
    assert by_name(images)["set-val-0.tar/set-val-0/1.png"] == 1
    assert sorted(images.labels) == [0, 1, 2, 3]
    assert sorted(shades(images)) == [0, 5, 10, 15]
    assert len(opened(tmp_path, 4, "train")) == 1


def test_webdataset_shards_without_a_split_in_their_names_are_test_pictures(tmp_path):
    shard(tmp_path / "part-0.tar", ["3", "1"])
    assert len(opened(tmp_path, 4)) == 2
    with pytest.raises(NotApplicable, match=r"no train pictures among the shards part-0.tar"):
        opened(tmp_path, 4, "train")


def test_train_shards_are_never_measured_as_test_pictures(tmp_path):
    shard(tmp_path / "x-train-0.tar", ["3"])
    with pytest.raises(ClaimsError, match=r"x-train-0.tar, ... are train pictures"):
        opened(tmp_path, 4)


@pytest.mark.parametrize("label", ["7", "-1", "cat"])
def test_a_wrong_label_in_a_shard_is_refused_with_its_place(tmp_path, label):
    with pytest.raises(ClaimsError, match=rf"label '{label}' of part/0.cls in .*part.tar; allowed for 'model': 0 to 3"):
        opened(shard(tmp_path / "part.tar", [label]), 4)


def test_a_picture_without_label_in_a_shard_is_refused(tmp_path):
    members = {"a.png": encoded(1), "a.cls": b"0", "b.png": encoded(2)}
    with pytest.raises(ClaimsError, match=r"picture b.png in .*part.tar has no label .*b.cls beside it"):
        opened(pack(tmp_path / "part.tar", members), 4)


def test_archives_preprocess_like_folders(tmp_path):
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (30, 41, 3), dtype=np.uint8))
    (tmp_path / "flat").mkdir()
    noise.save(tmp_path / "flat" / "a.png")
    packed = pack(tmp_path / "set.tar", {"a.png": (tmp_path / "flat" / "a.png").read_bytes()})
    assert torch.equal(opened(packed, 0).load([0], EIGHT), opened(tmp_path / "flat", 0).load([0], EIGHT))


def test_pictures_of_a_synset_that_the_head_does_not_know_are_left_out_and_named(tmp_path):
    kinds = ("n04399382", "n01440764", "n01443537")
    members = {
        f"{kind}/{number}.png": encoded(10 * place + number) for place, kind in enumerate(kinds) for number in (0, 1)
    }
    images = opened(pack(tmp_path / "set.tar", members), 21843)
    assert images.left_out == ("n04399382: 2 pictures of a synset that the head does not know",)
    assert sorted(shades(images)) == [10, 11, 20, 21]


def test_what_is_no_regular_file_among_shards_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.tar")
    shard(tmp_path / "part-0.tar", ["3", "1"])
    with pytest.raises(ClaimsError, match=r"pipe.tar is no regular file, so it is not opened"):
        opened(tmp_path, 4)
