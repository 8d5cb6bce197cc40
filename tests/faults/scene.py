"""What faults are tried on: a folder with a run of a planted model in its history, claims and accepted verdicts."""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

import pytest  # noqa: E402

from harness.cli.__main__ import main  # noqa: E402
from support import folders  # noqa: E402

MODELS = ("support.zoo:late_reader", "support.zoo:early_carrier")
PYTEST = (
    *("-p", "harness.short_names", "--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
    *("-p", "no:anyio", "-p", "no:jaxtyping", "-q", "--batch-size", "32", "--data", "pictures"),
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "list": ("list", "--claims", "mine"),
    "explain": ("explain", "holds", "--claims", "mine"),
    "judge": ("judge", "--claims", "mine"),
    "accept": ("accept", "--baseline", "mine/baselines/embedded.json"),
    "accept --replace": ("accept", "--replace", "--baseline", "mine/baselines/embedded.json"),
    "report": ("report", "--claims", "mine", "--out", "again.md", "--out", "again.csv"),
    "history": ("history",),
    "history CLAIM": ("history", "holds"),
    "diff": ("diff", "last", "last"),
    "doctor": ("doctor",),
}


def make(folder: Path) -> None:
    """Make the scene in an empty folder, with one run kept and accepted; the folder becomes the current one."""
    os.chdir(folder)
    folders.pictures(folder / "pictures", count=96)
    folders.claims(folder / "mine")
    assert ask_pytest("--model", MODELS[0])[0] in (0, 1)
    assert ask(COMMANDS["accept"])[0] == 0


def ask(arguments: Sequence[str]) -> tuple[int, str]:
    """Run a command of `claims` in this process; give its exit code and all that it said, tracebacks included."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main(list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 2
        except BaseException:  # noqa: BLE001 - this is what is looked for
            traceback.print_exc()
            code = 70
    return code, said.getvalue()


def ask_pytest(*arguments: str, claims: str = "mine") -> tuple[int, str]:
    """Run pytest on the claims in this process; give its exit code and all that it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = int(pytest.main([*PYTEST, *arguments, claims]))
        except BaseException:  # noqa: BLE001 - this is what is looked for
            traceback.print_exc()
            code = 70
    return code, said.getvalue()


def bare(text: str) -> bool:
    """Tell whether somebody was shown the inside of the program."""
    return any(word in text for word in ("Traceback (most recent call last)", "INTERNALERROR"))
