"""Which pictures a run measures on and fits on, and what it refuses."""

import numpy as np
import pytest
from PIL import Image

from harness.errors import ClaimsError
from harness.models.zoo import ModelEntry, resolve
from harness.running.option_table import OPTIONS
from harness.running.options import parse
from harness.running.preflight import check_models
from harness.running.run_images import measured_images, training_images, unmatched_notes

CARD = resolve("tiny_vit").card


def folder(path, seed):
    (path / "images").mkdir(parents=True)
    random = np.random.default_rng(seed)
    rows = ["file,index"]
    for number in range(20):
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path / "images" / f"{number}.png")
        rows.append(f"{number}.png,{number % 10}")
    (path / "labels.csv").write_text("\n".join(rows))
    return str(path)


def options(**values):
    return parse({option.dest: values.get(option.dest) for option in OPTIONS}, {})


def test_a_plain_folder_named_for_training_is_fitted_on(tmp_path):
    asked = options(data=folder(tmp_path / "val", 0), train_data=folder(tmp_path / "train", 1))
    train = training_images(asked, CARD, measured_images(asked, CARD, 100))
    assert train is not None
    assert len(train) == 20


def test_measured_pictures_are_refused_as_training_pictures(tmp_path):
    same = folder(tmp_path / "val", 0)
    asked = options(data=same, train_data=same)
    with pytest.raises(ClaimsError, match="holds the very pictures that are measured"):
        training_images(asked, CARD, measured_images(asked, CARD, 100))


def test_without_training_data_a_folder_has_none_and_the_embedded_pictures_have_theirs(tmp_path):
    asked = options(data=folder(tmp_path / "val", 0))
    assert training_images(asked, CARD, measured_images(asked, CARD, 100)) is None
    train = training_images(options(), CARD, measured_images(options(), CARD, 100))
    assert train is not None
    assert len(train) == 200 * 10


def test_budgets_open_whole_chunks_and_a_given_set_is_opened_whole():
    assert len(measured_images(options(), CARD, 100)) == 128
    assert len(measured_images(options(max_images="70", batch_size="50"), CARD, 100)) == 100
    assert len(measured_images(options(claims_target="images"), CARD, 100)) == 2000


def test_probes_are_fitted_on_pictures_of_the_same_switches_unless_others_are_named():
    data = "embedded:background_correlation=0.5"
    for named, expected in ((None, "embedded/train:background_correlation=0.5"), ("embedded", "embedded/train")):
        asked = options(data=data, train_data=named)
        train = training_images(asked, CARD, measured_images(asked, CARD, 100))
        assert train is not None
        assert (train.name, len(train)) == (expected, 200 * 10)


def test_a_first_run_without_pictures_hears_once_what_works(monkeypatch):
    monkeypatch.setattr(ModelEntry, "missing", lambda entry: "")
    with pytest.raises(ClaimsError) as refused:
        check_models(parse({"model": ["test_vit", "test_vit2"]}, {}))
    lines = str(refused.value).splitlines()
    assert len([line for line in lines if "answers 1000 classes; the embedded pictures have 10." in line]) == 2
    assert len([line for line in lines if line.startswith("  --data ")]) == 2
    assert "hundreds" in lines[-2]
    assert "claims plan" in lines[-1]


def test_claims_that_no_models_fit_are_told_once_for_every_reason():
    told = unmatched_notes({"a": "no cnn", "b": "no vit", "c": "no cnn"})
    assert told == ["a, c were asked of no models: no cnn", "b was asked of no models: no vit"]
