"""Units that make outlier tokens: how they are found, and what moving them does, against hooks and closed forms."""

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.models.subject import Stream
from harness.probes import register_units as pr
from harness.probes.statistic import Collected
from harness.readouts import register_units as ru
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout
from harness.readouts.token_norms import outliers
from support.claims import loaded
from support.tiny import DEPTH, PATCHES, WIDTH, RandomImages, tiny_vit

SUBJECT = tiny_vit(reg_tokens=1)
PREFIX, OWN = 2, 2 + PATCHES
UNITS = pr.RegisterUnits(top=1, count=3, after=1)
NUMBERS = {"block": torch.tensor([1, 0, 1]), "unit": torch.tensor([5, 0, 2]), "drawn": torch.tensor([7, 3, 1])}


def reading(count=6, numbers=NUMBERS, subject=SUBJECT) -> Reading:
    """Read random pictures after the last block of a model as it is."""
    here = loaded(subject, RandomImages(count=count), batch_size=count)
    stream = subject.start(here.load(range(count)))
    for block in range(DEPTH):
        stream = subject.step(block, stream)
    made = Reading(subject, stream, DEPTH - 1, here.chunk(range(count)), {UNITS: Collected(numbers=numbers)}, None)
    made.clean = made
    return made


def hooked(made: Reading, chosen: dict[int, list[int]], appended: bool) -> list[torch.Tensor]:
    """Give the streams of a run in which hooks before the last layer of the MLPs edit the units."""
    subject, handles = made.subject, []

    def edit(units):
        def hook(_module, inputs):
            values = inputs[0].clone()
            for unit in units:
                column = values[:, :, unit]
                peak = column.gather(1, column.abs().argmax(dim=1, keepdim=True))
                values[:, PREFIX:OWN, unit] = 0.0
                if appended:
                    values[:, OWN:, unit] = peak
            return (values,)

        return hook

    stream = subject.start(made.chunk.pictures)
    if appended:
        stream = Stream(torch.cat((stream.tokens, torch.zeros(len(stream.tokens), 1, WIDTH)), dim=1))
    found = []
    with torch.no_grad():
        for block, units in chosen.items():
            handles.append(subject.model.blocks[block].mlp.fc2.register_forward_pre_hook(edit(units)))
        for block in range(DEPTH):
            stream = subject.step(block, stream)
            found.append(stream.tokens)
    for handle in handles:
        handle.remove()
    return found


class Ends(StreamReadout):
    """The sum of the first and the last token of the stream."""

    layer, low, high = None, -1e9, 1e9

    def read(self, reading):
        return reading.stream.tokens[:, [0, -1]].sum(dim=(1, 2))


@pytest.mark.parametrize("scaled", [None, 0.5])
@pytest.mark.parametrize("how", ["moved", "zeroed", "others moved"])
def test_moving_units_equals_hooks_that_edit_them(how, scaled, monkeypatch):
    monkeypatch.setattr(pr, "TIMES", 1.05)  # tiny models have no patches beyond three times the median
    subject = SUBJECT if scaled is None else tiny_vit(reg_tokens=1, init_values=scaled)
    made = reading(subject=subject)
    chosen = {0: [3], 1: [7, 1]} if how == "others moved" else {0: [0], 1: [5, 2]}
    expected = hooked(made, chosen, how != "zeroed")
    for block in (1, DEPTH - 1):
        found = ru._after(made, UNITS, how, block).tokens
        assert found.shape[1] == OWN + (how != "zeroed")
        torch.testing.assert_close(found, expected[block], atol=1e-5, rtol=1e-4)
    clean = ru._after(made, UNITS, None, DEPTH - 1).tokens
    assert torch.equal(clean, made.stream.tokens)
    answers = ru.WithUnits(units=UNITS, how=how, readout=Ends()).read(made)
    torch.testing.assert_close(answers, expected[-1][:, [0, OWN - 1]].sum(dim=(1, 2)), atol=1e-4, rtol=1e-4)
    norms = expected[1][:, PREFIX:OWN].norm(dim=2)
    beyond = norms > 1.05 * norms.median(dim=1, keepdim=True).values
    assert beyond.any()
    assert torch.equal(ru.OutliersLeft(units=UNITS, how=how).read(made), beyond.float().mean(dim=1))


def test_the_appended_token_takes_the_value_of_the_largest_magnitude():
    units = torch.tensor([[[1.0, 0.5], [-4.0, 0.2], [3.0, -0.1], [0.0, 0.0]]])
    before = units.clone()
    assert ru.moved(units, 1, True).tolist() == [[[1.0, 0.5], [0.0, 0.0], [0.0, 0.0], [-4.0, 0.5]]]
    assert ru.moved(units, 2, False).tolist() == [[[1.0, 0.5], units[0, 1].tolist(), [0.0, 0.0], [0.0, 0.0]]]
    assert torch.equal(units, before)


def test_outliers_are_those_of_the_claim_about_them():
    patches = torch.randn(5, 9, WIDTH, generator=torch.manual_seed(0)) * torch.rand(5, 9, 1).pow(-2)
    assert torch.equal(pr.outlying(patches), outliers(patches.norm(dim=2)))
    assert pr.outlying(patches).any()


@pytest.mark.parametrize("most", [500, 7])
def test_units_are_ranked_by_their_mean_magnitude_at_outlier_patches(monkeypatch, most):
    monkeypatch.setattr(pr, "TIMES", 1.05)
    monkeypatch.setattr(pr, "PICTURES", most)
    pictures = RandomImages(count=12).load(range(12), SUBJECT.card.preprocessing)
    wanted = pr.RegisterUnits(top=1, count=30, after=2)
    found = wanted.collect(SUBJECT, [pictures[:5], pictures[5:10], pictures[10:]])
    used = pictures[:most]
    stream, units = SUBJECT.start(used), []
    for block in range(DEPTH):
        stream, passed = SUBJECT.watch(block, stream, ("units",))
        units.append(passed["units"][:, PREFIX:].abs())
    norms = stream.tokens[:, PREFIX:].norm(dim=2)
    there = norms > 1.05 * norms.median(dim=1, keepdim=True).values
    assert 0 < there.sum() < there.numel()
    means = np.concatenate([units[block][there].double().mean(dim=0).numpy() for block in (0, 1)])
    best = np.argsort(-means)[:30]
    size = units[0].shape[-1]
    assert found["block"].tolist() == (best // size).tolist()
    assert found["unit"].tolist() == (best % size).tolist()
    drawn = set(zip(found["block"].tolist(), found["drawn"].tolist(), strict=True))
    assert len(drawn) == 30
    assert not drawn & set(zip(found["block"].tolist(), found["unit"].tolist(), strict=True))
    again = wanted.collect(SUBJECT, [pictures])
    assert torch.equal(again["drawn"], found["drawn"])


def test_units_are_grouped_by_block():
    for which, expected in (("unit", {0: [0], 1: [5, 2]}), ("drawn", {0: [3], 1: [7, 1]})):
        found = pr.units_by_block(NUMBERS, which)
        assert {block: units.tolist() for block, units in found.items()} == expected


def test_what_cannot_be_followed_is_refused():
    made = reading()
    edited = Reading(SUBJECT, made.stream, DEPTH - 1, made.chunk, made.fits, made)
    with pytest.raises(ClaimsError, match="in a model as it is"):
        ru.OutliersLeft(units=UNITS).read(edited)
    weights = SUBJECT.block_weights(0)
    normed = type(weights)(**{**vars(weights), "normed": True})
    with pytest.raises(ClaimsError, match="through the norm"):
        ru.rewritten(made.stream, torch.zeros(6, OWN, 1), torch.tensor([0]), normed)
    assert ru.OutliersLeft(units=UNITS).fits == ()
    assert ru.OutliersLeft(units=UNITS, how="moved").fits == (UNITS,)
