"""Whole nights on a planted model: each change is caught once and by its own words, and nothing from nothing."""

import json
from pathlib import Path

import pytest

import harness.report.html  # an inner run forgets what it imports, and some libraries cannot be imported twice
import harness.running.session  # noqa: F401
from harness.cli import nightly
from harness.cli.__main__ import main, parser
from harness.errors import ClaimsError
from harness.regression.findings import more_work
from harness.regression.nightly import raised
from support import changing
from support.records import record as record_of

QUICK = "-p harness.short_names --import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:jaxtyping"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    return changing.pictures(tmp_path_factory.mktemp("changing") / "pictures")


@pytest.fixture
def night(pytester, pictures, monkeypatch, capsys):
    """Run one night in this process; `tonight` says what the model is, the first one is accepted."""
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\nfilterwarnings = error\n")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # pytest-benchmark switches itself off in a worker
    monkeypatch.delenv(nightly.SUMMARY_VARIABLE, raising=False)
    monkeypatch.chdir(pytester.path)
    changing.claims(pytester.path / "claims")

    def run_pytest(arguments):
        result = pytester.runpytest_inprocess(*arguments)
        return int(result.ret), "\n".join([*result.outlines, *result.errlines])

    def call(tonight: str = "plain", *arguments: str, anew: bool = False) -> tuple[int, str]:
        monkeypatch.setenv(changing.VARIABLE, tonight)
        given = ["nightly", "--model", changing.NAME, *arguments]
        fresh = ["--claims-no-cache"] if anew else []
        asked = parser().parse_args([*given, "--", "--data", str(pictures), "--batch-size", "32", *fresh])
        capsys.readouterr()
        code = nightly.run(asked, run_pytest)
        told = capsys.readouterr().out
        return code, told[max(told.find("# Claims, nightly"), told.find("nightly: nothing changed")) :]

    def first(*arguments: str, **how: bool):
        call("plain", *arguments, **how)
        assert main(["accept"]) == 0

    call.first = first
    return call


def test_a_repeated_night_is_one_line_ten_times_out_of_ten_with_and_without_stored_measurements(night, pytester):
    night.first()
    for number in range(10):
        code, told = night(anew=number % 2 == 1)
        assert code == 0
        assert told.startswith("nightly: nothing changed; 3 verdicts on 1 model(s)")
        assert len(told.splitlines()) == 1


def test_a_flipped_verdict_fails_the_night(night):
    night.first()
    code, told = night("flipped")
    assert code == nightly.FAILED
    assert "early: the verdict changed from supported (effect 1.000) to" in told
    assert "weights changed since acceptance" in told
    assert night()[1].startswith("nightly: nothing changed"), "and the night after it is quiet again"


def test_a_drift_of_three_points_that_crosses_no_bound_is_a_warning(night):
    night.first()
    code, told = night("drifted")
    assert code == 0
    assert "verdict changed" not in told
    assert "right: outcomes drifted in 1 arm; clean: mean 0.7500 to 0.7200 on 400 images (12 fell, 0 rose" in told


def test_a_claim_whose_code_changed_is_stale_until_it_is_accepted_again(night, pytester):
    night.first()
    changing.claims(pytester.path / "claims", changing.CLAIMS.replace("control=5)", "control=4 + 1)"))
    code, told = night()
    assert code == 0
    assert f"{changing.NAME}: stale (code of the claim changed since acceptance): early" in told
    assert "right" not in told
    assert main(["accept"]) == 0
    assert night()[1].startswith("nightly: nothing changed")


def test_more_block_evaluations_than_last_time_are_told_and_as_many_are_not():
    now = [record_of(name, "m").but(block_evaluations=60.0, measured_images=32) for name in ("a", "b")]
    then = {("m", one.claim): one.but(block_evaluations=40.0) for one in now}
    assert more_work(now, then) == ["m: 1.50 times the block evaluations of its last run"]
    assert more_work(now, {place: one.but(block_evaluations=60.0) for place, one in then.items()}) == []
    assert more_work(now, {("m", "a"): then["m", "a"]}) == [], "another set of claims shares other passes"
    cached = {place: one.but(measured_images=0, block_evaluations=0.0) for place, one in then.items()}
    assert more_work(now, cached) == []


def test_a_claim_that_raises_or_is_gone_fails_the_night(night, pytester):
    night.first()
    changing.claims(pytester.path / "claims", changing.CLAIMS.replace("return accuracy()", "return 1 / 0"))
    code, told = night()
    assert code == nightly.FAILED
    assert "raised: ZeroDivisionError: division by zero" in told
    assert "right: accepted as inconclusive, but without a verdict tonight" in told
    changing.claims(pytester.path / "claims", changing.CLAIMS[: changing.CLAIMS.index('@claim("right")')])
    code, told = night()
    assert code == nightly.FAILED
    assert "needy: accepted as not applicable, but without a verdict tonight" in told


def test_what_nobody_has_accepted_is_a_warning(night):
    code, told = night()
    assert code == 0
    assert "no accepted outcomes per image" in told
    assert "not accepted yet: early (supported), right (inconclusive), needy (not applicable)" in told


def test_only_what_was_asked_for_is_missed(night):
    night.first()
    code, told = night("plain", "--claim", "early")
    assert (code, told[:24]) == (0, "nightly: nothing changed")


def test_records_report_and_summary_are_left_behind(night, pytester, monkeypatch):
    monkeypatch.setenv(nightly.SUMMARY_VARIABLE, str(pytester.path / "step.md"))
    night()
    out = pytester.path / ".claims" / "nightly"
    assert len(json.loads((out / "records.json").read_text())["records"]) == 3
    assert (out / "summary.md").read_text() == (pytester.path / "step.md").read_text()
    assert (out / "report.html").stat().st_size > 1000


def test_a_wrong_argument_is_refused_in_the_words_of_the_run(night):
    with pytest.raises(ClaimsError, match="Did you mean 'early'"):
        night("plain", "--claim", "eraly")


def test_errors_and_failures_without_a_verdict_count_as_raised(tmp_path):
    (tmp_path / "junit.xml").write_text(
        """<testsuites><testsuite>
        <testcase name="judged"><properties><property name="claims.verdict" value="refuted"/></properties>
        <failure message="refuted"/></testcase>
        <testcase name="fine"/>
        <testcase name="a"><failure message="ZeroDivisionError: x&#10;more"/></testcase>
        <testcase name="b"><error message="failed on setup"/></testcase>
        </testsuite></testsuites>"""
    )
    assert raised(tmp_path / "junit.xml") == ["a raised: ZeroDivisionError: x", "b raised: failed on setup"]


def test_two_runs_are_compared_and_the_images_that_changed_are_named(night, capsys):
    night.first()
    night("drifted")
    assert main(["diff", "last~1", "last", "--all"]) == 0
    told = capsys.readouterr().out
    assert "3 verdicts are the same, 0 changed" in told
    rows = [line.split() for line in told.splitlines()]
    assert [changing.NAME, "right", "clean", "400", "12", "0", "0.7500", "0.7200"] in [row[:8] for row in rows]
    named = next(line for line in told.splitlines() if line.startswith(f"{changing.NAME}: right: clean: "))
    assert len(named.rpartition("clean: ")[2].split(", ")) == 12
    assert ".png" in named
    assert main(["history", "right"]) == 0
    assert capsys.readouterr().out.count("inconclusive") == 2
    assert main(["history"]) == 0
    assert "2 runs in" in capsys.readouterr().out
