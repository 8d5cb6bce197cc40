"""`claims accept`: make the last verdicts, effects and outcomes per image the expected ones."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache, add_choice
from harness.judging.discovery import chosen

if TYPE_CHECKING:
    from harness.results.accepted_outcomes import AcceptedOutcomes
    from harness.results.history import History
    from harness.results.record import RunRecord

NAME = "accept"
HELP = "write the last verdicts and outcomes as the expected ones, and print the difference"
DEFAULT_FILE = Path("claims/baselines/embedded.json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add_choice(parser)
    add_cache(parser)
    parser.add_argument(
        "--run",
        dest="of_run",
        metavar="RUN",
        help="of this run (id, its beginning, last, last~1; default: the last of each)",
    )
    parser.add_argument("--baseline", type=Path, default=DEFAULT_FILE, metavar="FILE", help="file of expected verdicts")


def run(asked: argparse.Namespace) -> int:
    """Write both files and print everything that differs from what they held."""
    from harness.results.accepted_outcomes import merge, outcomes_beside, read_outcomes, write_outcomes
    from harness.results.baselines import accept, accepted, places
    from harness.results.history import find_run, open_history

    history = open_history(asked.cache)
    picked = None if asked.of_run is None else find_run(history.runs(), asked.of_run, "--run").id
    last = (
        history.latest()
        if picked is None
        else {(record.claim, record.model): record for record in history.records(run=picked)}
    )
    models = chosen({model: model for _, model in last}, asked.model, "model", "--model")
    claims = chosen({claim: claim for claim, _ in last}, asked.claim, "claim", "--claim")
    records = [record for (claim, model), record in last.items() if model in models and claim in claims]
    new, beside = _outcomes(records, history), outcomes_beside(asked.baseline)
    history.close()
    before, old = read_outcomes(beside), accepted(asked.baseline)
    differences = accept(records, asked.baseline)
    unmeasured = {(record.model, record.claim) for record in records} - set(new.claims)
    gone = places(old) - places(accepted(asked.baseline)) | unmeasured
    write_outcomes(beside, merge(before, new, gone))
    for line in (*differences, *_changes(before, new)):
        print(line)
    print(f"{len(records)} verdicts accepted, {len(differences)} of them changed; written to {asked.baseline}")
    return 0


def _outcomes(records: Sequence["RunRecord"], history: "History") -> "AcceptedOutcomes":
    from harness.results.accepted_outcomes import AcceptedOutcomes
    from harness.results.recorder import outcomes_of

    claims = outcomes_of(history, records)
    return AcceptedOutcomes(
        claims=claims, names={entry.images: history.names(entry.images) for entry in claims.values()}
    )


def _changes(before: "AcceptedOutcomes", new: "AcceptedOutcomes") -> list[str]:
    """Say of every claim that was measured before on how many images its outcomes changed."""
    from harness.judging.paired_change import compare

    lines = []
    for (model, claim), entry in new.claims.items():
        old = before.claims.get((model, claim))
        if old is None:
            continue
        if old.images != entry.images:
            lines.append(f"{model}: {claim}: outcomes on other pictures")
            continue
        changed = {arm: compare(old.arms[arm], values).places for arm, values in entry.arms.items() if arm in old.arms}
        images = {place for places in changed.values() for place in places}
        if images:
            arms = sum(map(bool, changed.values()))
            lines.append(f"{model}: {claim}: {arms} of {len(changed)} arms changed, on {len(images)} images")
    return lines
