"""Arguments that several commands share, and their values checked."""

import argparse
from pathlib import Path

from harness.running.option_table import DEFAULT_CACHE


def add_claims_folder(parser: argparse.ArgumentParser) -> None:
    """Add --claims, the folder of ledgers and claim files."""
    parser.add_argument("--claims", type=Path, default=Path("claims"), metavar="DIR", help="claims folder")


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add --cache, the folder of stored measurements."""
    parser.add_argument(
        "--cache", type=Path, default=Path(DEFAULT_CACHE), metavar="DIR", help="folder of stored measurements and runs"
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the repeatable --model and --claim that narrow a command down."""
    parser.add_argument("--model", action="append", help="model label as recorded (repeatable; default: all)")
    parser.add_argument("--claim", action="append", metavar="ID", help="claim id (repeatable; default: all)")


def error_level(text: str) -> float:
    """Read an error level between 0 and 0.5."""
    try:
        level = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number between 0 and 0.5, such as 0.01") from error
    if not 0.0 < level < 0.5:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number between 0 and 0.5, such as 0.01")
    return level


def positive(text: str) -> float:
    """Read a number above 0."""
    try:
        number = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0") from error
    if not 0.0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number above 0")
    return number
