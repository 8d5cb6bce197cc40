"""`claims merge`: the measurements and results of other folders, as if one run had found them all."""

import argparse
from pathlib import Path

from harness.cli.arguments import add_cache

NAME = "merge"
HELP = "add the measurements and results of other folders (of shards, or of other machines) to one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folder that a run wrote (--claims-cache)")
    add_cache(parser)


def run(asked: argparse.Namespace) -> int:
    """Merge one folder after the other and say what was new in each."""
    from harness.results.merging import merge_folder

    for folder in asked.folders:
        new = merge_folder(asked.cache, folder)
        print(
            f"{folder}: {new.chunks} chunks of measurements, {new.records} results of {new.runs} runs and "
            f"{new.files} fits are new in {asked.cache}",
            flush=True,
        )
    return 0
