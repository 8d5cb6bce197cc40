"""Ridge probes from streamed moments equal ridge regression on the features themselves."""

from functools import cache

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from support.planted import Planted, PlantedImages

from harness.probes import FOLDS, STRENGTHS, Moments, Probe, _solve, _squared_error, features, fit_ridge

CLASSES, WIDTH, IMAGES = 4, 9, 300


@cache
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw features [image, feature] that tell classes apart a little, labels and folds."""
    random = np.random.default_rng(0)
    labels = np.arange(IMAGES) % CLASSES
    centres = random.normal(size=(CLASSES, WIDTH))
    mixing = random.normal(size=(WIDTH, WIDTH))
    inputs = (centres[labels] + 2.0 * random.normal(size=(IMAGES, WIDTH))) @ mixing + 3.0
    return inputs, labels, random.permutation(IMAGES) % FOLDS


def moments(rows: slice = slice(None), parts: int = 7) -> Moments:
    """Stream the data in uneven parts."""
    inputs, labels, folds = data()
    streamed = Moments.empty(WIDTH, CLASSES, ("own",))
    for part in np.array_split(np.arange(IMAGES)[rows], parts):
        streamed.add(inputs[part], {"own": labels[part]}, folds[part])
    return streamed


def twin(strength: float, rows: np.ndarray) -> Ridge:
    """Fit the same regression with scikit-learn."""
    inputs, labels, _ = data()
    targets = 2.0 * np.eye(CLASSES)[labels] - 1.0
    variance = np.var(inputs[rows], axis=0).mean()
    return Ridge(alpha=strength * rows.sum() * variance).fit(inputs[rows], targets[rows])


@pytest.mark.parametrize("strength", [1e-6, 1e-2, 1.0, 10.0])
def test_scores_equal_those_of_scikit_learn_with_the_same_penalty(strength):
    inputs, _, _ = data()
    fit = fit_ridge(moments(), strengths=(strength,))
    expected = twin(strength, np.ones(IMAGES, dtype=bool)).predict(inputs)
    np.testing.assert_allclose(fit.scores(torch.from_numpy(inputs).float()).numpy(), expected, atol=1e-5)


def test_the_strength_is_the_one_with_the_least_cross_validated_error():
    inputs, labels, folds = data()
    targets = 2.0 * np.eye(CLASSES)[labels] - 1.0
    errors = []
    for strength in STRENGTHS:
        error = 0.0
        for fold in range(FOLDS):
            error += (
                (twin(strength, folds != fold).predict(inputs[folds == fold]) - targets[folds == fold]) ** 2
            ).sum()
        errors.append(error)
    assert fit_ridge(moments()).strength == STRENGTHS[int(np.argmin(errors))]
    assert 0 < int(np.argmin(errors)) < len(STRENGTHS) - 1, "the choice is no end of the grid, or this shows little"


def test_squared_errors_of_a_fold_are_read_from_its_moments_up_to_what_all_strengths_share():
    inputs, labels, folds = data()
    targets, held_out = 2.0 * np.eye(CLASSES)[labels] - 1.0, folds == 2
    streamed = moments()
    for centre, weights, bias in _solve(streamed, "own", np.arange(FOLDS) != 2, (1e-3, 0.1, 10.0)):
        direct = (((inputs[held_out] - centre) @ weights + bias - targets[held_out]) ** 2).sum()
        shared = held_out.sum() * CLASSES  # the sum of the squared targets, which are all +-1
        assert _squared_error(streamed, "own", 2, centre, weights, bias) + shared == pytest.approx(direct, rel=1e-9)


def test_fold_moments_equal_direct_sums():
    inputs, labels, folds = data()
    streamed = moments()
    for fold in range(FOLDS):
        rows = folds == fold
        assert streamed.count[fold] == rows.sum()
        np.testing.assert_allclose(streamed.total[fold], inputs[rows].sum(0))
        np.testing.assert_allclose(streamed.gram[fold], np.einsum("if,ig->fg", inputs[rows], inputs[rows]))
        for label in range(CLASSES):
            chosen = rows & (labels == label)
            np.testing.assert_allclose(streamed.cross["own"][fold, label], inputs[chosen].sum(0), atol=1e-9)
            assert streamed.per_class["own"][fold, label] == chosen.sum()


def test_how_the_images_are_cut_into_chunks_does_not_matter():
    one, many = fit_ridge(moments(parts=1)), fit_ridge(moments(parts=60))
    torch.testing.assert_close(one.weights, many.weights)
    assert one.strength == many.strength


def test_memory_does_not_grow_with_the_number_of_images():
    def held(streamed: Moments) -> int:
        arrays = [streamed.count, streamed.total, streamed.gram, *streamed.cross.values(), *streamed.per_class.values()]
        return sum(array.nbytes for array in arrays)

    assert held(moments(slice(0, 10), parts=1)) == held(moments()) == held(Moments.empty(WIDTH, CLASSES, ("own",)))


def test_labels_permuted_among_training_images_teach_nothing():
    random = np.random.default_rng(3)
    inputs, labels, folds = data()
    rights = []
    for _ in range(20):
        streamed = Moments.empty(WIDTH, CLASSES, ("permuted",))
        streamed.add(inputs[:200], {"permuted": random.permutation(labels[:200])}, folds[:200])
        scores = fit_ridge(streamed, "permuted").scores(torch.from_numpy(inputs[200:]).float()).numpy()
        rights.append((scores.argmax(1) == labels[200:]).mean())
    own = fit_ridge(moments(slice(0, 200))).scores(torch.from_numpy(inputs[200:]).float()).numpy()
    assert np.mean(rights) == pytest.approx(1 / CLASSES, abs=4 * np.std(rights) / np.sqrt(len(rights)) + 0.01)
    assert (own.argmax(1) == labels[200:]).mean() > 1 / CLASSES + 0.2


def test_a_class_without_training_images_and_constant_features_still_fit():
    streamed = Moments.empty(2, 3, ("own",))
    inputs = np.array([[1.0, 5.0], [2.0, 5.0]] * 5)
    streamed.add(inputs, {"own": np.array([0, 1] * 5)}, np.arange(10) % FOLDS)
    scores = fit_ridge(streamed).scores(torch.from_numpy(inputs).float())
    assert scores.isfinite().all()
    assert scores[:, 2].tolist() == pytest.approx([-1.0] * 10, abs=1e-4), "a class that never occurs is never likely"


@pytest.mark.parametrize("kind", ["class", "patch mean", "class+patch mean"])
@pytest.mark.parametrize("normed", [False, True])
def test_features_are_what_their_kind_says(kind, normed):
    subject, images = Planted(), PlantedImages(count=8, noise=0.3)
    stream = subject.step(0, subject.start(images.load(range(8), subject.card.preprocessing)))
    parts = {"class": [stream.tokens[:, 0]], "patch mean": [stream.tokens[:, 1:].mean(1)]}
    expected = torch.cat([part for name in kind.split("+") for part in parts[name]], dim=1)
    torch.testing.assert_close(features(Probe(layer=0, kind=kind, normed=normed), subject, stream), expected)


def test_probes_with_equal_inputs_share_their_moments():
    own, permuted = Probe(layer=2), Probe(layer=2, labels="permuted")
    assert own != permuted
    assert own.inputs == permuted.inputs
    assert (
        len(
            {
                Probe(layer=2).inputs,
                Probe(layer=3).inputs,
                Probe(layer=2, normed=True).inputs,
                Probe(layer=2, kind="patch mean").inputs,
            }
        )
        == 4
    )
