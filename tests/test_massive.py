"""Massive entries: what counts as one, what is collected of them, and answers when they are replaced: closed forms."""

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.fingerprint import Reference, roots_in
from harness.fingerprint.code import CODE
from harness.fixtures.planted.massive_worlds import BIG, HUGE, WORLDS
from harness.models.subject import Stream
from harness.probes import massive_entries as me
from harness.probes.prefix_moments import PrefixMoments
from harness.probes.probe import Fit, Probe
from harness.probes.statistic import Collected
from harness.probes.training.code import code_of
from harness.probes.training.files import FitPlace
from harness.probes.training.linear import Training
from harness.probes.training.statistics import fit_everything
from harness.readouts import massive as rm
from harness.readouts.linear_probes import ProbeAccuracy
from harness.readouts.own_answer import Accuracy
from harness.readouts.reading import Reading
from support.claims import chunk, loaded
from support.planted import PlantedImages
from support.tiny import WIDTH, RandomImages, tiny_vit

ENTRIES = me.MassiveEntries()
TOKENS = torch.full((3, 5, WIDTH), 0.125)
TOKENS[0, 1, 2], TOKENS[0, 0, 2], TOKENS[0, 3, 4] = -300.0, 124.9, 900.0
TOKENS[1, 4, 2], TOKENS[1, 4, 3] = 125.0, -125.1
TOKENS[2] = 0.01
TOKENS[2, 0, 0], TOKENS[2, 1, 0] = 100.0, 100.5
FOUND = me.FirstMassive(
    block=0, known=torch.isin(torch.arange(WIDTH), torch.tensor([0, 2])), main=2, mean=torch.arange(WIDTH) * 10.0
)
MARKED = {(0, 1, 2), (0, 3, 4), (1, 4, 2), (1, 4, 3), (2, 1, 0)}


def _reference(root):
    return root if isinstance(root, Reference) else CODE.reference(root)


def places(marked):
    return {tuple(place) for place in marked.nonzero().tolist()}


def test_massive_is_beyond_100_and_at_least_1000_medians_of_the_picture():
    assert places(me.massive(TOKENS)) == MARKED
    assert places(me.massive(TOKENS.double())) == MARKED
    assert me.median_size(-TOKENS).tolist() == pytest.approx([0.125, 0.125, 0.01])


def test_the_first_block_is_one_after_which_nine_in_ten_pictures_have_such_entries():
    count, total = torch.zeros(3, 4), torch.zeros(3, 4)
    count[1], total[1] = torch.tensor([2.0, 0, 5, 0]), torch.tensor([4.0, 0, -20, 0])
    found = me.first_massive({"share": torch.tensor([0.89, 0.9, 1.0]), "count": count, "sum": total})
    assert found is not None
    assert (found.block, found.main) == (1, 2)
    assert found.known.tolist() == [True, False, True, False]
    assert found.mean.tolist() == [2.0, 0.0, -4.0, 0.0]
    assert me.first_massive({"share": torch.tensor([0.5, 0.89]), "count": count, "sum": total}) is None


def test_entries_in_known_channels_alone_are_replaced():
    before, edited = TOKENS.clone(), {(0, 1, 2), (1, 4, 2), (2, 1, 0)}
    for by in ("zero", "mean"):
        after = rm.replaced(TOKENS, FOUND, by)
        assert places(after != TOKENS) == edited
        assert [after[place].item() for place in sorted(edited)] == ([0.0] * 3 if by == "zero" else [20.0, 20.0, 0.0])
    assert torch.equal(TOKENS, before)


def test_as_many_ordinary_entries_are_those_nearest_to_the_median():
    tokens = torch.randn(4, 5, WIDTH, generator=torch.manual_seed(3))
    marked = torch.zeros_like(tokens, dtype=torch.bool)
    marked[0, 0, :3] = marked[1, 2, 5] = marked[3, 4, :7] = True
    marked[1].view(-1)[(tokens[1].abs() - me.median_size(tokens)[1]).abs().argmin()] = True
    found = rm.ordinary(tokens, marked)
    for one, (own, mine) in enumerate(zip(tokens.numpy(), marked.numpy(), strict=True)):
        away = np.abs(np.abs(own) - me.median_size(tokens)[one].item())
        away[mine] = np.inf
        nearest = np.argsort(away, axis=None)[: mine.sum()]
        assert set(np.flatnonzero(found[one].numpy())) == set(nearest)
    after = rm.replaced(TOKENS, FOUND, "ordinary zero")
    assert (after != TOKENS).flatten(1).sum(dim=1).tolist() == [1, 1, 1]
    assert torch.equal(after[me.massive(TOKENS)], TOKENS[me.massive(TOKENS)])
    assert not rm.ordinary(tokens, torch.zeros_like(marked)).any()


def test_what_is_read_after_a_block():
    reading = Reading(tiny_vit(), Stream(TOKENS), 1, chunk(PlantedImages(count=3), range(3)), {}, None)
    assert rm.HasMassive().read(reading).tolist() == [1.0, 1.0, 1.0]
    assert rm.LargestEntry().read(reading).tolist() == pytest.approx([7200.0, 1000.8, 10050.0])
    plain = Reading(tiny_vit(), Stream(TOKENS.clamp(-99, 99)), 1, reading.chunk, {}, None)
    assert rm.HasMassive().read(plain).tolist() == [0.0] * 3
    nothing = Reading(tiny_vit(), Stream(torch.zeros(2, 5, WIDTH)), 1, reading.chunk, {}, None)
    assert rm.LargestEntry().read(nothing).tolist() == [1.0] * 2
    endless = Stream(torch.eye(5, WIDTH)[None] * 1e9)
    assert rm.LargestEntry().read(Reading(tiny_vit(), endless, 1, reading.chunk, {}, None)).tolist() == [rm.MOST]


def world(name: str = "a huge entry holds half of the class"):
    """Give a loaded model, its clean reading of 32 pictures, and what was collected on them."""
    here = loaded(WORLDS[name].subjects(1)[""], WORLDS[name].test_images(1))
    stream = here.subject.start(here.load(range(32)))
    numbers = ENTRIES.collect(here.subject, [here.load(range(20)), here.load(range(20, 32))])
    for block in range(here.subject.card.depth):
        stream = here.subject.step(block, stream)
    reading = Reading(here.subject, stream, 2, here.chunk(range(32)), {ENTRIES: Collected(numbers=numbers)}, None)
    reading.clean = reading
    return here, reading, numbers


def test_what_is_collected_is_what_the_world_was_made_of():
    here, _, numbers = world()
    assert numbers["share"].tolist() == [1.0] * 3
    assert numbers["count"][:, BIG].tolist() == [32.0] * 3
    assert numbers["count"].sum() == 96.0
    halves = here.chunk(range(32)).labels >= 4
    signed = (halves.double() * 2 - 1).sum().item()
    assert numbers["sum"][0, BIG].item() == pytest.approx(signed * HUGE, rel=0.01)


def test_answers_are_those_of_a_model_that_goes_on_with_other_entries():
    here, reading, numbers = world()
    assert rm.HasFirstMassive().read(reading).tolist() == [1.0] * 32
    assert rm.ShareInChannel().read(reading).tolist() == [1.0] * 32
    first_half = here.chunk(range(32)).labels < 4
    for by in ("zero", "mean", "ordinary zero"):
        answers = rm.WithMassive(by=by, readout=Accuracy()).read(reading)
        sign = numbers["sum"][0, BIG] > 0  # a mean that is not exactly 0 says one half of all pictures
        expected = {"zero": first_half, "mean": first_half != sign, "ordinary zero": torch.ones(32)}[by]
        assert torch.equal(answers, expected.float()), by


def test_models_without_such_a_block_answer_as_they_are():
    _, reading, numbers = world("a huge entry is a counterweight")
    none = Collected(numbers={**numbers, "share": torch.zeros(3)})
    bare = Reading(reading.subject, reading.stream, 2, reading.chunk, {ENTRIES: none}, None)
    bare.clean = bare
    assert rm.WithMassive(by="zero", readout=Accuracy()).read(bare).tolist() == [1.0] * 32
    assert rm.WithMassive(by="zero", readout=Accuracy()).read(reading).mean() < 0.5
    assert rm.HasFirstMassive().read(bare).tolist() == rm.ShareInChannel().read(bare).tolist() == [0.0] * 32


def test_a_second_run_would_leave_out_an_intervention_and_is_refused():
    _, reading, _ = world()
    edited = Reading(reading.subject, reading.stream, 2, reading.chunk, reading.fits, reading)
    with pytest.raises(ClaimsError, match="reads a model as it is"):
        rm.WithMassive(by="zero", readout=Accuracy()).read(edited)
    probe = ProbeAccuracy(probe=Probe(layer=2))
    assert rm.WithMassive(by="zero", readout=probe).fits == (ENTRIES, Probe(layer=2))


def test_the_code_of_a_statistic_is_behind_its_numbers():
    names = {one.name for root in roots_in(ENTRIES) for one in CODE.reached(_reference(root))}
    assert {"fit_everything", "_collected", "_pictures", "massive", "median_size", "fit_all"} <= names
    assert code_of(ENTRIES) not in {code_of(PrefixMoments()), code_of(Probe(layer=1))}


@pytest.mark.parametrize("folder", [True, False])
def test_statistics_are_fitted_beside_probes_and_kept(tmp_path, folder):
    images, subject, steps = RandomImages(count=20), tiny_vit(), []
    training = Training(subject=subject, images=images, chunks=[range(12), range(12, 20)], seed=0)
    place = FitPlace(folder=tmp_path if folder else None, context="x")
    probe = Probe(layer=2)
    made = fit_everything([probe, ENTRIES, ENTRIES], training, place, lambda *step: steps.append(step))
    assert set(made) == {probe, ENTRIES}
    assert isinstance(made[probe], Fit)
    assert steps[-1] == ("training images", 20, 20)
    steps.clear()
    again = fit_everything([ENTRIES], training, place, lambda *step: steps.append(step))
    assert bool(steps) is not folder
    own = ENTRIES.collect(subject, [images.load(range(20), subject.card.preprocessing)])
    for found in (made[ENTRIES], again[ENTRIES]):
        assert isinstance(found, Collected)
        assert {name: part.tolist() for name, part in found.numbers.items()} == {
            name: part.tolist() for name, part in own.items()
        }
