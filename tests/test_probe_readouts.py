"""What probes tell of single images and tokens equals what loops over images, tokens and classes say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.measurement.plan import Arm, Plan, level
from harness.measurement.runner import run
from harness.models.subject import Stream
from harness.probes.probe import Fit, Probe
from harness.readouts.linear_probes import (
    ProbeAccuracy,
    ProbeEntropy,
    ProbePatchAccuracy,
    ProbeTokenScore,
    probe_token_scores,
)
from harness.readouts.patches import PatchSampleAccuracy
from harness.readouts.reading import Reading
from harness.readouts.readout import block_of
from support.claims import bench, job
from support.planted import Planted, PlantedImages
from support.tiny import CLASSES, DEPTH, PATCHES, WIDTH, RandomImages, tiny_vit

COUNT = 5
IMAGES = RandomImages(count=COUNT)
CHUNK = Batch(positions=range(COUNT), donors=torch.arange(COUNT), labels=torch.from_numpy(IMAGES.labels), seed=0)
PATCH = Probe(layer=1, kind="patch", position=0)


def pictures() -> torch.Tensor:
    return IMAGES.load(range(COUNT), None)


def made(probes) -> dict[Probe, Fit]:
    """Draw a fit for every probe."""
    fits = {}
    for number, probe in enumerate(probes):
        random = torch.Generator().manual_seed(number)
        centre, weights, bias = (torch.randn(*s, generator=random) for s in ((WIDTH,), (WIDTH, CLASSES), (CLASSES,)))
        fits[probe] = Fit(centre=centre, weights=weights, bias=bias, strength=1.0)
    return fits


def states() -> list[Stream]:
    """Run to the stream after the embedding and after every block."""
    subject = tiny_vit()
    streams = [subject.start(pictures())]
    for block in range(DEPTH):
        streams.append(subject.step(block, streams[-1]))
    return streams


def reading(readout) -> Reading:
    block = block_of(readout, tiny_vit().card)
    return Reading(tiny_vit(), states()[block + 1], block, CHUNK, made(readout.fits), None)


def rank(scores: np.ndarray, label: int) -> int:
    return int((scores > scores[label]).sum())


@pytest.mark.parametrize("site", ["resid", "attention write", "mlp write"])
def test_patch_accuracy_is_the_share_of_tokens_on_which_their_own_probe_is_right(site):
    readout = ProbePatchAccuracy(probe=replace(PATCH, stream=site), patches=PATCHES)
    fits, subject = made(readout.fits), tiny_vit()
    writes = subject.writes(1, states()[1])
    tokens = {"resid": states()[2].tokens, "attention write": writes.attention, "mlp write": writes.mlp}[site]
    expected = []
    for image in range(COUNT):
        right = 0
        for place, probe in enumerate(readout.fits):
            scores = fits[probe].scores(tokens[image : image + 1, 1 + place]).numpy()[0]
            right += rank(scores, int(IMAGES.labels[image])) == 0
        expected.append(right / PATCHES)
    assert readout.read(reading(readout)).tolist() == expected
    assert 0 < sum(expected) < COUNT


def test_a_probe_of_a_write_reads_what_its_block_writes():
    probe = Probe(layer=2, stream="mlp write")
    readout = ProbeAccuracy(probe=probe)
    assert block_of(readout, tiny_vit().card) == 1
    scores = made([probe])[probe].scores(tiny_vit().writes(2, states()[2]).mlp[:, 0])
    expected = [float(rank(scores[i].numpy(), int(IMAGES.labels[i])) == 0) for i in range(COUNT)]
    assert readout.read(reading(readout)).tolist() == expected


def test_entropy_equals_that_of_scipy_and_stays_within_its_range():
    readout = ProbeEntropy(probe=Probe(layer=1), classes=CLASSES)
    (fit,) = made(readout.fits).values()
    scores = fit.scores(states()[2].tokens[:, 0]).double().numpy()
    read = readout.read(reading(readout))
    np.testing.assert_allclose(read.numpy(), entropy(softmax(scores, axis=1), axis=1), rtol=1e-6)
    flat = replace(fit, weights=torch.zeros_like(fit.weights), bias=torch.full_like(fit.bias, 0.3))
    level_scores = Reading(tiny_vit(), states()[2], 1, CHUNK, {readout.probe: flat}, None)
    assert readout.read(level_scores).tolist() == [readout.high] * COUNT
    assert readout.high == pytest.approx(np.log(CLASSES))


@pytest.mark.parametrize("site", ["resid", "attention write"])
def test_token_scores_are_minus_the_ranks_summed_over_blocks(site):
    score = ProbeTokenScore(probe=replace(PATCH, stream=site), layers=(0, 2), patches=PATCHES)
    fits, subject = made(score.fits), tiny_vit()
    assert len(fits) == 2 * PATCHES
    got = score.compute(subject, pictures(), CHUNK, fits)
    for image in range(COUNT):
        for place in range(PATCHES):
            total = 0
            for layer in (0, 2):
                probe = replace(PATCH, layer=layer, position=place, stream=site)
                tokens = (
                    states()[layer + 1].tokens if site == "resid" else subject.writes(layer, states()[layer]).attention
                )
                scores = fits[probe].scores(tokens[image : image + 1, 1 + place]).numpy()[0]
                total += rank(scores, int(IMAGES.labels[image]))
            assert got[image, place] == -total


def test_patches_may_be_read_by_the_probe_of_another_one():
    read_by = (0, 0, *range(2, PATCHES))
    own = ProbeTokenScore(probe=PATCH, layers=(1,), patches=PATCHES)
    shared = replace(own, read_by=read_by)
    fits = made(own.fits)
    assert set(shared.fits) == {probe for probe in own.fits if probe.position != 1}
    apart, together = (one.compute(tiny_vit(), pictures(), CHUNK, fits) for one in (own, shared))
    first = fits[replace(PATCH, layer=1, position=0)]
    scores = first.scores(states()[2].tokens[:, 2]).numpy()
    assert together[:, 1].tolist() == [-rank(scores[i], int(IMAGES.labels[i])) for i in range(COUNT)]
    assert torch.equal(together[:, 2:], apart[:, 2:])
    assert not torch.equal(together[:, 1], apart[:, 1])


def test_a_sample_of_patches_is_read_at_its_places_alone():
    places = (1, 3)
    whole = ProbePatchAccuracy(probe=PATCH, patches=PATCHES)
    some = replace(whole, places=places)
    assert [probe.position for probe in some.fits] == [1, 3]
    seen = Reading(tiny_vit(), states()[2], 1, CHUNK, made(whole.fits), None)
    first, second = (replace(whole, places=(place,)).read(seen) for place in places)
    assert torch.equal(some.read(seen), (first + second) / 2)
    assert not torch.equal(some.read(seen), whole.read(seen))
    right = seen.patch_correct[:, list(places)].float().mean(dim=1)
    assert torch.equal(PatchSampleAccuracy(layer=1, places=places).read(seen), right)


def test_summing_ranks_needs_no_model():
    ranks = [torch.tensor([[0, 3]]), torch.tensor([[2, 3]])]
    assert probe_token_scores(ranks).tolist() == [[-2.0, -6.0]]


def test_token_scores_without_labels_are_refused():
    score = ProbeTokenScore(probe=PATCH, layers=(0,), patches=PATCHES)
    with pytest.raises(ClaimsError, match="needs labels"):
        score.compute(tiny_vit(), pictures(), replace(CHUNK, labels=None), made(score.fits))


def test_a_claim_may_read_probes_of_all_patches_fitted_in_one_run():
    train = PlantedImages(count=160, seed=11, noise=0.5)
    arms = {
        "patches": Arm(readout=ProbePatchAccuracy(probe=Probe(layer=2, kind="patch", position=0), patches=16)),
        "entropy": Arm(readout=ProbeEntropy(probe=Probe(layer=5), classes=4)),
        "exchanged": Arm(readout=ProbeAccuracy(probe=Probe(layer=5, after=2))),
    }
    for name in arms:
        plan = Plan(arms={name: arms[name]}, effect=level(name))
        (outcome,) = run([job(plan)], bench(Planted(), PlantedImages(noise=0.2), train=train)).values()
        assert outcome.arm_means[name] > 0.9
