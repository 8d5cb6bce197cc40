"""Readouts give one bounded number per image, equal to what loops and closed forms say."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.measurement.measured_code import of_readout
from harness.models.subject import Stream
from harness.probes.probe import Fit, Probe
from harness.readouts.linear_probes import ProbeAccuracy
from harness.readouts.own_answer import Accuracy, Agreement, CrossEntropy, Identifiability, PatchAccuracy, SameLogits
from harness.readouts.reading import Reading, ranks
from harness.readouts.readout import block_of
from support.planted import Planted

CLASSES, IMAGES = 4, 6
CHUNK = Batch(
    positions=range(IMAGES),
    donors=torch.tensor([1, 2, 3, 4, 5, 0]),
    labels=torch.tensor([0, 1, 2, 3, 1, 2]),
    seed=0,
)
ALL = [
    Accuracy(),
    Accuracy(head="class", layer=2),
    Accuracy(head="patch mean"),
    Accuracy(labels="donor"),
    Identifiability(layer=5),
    CrossEntropy(),
    PatchAccuracy(layer=5),
    PatchAccuracy(layer=5, position=3),
    Agreement(),
    SameLogits(),
]


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randn(IMAGES, 17, CLASSES + 1, generator=torch.Generator().manual_seed(seed))


def reading(
    values: torch.Tensor | None = None, clean: Reading | None = None, fits=None, chunk: Batch = CHUNK
) -> Reading:
    return Reading(Planted(), Stream(tokens() if values is None else values), 5, chunk, fits or {}, clean)


def by_hand(logits, label: int) -> int:
    """Count classes that are strictly likelier; a row of equal logits puts every label last."""
    if len(set(logits)) == 1:
        return len(logits) - 1
    return sum(value > logits[label] for value in logits)


def test_accuracy_on_each_head_equals_a_loop():
    values = tokens()
    heads = {
        "native": values[:, 0, :CLASSES],
        "class": values[:, 0, :CLASSES],
        "patch mean": values[:, 1:, :CLASSES].mean(1),
    }
    for head, logits in heads.items():
        for labels, own in (("own", CHUNK.labels), ("donor", CHUNK.labels[CHUNK.donors])):
            read = Accuracy(head=head, labels=labels).read(reading(values))
            expected = [
                float(by_hand(row.tolist(), label) == 0) for row, label in zip(logits, own.tolist(), strict=True)
            ]
            assert read.tolist() == expected


@pytest.mark.parametrize(
    ("logits", "label", "rank"),
    [
        ([3.0, 1.0, 2.0, 0.0], 0, 0),
        ([3.0, 1.0, 2.0, 0.0], 1, 2),
        ([3.0, 1.0, 2.0, 0.0], 3, 3),
        ([3.0, 3.0, 1.0, 0.0], 1, 0),
        ([0.0, 0.0, 0.0, 0.0], 0, 3),
        ([-1.0, -1.0, -1.0, -1.0], 2, 3),
        ([0.0, 0.0, 0.0, -1.0], 3, 3),
    ],
)
def test_ranks_count_strictly_greater_logits_and_a_constant_row_is_never_right(logits, label, rank):
    assert ranks(torch.tensor([logits]), torch.tensor([label])).item() == rank == by_hand(logits, label)


def test_ranks_work_on_any_leading_axes():
    logits = torch.randn(2, 3, CLASSES, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([[0, 1, 2], [3, 0, 1]])
    expected = [[by_hand(logits[i, j].tolist(), int(labels[i, j])) for j in range(3)] for i in range(2)]
    assert ranks(logits, labels).tolist() == expected


def test_a_zero_head_is_never_right():
    values = torch.zeros(IMAGES, 17, CLASSES + 1)
    for readout in (Accuracy(), Accuracy(head="patch mean"), PatchAccuracy(layer=5)):
        assert not readout.read(reading(values)).any()


def test_identifiability_is_one_minus_rank_over_classes():
    values = tokens()
    expected = [1 - by_hand(values[i, 0, :CLASSES].tolist(), int(CHUNK.labels[i])) / CLASSES for i in range(IMAGES)]
    assert Identifiability(layer=5).read(reading(values)).tolist() == pytest.approx(expected)
    donors = CHUNK.labels[CHUNK.donors]
    expected = [1 - by_hand(values[i, 0, :CLASSES].tolist(), int(donors[i])) / CLASSES for i in range(IMAGES)]
    assert Identifiability(layer=5, labels="donor").read(reading(values)).tolist() == pytest.approx(expected)


def test_identifiability_of_random_logits_is_that_of_chance():
    count, classes = 4000, 8
    subject = Planted(classes=classes)
    values = torch.randn(count, 2, classes + 1, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(count) % classes
    chunk = Batch(positions=range(count), donors=torch.roll(torch.arange(count), 1), labels=labels, seed=0)
    read = Identifiability(layer=5).read(Reading(subject, Stream(values), 5, chunk, {}, None))
    assert read.mean().item() == pytest.approx((classes + 1) / (2 * classes), abs=0.02)
    assert set(np.round(read.unique().numpy() * classes).astype(int)) == set(range(1, classes + 1))


def test_patch_readouts_equal_loops_over_patches():
    values = tokens()
    right = [
        [float(by_hand(values[i, 1 + p, :CLASSES].tolist(), int(CHUNK.labels[i])) == 0) for p in range(16)]
        for i in range(IMAGES)
    ]
    assert PatchAccuracy(layer=5).read(reading(values)).tolist() == pytest.approx(np.mean(right, axis=1).tolist())
    for position in (0, 7, 15):
        expected = [row[position] for row in right]
        assert PatchAccuracy(layer=5, position=position).read(reading(values)).tolist() == expected


def test_cross_entropy_equals_scipy_and_is_capped():
    values = tokens()
    values[0, 0, :CLASSES] = torch.tensor([-100.0, 0.0, 0.0, 50.0])  # label 0: 150 nats
    logits = values[:, 0, :CLASSES].double().numpy()
    expected = -log_softmax(logits, axis=1)[np.arange(IMAGES), CHUNK.labels.numpy()]
    np.testing.assert_allclose(CrossEntropy(high=1e3).read(reading(values)).numpy(), expected, rtol=1e-5)
    capped = CrossEntropy().read(reading(values)).numpy()
    np.testing.assert_allclose(capped, np.minimum(expected, 10.0), rtol=1e-5)
    assert capped[0] == CrossEntropy().high == 10.0


def test_agreement_and_sameness_compare_with_the_unedited_arm():
    clean = reading()
    edited = tokens()
    edited[0, 0, :CLASSES] = -edited[0, 0, :CLASSES]
    edited[1, 0, 0] = torch.nextafter(edited[1, 0, 0], torch.tensor(9.0))
    edited[2, 0, -1] = 99.0  # the decoy is not read
    assert Agreement().read(reading(edited, clean)).tolist() == [0.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert SameLogits().read(reading(edited, clean)).tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    edited[3, 5, 0] += 1.0
    assert SameLogits(head="patch mean").read(reading(edited, clean))[:4].tolist() == [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize("readout", [Agreement(), SameLogits()])
def test_comparing_without_the_unedited_arm_is_refused(readout):
    assert readout.needs_clean
    with pytest.raises(ClaimsError, match="compares with the unedited arm"):
        readout.read(reading())


@pytest.mark.parametrize(
    "readout", [Accuracy(), Identifiability(layer=5), CrossEntropy(), PatchAccuracy(layer=5)], ids=repr
)
def test_reading_labels_that_do_not_exist_is_refused(readout):
    with pytest.raises(ClaimsError, match="the image set has none"):
        readout.read(reading(chunk=replace(CHUNK, labels=None)))


def test_a_probe_is_right_where_its_scores_rank_the_label_first():
    random = torch.Generator().manual_seed(4)
    weights, bias, centre = (torch.randn(*s, generator=random) for s in ((10, CLASSES), (CLASSES,), (10,)))
    probe = Probe(layer=5, kind="class+patch mean")
    fit = Fit(centre=centre, weights=weights, bias=bias, strength=1.0)
    values = tokens()
    inputs = torch.cat([values[:, 0], values[:, 1:].mean(1)], dim=1)
    for only_class in (False, True):
        kept = inputs.clone()
        if only_class:
            kept[:, 5:] = 0.0
        scores = (kept - centre) @ weights + bias
        expected = [float(by_hand(scores[i].tolist(), int(CHUNK.labels[i])) == 0) for i in range(IMAGES)]
        read = ProbeAccuracy(probe=probe, only_class=only_class).read(reading(values, fits={probe: fit}))
        assert read.tolist() == expected


@pytest.mark.parametrize("readout", ALL, ids=repr)
def test_every_readout_gives_one_number_per_image_in_its_range(readout):
    clean = reading(tokens(1))
    read = readout.read(reading(clean=clean))
    assert read.shape == (IMAGES,)
    assert ((read >= readout.low) & (read <= readout.high)).all()
    assert block_of(readout, Planted().card) in (2, 5)
    assert readout.fits == ()


def test_readouts_are_told_apart_by_their_description():
    assert len({repr(readout) for readout in ALL}) == len(set(ALL)) == len(ALL)
    assert Accuracy() == Accuracy(head="native", layer=None, labels="own")


@pytest.mark.parametrize("layer", [6, -2])
def test_a_layer_that_the_model_does_not_have_is_refused(layer):
    for readout in (
        Accuracy(layer=layer),
        Identifiability(layer=layer),
        CrossEntropy(layer=layer),
        PatchAccuracy(layer=layer),
        ProbeAccuracy(probe=Probe(layer=layer)),
    ):
        with pytest.raises(ValueError, match=rf"layer {layer} does not exist; planted late reader has blocks 0\.\.5"):
            block_of(readout, Planted().card)


def test_the_code_of_a_readout_is_its_own_and_that_of_its_fits():
    assert len({of_readout(Accuracy()), of_readout(CrossEntropy())}) == 2
    probed = ProbeAccuracy(probe=Probe(layer=0))
    assert of_readout(probed, probed.fits) != of_readout(probed)
