"""A folder of pictures says which class each one is, or is refused with file, line, value and what is allowed."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.errors import ClaimsError
from harness.fixtures.scenes import CLASS_NAMES
from harness.images.open import ImageSet, open_images
from harness.models.subject import ModelCard, Preprocessing

SYNSETS = ("n01440764", "n01443537", "n02119789")  # classes 0, 1 and 278 of ImageNet-1k


def card(classes: int) -> ModelCard:
    preprocessing = Preprocessing(size=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)
    facts = {"family": "f", "arch": "a", "depth": 2, "width": 4, "grid": None, "prefix": (), "native": "none"}
    return ModelCard(name="model", classes=classes, capabilities=frozenset(), preprocessing=preprocessing, **facts)


def opened(data: Path | str, classes: int, split="test") -> ImageSet:
    return open_images(str(data), seed=0, split=split, limit=None, card=card(classes))


def save(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 8), tuple(hashlib.sha256(str(path).encode()).digest()[:3])).save(path)


def by_name(images: ImageSet) -> dict[str, int]:
    return dict(zip(images.names, images.labels.tolist(), strict=True))


def classes_of(root: Path, *names: str) -> Path:
    save(*(root / name / f"{number}.png" for name in names for number in range(2)))
    return root


@pytest.fixture
def labelled(tmp_path: Path):
    """Write images/a.jpg, b.jpg, c.jpg and a labels.csv with the given text."""

    def write(table: str) -> Path:
        save(*(tmp_path / "images" / f"{name}.jpg" for name in "abc"))
        (tmp_path / "labels.csv").write_text(table, encoding="utf-8-sig")
        return tmp_path

    return write


def test_a_table_gives_labels_names_and_what_lies_beside(labelled, tmp_path):
    root = labelled('file,index,wnid,name\na.jpg,1,x,"egg, big"\nc.jpg,0,y,hen\n')
    images = opened(root, 2)
    assert by_name(images) == {"a.jpg": 1, "c.jpg": 0}
    assert (images.classes, images.class_names) == (2, ("hen", "egg, big"))
    assert "1 pictures in images/ are not in it" in images.note
    assert (images.has_boxes, images.has_masks) == (False, False)
    (tmp_path / "boxes.csv").write_text("file,x0,y0,x1,y1\na.jpg,0,0,2,2\nc.jpg,1,1,9,8\n")
    save(tmp_path / "masks" / "a.png", tmp_path / "masks" / "c.png")
    assert (opened(root, 2).has_boxes, opened(root, 2).has_masks) == (True, True)


def test_a_model_without_head_takes_the_classes_of_the_table(labelled):
    images = opened(labelled("file,index\na.jpg,4\nb.jpg,0\n"), 0)
    assert (images.classes, images.class_names) == (5, None)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "file,label\na.jpg,0\n",
            r"labels.csv line 1: no column 'index' among \['file', 'label'\]; needed: file,index",
        ),
        ("", r"line 1: no column 'file' among \[\]"),
        ("file,index\n", "names no picture"),
        (
            "file,index\na.jpg,0\nbb.jpg,0\n",
            r"line 3: file 'bb.jpg' is not a picture in .*images. Did you mean 'b.jpg'",
        ),
        ("file,index\na.jpg,0\n,1\n", "line 3: file '' is not a picture"),
        ("file,index\na.jpg,0\na.jpg,1\n", "line 3: file 'a.jpg' is listed twice"),
        ("file,index\na.jpg,cat\n", "line 2: index 'cat' is no whole number; allowed: 0 to 2"),
        ("file,index\na.jpg\n", "line 2: index None is no whole number"),
        ("file,index\na.jpg,1.0\n", "line 2: index '1.0' is no whole number"),
        ("file,index\na.jpg,3\n", "line 2: index 3 is not a class of 'model'; allowed: 0 to 2"),
        ("file,index\na.jpg,-1\n", "line 2: index -1 is not a class of 'model'; allowed: 0 to 2"),
    ],
)
def test_a_wrong_table_is_refused_with_line_value_and_what_is_allowed(labelled, table, message):
    with pytest.raises(ClaimsError, match=message):
        opened(labelled(table), 3)


def test_a_negative_index_is_refused_to_a_model_without_head_too(labelled):
    with pytest.raises(ClaimsError, match=r"index -2 is not a class of 'model'; allowed: 0 and above"):
        opened(labelled("file,index\na.jpg,-2\n"), 0)


def test_a_table_in_another_order_than_timms_is_caught_by_its_synsets(labelled):
    right = "file,index,wnid\na.jpg,1,n01443537\n"
    assert by_name(opened(labelled(right), 1000)) == {"a.jpg": 1}
    with pytest.raises(ClaimsError, match=r"line 2: index 2 with wnid 'n01443537', which is class 1 in timm's order"):
        opened(labelled(right.replace("jpg,1", "jpg,2")), 1000)


def test_a_table_without_its_pictures_is_refused(tmp_path):
    (tmp_path / "labels.csv").write_text("file,index\n")
    with pytest.raises(ClaimsError, match=r"has labels.csv but no folder images/"):
        opened(tmp_path, 3)


@pytest.mark.parametrize("classes", [1000, 0])
def test_synset_folders_get_timms_labels_though_most_classes_are_absent(tmp_path, classes):
    images = opened(classes_of(tmp_path, *SYNSETS), classes)
    expected = {
        f"{name}/{number}.png": label for name, label in zip(SYNSETS, (0, 1, 278), strict=True) for number in (0, 1)
    }
    assert by_name(images) == expected
    assert images.classes == 1000
    assert images.class_names[1].startswith("goldfish")


def test_an_unknown_synset_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(ClaimsError, match=r"unknown imagenet-1k synset 'n01440765' in .* Did you mean 'n01440764'"):
        opened(classes_of(tmp_path, "n01440765", *SYNSETS), 1000)


def test_synset_folders_of_another_model_are_sorted_if_they_are_as_many_as_its_classes(tmp_path):
    images = opened(classes_of(tmp_path, *SYNSETS), 3)
    assert by_name(images)["n02119789/0.png"] == 2
    assert "torchvision" in images.note


def test_folders_named_by_number_are_labels_and_not_sorted_as_words(tmp_path):
    images = opened(classes_of(tmp_path, "0", "2", "10"), 11)
    assert by_name(images)["2/0.png"] == 2
    assert by_name(images)["10/0.png"] == 10
    with pytest.raises(ClaimsError, match=r"class folder '10' in .*: the model's classes are 0 to 9"):
        opened(tmp_path, 10)


def test_folders_named_like_the_embedded_classes_get_their_labels(tmp_path):
    images = opened(classes_of(tmp_path, CLASS_NAMES[7], CLASS_NAMES[2]), 10)
    assert by_name(images)[f"{CLASS_NAMES[7]}/1.png"] == 7
    assert images.class_names == CLASS_NAMES


def test_plain_folders_are_sorted_and_the_note_says_so(tmp_path):
    images = opened(classes_of(tmp_path, "zebra", "ant"), 2)
    assert by_name(images)["zebra/0.png"] == 1
    assert images.class_names == ("ant", "zebra")
    assert "torchvision" in images.note


def test_another_number_of_folders_than_classes_is_refused_with_both_numbers(tmp_path):
    with pytest.raises(ClaimsError, match=r"2 classes in .* \(ant, zebra, ...\), but 'model' answers 5 classes"):
        opened(classes_of(tmp_path, "zebra", "ant"), 5)


def test_a_stray_folder_among_synsets_is_named(tmp_path):
    with pytest.raises(ClaimsError, match=r"3 of them are synsets, these are not: \['extras'\]"):
        opened(classes_of(tmp_path, "extras", *SYNSETS), 1000)


def test_a_divided_folder_gives_val_for_testing_and_train_for_fitting(tmp_path):
    classes_of(tmp_path / "val", "ant", "bee")
    classes_of(tmp_path / "train", "ant", "bee", "cat")
    assert opened(tmp_path, 2).name == f"{tmp_path.name}/val"
    assert opened(tmp_path, 3, "train").classes == 3


def test_an_undivided_folder_named_for_training_holds_training_pictures(tmp_path):
    folder = classes_of(tmp_path, "ant", "bee")
    assert set(opened(folder, 2, "train").names) == set(opened(folder, 2).names)


def test_train_pictures_are_never_measured_as_test_pictures(tmp_path):
    classes_of(tmp_path / "train", "ant", "bee")
    with pytest.raises(ClaimsError, match=r"has train/ but none of val, validation"):
        opened(tmp_path, 2)


@pytest.mark.parametrize("below", ["", "images"])
def test_a_flat_folder_has_no_labels(tmp_path, below):
    save(tmp_path / below / "a.png", tmp_path / below / "B.JPEG", tmp_path / below / ".hidden.png")
    (tmp_path / below / "notes.txt").touch()
    images = opened(tmp_path, 10)
    assert sorted(images.names) == ["B.JPEG", "a.png"]
    assert (images.labels, images.classes, images.class_names) == (None, 0, None)
    assert "no labels" in images.note


def test_pictures_beside_class_folders_are_refused_as_ambiguous(tmp_path):
    save(classes_of(tmp_path, "ant") / "loose.png")
    with pytest.raises(ClaimsError, match=r"pictures \('loose.png', ...\) beside sub-folders \('ant', ...\)"):
        opened(tmp_path, 1)


def test_an_empty_folder_is_refused_with_what_it_could_hold(tmp_path):
    with pytest.raises(ClaimsError, match=r"no pictures in .*: it has no .*.bmp, .*.jpg, .*and no sub-folders"):
        opened(tmp_path, 10)
    (tmp_path / "ant").mkdir()
    with pytest.raises(ClaimsError, match=r"its 1 sub-folders hold none"):
        opened(tmp_path, 1)


def test_a_missing_folder_is_refused_with_the_nearest_beside_it(tmp_path):
    classes_of(tmp_path / "imagenette", "ant")
    with pytest.raises(
        ClaimsError, match=r"imagenete' does not exist .* Did you mean '.*/imagenette'\? Allowed: a folder"
    ):
        opened(tmp_path / "imagenete", 1)
    with pytest.raises(ClaimsError, match=r"'imagenete' is not in .* Did you mean '.*/imagenette'"):
        opened(tmp_path / "imagenete" / "val", 1)


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    save(tmp_path / "one.png")
    with pytest.raises(ClaimsError, match=r"one.png' is a file; allowed: a folder, a .tar, or hfds/NAME"):
        opened(tmp_path / "one.png", 1)


def test_labels_are_int64(tmp_path):
    assert opened(classes_of(tmp_path, "ant"), 1).labels.dtype == np.int64
