"""`claims report`: one page, or tables, of the last results or of the records of several runs."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache, add_choice, add_claims_folder
from harness.errors import ClaimsError
from harness.judging.catalogue import specs_below
from harness.judging.discovery import chosen
from harness.judging.ledger import ClaimSpec
from harness.running.options import report_path

if TYPE_CHECKING:
    from harness.results.record import RunRecord

NAME = "report"
HELP = "write the last results, or the records of several runs, as one HTML page, Markdown, CSV or Parquet"
DEFAULT_FILE = "claims-report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    runs = "records: a file that --claims-json wrote, or a folder with the history of runs (default: --cache)"
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help=runs)
    out = f"file to write, by suffix .html, .md, .csv or .parquet (repeatable; default: {DEFAULT_FILE})"
    parser.add_argument("--out", action="append", metavar="FILE", help=out)
    one = "of a folder only this run (its id, last, last~1; default: the last result of each claim and model)"
    parser.add_argument("--run", dest="of_run", metavar="ID", help=one)
    parser.add_argument("--title", help="heading of the report")
    add_claims_folder(parser)
    add_cache(parser)
    add_choice(parser)


def run(asked: argparse.Namespace) -> int:
    """Read the records, write the files, and name them."""
    from harness.report.quantity import with_words
    from harness.report.write import TITLE, write_report

    paths = [report_path(text, "--out") for text in asked.out or (DEFAULT_FILE,)]
    specs = specs_below(asked.claims) if asked.claims.is_dir() else {}
    records, entries, notes, before = gather(asked.runs or [asked.cache], asked.of_run)
    entries = {**specs, **with_words(entries, specs)}
    models = chosen({record.model: record.model for record in records}, asked.model, "model", "--model")
    claims = chosen({record.claim: record.claim for record in records}, asked.claim, "claim", "--claim")
    kept = [record for record in records if record.model in models and record.claim in claims]
    for path in paths:
        title = asked.title or TITLE
        files = write_report(path, kept, entries, now=datetime.now(UTC), title=title, notes=notes, before=before)
        print(f"{len(kept)} records written to {', '.join(map(str, files))}")
    return 0


def gather(
    runs: Sequence[Path], of_run: str | None
) -> tuple["list[RunRecord]", dict[str, ClaimSpec], list[str], dict[tuple[str, str], str]]:
    """Read the records of every run, with the ledger entries and notes that files of runs hold; later runs win.

    Last come the verdicts before the shown ones, by claim and model, as far as histories hold them.
    """
    from harness.results.run_file import read_document

    records: list[RunRecord] = []
    entries: dict[str, ClaimSpec] = {}
    notes: list[str] = []
    before: dict[tuple[str, str], str] = {}
    for path in runs:
        if path.suffix == ".json" or path.is_file():
            found, own, said = read_document(path)
            records, entries, notes = records + found, {**entries, **own}, notes + said
        else:
            found, said, earlier = _recorded(path, of_run)
            records, notes, before = records + found, notes + said, {**before, **earlier}
    if not records:
        raise ClaimsError(f"no records in {', '.join(map(repr, map(str, runs)))}; run `pytest claims/` first")
    return records, entries, list(dict.fromkeys(notes)), before


def _recorded(folder: Path, of_run: str | None) -> tuple["list[RunRecord]", list[str], dict[tuple[str, str], str]]:
    """Take the last record of each claim on each model, or those of one run, from a history.

    Beside them: notes on seeds that were tried, and the verdicts before the last of these runs.
    """
    from harness.report.history_text import seeds_told
    from harness.results.history import find_run, open_history

    history = open_history(folder)
    if of_run is None:
        records = sorted(history.latest().values(), key=lambda record: record.time)
    else:
        records = history.records(run=find_run(history.runs(), of_run, "--run").id)
    notes = seeds_told(records, history.seeds())
    before = history.verdicts(before=records[-1].run) if records else {}
    history.close()
    return records, notes, before
