"""What the claims about restored class tokens propose, and how their readout tells whether a pass is causal."""

import numpy as np
import pytest
import torch

from harness.measurement.loaded_model import LoadedModel
from harness.measurement.settings import Settings
from harness.readouts.causality import SameClassToken, class_tokens
from harness.results.measurements import Store
from support.cards import CLS, ORIG, make_card, plan_for
from support.tiny import DEPTH, RandomImages, tiny_vit


def _place(images: int, batch: int = 8):
    bench = LoadedModel(tiny_vit(), RandomImages(count=images), Store(None), Settings(batch_size=batch))
    return bench.place("given", images, lambda blocks: None)


def test_retention_divides_by_the_probe_of_the_same_layer_without_an_exchange():
    plan = plan_for("cls-refill-complete-within-three-blocks", ORIG)
    for name, arm in plan.arms.items():
        word, _, layer = name.partition("@")
        probe = arm.readout.probe
        assert (probe.layer, probe.kind) == (int(layer), "class")
        if word == "clean":
            assert probe.after is None
            assert arm.intervention.key == "none"
        else:
            after = int(layer) - int(word.split()[1])
            assert arm.intervention.edits[0][0] == after
            assert probe.after == (after if word.startswith("after") else None)


def test_complete_means_after_two_and_after_three_blocks():
    effect = plan_for("cls-refill-complete-within-three-blocks", ORIG).question.effect
    judged = {(part.bound, part.quantity.arms()[0].partition("@")[0]) for part in effect.parts if part.bound != "step"}
    assert judged == {("after two", "after 2"), ("after three", "after 3")}
    assert {part.quantity.arms() for part in effect.parts if part.bound == "step"} == {
        ("mean 2", "mean 1"),
        ("mean 3", "mean 2"),
    }


def test_the_late_middle_of_twelve_blocks_is_five_to_ten():
    effect = plan_for("middle-layers-accumulate", ORIG).question.effect
    lead = effect.parts[0]
    assert [point.arms()[0] for point in lead.curve] == [f"after 1@{b}" for b in range(1, 12)]
    for place in range(11):
        retention = np.ones(11)
        retention[place] = 0.5
        inside = lead.functional(retention, retention)[0] > 0
        assert inside == (5 <= place + 1 <= 10)


def test_the_control_of_the_peak_reads_the_layers_from_the_middle_on():
    control = plan_for("middle-layers-accumulate", ORIG).question.control
    order = [point.arms()[0] for point in control.parts[0].curve]
    assert order == [f"after 1@{b}" for b in (7, 8, 9, 10, 11, 1, 2, 3, 4, 5, 6)]


@pytest.mark.parametrize("part", [0, 1])
def test_functionals_of_the_loss_bound_every_curve_in_a_box(part):
    functional = plan_for("middle-layers-accumulate", ORIG).question.effect.parts[part].functional
    random = np.random.Generator(np.random.PCG64(part))
    low = random.uniform(0.2, 0.9, 11)
    high = low + random.uniform(0.0, 0.1, 11)
    bottom, top = functional(low, high)
    drawn = [functional(point, point)[0] for point in random.uniform(low, high, (2000, 11))]
    assert bottom <= min(drawn) <= max(drawn) <= top


def test_the_published_losses_meet_the_bounds_of_the_peak():
    back = np.array([0.917, 0.910, 0.918, 0.890, 0.864, 0.810, 0.763, 0.748, 0.842, 0.981, 1.015])
    lead, rise, _ = plan_for("middle-layers-accumulate", ORIG).question.effect.parts
    assert lead.functional(back, back) == pytest.approx((0.142, 0.142))
    assert rise.functional(back, back) == pytest.approx((0.079, 0.079))


def test_other_models_are_reported_where_one_checkpoint_is_published():
    assert not plan_for("middle-layers-accumulate", ORIG).report_only
    assert plan_for("middle-layers-accumulate", CLS).report_only


def test_heads_that_pool_patches_are_not_asked_what_their_class_token_reads():
    for claim in ("probe-at-shuffled-layer-collapses", "cls-refills-within-one-block"):
        assert "trivial" in plan_for(claim, make_card("patch mean"))


@pytest.mark.parametrize("after", range(DEPTH))
def test_an_exchange_leaves_all_tokens_before_it_and_none_from_there_on(after):
    place = _place(16)
    before, later = (SameClassToken(after=after, read=read) for read in ("before", "from there on"))
    assert before.numbers(place, np.arange(1)) == [1.0]
    assert later.numbers(place, np.arange(1)) == [0.0]


def test_a_picture_that_is_alone_in_its_chunk_has_no_say():
    assert SameClassToken(after=0, read="from there on").numbers(_place(9), np.arange(1)) == [0.0]


def test_passes_are_counted_from_the_pictures_on():
    spent = []
    bench = LoadedModel(tiny_vit(), RandomImages(count=8), Store(None), Settings(batch_size=8))
    place = bench.place("given", 8, spent.append)
    SameClassToken(after=1, read="before").numbers(place, np.arange(1))
    SameClassToken(after=2, read="before").numbers(place, np.arange(1))
    assert sum(spent) == 8 * DEPTH * (DEPTH + 1)


def test_class_tokens_are_those_of_the_streams_of_a_plain_pass():
    subject, images = tiny_vit(), RandomImages(count=4)
    pictures = images.load(range(4), None)
    chunk = LoadedModel(subject, images, Store(None), Settings(batch_size=4)).chunk(range(4))
    found = class_tokens(subject, pictures, chunk, None)
    stream = subject.start(pictures)
    assert torch.equal(found[0], stream.tokens[:, 0])
    for block in range(DEPTH):
        stream = subject.step(block, stream)
        assert torch.equal(found[block + 1], stream.tokens[:, 0])
    swapped = class_tokens(subject, pictures, chunk, 0)
    assert torch.equal(swapped[1], found[1][[1, 0, 3, 2]])
