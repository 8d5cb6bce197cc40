"""What the end of a run says and writes: the table of claims, notes, the records as JSON, and reports."""

import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime

from harness.files import write_whole
from harness.judging.ledger import ClaimSpec
from harness.report import terminal
from harness.report.escaping import plain, prose
from harness.report.surprises import Known, surprises
from harness.report.write import TITLE, write_report
from harness.results.record import RunRecord
from harness.results.run_file import document_text
from harness.running.options import RunOptions

USUAL_FOLDER = "claims"  # where the command line looks for claims
SURPRISES = 5  # that a terminal shows
SHARED = "timings under xdist come from the records: claims ran one by one and shared the processor"


def told(
    records: Sequence[RunRecord],
    notes: Sequence[str],
    *,
    width: int,
    verbosity: int,
    shared: bool,
    specs: Mapping[str, ClaimSpec] | None = None,
    before: Known | None = None,
) -> list[str]:
    """List the lines of a summary; `shared` says that several workers measured side by side.

    `specs` are ledger entries by claim id, `before` the verdicts of earlier runs by claim and model.
    """
    below = [terminal.totals(records)]
    if late := sum(record.out_of_time for record in records):
        below.append(f"the time was up: {late} claims are open, and the same command goes on where this run was")
    if verbosity >= 0:
        below += [terminal.jointly(records), SHARED if shared else ""]
    room = max(terminal.LEAST_WIDTH, width)
    wrapped = [part for text in below for part in textwrap.wrap(text, room, subsequent_indent=terminal.GAP)]
    first = _surprising(records, specs or {}, before or {}, room) if verbosity >= 0 else []
    lines = [*first, *terminal.summary(records, width, verbosity).splitlines(), *wrapped]
    return [*map(plain, lines), *said(notes, room)]


def said(notes: Sequence[str], width: int) -> list[str]:
    """Wrap the notes of a run."""
    return [plain(part) for note in notes for part in _wrapped(prose(note), max(terminal.LEAST_WIDTH, width))]


def next_step(records: Sequence[RunRecord], width: int, folder: str = USUAL_FOLDER) -> list[str]:
    """Say what a reader may do now: the last line of a run, whose claims lie in a `folder`."""
    late = [record for record in records if record.out_of_time]
    open_ = [record for record in records if record.verdict == "inconclusive" and not record.out_of_time]
    known = sorted(records, key=lambda one: (one.verdict != "refuted", one.verdict not in terminal.DECIDED))
    shown = known[0].claim
    where = "" if folder == USUAL_FOLDER else f" --claims {folder}"
    steps = [f"`claims explain {shown}{where}` tells one claim in full", f"`claims report{where}` writes the page"]
    if late:
        steps.insert(0, "the same command goes on")
    elif open_:
        steps.append("more pictures (--data) decide what is inconclusive")
    return _wrapped(f"next: {'; '.join(steps)}", max(terminal.LEAST_WIDTH, width))


def _surprising(records: Sequence[RunRecord], specs: Mapping[str, ClaimSpec], before: Known, room: int) -> list[str]:
    found = surprises(records, specs, before, SURPRISES)
    lines = [part for at, one in enumerate(found, start=1) for part in _wrapped(f"{at}. {one.sentence}", room, "   ")]
    return ["most surprising", *lines, ""] if found else []


def _wrapped(text: str, room: int, indent: str = terminal.GAP) -> list[str]:
    return textwrap.wrap(text, room, subsequent_indent=indent, break_on_hyphens=False)


def written(
    records: Sequence[RunRecord],
    specs: Mapping[str, ClaimSpec],
    notes: Sequence[str],
    options: RunOptions,
    now: datetime,
    partial: bool = False,
    before: Known | None = None,
) -> list[str]:
    """Write the files that were asked for, and say so; `specs` are ledger entries by claim id.

    The reports of a run that is `partial` say it in their heading; `before` are the verdicts of earlier runs.
    Raises ClaimsError where a file cannot be written.
    """
    json, reports = options.json, options.reports
    if json is None and not reports:
        return []
    lines = []
    if json is not None:
        write_whole(json, document_text(records, specs, notes, now).encode("utf-8"), "the records")
        lines.append(plain(f"records written to {json}"))
    for path in reports:
        title = f"{TITLE} (partial: the run was interrupted)" if partial else TITLE
        files = write_report(path, records, specs, now=now, notes=notes, title=title, before=before)
        lines.append(plain(f"report written to {', '.join(map(str, files))}"))
    return lines
