"""What a night amounts to, from plain records: failures, warnings, and silence."""

import pytest

from harness.regression.findings import NAMED, Night, asked_for, stale, unaccepted, verdict_failures
from harness.results.baselines import CONDITIONS
from harness.results.record import RunRecord
from harness.results.staleness import PARTS
from support.records import context, finding
from support.records import record as made

CONTEXT = context()
GROUND = dict.fromkeys(PARTS, "0")


def record(claim: str = "a", verdict: str = "supported", effect: float = 0.9, ground=()) -> RunRecord:
    changed = {**GROUND, **dict.fromkeys(ground, "1")}
    return made(claim, "m", verdict, reason="because", effect=finding(estimate=effect), fingerprints=changed)


def accepted(verdicts=None, **conditions) -> dict:
    entry = {"verdict": "supported", "effect": 0.9, "fingerprints": GROUND}
    found = {claim: {**entry, "verdict": verdict} for claim, verdict in (verdicts or {"a": "supported"}).items()}
    return {"m": {"conditions": {**{name: CONTEXT[name] for name in CONDITIONS}, **conditions}, "verdicts": found}}


def test_a_night_without_change_finds_nothing():
    assert verdict_failures([record()], accepted(), {("m", "a")}) == []
    assert unaccepted([record()], accepted()) == []
    assert stale([record()], accepted(), {}) == []
    quiet = Night(failures=(), warnings=(), looked_at=("x",))
    assert quiet.headline == "nothing changed"
    assert "##" not in quiet.markdown()


def test_a_changed_verdict_is_told_with_both_effects():
    (line,) = verdict_failures([record(verdict="refuted", effect=0.7)], accepted(), {("m", "a")})
    assert line == "m: a: the verdict changed from supported (effect 0.900) to refuted (effect 0.700): because"


def test_an_accepted_verdict_that_is_not_there_is_a_failure():
    (line,) = verdict_failures([record()], accepted({"a": "supported", "b": "refuted"}), {("m", "a"), ("m", "b")})
    assert line == "m: b: accepted as refuted, but without a verdict tonight"


def test_only_models_and_claims_that_were_asked_for_are_missed():
    expected = {**accepted({"a": "supported", "b": "refuted"}), "n": accepted()["m"]}
    assert asked_for(expected, (), ()) == {("m", "a"), ("m", "b"), ("n", "a")}
    assert asked_for(expected, ("m",), ()) == {("m", "a"), ("m", "b")}
    assert asked_for(expected, ("m",), ("b",)) == {("m", "b")}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_ground_makes_a_verdict_stale(part):
    (line,) = stale([record(ground=[part])], accepted(), {})
    told = PARTS[part] + (" (0 to 1)" if part == "libraries" else "")
    assert line == f"m: stale ({told} changed since acceptance): a"


def test_other_conditions_make_a_verdict_stale():
    (line,) = stale([record()], accepted(batch_size=16), {})
    assert line == "m: stale (batch_size (16 to 32) changed since acceptance): a"


def test_what_was_never_accepted_is_compared_with_its_last_run():
    before = {("m", "new"): record("new", ground=["weights"])}
    assert stale([record("new")], accepted(), before) == ["m: stale (weights changed since the last run): new"]
    assert stale([record("new")], accepted(), {}) == []
    assert unaccepted([record("new", "refuted")], accepted()) == ["m: not accepted yet: new (refuted)"]


def test_an_acceptance_without_fingerprints_is_told():
    old = accepted()
    del old["m"]["verdicts"]["a"]["fingerprints"]
    assert "without fingerprints" in stale([record()], old, {})[0]


def test_many_claims_with_one_reason_are_one_line():
    names = [f"c{number}" for number in range(NAMED + 3)]
    expected = accepted(dict.fromkeys(names, "supported"))
    (line,) = stale([record(name, ground=["weights"]) for name in names], expected, {})
    assert line.endswith("c5 and 3 more")


def test_the_page_lists_failures_before_warnings():
    page = Night(failures=("f",), warnings=("w", "v"), looked_at=("x",)).markdown()
    assert page.startswith("# Claims, nightly: 1 failure, 2 warnings\n")
    assert page.index("## Failures\n\n- f") < page.index("## Warnings\n\n- w\n- v")
