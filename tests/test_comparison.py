"""Two sides of outcomes: which arms are compared, which are one test, and what cannot be compared."""

from dataclasses import replace

import numpy as np
import pytest

from harness.regression.comparison import compare_outcomes
from harness.results.accepted_outcomes import AcceptedClaim

ONES = np.ones(400)
FEWER = np.where(np.arange(400) % 20 == 0, 0.0, 1.0)  # 20 of 400 fell


def side(images: str = "f", model: str = "m", **claims) -> dict:
    return {(model, name): AcceptedClaim(images=images, arms=arms) for name, arms in claims.items()}


def test_nothing_changed_where_both_sides_are_equal():
    both = side(a={"x": ONES, "y": FEWER}, b={"x": ONES})
    found = compare_outcomes(both, both)
    assert (found.changed, found.arms, found.unpaired, found.drifts()) == ((), 3, (), [])
    assert len(found.counts) == 2, "the same numbers on both sides are one test"


def test_a_drift_is_told_for_every_claim_that_reads_the_arm_at_the_price_of_one_test():
    found = compare_outcomes(side(a={"x": ONES}, b={"z": ONES}), side(a={"x": FEWER}, b={"z": FEWER}))
    assert [(one.claim, one.arm) for one in found.drifts()] == [("a", "x"), ("b", "z")]
    assert [one.p for one in found.changed] == pytest.approx([2.0**-19] * 2)
    assert found.changed[0].change.places == tuple(range(0, 400, 20))
    assert found.changed[0].images == "f"


def test_a_few_changes_are_changes_and_no_drift():
    found = compare_outcomes(side(a={"x": ONES}), side(a={"x": np.where(np.arange(400) < 5, 0.0, 1.0)}))
    assert (len(found.changed), found.drifts()) == (1, [])


def test_what_cannot_be_paired_is_told_with_the_reason():
    before = {**side(a={"x": ONES}, b={"x": ONES}), **side("other", c={"x": ONES})}
    found = compare_outcomes(before, side(b={"y": ONES}, c={"x": ONES}, d={"x": ONES}))
    reasons = {claim: why for _, claim, why in found.unpaired}
    assert "no arm in common" in reasons["b"]
    assert "other pictures" in reasons["c"]
    assert "only one side" in reasons["d"]
    assert found.resolution() == "no arm was compared"


def test_the_resolution_names_fewest_middle_and_most_images():
    found = compare_outcomes(side(a={"x": ONES, "y": ONES[:7]}), side(a={"x": ONES, "y": ONES[:7]}))
    assert "more than 100 points on 7 images" in found.resolution()
    assert "points on 400 images" in found.resolution()


def test_what_counts_as_a_change_is_said_by_the_ledger_of_the_newer_side():
    shifted = np.linspace(0, 1, 400)
    before, after = side(a={"x": shifted}), side(a={"x": shifted + 2e-4})
    assert compare_outcomes(before, after).changed == ()
    strict = {place: replace(entry, smallest_change=1e-5) for place, entry in after.items()}
    assert len(compare_outcomes(before, strict).drifts()) == 1
