"""Fits are made once, survive a kill, and are never mistaken for the fit of something else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.claims import bench
from support.planted import Counting, Planted, PlantedImages

from harness import fits
from harness.chunks import chunk_grid
from harness.errors import ClaimsError
from harness.fits import FitPlace, fit_probes
from harness.probes import Fit, Probe

TRAIN = PlantedImages(count=160, seed=11, noise=0.5)
PROBES = (Probe(layer=5), Probe(layer=2, kind="class+patch mean"), Probe(layer=2, kind="patch mean", labels="permuted"))


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def fitted(folder, subject=None, images=TRAIN, probes=PROBES, kill_at: int = 10**9, seed: int = 0) -> dict[Probe, Fit]:
    def advance(done: int) -> None:
        if done >= kill_at:
            raise Killed

    return fit_probes(
        probes,
        subject or Planted(),
        images,
        FitPlace(folder=folder, context="here"),
        chunks=chunk_grid(len(images), 32),
        seed=seed,
        advance=advance,
    )


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
    expected = fitted(None)
    monkeypatch.setattr(fits, "CHECKPOINT_SECONDS", -1.0)
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
    monkeypatch.setattr(fits, "CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(Killed):
        fitted(tmp_path, kill_at=96)
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
        return bench(**{"train": TRAIN, **settings}).fit_place("given").id(PROBES[0])

    assert name() == name()
    assert name(**PLACES[change]) != name()
    assert bench(train=TRAIN).fit_place("untrained").id(PROBES[0]) != name()


def test_every_probe_has_a_name_of_its_own(monkeypatch):
    place = FitPlace(folder=None, context="here")
    others = [
        Probe(layer=4),
        Probe(layer=5, kind="patch mean"),
        Probe(layer=5, normed=True),
        Probe(layer=5, labels="permuted"),
    ]
    names = [place.id(probe) for probe in (Probe(layer=5), *others)]
    assert len(set(names)) == len(names)
    monkeypatch.setattr("harness.fits.code_revision", lambda kinds: "changed")
    assert place.id(Probe(layer=5)) not in names


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
