"""Merged passes give the numbers of one full pass per arm, at the price of their distinct blocks."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.intervention import (
    NONE,
    Intervention,
    cls_alone,
    isolate_cls,
    isolate_cls_with_noise,
    shuffle_cls,
)
from harness.measurement.forward import PROBED, measure_chunk
from harness.measurement.prefix_tree import Bill, Request
from harness.models.families import adapt
from harness.readouts.own_answer import Accuracy, Agreement, CrossEntropy, SameLogits
from support.planted import Counting, Planted, PlantedImages

IMAGES = 6
DEPTH = 5
VIT = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": DEPTH, "num_heads": 2, "num_classes": 7}


@dataclass(frozen=True, kw_only=True)
class LabelLogit:
    """The raw logit of the label: any difference in the stream shows in its last bit."""

    low = -1e4
    high = 1e4
    needs_clean = False
    exchanges = False
    sites = ()
    layer = None
    fits = ()

    def read(self, reading):
        return reading.logits("native").gather(1, reading.labels("own")[:, None])[:, 0]


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A readout that is broken: it reads the same number everywhere."""

    value: float
    low = 0.0
    high = 1.0
    needs_clean = False
    exchanges = False
    sites = ()
    layer = None
    fits = ()

    def read(self, reading):
        return torch.full((len(reading.stream.tokens),), self.value)


@dataclass(frozen=True)
class InPlace:
    """An edit against the rules: it changes its input."""

    returns_copy: bool
    exchanges = False

    def apply(self, tokens, card, chunk):
        tokens[:, 0] = 0.0
        return tokens.clone() if self.returns_copy else tokens


@dataclass(frozen=True)
class AllowAll:
    """A mask that forbids nothing."""

    renormalized = True

    def allowed(self, card, tokens):
        return torch.ones(tokens, tokens, dtype=torch.bool)


@cache
def vit() -> VisionTransformer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = VisionTransformer(**VIT, init_values=0.5)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


@cache
def subject():
    return adapt(vit(), name="vit", arch="vit", pretrained=False)


@cache
def pictures() -> torch.Tensor:
    return torch.randn(IMAGES, 3, 16, 16, generator=torch.Generator().manual_seed(4))


LABELS = torch.tensor([0, 1, 2, 3, 4, 5])
CHUNK = Batch(positions=range(12, 12 + IMAGES), donors=torch.tensor([1, 2, 3, 4, 5, 0]), labels=LABELS, seed=9)


def wanted(*interventions: Intervention, readout=None) -> list[Request]:
    readout = readout or LabelLogit()
    return [Request(intervention=i, readout=readout, claimants=frozenset({"claim"})) for i in interventions]


def measured(arms: list[Request], chunk: Batch = CHUNK, bill: Bill | None = None, model=None, images=None) -> list:
    return measure_chunk(model or subject(), pictures() if images is None else images, chunk, arms, {}, bill or Bill())


def planted_chunk(count: int = 8) -> tuple[torch.Tensor, Batch]:
    images = PlantedImages(count=count)
    labels = torch.from_numpy(images.labels)
    order = torch.argsort(labels, stable=True)
    donors = torch.empty_like(order)
    donors[order] = torch.roll(order, -count // 4)
    return images.load(range(count), Planted().card.preprocessing), Batch(
        positions=range(count), donors=donors, labels=labels, seed=0
    )


def naive(shuffled: int | None = None, masked: tuple[int, ...] = ()) -> np.ndarray:
    """Run timm's own forward once per arm, with hooks on its blocks; shares no code with the harness."""
    model, hooks = vit(), []
    tokens = 1 + 16

    def exchange(module, inputs, output):
        output = output.clone()
        output[:, 0] = output[[1, 2, 3, 4, 5, 0], 0]
        return output

    def restrict(module, args, kwargs):
        mask = torch.ones(tokens, tokens, dtype=torch.bool)
        mask[0, 1:] = mask[1:, 0] = False
        return args, {**kwargs, "attn_mask": mask}

    if shuffled is not None:
        hooks.append(model.blocks[shuffled].register_forward_hook(exchange))
    hooks += [model.blocks[block].register_forward_pre_hook(restrict, with_kwargs=True) for block in masked]
    try:
        with torch.inference_mode():
            logits = model(pictures())
    finally:
        for hook in hooks:
            hook.remove()
    return logits[torch.arange(IMAGES), LABELS].double().numpy()


def test_a_merged_shuffle_sweep_is_bit_identical_to_one_full_pass_per_arm():
    rows = measured(wanted(NONE, *[shuffle_cls(block) for block in range(DEPTH)]))
    np.testing.assert_array_equal(rows[0].numbers, naive())
    sweep = [naive(shuffled=block) for block in range(DEPTH)]
    for row, expected in zip(rows[1:], sweep, strict=True):
        np.testing.assert_array_equal(row.numbers, expected)
    assert len({numbers.tobytes() for numbers in (naive(), *sweep)}) == DEPTH + 1, (
        "every arm differs, or this shows nothing"
    )


def test_a_merged_isolation_sweep_is_bit_identical_to_one_full_pass_per_arm():
    reaches = [tuple(range(block + 1)) for block in range(DEPTH)]
    singles = [(block,) for block in range(1, DEPTH)]
    rows = measured(wanted(*[isolate_cls(blocks) for blocks in (*reaches, *singles)]))
    sweep = [naive(masked=blocks) for blocks in (*reaches, *singles)]
    for row, expected in zip(rows, sweep, strict=True):
        np.testing.assert_array_equal(row.numbers, expected)
    assert len({numbers.tobytes() for numbers in (naive(), *sweep)}) == len(sweep) + 1


def test_masks_and_edits_of_one_arm_act_together():
    both = Intervention(edits=shuffle_cls(2).edits, masks=isolate_cls([0, 3]).masks)
    (row,) = measured(wanted(both))
    np.testing.assert_array_equal(row.numbers, naive(shuffled=2, masked=(0, 3)))


def test_the_order_of_the_arms_does_not_matter():
    arms = [NONE, *map(shuffle_cls, range(DEPTH)), isolate_cls([1]), isolate_cls_with_noise([0, 1]), cls_alone(2)]
    forward, backward = measured(wanted(*arms)), measured(wanted(*reversed(arms)))
    for one, other in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(one.numbers, other.numbers)
        assert one.receipts == other.receipts


def test_every_arm_reads_the_same_number_alone_and_beside_the_others():
    arms = [NONE, shuffle_cls(1), isolate_cls([0, 1]), isolate_cls_with_noise([0, 1]), cls_alone(2)]
    together = measured(wanted(*arms))
    for arm, row in zip(arms, together, strict=True):
        np.testing.assert_array_equal(measured(wanted(arm))[0].numbers, row.numbers)


@pytest.mark.parametrize("depth", [2, 6, 12])
def test_the_shuffle_sweep_costs_at_most_the_budgeted_forward_equivalents(depth):
    counted, bill = Counting(inner=Planted(depth=depth)), Bill()
    images, chunk = planted_chunk()
    measured(wanted(NONE, *map(shuffle_cls, range(depth))), chunk, bill, counted, images)
    evaluations = sum(count for _, count in counted.stepped)
    assert evaluations == bill.total
    assert evaluations / len(images) / depth <= 1 + (depth + 1) / 2
    assert evaluations / len(images) == depth + depth * (depth - 1) / 2  # closed form: each suffix once
    assert counted.started == [len(images)], "the embedding is computed once"


def test_the_isolation_sweep_shares_its_masked_blocks():
    counted, bill = Counting(inner=Planted()), Bill()
    images, chunk = planted_chunk()
    depth = counted.card.depth
    measured(wanted(NONE, *[isolate_cls(range(block + 1)) for block in range(depth)]), chunk, bill, counted, images)
    evaluations = sum(count for _, count in counted.stepped)
    distinct = 2 * depth + depth * (depth - 1) / 2  # clean, fully masked, and a clean suffix after each masked block
    assert evaluations == bill.total == len(images) * distinct + 2 * PROBED * depth


def test_one_clean_pass_serves_every_readout_of_every_claim():
    counted, bill = Counting(inner=Planted()), Bill()
    images, chunk = planted_chunk()
    readouts = [Accuracy(), CrossEntropy(), Accuracy(layer=2, head="class"), Agreement(), SameLogits()]
    arms = [
        Request(intervention=NONE, readout=readout, claimants=frozenset({str(number)}))
        for number, readout in enumerate(readouts)
    ]
    measured(arms, chunk, bill, counted, images)
    assert counted.stepped == [(block, len(images)) for block in range(counted.card.depth)]
    assert sum(bill.shares.values()) == pytest.approx(bill.total)
    assert bill.shares["2"] == pytest.approx(3 * len(images) / 5), "who reads after block 2 pays for three blocks"
    assert bill.shares["0"] == pytest.approx(3 * len(images) / 5 + 3 * len(images) / 4)


def test_readouts_that_compare_with_the_unedited_arm_get_it_unasked():
    rows = measured([*wanted(shuffle_cls(0), NONE, readout=Agreement()), *wanted(shuffle_cls(3), readout=SameLogits())])
    with torch.inference_mode():
        clean = vit()(pictures()).argmax(-1)
        edited = torch.from_numpy(measured_predictions(shuffle_cls(0)))
    np.testing.assert_array_equal(rows[0].numbers, (clean == edited).double().numpy())
    np.testing.assert_array_equal(rows[1].numbers, 1.0)
    np.testing.assert_array_equal(rows[2].numbers, 0.0)


def measured_predictions(intervention: Intervention) -> np.ndarray:
    """Predict through the chain, step by step."""
    edits = dict(intervention.edits)
    stream = subject().start(pictures())
    for block in range(DEPTH):
        stream = subject().step(block, stream)
        if block in edits:
            stream = stream.with_tokens(edits[block].apply(stream.tokens, subject().card, CHUNK))
    return subject().logits(stream).argmax(-1).numpy()


def test_receipts_say_where_an_intervention_fired_and_on_how_many_images():
    clean, shuffled, isolated, noisy = measured(
        wanted(NONE, shuffle_cls(2), isolate_cls([0, 3]), isolate_cls_with_noise([1]))
    )
    assert clean.receipts == ()
    assert [(r.place, r.calls, r.changed) for r in shuffled.receipts] == [("ShuffleClass()@2", 1, IMAGES)]
    assert [r.place for r in isolated.receipts] == ["IsolateClass()@block0", "IsolateClass()@block3"]
    assert all(r.changed == PROBED for r in isolated.receipts)
    assert [r.place for r in noisy.receipts] == ["IsolateClass()@block1", "NoiseClass()@1"]


def test_a_shuffle_whose_donors_are_the_images_themselves_is_refused():
    idle = replace(CHUNK, donors=torch.arange(IMAGES))
    with pytest.raises(ClaimsError, match=r"ShuffleClass\(\)@2 changed nothing on images 12\.\.17"):
        measured(wanted(NONE, shuffle_cls(2)), idle)


def test_a_shuffle_of_the_embedding_is_refused_because_class_tokens_are_all_alike_there():
    with pytest.raises(ClaimsError, match=r"ShuffleClass\(\)@-1 changed nothing"):
        measured(wanted(shuffle_cls(-1)))


def test_a_mask_that_forbids_nothing_is_refused():
    with pytest.raises(ClaimsError, match=r"AllowAll\(\)@block1 changed nothing"):
        measured(wanted(Intervention(masks=((1, AllowAll()),))))


@pytest.mark.parametrize("returns_copy", [False, True])
def test_an_edit_that_changes_its_input_in_place_is_refused_before_it_leaks(returns_copy):
    with pytest.raises(ClaimsError, match="changed nothing"):
        measured(wanted(NONE, Intervention(edits=((1, InPlace(returns_copy)),)), shuffle_cls(3)))


def test_edits_do_not_leak_into_arms_that_are_measured_after_them():
    arms = [NONE, isolate_cls_with_noise([1]), shuffle_cls(1), cls_alone(1), shuffle_cls(3)]
    rows = measured(wanted(*arms))
    np.testing.assert_array_equal(rows[0].numbers, naive())
    np.testing.assert_array_equal(rows[2].numbers, naive(shuffled=1))
    np.testing.assert_array_equal(rows[4].numbers, naive(shuffled=3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.01, -0.01])
def test_numbers_that_are_not_finite_or_out_of_range_are_refused_with_image_and_arm(value):
    with pytest.raises(
        ClaimsError, match=r"Constant.* under ShuffleClass\(\)@1 read .* of image 12; allowed: .* 0\.0 to 1\.0"
    ):
        measured(wanted(shuffle_cls(1), readout=Constant(value=value)))


def test_numbers_at_the_ends_of_the_range_are_taken():
    for value in (0.0, 1.0):
        assert (measured(wanted(NONE, readout=Constant(value=value)))[0].numbers == value).all()


def test_blocks_on_a_part_of_the_tokens_cost_their_share():
    bill = Bill()
    measured(wanted(cls_alone(1)), bill=bill)
    assert bill.total == pytest.approx(IMAGES * (2 + (DEPTH - 2) / 17))


def test_a_readout_of_an_inner_block_costs_only_the_blocks_before_it():
    counted, bill = Counting(inner=Planted()), Bill()
    images, chunk = planted_chunk()
    measured(wanted(NONE, readout=Accuracy(layer=1, head="class")), chunk, bill, counted, images)
    assert counted.stepped == [(0, len(images)), (1, len(images))]
    assert bill.total == 2 * len(images)


@dataclass(frozen=True, kw_only=True)
class Norm:
    """The norm of what passes a site at the class token, beside that of the stream that entered the block."""

    site: str
    layer: int
    against_clean: bool = False
    low = 0.0
    high = 1e6
    exchanges = False
    fits = ()

    @property
    def sites(self):
        return (self.site,)

    @property
    def needs_clean(self):
        return self.against_clean

    def read(self, reading):
        assert set(reading.inner) == {self.site}, "a readout sees the sites that it names and no others"
        own = reading.inner[self.site][:, 0].norm(dim=-1)
        if self.against_clean:
            return (own - reading.clean.inner[self.site][:, 0].norm(dim=-1)).abs()
        return own + reading.before.tokens[:, 0].norm(dim=-1)


def test_readouts_within_blocks_read_what_a_watched_block_gives_under_every_arm():
    arms = [NONE, shuffle_cls(1), isolate_cls([2])]
    readouts = [Norm(site="units", layer=2), Norm(site="attention write", layer=2), Norm(site="value", layer=1)]
    rows = measured([one for readout in readouts for one in wanted(*arms, readout=readout)])
    number = 0
    for readout in readouts:
        for arm in arms:
            stream = subject().start(pictures())
            edits, masks = dict(arm.edits), dict(arm.masks)
            for block in range(readout.layer + 1):
                mask = masks[block].allowed(subject().card, 17) if block in masks else None
                before, (stream, inner) = stream, subject().watch(block, stream, (readout.site,), mask)
                if block in edits:
                    stream = stream.with_tokens(edits[block].apply(stream.tokens, subject().card, CHUNK))
            expected = inner[readout.site][:, 0].norm(dim=-1) + before.tokens[:, 0].norm(dim=-1)
            np.testing.assert_array_equal(rows[number].numbers, expected.double().numpy())
            number += 1


def test_reading_within_blocks_costs_no_block_evaluation():
    images, arms = pictures(), [NONE, shuffle_cls(2), isolate_cls([1])]
    plain, watched = Counting(inner=subject()), Counting(inner=subject())
    plain_bill, watched_bill = Bill(), Bill()
    measured(wanted(*arms), CHUNK, plain_bill, plain, images)
    within = wanted(*arms, readout=Norm(site="units", layer=DEPTH - 1))
    measured(
        [*wanted(*arms), *within, *wanted(NONE, readout=Norm(site="query", layer=3))], CHUNK, watched_bill, watched
    )
    assert plain.stepped == watched.stepped
    assert plain_bill.total == watched_bill.total


def test_a_readout_may_compare_what_passed_a_site_of_the_last_block_with_the_unedited_arm():
    readout = Norm(site="units", layer=DEPTH - 1, against_clean=True)
    (edited,) = measured(wanted(shuffle_cls(2), readout=readout))
    streams = [subject().start(pictures()), subject().start(pictures())]
    for block in range(DEPTH):
        watched = [subject().watch(block, stream, ("units",)) for stream in streams]
        streams = [stream for stream, _ in watched]
        if block == 2:
            streams[1] = streams[1].with_tokens(
                shuffle_cls(2).edits[0][1].apply(streams[1].tokens, subject().card, CHUNK)
            )
    clean, other = (inner["units"][:, 0].norm(dim=-1) for _, inner in watched)
    np.testing.assert_array_equal(edited.numbers, (other - clean).abs().double().numpy())


def test_sites_after_the_embedding_are_refused_before_anything_runs():
    with pytest.raises(ValueError, match="lie within a block; the embedding has none"):
        measured(wanted(NONE, readout=Norm(site="units", layer=-1)))


def test_planted_truth_an_exchanged_class_token_gives_the_donors_class():
    images, chunk = planted_chunk()
    arms = wanted(shuffle_cls(5), readout=Accuracy()) + wanted(shuffle_cls(5), readout=Accuracy(labels="donor"))
    own, donor = measured(arms, chunk, model=Planted(), images=images)
    assert own.numbers.tolist() == [0.0] * len(images)
    assert donor.numbers.tolist() == [1.0] * len(images)
