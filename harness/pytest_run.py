"""The run behind a pytest session: opened at the first claim, measured by a crew, ended with the session."""

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ClaimsError
from harness.pytest_items import benchmarked, by_models, models_of
from harness.pytest_options import options_of, refusal
from harness.pytest_summary import REMARK_KEY, SESSION_KEY

if TYPE_CHECKING:
    from harness.judging.discovery import Claim
    from harness.results.record import RunRecord
    from harness.running.session import Session
    from harness.running.workers import WorkerPool

CREW_KEY = pytest.StashKey["WorkerPool"]()
RESTORE_KEY = pytest.StashKey[Any]()


def session_of(config: pytest.Config) -> "Session":
    """Open the session at the first need: the model libraries are imported here."""
    if SESSION_KEY not in config.stash:
        from harness.report.progress import Progress
        from harness.running.session import Session

        options, plugin = options_of(config), config.pluginmanager.getplugin
        progress = Progress(plugin("terminalreporter"), plugin("capturemanager"))
        try:
            run = getattr(config, "workerinput", {}).get("testrunuid")  # all workers of xdist are one run
            told = progress.tell if options.minutes is not None or _unwatched(config) else None
            config.stash[SESSION_KEY] = Session(options, progress, run, scratch=_processes(config) > 1, fell=told)
        except ClaimsError as error:
            raise refusal(error) from error
        _end_as_interrupted(config)
    return config.stash[SESSION_KEY]


def dismiss(config: pytest.Config) -> None:
    """End the processes that measure."""
    if CREW_KEY in config.stash:
        config.stash[CREW_KEY].close()


def end_run(config: pytest.Config) -> None:
    """Close what the run opened."""
    dismiss(config)
    if SESSION_KEY in config.stash:
        config.stash[SESSION_KEY].close()
    if RESTORE_KEY in config.stash:
        signal.signal(signal.SIGTERM, config.stash[RESTORE_KEY])


def _unwatched(config: pytest.Config) -> bool:
    """Tell whether a log is written, in which no progress line can stand: verdicts are printed as they fall."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    return reporter is not None and not reporter.isatty and config.get_verbosity() >= 0


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


def recorded(item: pytest.Function, asked: "Claim") -> "RunRecord":
    """Measure a claim, put the expected verdict beside its own, and keep it in the history."""
    from harness.results.baselines import find_baseline

    record = _measure(item, asked)
    baseline = find_baseline(options_of(item.config).baseline, item.path)
    item.stash[REMARK_KEY] = baseline.remark(record.model, record.context)
    record = record.but(expected=baseline.expected(record.model, record.claim, record.context))
    session_of(item.config).keep(record)
    return record


def _measure(item: pytest.Function, asked: "Claim") -> "RunRecord":
    """Get the record of a claim; it is measured once more, alone and without the cache, when it is benchmarked."""
    session, model, crew = session_of(item.config), models_of(item), _crew(item.session)
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
        config.stash[CREW_KEY] = WorkerPool(
            session_of(config), by_models(session), size=_processes(config), merge=merge
        )
    return config.stash[CREW_KEY]


def _processes(config: pytest.Config) -> int:
    """Say how many processes measure: the workers of xdist and timed claims have none beside."""
    from harness.running.workers import crew_size

    return 1 if hasattr(config, "workerinput") or benchmarked(config) else crew_size(options_of(config))
