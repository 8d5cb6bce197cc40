"""One pass reads what every probe reads, exchanged streams included, and runs no block twice."""

import numpy as np
import pytest
import torch

from harness.images.batch import Batch
from harness.images.sampling import donors
from harness.probes.probe import Probe
from harness.probes.training.feature_pass import FeaturePass
from support.planted import DEPTH, Counting, Planted, PlantedImages
from support.tiny import RandomImages, tiny_vit

COUNT = 6
CHUNK = Batch(positions=range(COUNT), donors=torch.from_numpy(donors(COUNT)), labels=None, seed=0)


def read(subject, images, *probes: Probe) -> list[np.ndarray]:
    found = FeaturePass(subject, {probe.reads for probe in probes}).read(pictures(subject, images), CHUNK)
    return [found[probe.reads] for probe in probes]


def pictures(subject, images) -> torch.Tensor:
    return images.load(range(COUNT), subject.card.preprocessing)


def test_features_of_exchanged_images_equal_a_loop_over_full_passes():
    subject, images = tiny_vit(), RandomImages()
    for after in range(-1, 3):
        probes = [Probe(layer=layer, after=after) for layer in range(-1, 3)]
        stream, expected = subject.start(pictures(subject, images)), []
        for block in range(-1, 3):
            if block >= 0:
                stream = subject.step(block, stream)
            if block == after:
                swapped = stream.tokens.clone()
                for image in range(COUNT):
                    swapped[image, 0] = stream.tokens[image ^ 1, 0]
                stream = stream.with_tokens(swapped)
            expected.append(stream.tokens[:, 0].numpy())
        for got, want in zip(read(subject, images, *probes), expected, strict=True):
            np.testing.assert_array_equal(got, want)


def test_a_later_exchange_leaves_earlier_features_as_they_are_bit_for_bit():
    subject, images = tiny_vit(), RandomImages()
    clean, later, earlier = read(subject, images, Probe(layer=1), Probe(layer=1, after=2), Probe(layer=1, after=0))
    np.testing.assert_array_equal(later, clean)
    assert not np.array_equal(earlier, clean)


@pytest.mark.parametrize("kind", ["class", "patch mean"])
def test_writes_add_up_to_what_a_block_changes(kind):
    subject, images = tiny_vit(), RandomImages()
    before, attention, mlp, after = read(
        subject,
        images,
        Probe(layer=0, kind=kind),
        Probe(layer=1, kind=kind, stream="attention write"),
        Probe(layer=1, kind=kind, stream="mlp write"),
        Probe(layer=1, kind=kind),
    )
    np.testing.assert_allclose(before + attention + mlp, after, atol=1e-5)
    assert np.abs(attention).max() > 1e-3
    assert np.abs(mlp).max() > 1e-3


def test_patch_probes_of_all_positions_average_to_the_mean_patch():
    subject, images = tiny_vit(), RandomImages()
    patches = read(subject, images, *[Probe(layer=2, kind="patch", position=place) for place in range(4)])
    (mean,) = read(subject, images, Probe(layer=2, kind="patch mean"))
    np.testing.assert_allclose(np.mean(patches, axis=0), mean, atol=1e-6)


def test_probes_for_every_block_and_every_exchange_cost_the_suffixes_and_no_full_passes():
    counted = Counting(inner=Planted())
    probes = [Probe(layer=layer, after=after) for layer in range(DEPTH) for after in (None, *range(DEPTH))]
    features = FeaturePass(counted, {probe.reads for probe in probes})
    features.read(pictures(counted, PlantedImages(count=COUNT)), CHUNK)
    blocks = [block for block, _ in counted.stepped]
    assert len(blocks) == DEPTH + DEPTH * (DEPTH - 1) // 2 == features.evaluations()
    assert counted.started == [COUNT]


def test_a_pass_is_as_deep_as_what_is_read():
    counted = Counting(inner=Planted())
    features = FeaturePass(counted, {Probe(layer=1).reads, Probe(layer=3, after=2).reads})
    features.read(pictures(counted, PlantedImages(count=COUNT)), CHUNK)
    assert [block for block, _ in counted.stepped] == [0, 1, 2, 3]
    assert features.evaluations() == 4
