"""The simulations of error rates, each with few runs: no case errs more often than its level beyond chance.

`python -m harness.fixtures.planted.error_rates` runs them with enough to tell waste as well.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from harness.fixtures.planted.error_rates import CASES, LEVELS, Case, Rate, rates, table

RUNS, UNLIKELY = 60, 1e-4


@pytest.mark.parametrize("name", CASES)
def test_no_case_errs_beyond_its_level(name):
    for rate in rates(CASES[name], RUNS, seed=1):
        assert binom.sf(rate.wrong - 1, rate.runs, rate.level) > UNLIKELY, f"{rate.wrong} of {RUNS} at {rate.level}"


def test_a_case_that_errs_too_often_and_one_that_wastes_are_marked():
    def often(random):
        return dict.fromkeys(LEVELS, random.random() < 0.2)

    def never(random):
        return dict.fromkeys(LEVELS, False)

    found = rates(Case(name="often", run=often), 200) + rates(Case(name="never", run=never, single=True), 200)
    assert [rate.kept for rate in found] == [False, False, True, True]
    assert [rate.spent for rate in found] == [True, True, False, False]
    lines = table(found).splitlines()
    assert "!" in lines[1]
    assert "-" in lines[2]
    assert binom.sf(found[0].wrong - 1, 200, 0.05) < UNLIKELY


def test_runs_differ_and_are_the_same_when_repeated():
    case = CASES["level .5, true"]
    assert rates(case, 40) == rates(case, 40)
    seen = []
    rates(replace(case, run=lambda random: seen.append(random.random()) or dict.fromkeys(LEVELS, 0.0)), 5)
    assert len(set(seen)) == 5


def test_the_limit_is_the_level_and_twice_its_standard_error():
    one = Rate(case=CASES["level .5, true"], level=0.05, wrong=280.0, runs=5000)
    assert one.kept == (0.05 + 2 * np.sqrt(0.05 * 0.95 / 5000) >= 0.056)
    assert not replace(one, wrong=282.0).kept
    assert one.spent
    assert not replace(one, wrong=62.0).spent
