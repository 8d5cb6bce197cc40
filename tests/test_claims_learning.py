"""What the claims about learning curves, families of probes, and ranks of queries and keys propose."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from harness.measurement.loaded_model import LoadedModel
from harness.measurement.settings import Settings
from harness.readouts.weight_ranks import RankShare, rank_share
from harness.results.measurements import Store
from support.cards import ORIG, SPECS, make_card, plan_for
from support.tiny import DEPTH, WIDTH, RandomImages, tiny_vit


def test_learning_curves_are_those_of_four_blocks_and_share_their_places():
    plan = plan_for("probe-sample-complexity-scaling", ORIG)
    probes = [arm.readout.probe for arm in plan.arms.values()]
    assert {probe.layer for probe in probes} == {5, 6, 10, 11}
    assert {probe.shots for probe in probes} == {1, 2, 5, 10, 20, 50, 100, 200}
    assert {probe.layer for probe in probes if probe.labels == "permuted"} == {11}


def test_the_bound_of_the_error_is_that_of_the_slope():
    bound = SPECS["probe-sample-complexity-scaling"].bounds["fall"].value
    assert np.log(bound) / np.log(50 / 5) == pytest.approx(-0.05, abs=2e-4)
    effect = plan_for("probe-sample-complexity-scaling", ORIG).question.effect
    ends = {part.quantity.arms() for part in effect.parts if getattr(part, "bound", "") == "fall"}
    assert ends == {(f"error 50@{b}", f"error 5@{b}") for b in (5, 6, 10, 11)}


def test_families_are_compared_on_the_same_standardized_features():
    plan = plan_for("algorithm-independent-floor", ORIG)
    probes = {name: arm.readout.probe for name, arm in plan.arms.items()}
    assert all(probe.standardized for probe in probes.values())
    assert {probe.layer for name, probe in probes.items() if name.startswith("lda")} == set(range(12))
    assert {name for name in probes if name.startswith(("logistic", "sgd"))} == {"logistic@11", "sgd@11"}


def test_ranks_are_judged_for_the_published_model_alone():
    dinov2 = make_card("none", arch="vit_base_patch14_dinov2.lvd142m")
    can = dinov2.capabilities | {"weights"}
    assert not _ranks_of(dinov2, can).report_only
    assert _ranks_of(make_card(), can).report_only


def test_later_blocks_are_those_from_the_sixth_of_twelve_on():
    plan = _ranks_of(ORIG, ORIG.capabilities | {"weights"})
    assert plan.arms["later query"].readout.blocks == tuple(range(5, 12))


@pytest.mark.parametrize("matrix", ["query", "key", "value"])
def test_the_rank_of_a_matrix_is_that_of_its_third_of_the_fused_projection(matrix):
    subject = tiny_vit()
    weight = subject.model.blocks[1].attn.qkv.weight
    start = WIDTH * ["query", "key", "value"].index(matrix)
    with torch.no_grad():
        weight[start : start + WIDTH, -4:] = 0.0
    expected = np.linalg.matrix_rank(weight[start : start + WIDTH].detach().numpy())
    assert expected == WIDTH - 4
    assert rank_share(subject, matrix, 1) == expected / WIDTH
    others = {"query", "key", "value"} - {matrix}
    assert {rank_share(subject, other, 1) for other in others} == {1.0}


def test_a_median_is_taken_over_the_blocks_asked_for():
    subject = tiny_vit()
    for block, lost in enumerate((6, 3, 0)):
        with torch.no_grad():
            subject.model.blocks[block].attn.qkv.weight[:WIDTH, :lost] = 0.0
    bench = LoadedModel(subject, RandomImages(count=8), Store(None), Settings(batch_size=8))
    place = bench.place("given", 0, lambda blocks: None)
    readout = RankShare(matrix="query", blocks=tuple(range(DEPTH)))
    assert readout.numbers(place, np.arange(1)) == [(WIDTH - 3) / WIDTH]


def _ranks_of(card, capabilities):
    return plan_for("early-qk-rank-deficit", replace(card, capabilities=frozenset(capabilities)))
