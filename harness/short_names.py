"""The short names of the options of a run: `--model` beside `--claims-model`, `--data` beside `--claims-data`.

They are for who asks for them, in the `conftest.py` at the root of a project or for one run:

    pytest_plugins = ["harness.short_names"]
    pytest -p harness.short_names

A name that another plugin or a conftest took before stays theirs; `claims doctor` and the head of a run say so.
"""

from argparse import ArgumentError
from typing import TYPE_CHECKING

from harness.running.option_table import GROUP, OPTIONS

if TYPE_CHECKING:
    import pytest

NAME = "harness.short_names"


def pytest_addoption(parser: "pytest.Parser") -> None:
    """Add those short names that nobody has."""
    group = parser.getgroup("claims", GROUP)
    for option in OPTIONS:
        if option.short_flag is None:
            continue
        try:
            group.addoption(option.short_flag, dest=option.short_dest, **option.how)
        except (ValueError, ArgumentError):  # taken
            continue
