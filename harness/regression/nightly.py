"""The run of a night: the claims in a process of their own, their records, and the tests that raised."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ClaimsError
from harness.files import write_whole
from harness.results.record import RunRecord
from harness.results.run_file import read_document

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
        given = [part for model in models for part in ("--claims-model", model)]
        given += [part for claim in claims for part in ("--claims-claim", claim)]
        return [str(self.claims), *given, *self.arguments]


def run_in_process_of_its_own(arguments: Sequence[str]) -> tuple[int, str]:
    """Run pytest on one thread per process; return exit code and output."""
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


def _run(arguments: Sequence[str], run_pytest: RunPytest, log: Path) -> None:
    """Run pytest and keep its output; anything but passed and failed tests is refused with its last lines."""
    code, output = run_pytest(arguments)
    write_whole(log, output.encode("utf-8", "backslashreplace"), "the output of pytest")
    if code not in (FINE, TESTS_FAILED):
        told = [line for line in output.splitlines() if line.startswith("ERROR")] if code == USAGE_ERROR else []
        shown = "\n".join(told or output.strip().splitlines()[-5:])
        raise ClaimsError(f"pytest ended with exit code {code} (all of its output: {log}):\n{shown}")
