"""Single units and attributes: AUC against scikit-learn, choice and score on different pictures, what labels say."""

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from harness.errors import ClaimsError
from harness.fixtures.planted.patchwork import Patchwork, PatchworkReader
from harness.images.procedural import EmbeddedImages
from harness.readouts.units.attributes import BestUnits, best_unit_scores, free_attributes, halves_of
from support.claims import loaded
from support.planted import Planted, PlantedImages

ONE = np.zeros(1, dtype=np.int64)
RANDOM = np.random.Generator(np.random.PCG64(0))


def scored(responses, values):
    first, second = halves_of(values)
    return best_unit_scores((rankdata(responses[first], axis=0), rankdata(responses[second], axis=0)), values)


def place_of(pictures, **reader):
    return loaded(PatchworkReader(mixing=(0.0, 0.0), **reader), pictures).place("given", len(pictures), lambda b: None)


def test_the_score_is_the_area_of_the_unit_chosen_on_the_other_half():
    values = RANDOM.integers(0, 3, 200)
    responses = RANDOM.normal(size=(200, 7)).round(1)  # with ties
    responses[:, 4] += values == 1
    responses[:, 2] -= 2.0 * (values == 2)
    found = scored(responses, values)
    assert set(found) == {0, 1, 2}
    for value in (0, 1, 2):
        areas = [roc_auc_score(values[::2] == value, responses[::2, unit]) for unit in range(7)]
        best = int(np.argmax(np.abs(np.array(areas) - 0.5)))
        other = roc_auc_score(values[1::2] == value, responses[1::2, best])
        assert found[value] == pytest.approx(other if areas[best] >= 0.5 else 1 - other)
    assert found[2] > 0.8  # a unit that falls silent tells as much as one that fires


def test_thousands_of_units_do_not_help_where_there_is_nothing_to_tell():
    found = scored(RANDOM.normal(size=(400, 3000)), RANDOM.integers(0, 2, 400))
    assert np.mean(list(found.values())) == pytest.approx(0.5, abs=0.1)


def test_values_that_hardly_occur_and_pictures_without_the_attribute_are_left_out():
    values = np.array([0] * 60 + [1] * 60 + [2] * 12 + [-1] * 100)
    assert set(scored(RANDOM.normal(size=(232, 4)), values)) == {0, 1}
    assert not np.isin(np.flatnonzero(values < 0), np.concatenate(halves_of(values))).any()


def test_attributes_that_the_label_says_or_that_never_vary_are_not_free():
    labels = RANDOM.integers(0, 10, 500)
    attributes = {
        "label": labels,
        "superclass": labels // 3,
        "plain": np.zeros(500, dtype=int),
        "none": -np.ones(500, dtype=int),
        "colour": RANDOM.integers(0, 4, 500),
    }
    assert set(free_attributes(attributes, labels)) == {"colour"}


def test_the_embedded_pictures_have_free_attributes():
    images = EmbeddedImages(split="test", seed=0, limit=300)
    assert set(free_attributes(images.attributes, images.labels)) == {"colour", "size", "across", "down", "ground"}


def test_units_tell_what_they_see_and_nothing_where_attributes_are_shuffled():
    pictures = Patchwork(seed=0, count=480, decoys=True)
    seeing, blind = place_of(pictures), place_of(pictures, looks="left")
    areas = []
    for value in range(6):
        units = (pictures.shown == value).mean(axis=(1, 2))
        areas.append(roc_auc_score(pictures.decoy[1::2] == value, units[1::2]))
    assert BestUnits().numbers(seeing, ONE)[0] == pytest.approx(np.mean(areas), abs=1e-6)
    assert BestUnits().numbers(blind, ONE)[0] < 0.7
    assert BestUnits(shuffled=True).numbers(seeing, ONE)[0] == pytest.approx(0.5, abs=0.05)


def test_pictures_without_attributes_and_too_few_pictures_are_refused():
    place = loaded(Planted(), PlantedImages()).place("given", 32, lambda blocks: None)
    with pytest.raises(ClaimsError, match="the attributes of the pictures are not known"):
        BestUnits().numbers(place, ONE)
    with pytest.raises(ClaimsError, match="of 16 pictures no attribute has 10 with and without a value"):
        BestUnits().numbers(place_of(Patchwork(seed=0, count=16, decoys=True)), ONE)
