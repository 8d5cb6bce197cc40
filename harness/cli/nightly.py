"""`claims nightly`: run the zoo, compare it with what was accepted, and say what changed."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.accept import DEFAULT_FILE
from harness.cli.arguments import add_cache, add_claims_folder
from harness.files import write_whole

if TYPE_CHECKING:
    from harness.regression.findings import Night
    from harness.regression.nightly import NightlyOptions, RunPytest

NAME = "nightly"
HELP = (
    "run the zoo and compare it with what was accepted; exit code 1 where a verdict changed or is missing, 0 with "
    "warnings for drifts, more work and stale or new claims, 0 with one line where nothing changed"
)
FAILED = 1
SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add_claims_folder(parser)
    add_cache(parser)
    parser.add_argument("--model", action="append", default=[], help="as --model of a run (repeatable; default: zoo)")
    parser.add_argument(
        "--claim", action="append", default=[], metavar="ID", help="claim id (repeatable; default: all)"
    )
    parser.add_argument("--baseline", type=Path, default=DEFAULT_FILE, metavar="FILE", help="file of expected verdicts")
    parser.add_argument("--out", type=Path, metavar="DIR", help="records, report and summary (default: CACHE/nightly)")
    parser.add_argument("arguments", nargs="*", metavar="-- ARGUMENT", help="further arguments for pytest, after --")


def run(asked: argparse.Namespace, run_pytest: "RunPytest | None" = None) -> int:
    """Run, compare, write the summary and print it; one line where nothing changed."""
    from harness.regression.nightly import NightlyOptions, run_in_process_of_its_own

    orders = NightlyOptions(
        claims=asked.claims,
        models=tuple(asked.model),
        chosen=tuple(asked.claim),
        arguments=tuple(asked.arguments),
        cache=asked.cache,
        baseline=asked.baseline,
        out=asked.out or asked.cache / "nightly",
    )
    night = _night(orders, run_pytest or run_in_process_of_its_own)
    text = night.markdown()
    write_whole(orders.out / "summary.md", text.encode("utf-8"), "the summary")
    if SUMMARY_VARIABLE in os.environ:
        with Path(os.environ[SUMMARY_VARIABLE]).open("a", encoding="utf-8") as summary:
            summary.write(text)
    quiet = not (night.failures or night.warnings)
    print(f"nightly: {night.headline}; {'; '.join(night.looked_at)}" if quiet else text)
    return FAILED if night.failures else 0


def _night(orders: "NightlyOptions", run_pytest: "RunPytest") -> "Night":
    """Put together what the comparisons find."""
    from harness.regression import findings
    from harness.regression.comparison import compare_outcomes
    from harness.regression.nightly import judge_claims
    from harness.results.accepted_outcomes import outcomes_beside, read_outcomes
    from harness.results.baselines import accepted
    from harness.results.history import History
    from harness.results.recorder import outcomes_of

    expected, beside = accepted(orders.baseline), outcomes_beside(orders.baseline)
    before = read_outcomes(beside).claims
    records, broken = judge_claims(orders, run_pytest)
    run = records[0].run
    history = History(orders.cache)
    try:
        previous = {(model, claim): record for (claim, model), record in history.latest(without=run).items()}
        comparison = compare_outcomes(before, outcomes_of(history, history.records(run=run)))
    finally:
        history.close()
    asked = findings.asked_for(expected, orders.models, orders.chosen)
    return findings.Night(
        failures=(*broken, *findings.verdict_failures(records, expected, asked)),
        warnings=(
            *([] if beside.exists() else [f"no accepted outcomes per image: {beside} is missing; `claims accept`"]),
            *findings.unaccepted(records, expected),
            *findings.stale(records, expected, previous),
            *findings.drifts(comparison, expected),
            *findings.more_work(records, previous),
        ),
        looked_at=(
            f"{len(records)} verdicts on {len({record.model for record in records})} model(s), run {run[:8]}",
            comparison.resolution(),
        ),
    )
