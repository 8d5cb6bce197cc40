"""Claims whose images exchange class tokens are judged pair by pair, the same when measured as when judged again."""

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ClaimsError, NotApplicable
from harness.images.sampling import exchange_pairs
from harness.interventions.intervention import Intervention, cls_alone, isolate_cls, isolate_cls_with_noise, shuffle_cls
from harness.judging import betting
from harness.judging.derived_arms import Covaries, resolve
from harness.judging.discovery import Claim
from harness.judging.observations import Observations, Pairs, Sample
from harness.judging.quantities import Ratio
from harness.judging.statements import Holds, every
from harness.measurement.plan import Arm, Plan, curve, difference, level, ratio
from harness.measurement.record import record_of
from harness.measurement.runner import run
from harness.readouts.own_answer import Accuracy, Agreement, Identifiability
from harness.results.measurements import Store
from harness.results.record import record_from, record_text
from harness.running.context import context_of
from harness.running.options import parse
from harness.running.rejudge import rejudge
from support.claims import accuracy, bench, bound, isolation, job, retention, spec
from support.planted import Planted, PlantedImages
from support.records import behind

NOISY = PlantedImages(count=101, wrong=0.2)  # chunks of 32 and a last one of 5
OWN = (NOISY.shown == NOISY.labels).astype(float)
FIRST = exchange_pairs(NOISY.labels, [range(32), range(32, 64), range(64, 96), range(96, 101)])


@dataclass(frozen=True)
class Borrows:
    """An edit that takes from the donors and does not say so."""

    exchanges = False

    def apply(self, tokens, card, chunk):
        return tokens[chunk.donors]


@dataclass(frozen=True, kw_only=True)
class Peeks:
    """A readout that asks for the labels of the donors and does not say so."""

    low = 0.0
    high = 1.0
    needs_clean = False
    exchanges = False
    sites = ()
    layer = None
    fits = ()

    def read(self, reading):
        return (reading.labels("donor") == 0).float()


def exchange() -> Plan:
    """Plan every kind of quantity over exchanged and clean arms."""
    arms = {
        "clean": Arm(),
        "shuffled": Arm(intervention=shuffle_cls(5)),
        "donor": Arm(intervention=shuffle_cls(5), readout=Accuracy(labels="donor")),
    }
    return Plan(
        arms=arms,
        effect=every(Holds(level("donor"), "low"), Holds(difference("donor", "shuffled"), "low")),
        control=Holds(ratio("shuffled", "clean"), "high"),
        curves={"accuracy": curve({5: level("shuffled"), 6: ratio("donor", "clean")})},
    )


BOUNDS = {"low": bound(0.5), "high": bound(0.6)}


def judged(plan: Plan, images: PlantedImages = NOISY, bounds=BOUNDS, budget: int = 256, **settings):
    (outcome,) = run([job(plan, bounds=bounds, budget=budget)], bench(images=images, **settings)).values()
    return outcome


def undecided(plan: Plan) -> Plan:
    return replace(plan, report_only="never stops")


def test_numbers_of_a_pair_are_averaged_as_by_hand():
    assert Pairs((0, 4), 7).means(np.array([1.0, 0.0, 9.0, 9.0, 0.25, 0.75])).tolist() == [0.5, 0.5]
    assert Pairs((), 7).means(np.ones((3, 4))).shape == (3, 0)


@pytest.mark.parametrize(("first", "in_all"), [((0, 1), 9), ((4, 2), 9), ((-1,), 9), ((0, 2, 4), 2)])
def test_pairs_that_overlap_or_are_too_many_are_refused(first, in_all):
    with pytest.raises(ValueError, match="allowed"):
        Pairs(first, in_all)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_pairs_that_cover_all_images_keep_their_mean(values):
    values = np.array(values[: len(values) // 2 * 2])
    pairs = Pairs(tuple(range(0, len(values), 2)), len(values) // 2)
    assert pairs.means(values).mean() == pytest.approx(values.mean())


def test_an_exchange_claim_is_judged_on_the_means_of_its_pairs():
    outcome = judged(undecided(exchange()))
    clean = (OWN[FIRST] + OWN[FIRST + 1]) / 2
    shown, labels = NOISY.shown, NOISY.labels
    partner = np.arange(101) ^ 1
    donor = np.array([float(shown[p] == labels[p]) if p < 101 else 0.0 for p in partner])
    swapped = np.array([float(p < 101 and shown[p] == labels[i]) for i, p in enumerate(partner)])
    by_hand = {"clean": OWN, "shuffled": swapped, "donor": donor}
    means = {name: (numbers[FIRST] + numbers[FIRST + 1]) / 2 for name, numbers in by_hand.items()}
    assert outcome.arm_means == pytest.approx({name: values.mean() for name, values in means.items()})
    assert outcome.arm_means["clean"] != pytest.approx(OWN.mean()), "pairs of one class have no say"
    assert outcome.pairs == Pairs(tuple(FIRST.tolist()), len(FIRST))
    assert len(clean) < 50
    apart = outcome.judgement.effect[1]
    assert apart.p.true == betting.p_above(means["donor"] - means["shuffled"], 0.5, -1.0, 1.0)
    assert outcome.judgement.effect[0].p.true == betting.p_above(means["donor"], 0.5, 0.0, 1.0)
    low, high = outcome.curves["accuracy"][0][2:]
    assert (low, high) == betting.mean_interval(means["shuffled"], 0.0, 1.0, outcome.delta)


def test_a_claim_that_only_compares_neighbours_counts_pairs_of_one_class_too():
    # Nothing of another image enters the model, so which classes two neighbours have is no matter of the claim.
    every_pair = tuple(
        first
        for chunk in (range(32), range(32, 64), range(64, 96), range(96, 101))
        for first in chunk[: len(chunk) - 1 : 2]
    )
    assert len(every_pair) > len(FIRST)
    compared = replace(accuracy(), derived={"apart": Covaries("clean", "clean")}, effect=level("apart"), control=None)
    assert (compared.exchanges, compared.exchanges_classes) == (True, False)
    outcome = judged(undecided(compared), bounds=None)
    assert outcome.pairs == Pairs(every_pair, len(every_pair))
    both = replace(compared, arms={**exchange().arms}, effect=every(Holds(level("apart")), Holds(level("shuffled"))))
    assert both.exchanges_classes


def test_a_covariance_over_pairs_of_two_classes_would_not_be_the_covariance():
    # Two classes that differ in how often they are right and in what is read of them.
    random, count = np.random.default_rng(0), 200_000
    labels = random.integers(0, 3, count)
    right = (random.random(count) < np.array([0.9, 0.6, 0.5])[labels]).astype(float)
    read = (random.random(count) < np.where(right == 1, 0.5, 0.35) + np.array([0.3, 0.0, -0.1])[labels]).astype(float)
    lead = read[right == 1].mean() - read[right == 0].mean()

    def estimate(pairs):
        samples = {name: Sample(values, 0.0, 1.0) for name, values in (("read", read), ("right", right))}
        arms = {"together": Covaries("read", "right"), "apart": Covaries("right", "right")}
        found = resolve(samples, arms, pairs)
        return Ratio("together", "apart").estimate(
            Observations(samples={n: Sample(pairs.means(o.values), o.low, o.high) for n, o in found.items()}, bounds={})
        )

    grid = [range(count)]
    all_pairs, of_two = exchange_pairs(None, grid), exchange_pairs(labels, grid)
    assert estimate(Pairs(tuple(all_pairs.tolist()), len(all_pairs))) == pytest.approx(lead, abs=0.005)
    assert estimate(Pairs(tuple(of_two.tolist()), len(of_two))) > lead + 0.015


def test_a_claim_without_an_exchange_keeps_the_image_as_its_unit():
    outcome = judged(undecided(accuracy()), bounds=None)
    assert outcome.pairs is None
    assert outcome.arm_means["clean"] == pytest.approx(OWN[: outcome.images].mean())
    assert outcome.judgement.main.p.true == betting.p_above(OWN, 0.9, 0.0, 1.0)


@pytest.mark.parametrize(
    ("arm", "exchanges"),
    [
        (Arm(), False),
        (Arm(intervention=shuffle_cls(2)), True),
        (Arm(intervention=shuffle_cls(2), weights="untrained", readout=Agreement()), True),
        (Arm(readout=Accuracy(labels="donor")), True),
        (Arm(readout=Identifiability(layer=1, labels="donor")), True),
        (Arm(readout=Identifiability(layer=1)), False),
        (Arm(intervention=isolate_cls([0])), False),
        (Arm(intervention=isolate_cls_with_noise([0])), False),
        (Arm(intervention=cls_alone(1)), False),
    ],
)
def test_one_arm_that_exchanges_makes_a_plan_one_of_pairs(arm, exchanges):
    assert Plan(arms={"clean": Arm(), "other": arm}, effect=ratio("other", "clean")).exchanges is exchanges


def test_an_edit_that_exchanges_without_saying_so_is_an_error():
    plan = Plan(arms={"b": Arm(intervention=Intervention(edits=((2, Borrows()),)))}, effect=level("b"))
    with pytest.raises(IndexError):
        judged(plan, bounds={"bound": bound(0.5)})


def test_a_readout_that_reads_donors_without_saying_so_is_an_error():
    plan = Plan(arms={"b": Arm(readout=Peeks())}, effect=level("b"))
    with pytest.raises(ClaimsError, match="exchanges = False"):
        judged(plan, bounds={"bound": bound(0.5)})


@pytest.mark.parametrize(("budget", "used"), [(45, 44), (44, 44), (33, 32), (32, 32), (97, 96), (100, 100), (101, 101)])
def test_a_budget_cuts_no_pair_in_two(budget, used):
    outcome = judged(undecided(exchange()), budget=budget)
    assert outcome.images == outcome.trace[-1][0] == used
    assert outcome.pairs.first == tuple(first for first in FIRST.tolist() if first < used)
    assert judged(undecided(exchange()), max_images=budget).pairs == outcome.pairs


def test_a_finite_set_is_decided_exactly_once_all_of_its_pairs_are_seen():
    mean = OWN[np.concatenate([FIRST, FIRST + 1])].mean()
    plan = Plan(arms={"d": Arm(intervention=shuffle_cls(5), readout=Accuracy(labels="donor"))}, effect=level("d"))
    for shift, verdict in ((-1e-6, "supported"), (1e-6, "refuted")):
        bounds = {"bound": bound(mean + shift)}
        assert judged(plan, bounds=bounds, target="images").judgement.verdict == verdict
        assert judged(plan, bounds=bounds).judgement.verdict == "inconclusive"
    seen = judged(undecided(plan), bounds=bounds, target="images")
    assert seen.judgement.main.interval == pytest.approx((mean, mean))


def test_images_of_one_class_cannot_exchange_and_the_claim_says_so_before_any_pass():
    with pytest.raises(NotApplicable, match="no two neighbours are of different classes"):
        judged(retention(2), PlantedImages(sorted_by_class=True), bounds=None)
    assert judged(accuracy(), PlantedImages(sorted_by_class=True), bounds=None).judgement.verdict == "supported"


def test_a_first_chunk_without_a_pair_that_counts_decides_nothing_yet():
    seed = next(seed for seed in range(99) if _same(PlantedImages(count=16, seed=seed).labels))
    images = PlantedImages(count=16, seed=seed, noise=0.1)
    outcome = judged(undecided(exchange()), images, batch_size=2)
    assert outcome.trace[0] == (2, 1.0)
    assert outcome.pairs.first[0] >= 2


def _same(labels) -> bool:
    return labels[0] == labels[1]


@pytest.mark.parametrize("target", ["distribution", "images"])
@pytest.mark.parametrize("plan", [exchange, isolation], ids=["exchange", "no exchange"])
def test_judging_again_equals_judging_bit_for_bit(plan, target):
    options = parse({"claims_target": target, "batch_size": "32"}, {})
    bounds = {**BOUNDS, "bound": bound(0.9)}
    with closing(Store(None)) as store:
        here = bench(Planted(), NOISY, store, target=target)
        (outcome,) = run([job(plan(), bounds=bounds, budget=99)], here).values()
        context = context_of(SimpleNamespace(resolved="planted"), here.models[0], options)
        record = record_of(outcome, "nameless", context)
        kept = record_from(record_text(record))
        listed = Claim(spec=spec(bounds=bounds, budget=99), function=lambda card: plan(), path=Path("none"))
        again = rejudge(listed, listed.spec, kept, **behind(kept, store))
        assert again.judgement == outcome.judgement
        assert again.images == outcome.images
        kept = kept.but(pairs=None)  # as records were before images exchanged in pairs
        if plan is exchange:
            with pytest.raises(ClaimsError, match="did not exchange in pairs; run it again"):
                rejudge(listed, listed.spec, kept, **behind(kept, store))
        else:
            assert rejudge(listed, listed.spec, kept, **behind(kept, store)).judgement == outcome.judgement


def test_the_chunk_of_an_edit_that_does_not_exchange_has_no_donors_in_it():
    made = bench(images=NOISY).models[0].chunk(range(96, 101))
    assert made.donors.tolist() == [1, 0, 3, 2, 4]
    assert torch.equal(made.alone.donors, torch.full((5,), 5))
    assert made.alone.generator(1).initial_seed() == made.generator(1).initial_seed()
