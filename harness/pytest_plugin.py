"""Glue between pytest and the harness: options in, claims out; every decision is made elsewhere.

Every pytest run of an environment loads this module, also in projects without claims: it imports nothing but pytest
before the first claim is met.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

from harness.errors import ClaimsError, unknown
from harness.judging.mark import MARK
from harness.pytest_items import (
    ASKED_KEY,
    claims_of_run,
    identifier,
    models_of,
    of_other_shards,
    spec_of,
)
from harness.pytest_options import add_options, any_given, options_of, refusal, taken_names
from harness.pytest_run import dismiss, end_run, recorded, session_of
from harness.pytest_summary import RECORD_KEY, Summary, claim_report, conclude, teststatus

if TYPE_CHECKING:
    pass


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
        session_of(session.config)


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
    try:
        found, why = session_of(metafunc.config).cards_for(spec, told=not wanted or name in wanted)
    except ClaimsError as error:
        raise refusal(error) from error
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
        known |= claims_of_run(config, {item.path for item in claims})
    for name in wanted:
        if name not in known:
            raise refusal(unknown("claim", name, known, "--claim"))
    from harness.judging.discovery import Claim

    for item, spec in specs.items():
        item.stash[ASKED_KEY] = Claim(spec=spec, function=item.obj, path=item.path)  # type: ignore[attr-defined]
    dropped = [item for item in claims if wanted and specs[item].id not in wanted]
    dropped += of_other_shards([item for item in claims if item not in set(dropped)], options_of(config).shard)
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


class Order:
    """Puts models one after the other, after every plugin that shuffles: each is loaded once."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Sort claims by their models, behind the plain tests; else the order stays."""
        if any(ASKED_KEY in item.stash for item in items):
            order = {name: place for place, name in enumerate(session_of(config).cohorts)}
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
        record = recorded(pyfuncitem, pyfuncitem.stash[ASKED_KEY])
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
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """End the processes first: an interrupted run waits for no work."""
    dismiss(session.config)
    empty = exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and any_given(session.config)
    if empty and options_of(session.config).shard is not None:  # the other parts have it all
        session.exitstatus = pytest.ExitCode.OK


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close what the run opened."""
    end_run(config)
