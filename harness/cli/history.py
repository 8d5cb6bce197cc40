"""`claims history`: the runs that are recorded, or the course of one claim over them."""

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache
from harness.cli.console import show_table
from harness.judging.discovery import chosen
from harness.report.escaping import plain

if TYPE_CHECKING:
    from harness.results.history import History

NAME = "history"
HELP = "list the recorded runs, or draw the effect of a claim over them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument("claim", nargs="?", metavar="CLAIM", help="claim id (default: list the runs)")
    parser.add_argument("--model", action="append", help="model label as recorded (repeatable; default: all)")
    parser.add_argument("--last", type=int, default=30, metavar="N", help="only the last N runs (default 30)")
    add_cache(parser)


def run(asked: argparse.Namespace) -> int:
    """Print a table of runs, or one chart per model."""
    from harness.errors import ClaimsError
    from harness.results.history import open_history

    if asked.last < 1:
        raise ClaimsError(f"{asked.last} in --last; allowed: whole numbers from 1 on")
    history = open_history(asked.cache)
    try:
        if asked.claim is None:
            _show_runs(history, asked)
        else:
            _show_course(history, asked)
    finally:
        history.close()
    return 0


def _show_runs(history: "History", asked: argparse.Namespace) -> None:
    runs = history.runs()
    rows = []
    for one in runs[-asked.last :]:
        records = history.records(run=one.id)
        models = list(dict.fromkeys(record.model for record in records))
        counts = Counter(record.verdict for record in records)
        if not asked.model or set(asked.model) & set(models):
            told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
            rows.append((one.id[:8], one.time[:16].replace("T", " "), ", ".join(models), told, one.command))
    if asked.model and not rows:
        chosen({record.model: 0 for record in history.records()}, asked.model, "model", "--model")
    show_table(("run", "time (UTC)", "models", "verdicts", "command"), rows)
    print(f"{len(runs)} runs in {history.path}; `claims history CLAIM` draws one, `claims diff RUN RUN` compares two")


def _show_course(history: "History", asked: argparse.Namespace) -> None:
    from harness.report.history_text import course

    known = history.claims()
    (claim,) = chosen({claim: claim for claim, _ in known}, [asked.claim], "claim", "`claims history`")
    models = chosen({model: model for name, model in known if name == claim}, asked.model, "model", "--model")
    for model in models:
        records = history.records(claim=claim, model=model)
        effect = next((record.effect for record in records[::-1] if record.effect), None)
        told = "" if effect is None else f": o {effect.label}, - its interval, | the bound {effect.direction}"
        print(plain(f"{claim} on {model}{told}"))
        print(course(records[-asked.last :]))
