"""Numbers that take many pictures are judged over batches of them, each with a twin of its own: the typical batch."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import binom

from harness.errors import ClaimsError, NotApplicable
from harness.judging import typical
from harness.judging.curve_statements import Rises
from harness.judging.observations import Observations, PValues, Sample
from harness.judging.quantities import Difference, Level, Ratio
from harness.judging.statements import Holds
from harness.measurement.observed import Job
from harness.measurement.on_members import OnMembers
from harness.measurement.picture_batches import BatchOfPictures, Replicate
from harness.measurement.plan import Arm, Plan, difference, level, propose, ratio
from harness.measurement.record import record_of
from harness.measurement.runner import run
from harness.readouts.members import Batches, TheModel
from harness.report.verdict_text import images_used, paragraph
from harness.results.record import Context
from support.claims import bench, bound, loaded, spec
from support.planted import Planted, PlantedImages

IMAGES = PlantedImages(count=256, wrong=0.3)
RIGHT = (IMAGES.shown == IMAGES.labels).astype(float)
PREPROCESSING = Planted().card.preprocessing


@dataclass(frozen=True)
class ShareRight:
    """The accuracy over all pictures of the batch, and what else a reading may look at."""

    low = 0.0
    high = 1.0

    def numbers(self, place, members):
        found = []
        for positions in place.grid:
            labels = place.chunk_of(positions).labels
            logits = place.subject.logits(_whole(place.subject, place.load(positions)))
            found += (logits.argmax(dim=1) == labels).tolist()
            assert labels.tolist() == place.images.labels[positions.start : positions.stop].tolist()
        assert len(found) == place.pictures == len(place.images) == len(place.images.names)
        place.charge(float(len(found)))
        return np.full(len(members), np.mean(found))


@dataclass(frozen=True)
class TwinNumber:
    """A number of the twin's weights, and of nothing else."""

    low = 0.0
    high = 1.0

    def numbers(self, place, members):
        return np.full(len(members), int(place.subject.weights_hash()[:8], 16) / 16**8)


def _whole(subject, images):
    stream = subject.start(images)
    for block in range(subject.card.depth):
        stream = subject.step(block, stream)
    return stream


def job(plan: Plan, **changes) -> Job:
    return Job(spec=spec(**{"batch": 16, "budget": 40, **changes}), plan=plan)


def accuracy(value: float, **changes) -> Job:
    plan = Plan(arms={"right": Arm(readout=ShareRight())}, census=Batches(), effect=level("right"))
    return job(plan, bounds={"bound": bound(value)}, **changes)


def measured(one: Job, images=IMAGES, **settings):
    return run([one], bench(images=images, **settings))[one.spec.id]


def test_every_batch_is_read_as_if_it_were_the_whole_set():
    outcome = measured(accuracy(0.68, delta=1e-9))
    shares = RIGHT.reshape(16, 16).mean(axis=1)
    assert outcome.judgement.verdict == "inconclusive"
    assert outcome.judgement.main.estimate == pytest.approx(np.median(shares))
    assert outcome.judgement.main.p == PValues(*typical.typical_p(shares >= 0.68, shares < 0.68))
    assert (outcome.images, outcome.what, outcome.members, outcome.pictures_behind) == (16, "batches", None, 256)


def test_a_clear_claim_is_decided_after_a_dozen_batches_and_a_close_one_is_not():
    for value, verdict in ((0.3, "supported"), (0.95, "refuted")):
        outcome = measured(accuracy(value, delta=0.01))
        assert outcome.judgement.verdict == verdict
        assert 9 <= outcome.images <= 12
        assert outcome.pictures_behind == 16 * outcome.images
    assert measured(accuracy(0.69, delta=0.01)).judgement.verdict == "inconclusive"


def test_each_batch_has_a_twin_of_its_own_and_its_arms_share_it():
    arms = {name: Arm(readout=TwinNumber(), weights="untrained") for name in ("one", "same")}
    arms["given"] = Arm(readout=TwinNumber())
    plan = Plan(arms=arms, census=Batches(), effect=difference("one", "same"), control=difference("given", "one"))
    prepared = bench(images=IMAGES)
    table = OnMembers(prepared, Batches(), 16)
    seen = {}
    for positions in list(table.grid)[:4]:
        missing = {table.key(arm): (arm, frozenset({"c"})) for arm in plan.arms.values()}
        rows, _ = table.measure(missing, positions, None)
        numbers = {name: float(rows[table.key(arm)].numbers[0]) for name, arm in plan.arms.items()}
        assert numbers["one"] == numbers["same"]
        seen[positions.start] = numbers
    assert len({numbers["given"] for numbers in seen.values()}) == 1
    assert len({numbers["one"] for numbers in seen.values()}) > 2  # a planted twin has few states
    batches = [Replicate(k, 16, seed) for seed in (0, 1) for k in range(3)]
    assert len({batch.seed for batch in batches}) == 6


def test_two_models_of_one_name_have_twins_and_numbers_of_their_own():
    first, second = loaded(Planted(), images=IMAGES), loaded(Planted(), images=IMAGES)
    batch = Replicate(0, 16, 0)
    places = [batch.place(one, one.images, "given", lambda _: None) for one in (first, second)]
    assert places[0].subject is first.subject
    assert places[1].subject is second.subject
    assert places[0].shared is not places[1].shared
    assert batch.place(first, first.images, "given", lambda _: None).shared is places[0].shared


def test_pictures_of_a_batch_are_those_at_its_places():
    cut = BatchOfPictures(IMAGES, range(32, 48))
    assert len(cut) == 16
    assert cut.names == tuple(IMAGES.names[32:48])
    assert cut.labels.tolist() == IMAGES.labels[32:48].tolist()
    assert cut.classes == IMAGES.classes
    assert (cut.load([0, 3], PREPROCESSING) == IMAGES.load([32, 35], PREPROCESSING)).all()
    assert cut.fingerprint != BatchOfPictures(IMAGES, range(16, 32)).fingerprint
    assert not hasattr(cut, "_absent")


def test_too_few_pictures_for_two_batches_are_told_and_a_cap_counts():
    with pytest.raises(NotApplicable, match="batches of 200 pictures and takes 2 or more; 256 pictures are here"):
        measured(accuracy(0.5, batch=200))
    with pytest.raises(NotApplicable, match="31 pictures are here"):
        OnMembers(bench(images=IMAGES, max_images=31), Batches(), 16)
    assert OnMembers(bench(images=IMAGES, max_images=40), Batches(), 16).usable == 2


@pytest.mark.parametrize(("census", "batch"), [(Batches(), 0), (TheModel(), 16)])
def test_a_plan_and_its_ledger_agree_on_whether_there_are_batches(census, batch):
    plan = Plan(arms={"right": Arm(readout=ShareRight())}, census=census, effect=level("right"))
    with pytest.raises(ClaimsError, match=f"batch = {batch} in the ledger"):
        propose(lambda card: plan, spec(batch=batch), Planted().card)


def test_enough_pictures_are_opened_for_all_batches_of_the_budget():
    assert spec(batch=125, budget=40).looked_at == 5000
    assert spec(budget=40, pictures=64).looked_at == 64


def test_the_report_says_how_many_images_were_read():
    record = record_of(measured(accuracy(0.3, delta=0.01)), "m", Context())
    assert images_used(record) == str(16 * record.images)
    assert f"of at most 40, read off {16 * record.images} images" in paragraph(record, spec(batch=16, budget=40))
    plan = Plan(arms={"n": Arm(readout=TwinNumber())}, census=TheModel(), effect=level("n"))
    alone = record_of(run([Job(spec=spec(), plan=plan)], bench())["planted-claim"], "m", Context())
    assert images_used(alone) == "weights"
    assert "read off the weights alone" in paragraph(alone, spec())


def test_of_the_typical_unit_every_quantity_is_its_own_and_a_missing_ratio_counts_for_neither_side():
    a, b = np.array([0.1, 0.9, 0.4, 0.6, 0.5]), np.array([0.2, 0.3, 0.0, 0.3, -0.5])
    made = Observations(samples={"a": Sample(a, -1.0, 1.0), "b": Sample(b, -1.0, 1.0)}, bounds={}, typical=True)
    assert Level("a").estimate(made) == 0.5
    assert Difference("a", "b").estimate(made) == pytest.approx(np.median(a - b))
    assert np.isnan(Ratio("a", "b").estimate(made))
    assert Ratio("a", "b").interval(made, 0.1) == (-np.inf, np.inf)
    holds, fails = np.array([0, 1, 0, 1, 0]), np.array([1, 0, 0, 0, 0])
    assert Ratio("a", "b").above(made, 1.0) == PValues(*typical.typical_p(holds, fails))
    rises = Rises(("a", "b"), "order")
    made = Observations(samples=made.samples, bounds={"order": bound(1.0)}, typical=True)
    assert rises.estimate(made) == -1.0
    assert rises.p_values(made) == PValues(*typical.typical_p(b > a, b < a))


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_of_a_median_inverts_its_test(seed):
    x = np.random.default_rng(seed).normal(0.4, 0.2, 25).clip(0, 1)
    low, high = typical.median_interval(x, 0.0, 1.0, (0.02, 0.05))
    for value in np.linspace(0, 1, 201):
        above, below = typical.typical_p(x >= value, x < value)
        if above <= 0.02:
            assert value <= low
        if below <= 0.05:
            assert value >= high
    assert low <= np.median(x) <= high
    assert typical.median_interval(x[:3], 0.0, 1.0, 0.01) == (0.0, 1.0), "three batches tell nothing"


@pytest.mark.parametrize("side", ["true", "false"])
def test_what_holds_in_half_of_all_batches_is_rarely_decided(side):
    # Batches whose numbers are as skewed as they come, the bound at their median.
    runs, delta, wrong = 2000, 0.05, 0
    for run_of in range(runs):
        x = np.random.default_rng(run_of).beta(0.2, 1.5, 40)
        made = Observations(samples={"a": Sample(x, 0.0, 1.0)}, bounds={"bound": bound(MEDIAN)}, typical=True)
        wrong += getattr(Holds(Level("a")).p_values(made), side) <= delta
    assert binom.sf(wrong - 1, runs, delta) > 1e-3


MEDIAN = float(np.median(np.random.default_rng(99).beta(0.2, 1.5, 1_000_000)))


def test_a_ratio_of_numbers_of_batches_is_judged_batch_by_batch():
    plan = Plan(arms={"right": Arm(readout=ShareRight())}, census=Batches(), effect=ratio("right", "right"))
    assert measured(job(plan, bounds={"bound": bound(0.9)}, delta=0.01)).judgement.verdict == "supported"
