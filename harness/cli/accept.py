"""`claims accept`: make the last verdicts, effects and outcomes per image the expected ones."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache, add_choice
from harness.judging.discovery import chosen
from harness.report.escaping import plain

if TYPE_CHECKING:
    from harness.results.acceptance import Acceptance, Accepted
    from harness.results.accepted_outcomes import AcceptedOutcomes
    from harness.results.history import History
    from harness.results.record import RunRecord

NAME = "accept"
HELP = "merge the last verdicts and outcomes into the expected ones, and print the difference"
NOTHING_ACCEPTED = 2
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
    parser.add_argument("--dry-run", action="store_true", help="show what would change, and write nothing")
    replace = "let records of other conditions take the place of everything that was accepted of their model"
    parser.add_argument("--replace", action="store_true", help=replace)
    parser.add_argument("--baseline", type=Path, default=DEFAULT_FILE, metavar="FILE", help="file of expected verdicts")


def run(asked: argparse.Namespace) -> int:
    """Write both files and print everything that differs from what they held; 2 where no verdict could be accepted."""
    from harness.files import held
    from harness.results.acceptance import merge_verdicts
    from harness.results.accepted_outcomes import outcomes_beside, read_outcomes
    from harness.results.baselines import accepted
    from harness.results.history import open_history

    alone = nullcontext() if asked.dry_run else held(asked.baseline.parent)
    with closing(open_history(asked.cache)) as history, alone:
        records = _picked(history, asked)
        old, before = accepted(asked.baseline), read_outcomes(outcomes_beside(asked.baseline))
        made = merge_verdicts(old, records, asked.replace)
        new = _outcomes(made.taken, history)
        if made.taken and not asked.dry_run:
            _write(asked.baseline, old, made, before, new)
    for line in (*made.differences, *_changes(before, new)):
        print(plain(line))
    for line in made.refused:
        print(plain(f"claims accept: {line}"), file=sys.stderr)
    would, where = ("would be ", "nothing was written") if asked.dry_run else ("", f"written to {asked.baseline}")
    told = f"{len(made.taken)} verdicts {would}accepted, {len(made.differences)} of them changed; {where}"
    print(plain(told if made.taken else "nothing was accepted, and nothing written"))
    return 0 if made.taken else NOTHING_ACCEPTED


def _picked(history: "History", asked: argparse.Namespace) -> "list[RunRecord]":
    """Give the records that were asked for: the last of each claim and model, or those of one run."""
    from harness.results.history import find_run

    if asked.of_run is None:
        last = history.latest()
    else:
        run = find_run(history.runs(), asked.of_run, "--run").id
        last = {(record.claim, record.model): record for record in history.records(run=run)}
    models = chosen({model: model for _, model in last}, asked.model, "model", "--model")
    claims = chosen({claim: claim for claim, _ in last}, asked.claim, "claim", "--claim")
    return [record for (claim, model), record in last.items() if model in models and claim in claims]


def _write(
    baseline: Path, old: "Accepted", made: "Acceptance", before: "AcceptedOutcomes", new: "AcceptedOutcomes"
) -> None:
    """Write verdicts and outcomes, both whole, and the outcomes first: no verdict is ever without its own."""
    from harness.files import write_together
    from harness.results.acceptance import baseline_bytes
    from harness.results.accepted_outcomes import merge, outcomes_beside, outcomes_bytes
    from harness.results.baselines import places

    unmeasured = {(record.model, record.claim) for record in made.taken} - set(new.claims)
    outcomes = merge(before, new, places(old) - places(made.models) | unmeasured)
    files = {outcomes_beside(baseline): outcomes_bytes(outcomes), baseline: baseline_bytes(made.models)}
    write_together(files, "the accepted verdicts")


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
