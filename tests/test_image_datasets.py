"""Datasets by name keep their labels and come in random order, stored or streamed."""

import io
from pathlib import Path

import pytest
from PIL import Image

from harness.errors import ClaimsError, NotApplicable
from harness.images import datasets as image_datasets
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


def shades(images: ImageSet) -> list[int]:
    red = images.load(range(len(images)), EIGHT)[:, 0, 0, 0]
    return ((red * 0.5 + 0.5) * 255).round().int().tolist()


@pytest.mark.parametrize("prefix", ["hfds", "hfids", "tfds"])
def test_a_dataset_whose_package_is_missing_is_refused_with_the_cure(monkeypatch, prefix):
    monkeypatch.setattr(image_datasets, "find_spec", lambda package: None)
    package = image_datasets.PREFIXES[prefix]
    with pytest.raises(ClaimsError, match=rf"'{prefix}/some' needs the package '{package}', .* pip install {package}"):
        opened(f"{prefix}/some", 4)


class Reader:
    """Stand in for timm's reader of a dataset with 30 pictures; picture n has red value n."""

    def __init__(self, split: str, names: tuple[str, ...], targets: list[int], stored: bool):
        if split != "val":
            raise ValueError(f"Unknown split {split}")
        self.class_to_idx = {name: number for number, name in enumerate(names)}
        self.targets, self.stored = targets, stored

    def iter_targets(self):
        return iter(self.targets)

    def __iter__(self):
        return ((picture(number), target) for number, target in enumerate(self.targets))

    def __getitem__(self, index):
        if not self.stored:
            raise IndexError("a stream has no random access")
        return io.BytesIO(encoded(index)), self.targets[index]


@pytest.fixture
def dataset(monkeypatch):
    """Serve every dataset name with a Reader of the given class names and targets."""

    def serve(names: tuple[str, ...], targets: list[int]) -> None:
        monkeypatch.setattr(image_datasets, "find_spec", lambda package: package)
        monkeypatch.setattr(
            image_datasets,
            "create_reader",
            lambda data, split: Reader(split, names, targets, stored=data.startswith("hfds/")),
        )

    return serve


@pytest.mark.parametrize("prefix", ["hfds", "hfids", "tfds"])
def test_a_dataset_keeps_the_order_of_its_own_classes_and_pictures_follow_their_labels(dataset, prefix):
    dataset(("zebra", "ant"), [number % 2 for number in range(30)])
    images = opened(f"{prefix}/some", 2, limit=12)
    numbers = [int(name.split("/")[1]) for name in images.names]
    assert len(images) == len(set(numbers)) == 12
    assert numbers != sorted(numbers)
    assert shades(images) == numbers
    assert images.labels.tolist() == [number % 2 for number in numbers]
    assert (images.name, images.class_names) == (f"{prefix}/some/val", ("zebra", "ant"))


def test_a_stream_without_limit_gives_all_of_it(dataset):
    dataset((), list(range(30)))
    images = opened("hfids/some", 0)
    assert sorted(images.labels) == list(range(30))
    assert images.classes == 30


def test_a_dataset_of_synsets_gets_timms_labels(dataset):
    dataset(("n01443537", "n01440764"), [0, 1, 0])
    assert sorted(opened("hfds/some", 1000).labels) == [0, 1, 1]


def test_a_dataset_split_without_labels_gives_pictures_only(dataset):
    dataset(("a", "b"), [-1, -1])
    assert opened("hfds/some", 2).labels is None


@pytest.mark.parametrize(
    ("names", "message"),
    [(("a", "b"), r"2 classes in hfds/some \(a, b, ...\)"), ((), "label 7 in hfds/some is not a class")],
)
def test_a_dataset_of_other_classes_is_refused(dataset, names, message):
    dataset(names, [0, 7])
    with pytest.raises(ClaimsError, match=message):
        opened("hfds/some", 5)


def test_a_dataset_without_train_split_has_no_train_pictures(dataset):
    dataset((), [0])
    with pytest.raises(NotApplicable, match=r"'hfds/some' has none of the splits train"):
        opened("hfds/some", 5, "train")


def test_a_broken_picture_in_a_stream_is_an_error_that_says_where(dataset, monkeypatch):
    dataset((), [0])

    def broken(self):
        yield picture(1), 0
        raise OSError("image file is truncated")

    monkeypatch.setattr(Reader, "__iter__", broken)
    with pytest.raises(ClaimsError, match=r"the stream cannot be read after 1 pictures: image file is truncated"):
        opened("tfds/some", 5)


def test_pictures_of_a_synset_that_the_head_does_not_know_are_left_out_and_named(dataset):
    dataset(("n04399382", "n01443537", "n01440764"), [0, 1, 2, 0, 1, 2])
    images = opened("hfds/some", 21843)
    assert sorted(images.names) == ["val/00000001", "val/00000002", "val/00000004", "val/00000005"]
    assert images.left_out == ("n04399382: 2 pictures of a synset that the head does not know",)
    assert sorted(shades(images)) == [1, 2, 4, 5]


def test_numbers_of_imagenet_1k_are_refused_to_a_larger_head(dataset):
    dataset((), [0, 500, 999])
    with pytest.raises(ClaimsError, match=r"all labels in hfds/some are below 1000.*Cure: take a dataset that names"):
        opened("hfds/some", 21843)
