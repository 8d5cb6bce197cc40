"""What pytest was given of the options of a run: by the long names, the short ones, or ini keys."""

from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ClaimsError
from harness.running.option_table import GROUP, OPTIONS, Option

if TYPE_CHECKING:
    from harness.running.options import RunOptions

OPTIONS_KEY = pytest.StashKey["RunOptions"]()
SHORT_NAMES = "harness.short_names"
MISSING = object()


def add_options(parser: pytest.Parser) -> None:
    """Add the long names and the ini keys."""
    group = parser.getgroup("claims", GROUP)
    for option in OPTIONS:
        group.addoption(option.flag, dest=option.ini, **option.how)
        kind: Any = "linelist" if option.repeatable else "string"
        parser.addini(option.ini, option.help, type=kind, default=[] if option.repeatable else None)


def any_given(config: pytest.Config) -> bool:
    """Tell whether any option or ini key of a run was given."""
    return any(_given(value) for option in OPTIONS for value, _ in _values(config, option))


def options_of(config: pytest.Config) -> "RunOptions":
    """Read the options of a run, once; UsageError for a value that is not allowed."""
    if OPTIONS_KEY not in config.stash:
        from harness.running.options import parse

        values, where = {}, {}
        try:
            for option in OPTIONS:
                values[option.dest], where[option.dest] = _picked(config, option)
            config.stash[OPTIONS_KEY] = parse(values, where)
        except ClaimsError as error:
            raise refusal(error) from error
    return config.stash[OPTIONS_KEY]


def refusal(error: ClaimsError) -> pytest.UsageError:
    """Make of an error what pytest shows without a traceback; nothing in it acts on the terminal."""
    from harness.report.escaping import paragraphs

    return pytest.UsageError(paragraphs(str(error)))


def taken_names(config: pytest.Config) -> list[Option]:
    """List the options whose short names were asked for and belong to another plugin."""
    if not config.pluginmanager.hasplugin(SHORT_NAMES):
        return []
    return [one for one in OPTIONS if one.short and config.getoption(one.short_dest, MISSING) is MISSING]


def _picked(config: pytest.Config, option: Option) -> tuple[Any, str]:
    """Give the value of an option and where it came from: flags go before ini keys."""
    found = [(value, where) for value, where in _values(config, option) if _given(value)]
    flags = [(value, where) for value, where in found if where.startswith("-")]
    if option.repeatable and len(flags) > 1:
        return [part for value, _ in flags for part in value], flags[0][1]
    if len(flags) > 1 and flags[0][0] != flags[1][0]:
        raise ClaimsError(
            f"{flags[0][1]} {flags[0][0]!r} and {flags[1][1]} {flags[1][0]!r} are one option; allowed: one of them"
        )
    return found[0] if found else (None, option.flag)


def _values(config: pytest.Config, option: Option) -> list[tuple[Any, str]]:
    return [
        (config.getoption(option.ini, None), option.flag),
        (config.getoption(option.short_dest, None), option.short_flag or option.flag),
        (config.getini(option.ini), f"ini key {option.ini}"),
    ]


def _given(value: Any) -> bool:
    return value not in (None, "", [], False)
