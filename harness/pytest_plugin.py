"""Glue between pytest and the harness: options in, claims out; every decision is made elsewhere.

Every pytest run of an environment loads this module, also in projects without claims: it imports nothing but pytest
before the first claim is met.
"""

import os
import signal
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ClaimsError, unknown
from harness.judging.mark import MARK
from harness.pytest_items import ASKED_KEY, benchmarked, by_models, claims_below, identifier, models_of, spec_of
from harness.pytest_options import add_options, any_given, options_of, refusal, taken_names
from harness.pytest_summary import RECORD_KEY, REMARK_KEY, SESSION_KEY, Summary, claim_report, conclude, teststatus

if TYPE_CHECKING:
    from harness.judging.discovery import Claim
    from harness.results.record import RunRecord
    from harness.running.session import Session
    from harness.running.workers import WorkerPool

CREW_KEY = pytest.StashKey["WorkerPool"]()
RESTORE_KEY = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a run and their ini keys."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Validate the options where any are given: a wrong value is refused before anything is imported or loaded."""
    if any_given(config):
        options_of(config)
    config.pluginmanager.register(Summary(config), "claims-summary")
    config.pluginmanager.register(Order(), "claims-order")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which short names of options are another plugin's."""
    return [
        f"claims: {option.short_flag} belongs to another plugin here; for claims say {option.flag}"
        for option in taken_names(config)
    ]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse unknown models, data and devices at the door when any were named."""
    if not any_given(session.config):
        return
    options = options_of(session.config)
    if options.models and options.pretrained:
        from harness.models import hub

        hub.begin()  # its answer is awaited only for weights that are not on this machine
    if options.models or options.data:
        _session(session.config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask every claim of every model of the run, or of every set of models that it compares."""
    if (name := getattr(metafunc.function, MARK, None)) is None:
        return
    try:
        spec = spec_of(metafunc.definition)
    except pytest.UsageError:
        spec = None  # refused for all items together, after collection
    roles = list(spec.subjects) if spec and spec.subjects else ["card"]
    wanted = options_of(metafunc.config).claims
    found, why = _session(metafunc.config).cards_for(spec, told=not wanted or name in wanted)
    nobody = [pytest.param(*[None] * len(roles), marks=pytest.mark.skip(reason=why), id="none")]
    metafunc.parametrize(roles, nobody if why else list(found.values()), ids=None if why else list(found))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Look up the ledger entry of each claim, and keep the claims asked for."""
    if not (claims := [item for item in items if identifier(item) is not None]):
        return
    specs = {item: spec_of(item) for item in claims}
    wanted, known = options_of(config).claims, {spec.id for spec in specs.values()}
    if set(wanted) - known:
        known |= claims_below(config, {item.path for item in claims})
    for name in wanted:
        if name not in known:
            raise refusal(unknown("claim", name, known, "--claim"))
    from harness.judging.discovery import Claim

    for item, spec in specs.items():
        item.stash[ASKED_KEY] = Claim(spec=spec, function=item.obj, path=item.path)  # type: ignore[attr-defined]
    dropped = [item for item in claims if wanted and specs[item].id not in wanted]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


class Order:
    """Puts models one after the other, after every plugin that shuffles: each is loaded once."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Sort claims by their models, behind the plain tests; else the order stays."""
        if any(ASKED_KEY in item.stash for item in items):
            order = {name: place for place, name in enumerate(_session(config).cohorts)}
            items.sort(key=lambda item: order.get(models_of(item), len(order)) if ASKED_KEY in item.stash else -1)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a claim: measure, judge, record, and raise what its verdict means to pytest."""
    if ASKED_KEY not in pyfuncitem.stash:
        return None
    from safetensors import SafetensorError

    from harness.report.escaping import paragraphs
    from harness.results.store_errors import StoreError, of_the_disk

    config = pyfuncitem.config
    try:
        record = _recorded(pyfuncitem, pyfuncitem.stash[ASKED_KEY])
    except StoreError as error:  # no other claim could be kept either
        pytest.exit(paragraphs(str(error)), returncode=pytest.ExitCode.USAGE_ERROR)
    except (OSError, SafetensorError) as error:
        if (trouble := of_the_disk(error, options_of(config).cache)) is None:
            raise
        pytest.exit(paragraphs(str(trouble)), returncode=pytest.ExitCode.USAGE_ERROR)
    except ClaimsError as error:
        if config.getoption("tbstyle", None) == "long" or config.getoption("fulltrace", False):
            raise
        pytest.fail(paragraphs(str(error)), pytrace=False)
    pyfuncitem.stash[RECORD_KEY] = record
    conclude(record, pyfuncitem.stash[ASKED_KEY].spec, strict=options_of(config).inconclusive == "fail")
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the record to the report, so that it travels to the terminal, to JUnit and between workers."""
    report = yield
    if report.when == "call" and ASKED_KEY in item.stash:
        claim_report(item, report)
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Give verdicts that are neither passed nor failed categories of their own."""
    return teststatus(report)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the processes first: an interrupted run waits for no work."""
    if CREW_KEY in session.config.stash:
        session.config.stash[CREW_KEY].close()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what the run opened."""
    if CREW_KEY in config.stash:
        config.stash[CREW_KEY].close()
    if SESSION_KEY in config.stash:
        config.stash[SESSION_KEY].close()
    if RESTORE_KEY in config.stash:
        signal.signal(signal.SIGTERM, config.stash[RESTORE_KEY])


def _session(config: pytest.Config) -> "Session":
    """Open the session at the first need: the model libraries are imported here."""
    if SESSION_KEY not in config.stash:
        from harness.report.progress import Progress
        from harness.running.session import Session

        options, plugin = options_of(config), config.pluginmanager.getplugin
        progress = Progress(plugin("terminalreporter"), plugin("capturemanager"))
        try:
            run = getattr(config, "workerinput", {}).get("testrunuid")  # all workers of xdist are one run
            config.stash[SESSION_KEY] = Session(options, progress, run, scratch=_processes(config) > 1)
        except ClaimsError as error:
            raise refusal(error) from error
        _end_as_interrupted(config)
    return config.stash[SESSION_KEY]


def _end_as_interrupted(config: pytest.Config) -> None:
    """Let SIGTERM do what Ctrl-C does, where nobody else waits for it: a run that is ended says what it has found."""
    ours = threading.current_thread() is threading.main_thread() and not hasattr(config, "workerinput")
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    process = os.getpid()

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)  # the second one ends the process as ever
        if os.getpid() != process:  # a fork
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt(f"signal {number}")

    config.stash[RESTORE_KEY] = signal.signal(signal.SIGTERM, interrupt)


def _recorded(item: pytest.Function, asked: "Claim") -> "RunRecord":
    """Measure a claim, put the expected verdict beside its own, and keep it in the history."""
    from harness.results.baselines import find_baseline

    record = _measure(item, asked)
    baseline = find_baseline(options_of(item.config).baseline, item.path)
    item.stash[REMARK_KEY] = baseline.remark(record.model, record.context)
    record = record.but(expected=baseline.expected(record.model, record.claim, record.context))
    _session(item.config).keep(record)
    return record


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

    return 1 if hasattr(config, "workerinput") or benchmarked(config) else crew_size(options_of(config))
