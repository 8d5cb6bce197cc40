"""Timings carry their calibration and the kind of machine; entries of others are left alone."""

import pytest

from harness.regression.timing import kernel_seconds, machine_kind, read_timings


def entry(**changes) -> dict:
    about = {"claim": "a", "model": "m", "least_seconds": 2.0, "calibration": 0.5, "block_evaluations": 8.0}
    return {"extra_info": {**about, "images": 4, "machine": "here", **changes}, "stats": {"min": 99.0}}


def test_a_timing_is_the_least_round_in_calibrations_per_block_evaluation():
    ((machine, timing),) = read_timings([entry()])
    assert machine == "here"
    assert timing.relative == pytest.approx(2.0 / 0.5 / 8.0)


def test_benchmarks_that_are_no_claims_are_left_out():
    assert read_timings([{"extra_info": {}, "stats": {"min": 1.0}}]) == []


def test_the_kernel_takes_time_and_the_machine_has_a_name():
    assert 0 < kernel_seconds("cpu") < 60
    assert "threads" in machine_kind("cpu")
    assert machine_kind("cpu") == machine_kind("cpu")
