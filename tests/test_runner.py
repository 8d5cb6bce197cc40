"""Plans on planted models reach the verdicts that were planted, whatever ran before, beside or in between."""

from contextlib import closing
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
import pytest
import torch

from harness.errors import NotApplicable
from harness.interventions.intervention import isolate_cls, shuffle_cls
from harness.judging.statements import Holds, every
from harness.measurement.plan import Arm, Plan, curve, difference, level, ratio
from harness.measurement.runner import run
from harness.probes.probe import Probe
from harness.readouts.linear_probes import ProbeAccuracy
from harness.readouts.own_answer import Accuracy, Agreement
from harness.results.measurements import Store
from support.claims import accuracy, bench, bound, isolation, job, retention, told
from support.planted import DEPTH, Counting, Planted, PlantedImages

TRAIN = PlantedImages(count=160, seed=11, noise=0.5)
NOISY = PlantedImages(count=256, wrong=0.1)


@dataclass(frozen=True, kw_only=True)
class Raising:
    """A readout with a bug of its own."""

    low = 0.0
    high = 1.0
    needs_clean = False
    exchanges = False
    sites = ()
    layer = None
    fits = ()

    def read(self, reading):
        raise ZeroDivisionError("a bug in this readout")


def jobs() -> dict:
    """Give claims that are decided at different times, or never."""
    listed = [
        job(isolation(), "isolation"),
        job(retention(2, control=5), "shuffle"),
        job(retention(5), "last-shuffle"),
        job(accuracy(), "close", {"bound": bound(0.9)}),
        job(accuracy(), "cut", {"bound": bound(0.88)}, budget=100),
        job(replace(accuracy(), report_only="only reported"), "told"),
    ]
    return {one.spec.id: one for one in listed}


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def kill_at(images: int):
    def advance(what: str, done: int, total: int) -> None:
        if what == "images" and done >= images:
            raise Killed

    return advance


@pytest.mark.parametrize(
    ("kind", "plan", "verdict"),
    [
        ("late reader", isolation(), "supported"),
        ("late reader", retention(2, control=5), "supported"),
        ("late reader", retention(5, control=5), "refuted"),
        ("late reader", retention(2, control=1), "vacuous"),
        ("early carrier", isolation(), "refuted"),
        ("early carrier", retention(0, control=5), "refuted"),
        ("patch mean", isolation(), "vacuous"),
        ("patch mean", retention(5, control=4), "vacuous"),
    ],
    ids=lambda part: "" if isinstance(part, Plan) else part,
)
def test_a_planted_model_gets_the_planted_verdict(kind, plan, verdict):
    (outcome,) = run([job(plan)], bench(Planted(kind=kind))).values()
    assert outcome.judgement.verdict == verdict
    assert outcome.images < 256, "clear claims are decided early"


def test_an_effect_at_its_bound_is_inconclusive_at_the_budget():
    (outcome,) = run([job(accuracy(), bounds={"bound": bound(0.9)})], bench(images=NOISY)).values()
    assert outcome.judgement.verdict == "inconclusive"
    assert outcome.images == 256


def test_an_undecided_control_leaves_the_claim_inconclusive():
    plan = Plan(
        arms={"clean": Arm(), "rival": Arm(readout=Accuracy(head="patch mean"))},
        effect=Holds(level("clean"), "low"),
        control=Holds(level("rival"), "close"),
    )
    bounds = {"low": bound(0.5), "close": bound(0.9)}
    (outcome,) = run([job(plan, bounds=bounds)], bench(images=NOISY)).values()
    assert outcome.judgement.verdict == "inconclusive"


def test_a_gate_that_is_not_passed_makes_the_claim_vacuous():
    plan = replace(retention(2, control=5), gate=level("clean"))
    (outcome,) = run([job(plan, bounds={"bound": bound(0.9), "gate": bound(0.5)})], bench(Planted(shift=1))).values()
    assert outcome.judgement.verdict == "vacuous"
    assert "gate not passed: clean = 0" in outcome.judgement.reason


def test_untrained_arms_are_measured_on_the_twin():
    plan = Plan(
        arms={
            "clean": Arm(),
            "twin": Arm(weights="untrained"),
            "twin agrees": Arm(intervention=shuffle_cls(2), readout=Agreement(), weights="untrained"),
        },
        effect=every(Holds(level("clean")), Holds(level("twin agrees"))),
        control=level("twin"),
    )
    (outcome,) = run([job(plan)], bench()).values()
    assert outcome.judgement.verdict == "supported"
    assert outcome.arm_means == {"clean": 1.0, "twin": 0.0, "twin agrees": 1.0}


def test_the_verdict_does_not_depend_on_the_claims_beside_or_on_their_order():
    alone = {name: told(run([one], bench(images=NOISY))[name]) for name, one in jobs().items()}
    assert len({values[0].verdict for values in alone.values()}) == 4
    for order in list(permutations(jobs()))[::97]:
        together = run([jobs()[name] for name in order], bench(images=NOISY))
        assert {name: told(outcome) for name, outcome in together.items()} == alone


def test_the_verdict_is_the_same_from_the_cache_and_a_second_run_makes_no_forward_pass(tmp_path):
    with closing(Store(tmp_path)) as store:
        first = run(list(jobs().values()), bench(Counting(inner=Planted()), NOISY, store))
    counted = Counting(inner=Planted())
    with closing(Store(tmp_path)) as store:
        second = run(list(jobs().values()), bench(counted, NOISY, store))
    assert counted.passes == 0
    assert counted.stepped == []
    assert {name: told(one) for name, one in second.items()} == {name: told(one) for name, one in first.items()}
    assert all(one.cost.measured_images == 0 for one in second.values())


@pytest.mark.parametrize("moment", [0, 32, 96, 192])
def test_an_interrupted_run_goes_on_where_it_stood_and_ends_in_the_same_verdicts(tmp_path, moment):
    uninterrupted = Counting(inner=Planted())
    expected = run(list(jobs().values()), bench(uninterrupted, NOISY))
    before, after = Counting(inner=Planted()), Counting(inner=Planted())
    with closing(Store(tmp_path)) as store, pytest.raises(Killed):
        run(list(jobs().values()), bench(before, NOISY, store), kill_at(moment))
    with closing(Store(tmp_path)) as store:
        resumed = run(list(jobs().values()), bench(after, NOISY, store))
    assert {name: told(one) for name, one in resumed.items()} == {name: told(one) for name, one in expected.items()}
    assert before.passes == moment
    assert before.stepped + after.stepped == uninterrupted.stepped, "no block was run twice, none left out"


def test_a_claim_that_comes_later_measures_only_the_arms_that_are_new():
    store, counted = Store(None), Counting(inner=Planted())
    run([job(retention(5), "first")], bench(counted, store=store))
    assert counted.passes == 32
    counted.stepped.clear()
    run(
        [job(Plan(arms={"clean": Arm(), "cut": Arm(intervention=isolate_cls([5]))}, effect=ratio("cut", "clean")))],
        bench(counted, store=store),
    )
    masked = [(block, count) for block, count in counted.stepped if count == 32]
    assert masked == [(block, 32) for block in range(DEPTH)], "the clean arm came from the store"
    store.close()


def test_a_decided_claim_drops_out_and_later_chunks_run_fewer_blocks():
    counted = Counting(inner=Planted())
    outcomes = run(
        [job(retention(5), "quick"), job(isolation(), "isolation"), job(accuracy(), "slow", {"bound": bound(0.9)})],
        bench(counted, NOISY),
    )
    assert [outcomes[name].images for name in ("quick", "slow")] == [32, 256]
    assert 32 < outcomes["isolation"].images < 256
    starts = [place for place, (block, count) in enumerate(counted.stepped) if block == 0 and count == 32]
    last_chunk = counted.stepped[starts[-1] :]
    assert last_chunk == [(block, 32) for block in range(DEPTH)], "only the clean arm is left"


def test_measured_numbers_are_stored_before_the_verdict_is_known():
    with closing(Store(None)) as store:
        prepared = bench(images=NOISY, store=store)
        (outcome,) = run([job(accuracy(), bounds={"bound": bound(0.9)})], prepared).values()
        right = (NOISY.shown == NOISY.labels).astype(float)
        np.testing.assert_array_equal(store.numbers(outcome.arms["clean"], 256), right)


def test_pairs_that_count_are_of_two_classes_and_all_others_of_one():
    for classes in (2, 4, 8):
        prepared = bench(Planted(classes=classes), PlantedImages(classes=classes))
        for positions in prepared.grid:
            made = prepared.models[0].chunk(positions)
            differ = np.flatnonzero(made.labels != made.labels[made.donors]) + positions.start
            first = prepared.pairs[np.isin(prepared.pairs, positions)]
            assert sorted([*first, *(first + 1)]) == differ.tolist()


@pytest.mark.parametrize(
    ("limit", "budget", "used"), [(50, 256, 50), (None, 45, 45), (33, 256, 33), (32, 256, 32), (7, 9, 7)]
)
def test_budget_and_cap_are_kept_to_the_image(limit, budget, used):
    one = job(replace(accuracy(), report_only="never stops"), budget=budget)
    (outcome,) = run([one], bench(images=NOISY, max_images=limit)).values()
    right = (NOISY.shown == NOISY.labels)[:used]
    assert outcome.images == used
    assert outcome.trace[-1][0] == used
    assert outcome.arm_means["clean"] == pytest.approx(right.mean(), abs=1e-12)


def test_images_beyond_the_budget_have_no_say():
    shown = NOISY.shown == NOISY.labels
    images = int(np.flatnonzero(~shown)[0])  # all pictures before the first wrong one are right
    (outcome,) = run([job(accuracy(), budget=images)], bench(images=NOISY)).values()
    assert outcome.arm_means["clean"] == 1.0
    assert outcome.images == images


def test_a_last_chunk_of_one_picture_is_left_out():
    images = PlantedImages(count=33)  # the last chunk would hold one picture
    prepared = bench(images=images)
    assert prepared.usable == 32
    (outcome,) = run([job(replace(accuracy(), report_only="never stops"))], prepared).values()
    assert outcome.images == 32


def test_a_finite_set_is_decided_exactly_once_all_of_it_is_seen():
    images = PlantedImages(count=128, wrong=0.125)
    made = [job(accuracy(), name, {"bound": bound(value)}) for name, value in (("below", 0.874), ("above", 0.876))]
    seen = run(made, bench(images=images, target="images"))
    assert (seen["below"].judgement.verdict, seen["above"].judgement.verdict) == ("supported", "refuted")
    assert seen["below"].images == 128
    assert seen["below"].judgement.main.interval == pytest.approx((0.875, 0.875))
    behind = run(made, bench(images=images))
    assert {one.judgement.verdict for one in behind.values()} == {"inconclusive"}


def test_an_error_of_one_claim_is_raised_and_what_was_stored_before_stays():
    broken = Plan(arms={"raises": Arm(readout=Raising())}, effect=level("raises"))
    store = Store(None)
    run([job(accuracy(), "sound")], bench(Counting(inner=Planted()), store=store))
    with pytest.raises(ZeroDivisionError, match="a bug in this readout"):
        run([job(accuracy(), "sound"), job(broken, "broken")], bench(store=store))
    counted = Counting(inner=Planted())
    (outcome,) = run([job(accuracy(), "sound")], bench(counted, store=store)).values()
    assert outcome.judgement.verdict == "supported"
    assert counted.passes == 0
    store.close()


def test_curves_come_with_intervals_that_hold_their_estimates():
    arms = {f"shuffled@{block}": Arm(intervention=shuffle_cls(block)) for block in range(DEPTH)}
    plan = Plan(
        arms=arms | {"clean": Arm()},
        effect=ratio("shuffled@0", "clean"),
        curves={
            "accuracy": curve({block: level(f"shuffled@{block}") for block in range(DEPTH)}),
            "loss": curve({block: difference("clean", f"shuffled@{block}") for block in range(DEPTH)}),
        },
    )
    (outcome,) = run([job(plan)], bench()).values()
    assert [row[0] for row in outcome.curves["accuracy"]] == list(range(DEPTH))
    assert [row[1] for row in outcome.curves["accuracy"]] == [1.0] * (DEPTH - 1) + [0.0]
    assert [row[1] for row in outcome.curves["loss"]] == [0.0] * (DEPTH - 1) + [1.0]
    for rows in outcome.curves.values():
        assert all(low <= estimate <= high and high - low < 0.7 for _, estimate, low, high in rows)


def test_costs_add_up_to_the_blocks_that_were_run():
    counted = Counting(inner=Planted())
    outcomes = run(list(jobs().values()), bench(counted, NOISY))
    assert sum(one.cost.block_evaluations for one in outcomes.values()) == pytest.approx(
        sum(n for _, n in counted.stepped)
    )
    assert all(one.cost.measured_images == -(-one.images // 32) * 32 for one in outcomes.values())
    assert all(one.cost.seconds > 0 for one in outcomes.values())


def test_the_error_level_of_the_run_takes_the_place_of_the_ledgers():
    (strict,) = run([job(accuracy())], bench(delta=1e-6)).values()
    (plain,) = run([job(accuracy())], bench()).values()
    assert strict.delta == 1e-6
    assert plain.delta == 0.05
    assert strict.images > plain.images


KEY_CHANGES = {
    "weights": {"subject": Planted(kind="early carrier")},
    "images": {"images": PlantedImages(seed=1)},
    "batch size": {"batch_size": 16},
    "seed": {"seed": 1},
    "dtype": {"dtype": "float64"},
    "device": {"device": "meta"},
}


@pytest.mark.parametrize("change", KEY_CHANGES)
def test_whatever_a_number_depends_on_is_in_its_key(change):
    arm = Arm(intervention=shuffle_cls(1))
    assert bench(**KEY_CHANGES[change]).key(arm).id != bench().key(arm).id
    assert bench().key(arm).id == bench().key(Arm(intervention=shuffle_cls(1))).id


@pytest.mark.parametrize(
    "arm",
    [
        Arm(),
        Arm(intervention=shuffle_cls(2)),
        Arm(intervention=isolate_cls([1])),
        Arm(intervention=shuffle_cls(1), readout=Accuracy(head="class")),
        Arm(intervention=shuffle_cls(1), readout=Accuracy(labels="donor")),
        Arm(intervention=shuffle_cls(1), weights="untrained"),
    ],
    ids=lambda arm: f"{arm.intervention.key} {arm.weights}",
)
def test_another_arm_has_another_key(arm):
    assert bench().key(arm).id != bench().key(Arm(intervention=shuffle_cls(1))).id


def test_changed_preprocessing_has_another_key():
    class Recropped(Planted):
        @property
        def card(self):
            card = Planted().card
            return replace(card, preprocessing=replace(card.preprocessing, crop=0.9))

    assert bench(Recropped()).key(Arm()).preprocessing != bench().key(Arm()).preprocessing
    assert bench(Recropped()).key(Arm()).id != bench().key(Arm()).id


@pytest.mark.parametrize(
    "part", ["measured_code.of_intervention", "measured_code.of_readout", "loaded_model.fingerprint"]
)
def test_changed_code_of_intervention_readout_or_model_never_meets_old_measurements(monkeypatch, part):
    arm = Arm(intervention=shuffle_cls(1))
    with closing(Store(None)) as store:
        run([job(retention(1))], bench(store=store))
        before = bench().key(arm).id
        monkeypatch.setattr(f"harness.measurement.{part}", lambda *values: "0" * 16)
        assert bench().key(arm).id != before
        counted = Counting(inner=Planted())
        run([job(retention(1))], bench(counted, store=store))
        assert counted.passes == 128, "everything is measured anew"


def test_probes_read_what_they_were_fitted_for_and_permuted_labels_do_not():
    plan = Plan(
        arms={
            "late": Arm(readout=ProbeAccuracy(probe=Probe(layer=5))),
            "early": Arm(readout=ProbeAccuracy(probe=Probe(layer=2))),
            "patches": Arm(readout=ProbeAccuracy(probe=Probe(layer=2, kind="patch mean"))),
        },
        effect=every(Holds(level("late")), Holds(level("patches"))),
        control=level("early"),
    )
    (outcome,) = run([job(plan)], bench(images=PlantedImages(noise=0.5), train=TRAIN)).values()
    assert outcome.judgement.verdict == "supported"
    assert outcome.arm_means["late"] == outcome.arm_means["patches"] == 1.0
    permuted = Plan(
        arms={"permuted": Arm(readout=ProbeAccuracy(probe=Probe(layer=5, labels="permuted")))}, effect=level("permuted")
    )
    (other,) = run([job(permuted)], bench(images=PlantedImages(noise=0.5), train=TRAIN)).values()
    assert other.judgement.verdict == "refuted"


def test_probes_without_training_images_are_not_applicable():
    plan = Plan(arms={"probe": Arm(readout=ProbeAccuracy(probe=Probe(layer=5)))}, effect=level("probe"))
    with pytest.raises(NotApplicable, match="no training images"):
        run([job(plan)], bench())


def test_one_pass_over_the_training_images_serves_all_layers_and_claims():
    counted = Counting(inner=Planted())
    made = [
        job(
            Plan(arms={"p": Arm(readout=ProbeAccuracy(probe=Probe(layer=layer)))}, effect=level("p")),
            f"layer-{layer}",
            budget=32,
        )
        for layer in range(DEPTH)
    ]
    run(made, bench(counted, train=TRAIN))
    assert counted.passes == len(TRAIN) + 32


def test_pictures_are_loaded_once_per_chunk_and_at_most_one_chunk_ahead(monkeypatch):
    loaded = []
    plain = PlantedImages.load

    def load(self, positions, preprocessing):
        loaded.append((positions.start, positions.stop))
        return plain(self, positions, preprocessing)

    monkeypatch.setattr(PlantedImages, "load", load)
    run([job(retention(5))], bench())
    assert loaded[0] == (0, 32)
    assert len(loaded) == len(set(loaded)) <= 2


def test_the_progress_counts_images_up_to_the_largest_budget():
    seen = []
    run(list(jobs().values()), bench(images=NOISY), lambda *step: seen.append(step))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert {(what, total) for what, _, total in seen} == {("images", 256)}


def test_nothing_is_measured_for_no_claims():
    counted = Counting(inner=Planted())
    assert run([], bench(counted)) == {}
    assert counted.passes == 0


def test_numbers_of_a_bench_do_not_depend_on_the_state_of_the_global_generator():
    plan = retention(2, control=5)
    torch.manual_seed(1)
    (one,) = run([job(plan)], bench(images=NOISY)).values()
    torch.manual_seed(2)
    (other,) = run([job(plan)], bench(images=NOISY)).values()
    assert told(one) == told(other)
