"""Glue between pytest and the harness: options in, claims out; every decision is made elsewhere."""

import json
from collections.abc import Generator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ClaimsError, unknown
from harness.judging.discovery import MARK, Claim
from harness.models import hub
from harness.pytest_items import ASKED_KEY, benchmarked, by_models, identifier, models_of, spec_of
from harness.report.escaping import plain
from harness.running.options import OPTIONS, RunOptions, parse

if TYPE_CHECKING:
    from harness.results.record import RunRecord
    from harness.running.session import Session
    from harness.running.workers import WorkerPool

OPTIONS_KEY = pytest.StashKey[RunOptions]()
SESSION_KEY = pytest.StashKey["Session"]()
CREW_KEY = pytest.StashKey["WorkerPool"]()
RECORD_KEY = pytest.StashKey["RunRecord"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a run and their ini keys."""
    group = parser.getgroup("claims", "executable claims about vision models")
    for option in OPTIONS:
        flag: dict[str, Any] = {"action": "store_true", "default": None} if option.kind == "flag" else {}
        extra = {"action": "append"} if option.repeatable else flag
        default = f" (default {option.default})" if option.default and "default" not in option.help else ""
        group.addoption(option.flag, dest=option.dest, help=option.help + default, **extra)
        kind: Any = "linelist" if option.repeatable else "string"
        parser.addini(option.ini, option.help, type=kind, default=[] if option.repeatable else None)


def pytest_configure(config: pytest.Config) -> None:
    """Validate the options: a wrong value is refused before anything is imported or loaded."""
    values, where = {}, {}
    for option in OPTIONS:
        value, from_ini = config.getoption(option.dest, None), config.getini(option.ini)
        given = value not in (None, [], False)
        values[option.dest] = value if given else from_ini
        where[option.dest] = option.flag if given else f"ini key {option.ini}"
    try:
        config.stash[OPTIONS_KEY] = parse(values, where)
    except ClaimsError as error:
        raise pytest.UsageError(str(error)) from error
    config.pluginmanager.register(Summary(config), "claims-summary")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse unknown models, data and devices at the door when any were named."""
    options = session.config.stash[OPTIONS_KEY]
    if options.models and options.pretrained:
        hub.begin()  # its answer is awaited only for weights that are not on this machine
    if options.models or options.data:
        _session(session.config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask every claim of every model of the run, or of every set of models that it compares."""
    if getattr(metafunc.function, MARK, None) is None:
        return
    try:
        spec = spec_of(metafunc.definition)
    except pytest.UsageError:
        spec = None  # refused for all items together, after collection
    roles = list(spec.subjects) if spec and spec.subjects else ["card"]
    found, why = _session(metafunc.config).cards_for(spec)
    nobody = [pytest.param(*[None] * len(roles), marks=pytest.mark.skip(reason=why), id="none")]
    metafunc.parametrize(roles, nobody if why else list(found.values()), ids=None if why else list(found))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Look up the ledger entry of each claim, keep the claims asked for, and put models one after the other."""
    if not (claims := [item for item in items if identifier(item) is not None]):
        return
    specs = {item: spec_of(item) for item in claims}
    wanted = config.stash[OPTIONS_KEY].claims
    known = {spec.id for spec in specs.values()}
    for name in wanted:
        if name not in known:
            raise pytest.UsageError(str(unknown("claim", name, known, "--claim")))
    for item, spec in specs.items():
        item.stash[ASKED_KEY] = Claim(spec=spec, function=item.obj, path=item.path)  # type: ignore[attr-defined]
    dropped = [item for item in claims if wanted and specs[item].id not in wanted]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
    order = {name: place for place, name in enumerate(_session(config).cohorts)}
    kept = [item for item in items if item not in set(dropped)]
    kept.sort(key=lambda item: order.get(models_of(item), len(order)) if item in specs else -1)
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a claim: measure, judge, record, and raise what its verdict means to pytest."""
    if ASKED_KEY not in pyfuncitem.stash:
        return None
    from harness.report.verdict_text import paragraph
    from harness.results.baselines import find_baseline, ruling

    asked = pyfuncitem.stash[ASKED_KEY]
    record = pyfuncitem.stash[RECORD_KEY] = _measure(pyfuncitem, asked)
    baseline = find_baseline(pyfuncitem.config.stash[OPTIONS_KEY].baseline, pyfuncitem.path)
    expected = baseline.expected(record.model, record.claim, record.context)
    record = pyfuncitem.stash[RECORD_KEY] = record.but(expected=expected)
    _session(pyfuncitem.config).keep(record)
    match ruling(record, expected, strict=pyfuncitem.config.stash[OPTIONS_KEY].inconclusive == "fail"):
        case "changed":
            told = f"the verdict changed: expected {expected}, found {record.verdict}."
            pytest.fail(f"{told}\n{paragraph(record, asked.spec)}", pytrace=False)
        case "xfail":
            pytest.xfail(f"{record.verdict}, as expected: {plain(record.reason)}")
        case "fail":
            pytest.fail(paragraph(record, asked.spec), pytrace=False)
        case "skip":
            pytest.skip(f"{record.verdict}: {plain(record.reason)}")
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the record to the report, so that it travels to the terminal, to JUnit and between workers."""
    report = yield
    record = item.stash.get(RECORD_KEY, None)
    if report.when == "call" and report.failed and record is None and ASKED_KEY in item.stash:
        report.claim_raised = True  # type: ignore[attr-defined]
    if report.when == "call" and record is not None:
        from harness.report.result_table import junit_properties
        from harness.results.record import record_text

        report.claim_record = record_text(record)  # type: ignore[attr-defined]
        report.claim_entry = item.stash[ASKED_KEY].spec.model_dump_json()  # type: ignore[attr-defined]
        report.user_properties += junit_properties(record)
        # JUnit files are written from the report of the teardown, which is made later.
        item.user_properties += junit_properties(record)
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Give inconclusive and reported claims categories of their own; what raised while measuring is an error."""
    if getattr(report, "claim_raised", False):
        return "error", "E", "ERROR"
    if (record := getattr(report, "claim_record", None)) is None or report.when != "call":
        return None
    verdict = json.loads(record)["verdict"]
    if verdict == "inconclusive" and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        return "inconclusive", "?", "INCONCLUSIVE"
    if verdict == "reported" and report.outcome == "passed":
        return "reported", "r", "REPORTED"
    return None


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what the run opened."""
    if CREW_KEY in config.stash:
        config.stash[CREW_KEY].close()
    if SESSION_KEY in config.stash:
        config.stash[SESSION_KEY].close()


class Summary:
    """Collects the records of a run where the terminal is (under xdist: in the controller) and shows them there."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.records: list[RunRecord] = []
        self.entries: dict[str, str] = {}  # ledger entries by claim id, as JSON

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the record that a report carries."""
        if (record := getattr(report, "claim_record", None)) is not None and report.when == "call":
            from harness.results.record import record_from

            self.records.append(record_from(record))
            self.entries[self.records[-1].claim] = report.claim_entry  # type: ignore[attr-defined]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of claims, and write records and reports where they are asked for."""
        if not self.records:
            return
        from harness.report.history_text import seeds_told
        from harness.results.recorder import Recorder
        from harness.running.summary import told, written

        terminalreporter.section("claims")
        config, session = self.config, self.config.stash.get(SESSION_KEY, None)
        notes = [] if session is None else session.notes()
        notes += seeds_told(self.records, Recorder(config.stash[OPTIONS_KEY].history).seeds())
        width, shared = terminalreporter._tw.fullwidth, config.pluginmanager.hasplugin("dsession")
        lines = told(self.records, notes, width=width, verbosity=config.get_verbosity(), shared=shared)
        try:
            lines += written(self.records, self.entries, notes, config.stash[OPTIONS_KEY], datetime.now(UTC))
        except ClaimsError as error:  # the verdicts are shown first
            lines.append(plain(f"ERROR: {error}"))
            terminalreporter._session.exitstatus = pytest.ExitCode.USAGE_ERROR  # type: ignore[union-attr]
        for line in lines:
            terminalreporter.write_line(line)


def _session(config: pytest.Config) -> "Session":
    """Open the session at the first need: the model libraries are imported here."""
    if SESSION_KEY not in config.stash:
        from harness.report.progress import Progress
        from harness.running.session import Session

        options, plugin = config.stash[OPTIONS_KEY], config.pluginmanager.getplugin
        progress = Progress(plugin("terminalreporter"), plugin("capturemanager"))
        try:
            run = getattr(config, "workerinput", {}).get("testrunuid")  # all workers of xdist are one run
            config.stash[SESSION_KEY] = Session(options, progress, run, scratch=_processes(config) > 1)
        except ClaimsError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[SESSION_KEY]


def _measure(item: pytest.Function, asked: "Claim") -> "RunRecord":
    """Get the record of a claim; it is measured once more, alone and without the cache, when it is benchmarked."""
    session, model, crew = _session(item.config), models_of(item), _crew(item.session)
    record = crew.record(model, asked)
    if benchmarked(item.config) and record.asked:
        benchmark, again = item._request.getfixturevalue("benchmark"), session.fresh(model, asked, crew.groups[model])
        outcome = benchmark.pedantic(again, rounds=session.options.rounds, iterations=1)
        told = record.model_dump(include={"claim", "model", "verdict", "images"})
        benchmark.extra_info |= {**told, "block_evaluations": outcome.cost.block_evaluations}
    return record


def _crew(session: pytest.Session) -> "WorkerPool":
    """Divide the claims of a run by models, once."""
    config = session.config
    if CREW_KEY not in config.stash:
        from harness.running.workers import WorkerPool

        merge = not hasattr(config, "workerinput")
        config.stash[CREW_KEY] = WorkerPool(_session(config), by_models(session), size=_processes(config), merge=merge)
    return config.stash[CREW_KEY]


def _processes(config: pytest.Config) -> int:
    """Say how many processes measure: the workers of xdist and timed claims have none beside."""
    from harness.running.workers import crew_size

    return 1 if hasattr(config, "workerinput") or benchmarked(config) else crew_size(config.stash[OPTIONS_KEY])
