"""What the end of a run says and writes: the table of claims, notes, the records as JSON, and reports."""

import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime

from harness.files import write_whole
from harness.judging.ledger import ClaimSpec
from harness.report import terminal
from harness.report.escaping import plain
from harness.report.write import TITLE, write_report
from harness.results.record import RunRecord
from harness.results.run_file import document_text
from harness.running.options import RunOptions

SHARED = "timings under xdist come from the records: claims ran one by one and shared the processor"


def told(records: Sequence[RunRecord], notes: Sequence[str], *, width: int, verbosity: int, shared: bool) -> list[str]:
    """List the lines of a summary; `shared` says that several workers measured side by side."""
    below = [terminal.totals(records)]
    if late := sum(record.out_of_time for record in records):
        below.append(f"the time was up: {late} claims are open, and the same command goes on where this run was")
    if verbosity >= 0:
        below += [terminal.jointly(records), SHARED if shared else ""]
    room = max(terminal.LEAST_WIDTH, width)
    wrapped = [part for text in below for part in textwrap.wrap(text, room, subsequent_indent=terminal.GAP)]
    lines = [*terminal.summary(records, width, verbosity).splitlines(), *wrapped]
    return [plain(line) for line in (*lines, *notes)]


def written(
    records: Sequence[RunRecord],
    entries: Mapping[str, str],
    notes: Sequence[str],
    options: RunOptions,
    now: datetime,
    partial: bool = False,
) -> list[str]:
    """Write the files that were asked for, and say so; `entries` are ledger entries by claim id, as JSON.

    The reports of a run that is `partial` say it in their heading.
    Raises ClaimsError where a file cannot be written.
    """
    json, reports = options.json, options.reports
    if json is None and not reports:
        return []
    specs = {name: ClaimSpec.model_validate_json(text) for name, text in entries.items()}
    lines = []
    if json is not None:
        write_whole(json, document_text(records, specs, notes, now).encode("utf-8"), "the records")
        lines.append(plain(f"records written to {json}"))
    for path in reports:
        title = f"{TITLE} (partial: the run was interrupted)" if partial else TITLE
        files = write_report(path, records, specs, now=now, notes=notes, title=title)
        lines.append(plain(f"report written to {', '.join(map(str, files))}"))
    return lines
