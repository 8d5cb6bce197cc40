"""What a pytest run keeps of its claims, and what it says and writes at its end, whatever shows it."""

import json
import os
import sys
from copy import copy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from harness.errors import ClaimsError
from harness.pytest_items import ASKED_KEY, models_of
from harness.pytest_options import options_of, taken_names

if TYPE_CHECKING:
    from harness.judging.ledger import ClaimSpec
    from harness.results.record import RunRecord
    from harness.running.session import Session

SESSION_KEY = pytest.StashKey["Session"]()
RECORD_KEY = pytest.StashKey["RunRecord"]()
REMARK_KEY = pytest.StashKey[str | None]()
SHOWN = 12  # claims that a partial run names


def claim_report(item: pytest.Item, report: pytest.TestReport) -> None:
    """Attach the record of a claim to the report of its call: it travels to the terminal, to JUnit and from workers."""
    if (record := item.stash.get(RECORD_KEY, None)) is None:
        report.claim_raised = report.failed  # type: ignore[attr-defined]
        return
    from harness.report.result_table import junit_properties
    from harness.results.record import record_text

    report.claim_record = record_text(record)  # type: ignore[attr-defined]
    report.claim_entry = item.stash[ASKED_KEY].spec.model_dump_json()  # type: ignore[attr-defined]
    report.claim_remark = item.stash.get(REMARK_KEY, None)  # type: ignore[attr-defined]
    report.user_properties += junit_properties(record)
    # JUnit files are written from the report of the teardown, which is made later; a claim may run twice.
    item.user_properties[:] = [one for one in item.user_properties if not str(one[0]).startswith("claims.")]
    item.user_properties += junit_properties(record)


def conclude(record: "RunRecord", spec: "ClaimSpec", strict: bool) -> None:
    """Raise what a verdict means to pytest; `strict` fails what is inconclusive."""
    from harness.report.escaping import plain
    from harness.report.verdict_text import paragraph
    from harness.results.baselines import ruling

    match ruling(record, record.expected, strict=strict):
        case "changed":
            told = f"the verdict changed: expected {record.expected}, found {record.verdict}."
            pytest.fail(f"{told}\n{paragraph(record, spec)}", pytrace=False)
        case "xfail":
            pytest.xfail(f"{record.verdict}, as expected: {plain(record.reason)}")
        case "fail":
            pytest.fail(paragraph(record, spec), pytrace=False)
        case "skip":
            pytest.skip(f"{record.verdict}: {plain(record.reason)}")


class Summary:
    """Collects the records of a run where the terminal is (under xdist: in the controller), and tells them at its end.

    A claim that ran more than once on the same models counts once: its last record.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.records: dict[tuple[str, str], RunRecord] = {}
        self.entries: dict[str, str] = {}  # ledger entries by claim id, as JSON
        self.remarks: dict[str, None] = {}
        self.asked: dict[str, str] = {}  # what must run, by node id
        self.ended: set[str] = set()
        self.lines: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which claims are to come."""
        for item in session.items:
            if ASKED_KEY in item.stash:
                self.asked[item.nodeid] = f"{models_of(item)}: {item.stash[ASKED_KEY].spec.id}"

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note what is to come in the workers, which alone know the claims among it."""
        self.asked = {**dict.fromkeys(ids, ""), **self.asked}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the record that a report carries."""
        if report.when == "call" or not report.passed:
            self.ended.add(report.nodeid)
        if (record := getattr(report, "claim_record", None)) is None or report.when != "call":
            return
        from harness.results.record import record_from

        read = record_from(record)
        self.records[read.model, read.claim] = read
        self.entries[read.claim] = report.claim_entry  # type: ignore[attr-defined]
        if remark := report.claim_remark:  # type: ignore[attr-defined]
            self.remarks[remark] = None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what was asked for, and put into words what the terminal shows later."""
        partial = self._partial()
        if hasattr(self.config, "workerinput") or not (self.records or partial):
            return
        from harness.report.escaping import paragraphs
        from harness.running.summary import next_step, said, told, written

        records, notes = [*self.records.values()], self._notes(partial)
        reporter, shared = self.config.pluginmanager.getplugin("terminalreporter"), self._shared()
        width = 80 if reporter is None else reporter._tw.fullwidth
        if records:
            from harness.judging.ledger import ClaimSpec

            specs = {name: ClaimSpec.model_validate_json(text) for name, text in self.entries.items()}
            verbosity, before = self.config.get_verbosity() if reporter else 0, self._before()
            self.lines += told(
                records, notes, width=width, verbosity=verbosity, shared=shared, specs=specs, before=before
            )
            try:
                given = options_of(self.config)
                now, cut = datetime.now(UTC), bool(partial)
                self.lines += written(records, specs, notes, given, now, partial=cut, before=before)
            except ClaimsError as error:  # the verdicts are shown first
                self.lines.append(paragraphs(f"ERROR: {error}"))
                session.exitstatus = pytest.ExitCode.USAGE_ERROR
                if reporter is None:
                    print(self.lines[-1], file=sys.stderr)
            self.lines += next_step(records, width, self._folder()) if verbosity >= 0 else []
        else:
            self.lines += said(notes, width)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of claims; pytest's own list of failures names claims after it."""
        failed = terminalreporter.stats.get("failed", [])
        failed[:] = [named_after_claim(report) for report in failed]
        if self.lines:
            terminalreporter.section("claims")
        for line in self.lines:
            terminalreporter.write_line(line)

    def _before(self) -> dict[tuple[str, str], str]:
        session: Session | None = self.config.stash.get(SESSION_KEY, None)
        try:
            return {} if session is None else session.recorder.verdicts_before()
        except ClaimsError:  # the notes say it
            return {}

    def _folder(self) -> str:
        """Give the folder of the claims, as the command line takes it: what the run was asked for, if that is one."""
        named = [argument.split("::")[0].rstrip("/") for argument in self.config.args]
        folders = [one for one in named if (self.config.invocation_params.dir / one).is_dir()]
        return os.path.relpath(folders[0], self.config.invocation_params.dir) if len(folders) == 1 else "claims"

    def _shared(self) -> bool:
        return self.config.pluginmanager.hasplugin("dsession")

    def _notes(self, partial: str) -> list[str]:
        from harness.report.escaping import portable
        from harness.report.history_text import seeds_told
        from harness.results.recorder import Recorder

        session: Session | None = self.config.stash.get(SESSION_KEY, None)
        notes = [partial] if partial else []
        notes += map(portable, self.remarks)
        notes += [] if session is None else session.notes()
        for option in taken_names(self.config):
            if (value := self.config.getoption(option.name, None)) not in (None, [], ""):
                flag = option.short_flag
                notes.append(f"{flag} {value!r} went to another plugin; claims take it as {option.flag}")
        try:
            seeds = Recorder(options_of(self.config).history).seeds()
        except ClaimsError as error:
            return [*notes, str(error)]
        return notes + seeds_told([*self.records.values()], seeds)

    def _partial(self) -> str:
        """Say that the run ended before all of its claims did, and which are missing."""
        missing = [name or place for place, name in self.asked.items() if place not in self.ended]
        if not missing or not (self.records or any(self.asked.values())) or self.config.option.collectonly:
            return ""
        shown = ", ".join(missing[:SHOWN]) + (f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else "")
        what = "claims" if all(self.asked.values()) else "tests"
        return f"PARTIAL: the run ended before {len(missing)} of its {len(self.asked)} {what} did: {shown}"


def named_after_claim(report: pytest.TestReport) -> pytest.TestReport:
    """Copy the report of a claim so that its line says the claim, the model and one clause; others stay as they are."""
    if (told := getattr(report, "claim_record", None)) is None:
        return report
    from harness.report.escaping import plain
    from harness.report.verdict_text import clause
    from harness.results.record import record_from

    record, named = record_from(told), copy(report)
    named.nodeid = plain(f"{record.claim} on {record.model}")
    named.longrepr = SimpleNamespace(reprcrash=SimpleNamespace(message=clause(record)))  # type: ignore[assignment]
    return named


def teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Give inconclusive and reported claims categories of their own; what raised while measuring is an error."""
    if getattr(report, "claim_raised", False) and report.failed:
        return "error", "E", "ERROR"
    if (record := getattr(report, "claim_record", None)) is None or report.when != "call":
        return None
    verdict = json.loads(record)["verdict"]
    if verdict == "inconclusive" and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        return "inconclusive", "?", "INCONCLUSIVE"
    if verdict == "reported" and report.outcome == "passed":
        return "reported", "r", "REPORTED"
    return None
