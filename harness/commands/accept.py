"""`claims accept`: make the last verdicts the expected ones."""

import argparse
from pathlib import Path

from harness.catalogue import chosen
from harness.commands.options import add_cache, add_choice, last_records, open_store

NAME = "accept"
HELP = "write the last verdicts as the expected ones"
DEFAULT_FILE = Path("claims/baselines/embedded.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add_choice(parser)
    add_cache(parser)
    parser.add_argument("--baseline", type=Path, default=DEFAULT_FILE, metavar="FILE", help="file of expected verdicts")


def run(asked: argparse.Namespace) -> int:
    """Write the file and print every verdict that differs from what it held."""
    from harness.baseline import accept

    store = open_store(asked.cache)
    last = last_records(store)
    store.close()
    models = chosen({model: model for _, model in last}, asked.model, "model", "--model")
    claims = chosen({claim: claim for claim, _ in last}, asked.claim, "claim", "--claim")
    records = [record for (claim, model), record in last.items() if model in models and claim in claims]
    differences = accept(records, asked.baseline)
    for line in differences:
        print(line)
    print(f"{len(records)} verdicts accepted, {len(differences)} of them changed; written to {asked.baseline}")
    return 0
