"""Neural collapse against closed forms and second implementations, and batches of training pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import NotApplicable
from harness.fixtures.planted.class_mean_worlds import CLASSES, TRAIN, WORLDS
from harness.measurement.on_members import OnMembers
from harness.readouts import neural_collapse as nc
from harness.readouts.members import TrainBatches
from support.claims import bench
from support.planted import Planted, PlantedImages

TRUE = WORLDS["features collapse to a simplex"]
LABELS = np.repeat(np.arange(4), 5)
CORNERS = np.eye(4)[LABELS]


def drawn(seed: int, classes: int = 4, width: int = 6, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % classes)
    return random.normal(size=(classes, width))[labels] + 0.5 * random.normal(size=(count, width)), labels


def test_corners_of_a_simplex_have_collapsed():
    assert nc.within(CORNERS, LABELS) == pytest.approx(0.0, abs=1e-12)
    assert nc.angle(CORNERS, LABELS) == pytest.approx(0.0, abs=1e-12)
    assert nc.spread(CORNERS, LABELS) == pytest.approx(0.0, abs=1e-12)
    assert nc.duality(CORNERS, LABELS, 7.0 * np.eye(4) + 3.0) == pytest.approx(0.0, abs=1e-12)
    assert nc.disagreement(CORNERS, LABELS, LABELS) == 0.0
    assert nc.disagreement(CORNERS, LABELS, (LABELS + 1) % 4) == 1.0


def test_means_on_a_line_have_cosines_of_one():
    line = np.array([[-2.0], [-1.0], [1.0], [2.0]])[LABELS]
    # Of six pairs two point the same way and four opposite ways: (2 x (1 + 1/3) + 4 x (1 - 1/3)) / 6.
    assert nc.angle(line, LABELS) == pytest.approx(8 / 9)
    assert nc.spread(line, LABELS) == pytest.approx(0.5 / 1.5)


@given(st.integers(0, 99))
def test_the_scatter_within_equals_the_pseudo_inverse_written_out(seed):
    features, labels = drawn(seed)
    means = np.stack([features[labels == kind].mean(axis=0) for kind in range(4)])
    inner = np.cov((features - means[labels]).T, bias=True)
    between = np.cov(means.T, bias=True)
    values, axes = np.linalg.eigh(between)
    kept = axes[:, -3:] / values[-3:]  # rank C - 1
    expected = np.trace(inner @ kept @ axes[:, -3:].T) / 4
    assert nc.within(features, labels) == pytest.approx(expected, rel=1e-8)


@given(st.integers(0, 99), st.floats(0.1, 10.0))
def test_numbers_do_not_change_with_rotation_scale_and_shift(seed, scale):
    features, labels = drawn(seed)
    turn = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(6, 6)))[0]
    moved = scale * features @ turn + 3.0
    answers = np.random.default_rng(seed).permutation(labels)
    for number in (nc.within, nc.angle, nc.spread):
        assert number(moved, labels) == pytest.approx(number(features, labels), rel=1e-6)
    assert nc.disagreement(moved, labels, answers) == nc.disagreement(features, labels, answers)


def test_classes_that_are_not_there_have_no_mean():
    features, labels = drawn(3)
    there = labels != 1
    answers = np.where(labels == 1, 3, labels)
    assert nc.angle(features[there], labels[there]) == pytest.approx(nc.angle(features[there], answers[there] * 2))
    assert 0 <= nc.disagreement(features[there], labels[there], labels[there]) <= 1


def test_batches_are_of_training_pictures_as_many_as_classes_want():
    train = TRUE.train_images(0)
    table = bench(TRUE.subjects(0)[""], TRUE.test_images(0), train=train)
    source = OnMembers(table, TrainBatches(), 10)
    assert source.what == "batches of training pictures"
    assert (source.pictures, source.usable) == (10 * CLASSES, TRAIN // (10 * CLASSES))
    assert source.pictures_behind(3) == 30 * CLASSES
    with pytest.raises(NotApplicable, match="batches of 3000 pictures"):
        OnMembers(table, TrainBatches(), 500)


def test_without_training_pictures_there_are_none():
    with pytest.raises(NotApplicable, match="0 pictures are here"):
        OnMembers(bench(Planted(), PlantedImages()), TrainBatches(), 10)


def test_the_number_before_the_head_is_about_its_rows():
    with pytest.raises(ValueError, match="before the head"):
        nc.NeuralCollapse(number="duality", block=2)
