"""The runs of a night: the claims, their timings and a second look at what seems slow, each one call of pytest."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import ClaimsError
from harness.regression.slowdown import Timing, more_work, slow_by
from harness.results.history import History
from harness.results.record import RunRecord
from harness.results.run_file import read_document

ROUNDS = 3  # of each timed claim
SECOND_LOOKS = 2  # at what seems slow
TIMED_IMAGES = 128  # a claim is timed on at most so many
FINE, TESTS_FAILED, USAGE_ERROR = 0, 1, 4  # exit codes of pytest

RunPytest = Callable[[Sequence[str]], tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class NightlyOptions:
    """What is run: claims folder, models, further arguments for pytest, cache, baseline, and where files go."""

    claims: Path
    models: tuple[str, ...]
    chosen: tuple[str, ...]
    arguments: tuple[str, ...]
    cache: Path
    baseline: Path
    out: Path

    def pytest_arguments(self, models: Sequence[str], claims: Sequence[str]) -> list[str]:
        """Give the arguments that every run of the night shares."""
        given = [part for model in models for part in ("--model", model)]
        given += [part for claim in claims for part in ("--claim", claim)]
        return [str(self.claims), *given, *self.arguments]


def run_in_process_of_its_own(arguments: Sequence[str]) -> tuple[int, str]:
    """Run pytest on one thread per process, so that timings are those of the work; return exit code and output."""
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout + done.stderr


def judge_claims(orders: NightlyOptions, run_pytest: RunPytest) -> tuple[list[RunRecord], list[str]]:
    """Run all claims; return their records, and the tests that raised instead of reaching a verdict.

    Raises ClaimsError where pytest refused its arguments or did not come to an end.
    """
    records, junit, report = (orders.out / name for name in ("records.json", "junit.xml", "report.html"))
    for path in (records, junit, report):
        path.unlink(missing_ok=True)
    given = orders.pytest_arguments(orders.models, orders.chosen)
    given += ["--claims-cache", str(orders.cache), "--claims-json", str(records), "--junitxml", str(junit)]
    given += ["--claims-baseline", str(orders.baseline) if orders.baseline.exists() else "none"]
    _run([*given, "--claims-report", str(report)], run_pytest, orders.out / "claims.txt")
    if not records.exists():
        raise ClaimsError(f"no claim reached a verdict; {orders.out / 'claims.txt'} holds the output of pytest")
    return read_document(records)[0], raised(junit)


def raised(junit: Path) -> list[str]:
    """List the tests of a JUnit file that raised: errors, and failures that carry no verdict."""
    found = []
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        judged = any(entry.get("name") == "claims.verdict" for entry in case.iter("property"))
        error = case.find("error") if case.find("error") is not None else case.find("failure")
        if error is not None and (error.tag == "error" or not judged):
            first = (error.get("message") or "").strip().splitlines() or ["without a message"]
            found.append(f"{case.get('name')} raised: {first[0]}")
    return found


def slowdowns(orders: NightlyOptions, history: History, run: str, run_pytest: RunPytest) -> tuple[list[str], int]:
    """Time the claims, compare with earlier nights, and keep the timings; return what is slower, and how many claims.

    What seems slow is timed again, up to SECOND_LOOKS times, before it is told.
    """
    machine, timings = _timings(orders, run_pytest, orders.models, orders.chosen)
    earlier = _by_place(history.timings(machine, run))
    for _ in range(SECOND_LOOKS):
        suspects = [place for place, timing in timings.items() if slow_by(timing, earlier.get(place, ()))]
        if not suspects:
            break
        models, claims = (list(dict.fromkeys(place[side] for place in suspects)) for side in (0, 1))
        _, again = _timings(orders, run_pytest, models, claims)
        timings |= {place: timings[place].least(again[place]) for place in suspects if place in again}
    lines = []
    for place, timing in timings.items():
        past = earlier.get(place, [])
        if (factor := slow_by(timing, past)) is not None:
            lines.append(f"{place[0]}: {place[1]}: {factor:.2f} times as slow per block evaluation as {_nights(past)}")
        if (factor := more_work(timing, past)) is not None:
            lines.append(f"{place[0]}: {place[1]}: {factor:.2f} times the block evaluations per image of last time")
    history.keep_timings(run, machine, [vars(timing) for timing in timings.values()])
    return lines, len(timings)


def _timings(
    orders: NightlyOptions, run_pytest: RunPytest, models: Sequence[str], claims: Sequence[str]
) -> tuple[str, dict[tuple[str, str], Timing]]:
    from harness.regression.timing import read_timings

    if find_spec("pytest_benchmark") is None:
        raise ClaimsError("claims are timed with pytest-benchmark, which is not installed; install it, or --no-timing")
    path = orders.out / "timings.json"
    path.unlink(missing_ok=True)
    given = orders.pytest_arguments(models, claims)
    given += ["--claims-no-cache", "--claims-no-history", "--claims-baseline", "none"]
    given += ["--max-images", str(TIMED_IMAGES), "--claims-rounds", str(ROUNDS), "--benchmark-json", str(path)]
    _run(given, run_pytest, orders.out / "timings.txt")
    found = read_timings(json.loads(path.read_text(encoding="utf-8"))["benchmarks"]) if path.exists() else []
    if not found:
        raise ClaimsError(f"no claim was timed; {orders.out / 'timings.txt'} holds the output of pytest")
    return found[0][0], {(timing.model, timing.claim): timing for _, timing in found}


def _run(arguments: Sequence[str], run_pytest: RunPytest, log: Path) -> None:
    """Run pytest and keep its output; anything but passed and failed tests is refused with its last lines."""
    log.parent.mkdir(parents=True, exist_ok=True)
    code, output = run_pytest(arguments)
    log.write_text(output, encoding="utf-8")
    if code not in (FINE, TESTS_FAILED):
        told = [line for line in output.splitlines() if line.startswith("ERROR")] if code == USAGE_ERROR else []
        shown = "\n".join(told or output.strip().splitlines()[-5:])
        raise ClaimsError(f"pytest ended with exit code {code} (all of its output: {log}):\n{shown}")


def _by_place(timings: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Timing]]:
    found: dict[tuple[str, str], list[Timing]] = {}
    for one in timings:
        found.setdefault((one["model"], one["claim"]), []).append(Timing(**one))
    return found


def _nights(past: Sequence[Timing]) -> str:
    return f"on {len(past)} earlier night{'' if len(past) == 1 else 's'} (median)"
