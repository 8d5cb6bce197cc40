"""LDA, logistic and under-trained probes equal those of scikit-learn, or loops, on the same features and folds."""

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from harness.images.sampling import batch_ranges
from harness.probes.lda import SHRINKAGES, fit_lda, fold_costs
from harness.probes.logistic import STRENGTHS, Examples, fit_logistic, fit_sgd
from harness.probes.moments import Moments
from harness.probes.probe import ABSENT, FOLDS, Fit, Probe
from harness.probes.training.files import FitPlace
from harness.probes.training.fits import fit_all
from harness.probes.training.linear import Training
from support.features import CLASSES, IMAGES, WIDTH, data, moments
from support.planted import Planted, PlantedImages


def examples(classes: int = CLASSES) -> Examples:
    inputs, labels, folds = data()
    return Examples(inputs=inputs, labels=labels, folds=folds, classes=classes)


def scores(fit: Fit) -> np.ndarray:
    return fit.scores(torch.from_numpy(data()[0]).float()).numpy()


def relative(values: np.ndarray) -> np.ndarray:
    """Remove what all classes share: it changes no rank and no probability."""
    return values - values.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("shrinkage", [1e-3, 0.1, 0.7, 1.0])
def test_lda_scores_equal_those_of_scikit_learn(shrinkage):
    inputs, labels, _ = data()
    twin = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage))
    expected = twin.fit(inputs, labels).decision_function(inputs)
    got = scores(fit_lda(moments(), shrinkages=(shrinkage,)))
    np.testing.assert_allclose(relative(got), relative(expected), atol=1e-4)


def test_the_cost_of_a_shrinkage_is_the_likelihood_of_an_explicit_refit():
    inputs, labels, folds = data()
    for fold in range(FOLDS):
        rest, held = folds != fold, folds == fold
        scaler = StandardScaler().fit(inputs[rest])
        train, test = scaler.transform(inputs[rest]), scaler.transform(inputs[held])
        direct = []
        for shrinkage in SHRINKAGES:
            twin = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage, store_covariance=True)
            twin.fit(train, labels[rest])
            apart = test - twin.means_[labels[held]]
            squares = np.einsum("if,fg,ig->", apart, np.linalg.inv(twin.covariance_), apart)
            direct.append(squares + held.sum() * np.linalg.slogdet(twin.covariance_)[1])
        np.testing.assert_allclose(fold_costs(moments(), "own", fold, SHRINKAGES), direct, rtol=1e-8)


def test_lda_of_one_image_per_class_takes_the_nearest_one():
    random = np.random.default_rng(0)
    inputs = random.normal(size=(CLASSES, WIDTH))
    single = Moments.empty(WIDTH, CLASSES, ("own",))
    single.add(inputs, {"own": np.arange(CLASSES)}, np.arange(CLASSES))
    fit = fit_lda(single)
    asked = random.normal(size=(50, WIDTH))
    scale = inputs.std(axis=0)
    nearest = (((asked[:, None] - inputs[None]) / scale) ** 2).sum(-1).argmin(1)
    assert fit.scores(torch.from_numpy(asked).float()).argmax(1).tolist() == nearest.tolist()


@pytest.mark.parametrize("strength", [1.0, 1e-2, 1e-4])
def test_logistic_scores_equal_those_of_scikit_learn(strength):
    inputs, labels, _ = data()
    ridge = LogisticRegression(C=1.0 / (strength * IMAGES), tol=1e-9, max_iter=10_000)
    expected = make_pipeline(StandardScaler(), ridge).fit(inputs, labels).decision_function(inputs)
    got = scores(fit_logistic(examples(), strengths=(strength,)))
    np.testing.assert_allclose(relative(got), relative(expected), atol=1e-3)


def test_the_strength_of_a_logistic_probe_has_the_least_held_out_cross_entropy():
    inputs, labels, folds = data()
    losses = []
    for strength in STRENGTHS:
        loss = 0.0
        for fold in range(FOLDS):
            rest, held = folds != fold, folds == fold
            ridge = LogisticRegression(C=1.0 / (strength * rest.sum()), tol=1e-9, max_iter=10_000)
            twin = make_pipeline(StandardScaler(), ridge).fit(inputs[rest], labels[rest])
            loss -= np.log(twin.predict_proba(inputs[held])[np.arange(held.sum()), labels[held]]).sum()
        losses.append(loss)
    chosen = STRENGTHS.index(fit_logistic(examples()).strength)
    assert chosen == int(np.argmin(losses))
    assert 0 < chosen < len(STRENGTHS) - 1


def test_the_under_trained_family_stays_near_its_random_start():
    own, under = (scores(fit).argmax(1) for fit in (fit_logistic(examples()), fit_sgd(examples(), 0)))
    right = [(said == data()[1]).mean() for said in (own, under)]
    assert right[0] > 0.5
    assert right[1] < right[0] - 0.15
    assert (scores(fit_sgd(examples(), 0)) == scores(fit_sgd(examples(), 0))).all()
    assert not np.allclose(scores(fit_sgd(examples(), 0)), scores(fit_sgd(examples(), 1)))


@pytest.mark.parametrize("family", ["lda", "logistic"])
def test_a_class_without_training_images_scores_far_below_all_others(family):
    inputs, labels, folds = data()
    more = Moments.empty(WIDTH, CLASSES + 1, ("own",))
    more.add(inputs, {"own": labels}, folds)
    fit = fit_lda(more) if family == "lda" else fit_logistic(examples(CLASSES + 1))
    got = scores(fit)
    assert np.isfinite(got).all()
    assert (got[:, CLASSES] == ABSENT).all()
    assert (got[:, :CLASSES] > ABSENT / 2).all()


@pytest.mark.parametrize("family", ["ridge", "lda", "logistic", "sgd"])
def test_every_family_is_fitted_from_the_pass_and_resumes_from_its_file(tmp_path, family):
    train = PlantedImages(count=160, seed=11, noise=0.5)
    training = Training(subject=Planted(), images=train, chunks=batch_ranges(160, 32), seed=0)
    place = FitPlace(folder=tmp_path, context="here")
    probes = [
        Probe(layer=5, family=family, standardized=True, **more)
        for more in ({}, {"shots": 9}, {"labels": "permuted"}, {"labels": "permuted", "shots": 8})
    ]
    made = fit_all(probes, training, place, lambda *step: None)
    again = fit_all(probes, training, place, lambda *step: pytest.fail("nothing is left to be fitted"))
    for probe in probes:
        assert torch.equal(made[probe].weights, again[probe].weights)
    stream = Planted().start(train.load(range(160), Planted().card.preprocessing))
    for block in range(6):
        stream = Planted().step(block, stream)
    right = [(made[p].scores(stream.tokens[:, 0]).argmax(1).numpy() == train.labels).mean() for p in probes]
    if family == "sgd":
        assert max(right) < 0.9
    else:
        assert right[0] == 1.0
        assert right[1] > 0.95
        assert max(right[2:]) < 0.6
