"""With limited time the cheap claims come first, a run ends in order, and going on gives what one long run gives."""

import math
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.interventions.intervention import shuffle_cls
from harness.measurement import schedule
from harness.measurement.plan import Arm, Plan, level
from harness.measurement.runner import run
from harness.measurement.schedule import NO_END, Clock, Schedule, price
from harness.results.baselines import ruling
from harness.results.measurements import Store
from support.claims import accuracy, bench, bound, isolation, job, retention, told
from support.planted import Counting, Planted, PlantedImages
from support.records import record

NOISY = PlantedImages(count=256, wrong=0.1)


class Time:
    """A clock that goes on by `step` seconds whenever somebody looks at it."""

    def __init__(self, monkeypatch, step: float) -> None:
        self.now, self.step = 1000.0, step
        monkeypatch.setattr(schedule.time, "monotonic", self.look)

    def look(self) -> float:
        self.now += self.step
        return self.now


def jobs() -> list:
    """Give a cheap claim, a dearer one, one that reads fewer blocks and one that its budget does not decide."""
    open_ = Plan(arms={"shuffled": Arm(intervention=shuffle_cls(5))}, effect=level("shuffled"))
    return [
        job(isolation(), "dear", budget=256),
        job(accuracy(), "cheap", budget=256),
        job(retention(2, control=4), "middle", budget=256),
        job(open_, "open", bounds={"bound": bound(0.02)}, budget=256),
    ]


def test_without_a_limit_all_claims_are_one_wave():
    waves = Schedule(jobs(), bench(images=NOISY), NO_END)
    assert waves.next().claims == {"dear", "cheap", "middle", "open"}
    waves.took(1.0, 1.0, ())
    assert waves.next() is None


def test_cheap_claims_come_first_and_a_look_takes_a_slice_of_what_is_left(monkeypatch):
    Time(monkeypatch, 0.0)
    here = bench(images=NOISY)
    prices = {one.spec.id: price(one, here) for one in jobs()}
    assert prices["cheap"].look == 6 * 32
    assert prices["cheap"].total < min(prices["middle"].total, prices["dear"].total)
    order = sorted(prices, key=lambda name: prices[name].total)
    waves = Schedule(jobs(), here, Clock.of(100.0))
    first = waves.next()
    assert first.claims == set(order[:3])  # nothing is known of the speed
    waves.took(prices["dear"].look, 1000.0, first.claims)
    (last,) = waves.next().claims  # slow: one claim at a time, however long its look takes
    assert last == order[3]


def test_a_wave_gives_way_after_twice_its_time_and_goes_on_when_all_had_their_turn(monkeypatch):
    clock = Time(monkeypatch, 0.0)
    waves = Schedule(jobs(), bench(images=NOISY), Clock.of(1000.0))
    first = waves.next()
    assert first.clock.left == pytest.approx(100.0)
    clock.now += 100.0
    assert first.clock.over
    waves.took(10_000.0, 100.0, {"cheap"})
    second = waves.next()
    assert not second.claims & first.claims
    waves.took(1.0, 1.0, second.claims)
    assert waves.next().claims == first.claims - {"cheap"}
    assert waves.next() is None


@pytest.mark.parametrize("step", [0.0, 0.02, 0.2, 1.0])
def test_claims_that_had_to_wait_come_out_as_if_they_had_not(monkeypatch, step):
    expected = run(jobs(), bench(images=NOISY))
    Time(monkeypatch, step)
    heard = []
    found = run(jobs(), bench(images=NOISY), clock=Clock.of(1e4), fell=heard.append)
    assert {name: told(outcome) for name, outcome in found.items()} == {
        name: told(outcome) for name, outcome in expected.items()
    }
    assert sorted(outcome.spec.id for outcome in heard) == sorted(found)
    assert not any(outcome.out_of_time for outcome in found.values())


@settings(max_examples=15, deadline=None)
@given(step=st.sampled_from([0.05, 0.2, 0.5, 1.5, 20.0]), limit=st.sampled_from([1.0, 5.0, 20.0]))
def test_a_run_that_ended_early_goes_on_where_it_was(step, limit):
    subject = Counting(inner=Planted())
    expected = {name: told(outcome) for name, outcome in run(jobs(), bench(subject, NOISY)).items()}
    once = sum(images for _, images in subject.stepped)
    subject.stepped.clear()
    with closing(Store(None)) as store, pytest.MonkeyPatch.context() as patch:
        Time(patch, step)
        early = run(jobs(), bench(subject, NOISY, store), clock=Clock.of(limit))
        for outcome in early.values():
            assert outcome.out_of_time is (told(outcome) != expected[outcome.spec.id])
        patch.undo()
        late = run(jobs(), bench(subject, NOISY, store))
    assert {name: told(outcome) for name, outcome in late.items()} == expected
    assert (
        sum(images for _, images in subject.stepped) <= 2 * once
    )  # what waves share is run once more at most, never what is settled


def test_time_that_is_up_is_no_verdict():
    late = record(verdict="inconclusive", out_of_time=True)
    assert ruling(late, "supported", strict=False) == "skip"
    assert ruling(late, "supported", strict=True) == "fail"
    assert ruling(late.but(out_of_time=False), "supported", strict=False) == "changed"


def test_clocks_end_and_are_shared():
    assert math.isinf(NO_END.left)
    assert NO_END.share(3) is NO_END
    assert not NO_END.over
    assert Clock.of(30.0).share(3).left == pytest.approx(10.0, abs=0.5)
    assert Clock.of(0.0).over
    assert Clock.of(0.0).at_least(5.0).left == pytest.approx(5.0, abs=0.5)
    assert NO_END.at_least(5.0) is NO_END
