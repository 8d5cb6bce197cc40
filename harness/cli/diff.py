"""`claims diff`: what changed between two runs, image by image."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache, add_choice
from harness.cli.console import show_table
from harness.report.escaping import plain

if TYPE_CHECKING:
    from harness.regression.comparison import ArmChange, Comparison
    from harness.results.history import History
    from harness.results.record import RunRecord

NAME = "diff"
HELP = "compare the outcomes per image of two runs by paired exact tests, and name the images that changed"
IMAGES_SHOWN = 10
NO_TIME = "no verdict, the time was up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    words = "id of a run, its beginning, last, or last~1 for the one before"
    parser.add_argument("before", metavar="RUN", help=words)
    parser.add_argument("after", metavar="RUN", help=words)
    parser.add_argument("--all", action="store_true", help=f"name all changed images (default: at most {IMAGES_SHOWN})")
    add_choice(parser)
    add_cache(parser)


def run(asked: argparse.Namespace) -> int:
    """Print verdicts that changed, arms that changed with their p-values, and the images behind them."""
    from harness.regression.comparison import compare_outcomes
    from harness.results.history import find_run, open_history
    from harness.results.recorder import outcomes_of

    history = open_history(asked.cache)
    try:
        runs = history.runs()
        pair = [find_run(runs, text, "`claims diff`").id for text in (asked.before, asked.after)]
        sides = [_picked(history, one, asked) for one in pair]
        comparison = compare_outcomes(*(outcomes_of(history, records) for records in sides))
        _show_verdicts(*sides)
        _show_arms(comparison, history, asked.all)
    finally:
        history.close()
    return 0


def _picked(history: "History", run: str, asked: argparse.Namespace) -> "list[RunRecord]":
    """Give the records of one run that were asked for, refusing models and claims that it does not have."""
    from harness.judging.discovery import chosen

    records = history.records(run=run)
    where = f"run {run[:8]}"
    models = chosen({record.model: 0 for record in records}, asked.model, "model", where)
    claims = chosen({record.claim: 0 for record in records}, asked.claim, "claim", where)
    return [record for record in records if record.model in models and record.claim in claims]


def _show_verdicts(before: "Sequence[RunRecord]", after: "Sequence[RunRecord]") -> None:
    old, new = ({(one.model, one.claim): _verdict(one) for one in side} for side in (before, after))
    for place in sorted({**old, **new}):
        was, now = old.get(place, "not asked"), new.get(place, "not asked")
        if was != now:
            print(plain(f"{place[0]}: {place[1]}: {was} -> {now}"))
    both = [place for place in old.keys() & new.keys() if NO_TIME not in (old[place], new[place])]
    same = sum(old[place] == new[place] for place in both)
    print(f"{same} verdicts are the same, {len(both) - same} changed")


def _verdict(record: "RunRecord") -> str:
    return NO_TIME if record.out_of_time else str(record.verdict)


def _show_arms(comparison: "Comparison", history: "History", everything: bool) -> None:
    from harness.judging.paired_change import ERROR

    for model, claim, why in comparison.unpaired:
        print(plain(f"not compared: {model}: {claim}: {why}"))
    changed = sorted(comparison.changed, key=lambda one: (one.p, -one.change.count))
    print(f"{comparison.resolution()}; {len(changed)} changed")
    if not changed:
        return
    numbers = ("images", "fell", "rose", "before", "after", "p (Holm)")
    show_table(("model", "claim", "arm", *numbers), [_row(one) for one in changed], right=numbers)
    drifts = len(comparison.drifts())
    print(f"{drifts} of them are no chance, with an error of {ERROR:g} for all together")
    for one in changed:
        names = history.names(one.images)
        places = one.change.places if everything else one.change.places[:IMAGES_SHOWN]
        shown = ", ".join(names[place] if place < len(names) else f"position {place}" for place in places)
        more = len(one.change.places) - len(places)
        print(plain(f"{one.model}: {one.claim}: {one.arm}: {shown}{f' and {more} more' if more else ''}"))


def _row(one: "ArmChange") -> tuple[str, ...]:
    change = one.change
    means = [f"{mean:.4f}" for mean in change.means]
    return one.model, one.claim, one.arm, str(change.images), str(change.fell), str(change.rose), *means, f"{one.p:.2g}"
