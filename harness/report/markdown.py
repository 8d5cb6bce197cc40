"""The report as Markdown for pull requests: what changed, the matrix, and what was not applicable."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from harness.judging.ledger import ClaimSpec
from harness.report.claim_view import counts_of, sources_of
from harness.report.columns import ModelColumn, columns_of
from harness.report.escaping import markdown_code, markdown_text, short
from harness.report.surprises import Known, Surprise, surprises
from harness.report.terminal import jointly
from harness.report.views import SYMBOLS, Cell, SourceView
from harness.results.record import RunRecord


def markdown_report(
    records: Sequence[RunRecord],
    specs: Mapping[str, ClaimSpec],
    *,
    title: str,
    now: datetime,
    notes: Sequence[str] = (),
    before: Known | None = None,
) -> str:
    """Write the report of one or several runs as Markdown."""
    columns = columns_of(records)
    sources = sources_of(columns, specs)
    shown = [record for column in columns for record in column.records.values()]
    counts = ", ".join(f"{SYMBOLS[verdict]} {count} {verdict}" for verdict, count in counts_of(shown).items())
    written = now.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    blocks = [
        f"## {markdown_text(title)}",
        f"{counts or 'no claims'}. Written {written}.",
        *_surprising(surprises(shown, specs, before)),
        *_changes(sources, columns),
        *[block for source in sources for block in _matrix(source, columns)],
        *_refusals(columns),
        markdown_text(jointly(shown)),
        "\n".join(f"- {markdown_text(note)}" for note in notes),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _surprising(found: Sequence[Surprise]) -> list[str]:
    lines = [f"{at}. {markdown_text(one.sentence)} {markdown_code(one.claim)}" for at, one in enumerate(found, start=1)]
    return ["### Most surprising", "\n".join(lines)] if lines else []


def _changes(sources: Sequence[SourceView], columns: Sequence[ModelColumn]) -> list[str]:
    """List verdicts that differ from the accepted ones: what a reader of a pull request looks for first."""
    lines = [
        f"- {markdown_code(claim.id)} on {markdown_code(columns[cell.column].label)}: expected "
        f"{markdown_text(cell.changed_from)}, "
        f"found {SYMBOLS[cell.verdict]} {cell.verdict}; {markdown_text(cell.reason)}"
        for source in sources
        for claim in source.claims
        for cell in claim.cells
        if cell.changed_from
    ]
    return ["### Verdicts that changed", "\n".join(lines)] if lines else []


def _matrix(source: SourceView, columns: Sequence[ModelColumn]) -> list[str]:
    head = "| claim | " + " | ".join(markdown_code(short(column.label)) for column in columns) + " |"
    rows = [f"| {markdown_code(claim.id)} | " + " | ".join(map(_cell, claim.cells)) + " |" for claim in source.claims]
    rule = "|---|" + "---|" * len(columns)
    return [f"### {markdown_text(source.text or source.key)}", "\n".join([head, rule, *rows])]


def _cell(cell: Cell) -> str:
    if cell.verdict not in SYMBOLS:
        return ""
    numbers = "" if cell.verdict == "not applicable" else f" {cell.effect} {cell.interval}".rstrip()
    return f"{cell.symbol} {cell.verdict}{markdown_text(numbers) and ' ' + markdown_text(numbers)}"


def _refusals(columns: Sequence[ModelColumn]) -> list[str]:
    """Say why claims were not applicable, model by model, folded away."""
    blocks = []
    for column in columns:
        reasons: dict[str, list[str]] = {}
        for name, record in column.records.items():
            if record.verdict == "not applicable":
                reasons.setdefault(record.reason, []).append(name)
        lines = [
            f"- {markdown_text(reason)}: {', '.join(map(markdown_code, names))}" for reason, names in reasons.items()
        ]
        if lines:
            label = markdown_text(short(column.label))
            blocks.append(
                f"<details><summary>Not applicable to {label}</summary>\n\n" + "\n".join(lines) + "\n\n</details>"
            )
    return blocks
