"""Fits are made once, survive a kill, and are never mistaken for the fit of something else."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.images.sampling import batch_ranges
from harness.probes.moments import Moments
from harness.probes.probe import Fit, Probe
from harness.probes.ridge import fit_ridge
from harness.probes.training import linear
from harness.probes.training.design import Design
from harness.probes.training.files import FitPlace
from harness.probes.training.fits import fit_all, fit_id
from harness.probes.training.linear import Training
from support.claims import loaded
from support.planted import Counting, Planted, PlantedImages

TRAIN = PlantedImages(count=160, seed=11, noise=0.5)
PROBES = (Probe(layer=5), Probe(layer=2, kind="class+patch mean"), Probe(layer=2, kind="patch mean", labels="permuted"))


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def fitted(folder, subject=None, images=TRAIN, probes=PROBES, kill_at: int = 10**9, seed: int = 0) -> dict[Probe, Fit]:
    def advance(what: str, done: int, total: int) -> None:
        assert (what, total) == ("training images", len(images))
        if done >= kill_at:
            raise Killed

    training = Training(subject=subject or Planted(), images=images, chunks=batch_ranges(len(images), 32), seed=seed)
    return fit_all(probes, training, FitPlace(folder=folder, context="here"), advance)


def assert_same(one: dict[Probe, Fit], other: dict[Probe, Fit]) -> None:
    assert one.keys() == other.keys()
    for probe, fit in one.items():
        assert fit.strength == other[probe].strength
        for name in ("centre", "weights", "bias"):
            assert torch.equal(getattr(fit, name), getattr(other[probe], name))


def test_a_fit_is_made_once(tmp_path):
    counted = Counting(inner=Planted())
    first = fitted(tmp_path, counted)
    assert counted.passes == len(TRAIN)
    assert_same(fitted(tmp_path, counted), first)
    assert counted.passes == len(TRAIN), "the second time everything is read from the cache"
    fitted(tmp_path, counted, probes=(*PROBES, Probe(layer=0, kind="patch mean")))
    assert counted.passes == 2 * len(TRAIN)
    assert counted.stepped[-1][0] == 0, "only as deep as the new probe needs"


def test_a_killed_fit_goes_on_where_it_stood_and_ends_in_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "ROWS_PER_UPDATE", 32)
    expected = fitted(None)
    monkeypatch.setattr(linear, "CHECKPOINT_SECONDS", -1.0)
    before, after = Counting(inner=Planted()), Counting(inner=Planted())
    with pytest.raises(Killed):
        fitted(tmp_path, before, kill_at=96)  # killed in the third chunk, before its checkpoint
    assert_same(fitted(tmp_path, after), expected)
    assert (before.passes, after.passes) == (96, len(TRAIN) - 64)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name or "draft" in path.name] == []


def test_a_fit_without_a_folder_is_kept_in_memory_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted(None)
    assert list(tmp_path.iterdir()) == []


def test_a_subset_of_probes_does_not_meet_the_checkpoint_of_others(tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(linear, "ROWS_PER_UPDATE", 32)
    with pytest.raises(Killed):
        fitted(tmp_path, kill_at=96)
    assert any("partial" in path.name for path in tmp_path.iterdir())
    assert_same(fitted(tmp_path, probes=PROBES[:1]), {PROBES[0]: fitted(None)[PROBES[0]]})


def test_permuted_labels_are_fixed_by_the_seed_and_are_not_the_labels():
    permuted = Probe(layer=5, labels="permuted")
    one, same, other = (fitted(None, probes=(permuted, Probe(layer=5)), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one[permuted].weights, same[permuted].weights)
    assert not torch.equal(one[permuted].weights, other[permuted].weights)
    scores = [one[probe].scores(inputs()) for probe in (permuted, Probe(layer=5))]
    right = [(score.argmax(1).numpy() == TRAIN.labels).mean() for score in scores]
    assert right[1] == 1.0
    assert right[0] < 0.9


def inputs() -> torch.Tensor:
    subject = Planted()
    stream = subject.start(TRAIN.load(range(len(TRAIN)), subject.card.preprocessing))
    for block in range(subject.card.depth):
        stream = subject.step(block, stream)
    return stream.tokens[:, 0]


def test_training_images_without_labels_or_too_few_of_them_are_refused():
    for images in (replace(TRAIN, labelled=False), replace(TRAIN, count=4)):
        with pytest.raises(ClaimsError, match="at least 5 labelled training images"):
            fitted(None, images=images)


PLACES = {
    "weights": {"subject": Planted(kind="early carrier")},
    "training images": {"train": PlantedImages(count=160, seed=12)},
    "number of training images": {"train": PlantedImages(count=96, total=160, seed=11, noise=0.5)},
    "batch size": {"batch_size": 16},
    "seed": {"seed": 1},
    "dtype": {"dtype": "float64"},
}


@pytest.mark.parametrize("change", PLACES)
def test_whatever_a_fit_depends_on_is_in_its_name(change):
    def name(**settings) -> str:
        return fit_id(loaded(**{"train": TRAIN, **settings}).fit_place("given"), PROBES[0])

    assert name() == name()
    assert name(**PLACES[change]) != name()
    assert fit_id(loaded(train=TRAIN).fit_place("untrained"), PROBES[0]) != name()


def test_every_probe_has_a_name_of_its_own(monkeypatch):
    place = FitPlace(folder=None, context="here")
    others = [
        Probe(layer=4),
        Probe(layer=5, kind="patch mean"),
        Probe(layer=5, normed=True),
        Probe(layer=5, labels="permuted"),
        Probe(layer=5, kind="patch", position=3),
        Probe(layer=5, stream="attention write"),
        Probe(layer=5, after=2),
        Probe(layer=5, shots=3),
        Probe(layer=5, standardized=True),
        Probe(layer=5, standardized=True, family="lda"),
    ]
    names = [fit_id(place, probe) for probe in (Probe(layer=5), *others)]
    assert len(set(names)) == len(names)
    monkeypatch.setattr("harness.probes.training.code.fingerprint", lambda *roots: "changed")
    assert fit_id(place, Probe(layer=5)) not in names


def test_a_damaged_fit_is_an_error_and_no_fit(tmp_path):
    fitted(tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(Exception, match=r"(?i)header|invalid|incomplete"):
        fitted(tmp_path)


def test_folds_and_chunks_do_not_depend_on_which_probes_are_fitted_together():
    together, alone = fitted(None), {probe: fitted(None, probes=(probe,))[probe] for probe in PROBES}
    assert_same(together, alone)
    np.testing.assert_equal(len(together), len(PROBES))


def test_a_learning_curve_of_every_layer_takes_one_pass():
    counted = Counting(inner=Planted())
    probes = [Probe(layer=layer, shots=shots) for layer in range(6) for shots in (1, 2, 5, 10, 20, None)]
    made = fitted(None, counted, probes=probes)
    assert counted.passes == len(TRAIN)
    assert len(counted.stepped) == 6 * len(batch_ranges(len(TRAIN), 32))
    assert len(made) == len(probes)


def test_a_fit_of_few_shots_equals_the_fit_on_those_images_alone():
    probe = Probe(layer=5, shots=7)
    taken = np.concatenate([np.flatnonzero(TRAIN.labels == label)[:7] for label in range(4)])
    design = Design(TRAIN.labels, batch_ranges(len(TRAIN), 32), 0)
    direct = Moments.empty(5, 4, ("own",))
    direct.add(inputs().numpy()[taken], {"own": TRAIN.labels[taken]}, design.folds[taken])
    expected, fit = fit_ridge(direct), fitted(None, probes=(probe,))[probe]
    assert fit.strength == expected.strength
    torch.testing.assert_close(fit.scores(inputs()), expected.scores(inputs()), atol=1e-4, rtol=1e-4)


def test_probes_fitted_on_exchanged_class_tokens_read_what_those_hold():
    """One that carries its class tells what an image is not; one that the last block fills is filled anew."""

    def right(kind: str, probe: Probe) -> float:
        subject = Planted(kind=kind)
        stream = subject.start(TRAIN.load(range(len(TRAIN)), subject.card.preprocessing))
        for block in range(probe.layer + 1):
            stream = subject.step(block, stream)
        fit = fitted(None, subject, probes=(probe,))[probe]
        return (fit.scores(stream.tokens[:, 0]).argmax(1).numpy() == TRAIN.labels).mean()

    assert right("early carrier", Probe(layer=2)) == 1.0
    assert right("early carrier", Probe(layer=2, after=2)) == 0.0
    assert right("late reader", Probe(layer=5, after=2)) == 1.0


def test_probes_that_do_not_fit_into_memory_together_take_further_passes(monkeypatch):
    together = fitted(None)
    monkeypatch.setattr(linear, "HELD_BYTES", 1)
    counted = Counting(inner=Planted())
    assert_same(fitted(None, counted), together)
    assert counted.passes == len(PROBES) * len(TRAIN)


def test_a_kill_in_a_later_pass_keeps_the_fits_of_the_earlier_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(linear, "HELD_BYTES", 1)
    passes = []

    def advance(what: str, done: int, total: int) -> None:
        passes.append(done)
        if len(passes) == 8:  # in the second pass of five chunks each
            raise Killed

    training = Training(subject=Planted(), images=TRAIN, chunks=batch_ranges(len(TRAIN), 32), seed=0)
    with pytest.raises(Killed):
        fit_all(PROBES, training, FitPlace(folder=tmp_path, context="here"), advance)
    counted = Counting(inner=Planted())
    assert_same(fitted(tmp_path, counted), fitted(None))
    assert counted.passes == 2 * len(TRAIN)


def test_a_probe_that_the_model_cannot_have_is_refused_before_the_pass():
    counted = Counting(inner=Planted())
    with pytest.raises(ClaimsError, match=r"patch tokens are 0\.\.15"):
        fitted(None, counted, probes=(Probe(layer=0, kind="patch", position=99),))
    assert counted.passes == 0


def test_memory_stays_flat_when_ten_times_as_many_images_are_streamed():
    def peak(count: int) -> int:
        images = PlantedImages(count=count, seed=11)
        assert images.labels is not None
        tracemalloc.start()
        fitted(None, images=images, probes=(Probe(layer=5), Probe(layer=2, kind="class+patch mean")))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(100)  # what is imported and cached on the way is counted once
    few, many = peak(1000), peak(10_000)
    per_image = (many - few) / 9000
    assert per_image < 200, "a few numbers per image (label, fold, rank), and no features"
