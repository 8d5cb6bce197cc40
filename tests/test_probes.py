"""Ridge probes from streamed moments equal ridge regression on the features themselves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from harness.errors import ClaimsError
from harness.probes.moments import Moments
from harness.probes.probe import FOLDS, Probe, check_probe, features
from harness.probes.ridge import STRENGTHS, fit_ridge, fold_errors
from support.features import CLASSES, IMAGES, WIDTH, data, moments
from support.planted import Planted, PlantedImages


def twin(strength: float, rows: np.ndarray, standardized: bool = False):
    """Fit the same regression with scikit-learn."""
    inputs, labels, _ = data()
    targets = 2.0 * np.eye(CLASSES)[labels] - 1.0
    variance = 1.0 if standardized else np.var(inputs[rows], axis=0).mean()
    ridge = Ridge(alpha=strength * rows.sum() * variance)
    return (make_pipeline(StandardScaler(), ridge) if standardized else ridge).fit(inputs[rows], targets[rows])


@pytest.mark.parametrize("strength", [1e-6, 1e-2, 1.0, 10.0])
@pytest.mark.parametrize("standardized", [False, True])
def test_scores_equal_those_of_scikit_learn_with_the_same_penalty(strength, standardized):
    inputs, _, _ = data()
    fit = fit_ridge(moments(), strengths=(strength,), standardized=standardized)
    expected = twin(strength, np.ones(IMAGES, dtype=bool), standardized).predict(inputs)
    np.testing.assert_allclose(fit.scores(torch.from_numpy(inputs).float()).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("standardized", [False, True])
def test_the_strength_is_the_one_with_the_least_cross_validated_error(standardized):
    inputs, labels, folds = data()
    targets = 2.0 * np.eye(CLASSES)[labels] - 1.0
    errors = []
    for strength in STRENGTHS:
        error = 0.0
        for fold in range(FOLDS):
            held, model = folds == fold, twin(strength, folds != fold, standardized)
            error += ((model.predict(inputs[held]) - targets[held]) ** 2).sum()
        errors.append(error)
    assert fit_ridge(moments(), standardized=standardized).strength == STRENGTHS[int(np.argmin(errors))]
    assert 0 < int(np.argmin(errors)) < len(STRENGTHS) - 1, "the choice is no end of the grid, or this shows little"


@pytest.mark.parametrize("standardized", [False, True])
def test_errors_of_a_fold_are_those_of_an_explicit_refit_up_to_what_all_strengths_share(standardized):
    inputs, labels, folds = data()
    targets, strengths = 2.0 * np.eye(CLASSES)[labels] - 1.0, (1e-6, 1e-3, 0.1, 10.0)
    for fold in range(FOLDS):
        held, rest = folds == fold, folds != fold
        direct = [
            ((twin(strength, rest, standardized).predict(inputs[held]) - targets[held]) ** 2).sum()
            for strength in strengths
        ]
        errors = fold_errors(moments(), "own", fold, strengths, standardized=standardized)
        np.testing.assert_allclose(errors - errors[0], np.array(direct) - direct[0], rtol=1e-7, atol=1e-8)


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


def test_a_patch_probe_reads_its_own_token():
    subject, images = Planted(), PlantedImages(count=8, noise=0.3)
    stream = subject.start(images.load(range(8), subject.card.preprocessing))
    read = features(Probe(layer=-1, kind="patch", position=3), subject, stream)
    torch.testing.assert_close(read, stream.tokens[:, 4])


@pytest.mark.parametrize("kind", ["class", "patch mean", "class+patch mean"])
@pytest.mark.parametrize("normed", [False, True])
def test_features_are_what_their_kind_says(kind, normed):
    subject, images = Planted(), PlantedImages(count=8, noise=0.3)
    stream = subject.step(0, subject.start(images.load(range(8), subject.card.preprocessing)))
    parts = {"class": [stream.tokens[:, 0]], "patch mean": [stream.tokens[:, 1:].mean(1)]}
    expected = torch.cat([part for name in kind.split("+") for part in parts[name]], dim=1)
    torch.testing.assert_close(features(Probe(layer=0, kind=kind, normed=normed), subject, stream), expected)


def test_probes_that_read_the_same_share_their_features():
    same = [
        Probe(layer=2),
        Probe(layer=2, labels="permuted"),
        Probe(layer=2, shots=5),
        Probe(layer=2, standardized=True, family="lda"),
        Probe(layer=2, after=3),
    ]
    others = [
        Probe(layer=3),
        Probe(layer=2, normed=True),
        Probe(layer=2, kind="patch mean"),
        Probe(layer=2, kind="patch", position=0),
        Probe(layer=2, kind="patch", position=1),
        Probe(layer=2, stream="attention write"),
        Probe(layer=2, after=2),
        Probe(layer=2, after=1),
    ]
    assert len(set(same)) == len(same)
    assert len({probe.reads for probe in same}) == 1
    assert len({probe.reads for probe in (same[0], *others)}) == 1 + len(others)


def test_an_exchange_reaches_what_comes_after_it_alone():
    """The stream after the block of the exchange is exchanged; what that block itself wrote is not."""
    assert Probe(layer=2, after=2).reads.after == 2
    assert Probe(layer=2, after=3).reads.after is None
    assert Probe(layer=2, stream="mlp write", after=2).reads.after is None
    assert Probe(layer=2, stream="mlp write", after=1).reads.after == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "patch"}, "position None; only 'patch' has one"),
        ({"position": 3}, "kind 'class' at position 3"),
        ({"layer": -1, "stream": "mlp write"}, "layer -1 has no 'mlp write'"),
        ({"shots": 0}, "0 shots"),
        ({"family": "lda"}, "say standardized=True"),
    ],
)
def test_fields_that_do_not_go_together_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Probe(**{"layer": 2, **fields})


@pytest.mark.parametrize(
    ("probe", "lacks", "words"),
    [
        (Probe(layer=6), set(), "the blocks are 0..5"),
        (Probe(layer=5, after=-2), set(), "the blocks are 0..5"),
        (Probe(layer=5, kind="patch", position=16), set(), "the patch tokens are 0..15"),
        (Probe(layer=5, stream="mlp write"), {"writes"}, "no sum of an attention and an MLP write"),
    ],
)
def test_what_a_model_does_not_have_is_refused_before_any_pass(probe, lacks, words):
    with pytest.raises(ClaimsError, match=words):
        check_probe(probe, Planted(lacks=frozenset(lacks)).card)


def test_a_model_without_a_class_token_has_no_probe_of_it():
    card = replace(Planted().card, prefix=())
    check_probe(Probe(layer=1, kind="patch mean"), card)
    for probe in (Probe(layer=1), Probe(layer=1, kind="patch mean", after=0)):
        with pytest.raises(ClaimsError, match="no class token"):
            check_probe(probe, card)
