"""`claims prune`: make a folder of measurements smaller."""

import argparse

from harness.cli.arguments import add_cache, positive

NAME = "prune"
HELP = "drop old runs with what they alone measured; says first what would go"
DAYS = 90.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument(
        "--days", type=positive, default=DAYS, metavar="N", help=f"keep runs of the last N days (default {DAYS:.0f})"
    )
    parser.add_argument("--write", action="store_true", help="do it; without this nothing is changed")
    add_cache(parser)


def run(asked: argparse.Namespace) -> int:
    """Print what went, or would go."""
    from harness.results.history import open_history
    from harness.results.pruning import prune

    open_history(asked.cache).close()  # refused with the cure where there are no runs
    found = prune(asked.cache, asked.days, asked.write)
    went = f"{found.runs} runs with {found.records} results, and {found.chunks} chunks of measurements"
    if found.bytes is None:
        print(f"would drop {went} from {asked.cache}; nothing was changed, --write does it")
    else:
        print(f"dropped {went} from {asked.cache}: {found.bytes / 2**20:.1f} MiB less")
    return 0
