"""The claims about the class in single tokens, together: one forward pass, and no more memory for more pictures."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.judging.verdict import Verdict
from harness.measurement.observed import Job
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Plan, propose
from harness.measurement.runner import run
from harness.measurement.sequential import Outcome
from harness.measurement.settings import Missing
from support.cards import CARDS, CLAIMS, CLS, ORIG, SPECS, make_card, plan_for
from support.claims import bench
from support.planted import Counting
from support.tiny import DEPTH, SIZE, RandomImages, tiny_vit

RESIDUAL = (
    "image-tokens-class-identifiable-final",
    "almost-every-image-has-an-identifiable-token",
    "random-init-tokens-at-chance",
    "cls-identifiability-rises",
    "image-token-identifiability-rises",
    "cls-leads-image-tokens",
    "each-block-raises-correct-class-logit-of-most-image-tokens",
    "identifiability-rises-before-accuracy",
    "lens-curves-agree-across-labs",
)
LARGE = make_card(depth=24, arch="vit_large_patch16_224.augreg_in21k_ft_in1k")
MEBIBYTE = 2**20  # bytes
# Prints the resident memory of the process, in bytes: after 1,000 pictures, after 10,000 more, and beside the streams
# of one block of these. What the allocator holds back of freed memory is given back first.
STREAM = """
import ctypes
import gc
import resource
import torch
from support.claims import bench
from support.tiny import tiny_vit
from test_identifiability_claims import QuickImages, read_of_the_model

def say():
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    with open("/proc/self/statm") as statm:
        print(int(statm.read().split()[1]) * resource.getpagesize())

torch.set_num_threads(1)
model = tiny_vit(patch_size=2)
for count in (1_000, 10_000):
    here = bench(model, QuickImages(count=count), batch_size=64)
    wanted = read_of_the_model(here)
    for positions in here.grid:
        rows, _ = here.measure(wanted, positions, here.load(positions))
        here.store.append(positions, rows)
    say()
kept = [model.start(here.models[0].load(positions)) for positions in here.grid]
say()
"""


class QuickImages(RandomImages):
    """Noise, a chunk of which takes one draw."""

    def load(self, positions, preprocessing) -> torch.Tensor:
        return torch.randn(len(positions), 3, SIZE, SIZE, generator=torch.Generator().manual_seed(positions[0]))


def measured(subject, images) -> dict[str, Outcome]:
    """Measure all of these claims on all pictures: none is judged, so none stops early."""
    jobs = []
    for name in RESIDUAL:
        spec = CLAIMS[name].spec.model_copy(update={"budget": len(images)})
        plan = propose(CLAIMS[name].function, spec, subject.card)
        jobs.append(Job(spec=spec, plan=replace(plan, report_only="all pictures are read", curves={})))
    return run(jobs, bench(subject, images, batch_size=64))


def read_of_the_model(here: OnImages) -> Missing:
    """List what they measure on the model itself, without their controls."""
    arms = {}
    for name in RESIDUAL:
        plan = propose(CLAIMS[name].function, CLAIMS[name].spec, here.models[0].subject.card)
        arms |= {here.key(arm): arm for arm in plan.arms.values() if arm.weights == "given"}
    return {key: (arm, frozenset({"x"})) for key, arm in arms.items()}


def test_all_of_them_take_one_forward_pass_per_picture_and_set_of_weights():
    model, images = Counting(inner=tiny_vit()), RandomImages(count=128)
    outcomes = measured(model, images)
    assert {outcome.judgement.verdict for outcome in outcomes.values()} == {Verdict.REPORTED}
    weights = 2  # as given, and the untrained twin of the controls
    assert model.passes == weights * len(images)
    assert sum(count for _, count in model.stepped) == weights * DEPTH * len(images)
    billed = sum(outcome.cost.block_evaluations for outcome in outcomes.values())
    assert billed == pytest.approx(weights * DEPTH * len(images))


def test_without_controls_there_is_one_forward_pass_and_no_twin():
    model, images = Counting(inner=tiny_vit()), RandomImages(count=64)
    here = bench(model, images, batch_size=64)
    wanted = read_of_the_model(here)
    rows, bill = here.measure(wanted, range(64), here.load(range(64)))
    assert len(rows) == len(wanted)
    assert model.passes == len(images)
    assert bill.total == DEPTH * len(images)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_ten_times_as_many_pictures_take_no_more_memory():
    tests = Path(__file__).parent
    found = subprocess.run(
        [sys.executable, "-c", STREAM],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{tests}:{tests.parent}", "OMP_NUM_THREADS": "1", "PATH": ""},
    )
    few, many, hoarding = (int(line) / MEBIBYTE for line in found.stdout.split())
    print(f"{few:.0f} MiB after 1,000 pictures, {many:.0f} MiB after 10,000, {hoarding:.0f} MiB with their streams")
    # What is kept is a number per picture and arm, of 8 bytes.
    assert many - few < 10
    assert hoarding - many > 20  # the streams take 31


def test_the_bound_that_guessing_reaches_is_that_of_the_ledger():
    name = "almost-every-image-has-an-identifiable-token"
    assert CLAIMS[name].function.__globals__["MOST_BY_GUESSING"] == SPECS[name].bounds["any"].value
    by_classes = {
        (classes, side): plan_for(name, replace(CLS, classes=classes, grid=(side, side))).report_only
        for classes, side in ((1000, 14), (1000, 7), (100, 14), (100, 16), (10, 8), (10, 4))
    }
    # 1 - (1 - 1/classes)^tokens: .18, .05, .86, .92, .999, .81
    assert [bool(reason) for reason in by_classes.values()] == [False, False, False, True, True, False]
    assert by_classes[10, 8] == "64 tokens that guess apart among 10 classes would reach it too"


def test_named_checkpoints_are_judged_by_their_share_and_others_by_their_own_accuracy():
    def judged(card):
        effect = plan_for("image-tokens-class-identifiable-final", card).question.effect
        return effect.bound, effect.arms()

    assert judged(CARDS["augreg"]) == ("B/16", ("right",))
    assert judged(make_card(arch="vit_base_patch32_224.augreg_in21k_ft_in1k")) == ("B/32", ("right",))
    assert judged(LARGE) == ("L/16", ("right",))
    assert judged(CARDS["cls, as MIIL"]) == ("MIIL", ("right",))
    assert judged(make_card("patch mean", prefix=(), arch="vit_base_patch16_rpn_224.sw_in1k")) == ("GAP", ("right",))
    assert judged(ORIG) == ("generic", ("right", "clean"))


def test_the_lead_is_judged_at_base_size_and_on_the_published_exception():
    reasons = {name: plan_for("cls-leads-image-tokens", CARDS[name]).report_only for name in ("orig", "cls", "deit")}
    assert [bool(reasons[name]) for name in ("orig", "cls", "deit")] == [False, True, False]
    assert not plan_for("cls-leads-image-tokens", LARGE).report_only


def test_the_blocks_of_a_twelve_block_model_are_those_of_the_source():
    plan = plan_for("cls-identifiability-rises", ORIG)
    levels = {part.name for part in plan.question.effect.parts}
    assert levels == {"Spearman", "class@0", "class@5", "class@11", "class@11 - @0"}
    rises = plan_for("each-block-raises-correct-class-logit-of-most-image-tokens", ORIG)
    assert {name for name in rises.arms if name.startswith("rise@")} == {f"rise@{b}" for b in range(1, 12)}


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_levels_are_stretched_so_that_chance_is_a_half_and_the_best_is_one(classes):
    plan = plan_for("cls-identifiability-rises", replace(ORIG, classes=classes))
    assert isinstance(plan, Plan)
    mixed = plan.derived["class@0 of the range"]
    (_, weight), *_ = mixed.terms
    ranks = np.arange(classes)
    np.testing.assert_allclose(weight * (1 - ranks / classes) + mixed.constant, 1 - ranks / (classes - 1), atol=1e-12)


def test_few_classes_leave_out_the_share_of_pictures_that_has_no_null():
    def bounds(card):
        return set(plan_for("random-init-tokens-at-chance", card).question.bound_names())

    assert bounds(CLS) == {"least", "most", "rate", "image rate"}
    assert bounds(CARDS["cls, 100 classes"]) == {"least", "most", "rate"}
    rate = SPECS["random-init-tokens-at-chance"].bounds["rate"]
    assert (rate.at(1000), rate.at(10)) == (0.01, 0.2)


def test_the_share_of_blocks_without_a_lag_is_bounded_over_a_box():
    functional = plan_for("cls-leads-image-tokens", ORIG).question.effect.parts[1].functional
    low, high = np.array([-0.1, 0.0, 0.2, -0.3]), np.array([0.1, 0.1, 0.3, -0.1])
    assert functional(low, high) == (0.5, 0.75)


def test_hiding_the_class_token_is_judged_both_ways_where_the_model_allows_it():
    def ways(card):
        plan = plan_for("image-tokens-do-not-need-cls", card)
        return {m.renormalized for arm in plan.arms.values() for _, m in arm.intervention.masks if "Prefix" in repr(m)}

    assert ways(replace(CLS, capabilities=CLS.capabilities - {"attention_pattern"})) == {True}
    assert ways(replace(CLS, capabilities=CLS.capabilities | {"attention_pattern"})) == {True, False}
