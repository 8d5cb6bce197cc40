"""From records and ledger entries to what a report shows of the claims; nothing here reads or writes."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.judging.ledger import ClaimSpec
from harness.report.columns import ModelColumn, unique
from harness.report.curve_text import bound_words
from harness.report.escaping import anchor, prose, web_address
from harness.report.panels import Line, curve_panels, evidence_panel, lone_points, names_drawn, published_panels
from harness.report.result_table import RESULT_COLUMNS
from harness.report.verdict_text import interval_text, number
from harness.report.views import SYMBOLS, BoundRow, Cell, ClaimView, Result, SourceView
from harness.results.record import RunRecord

MORE = tuple(column.page for column in RESULT_COLUMNS if column.page is not None)  # beside model, verdict and effect


def sources_of(columns: Sequence[ModelColumn], specs: Mapping[str, ClaimSpec]) -> tuple[SourceView, ...]:
    """Group the claims of the records by source, in the order of the ledgers; claims without an entry come last."""
    found: dict[str, RunRecord] = {}
    for column in columns:
        found |= {name: record for name, record in column.records.items() if name not in found}
    order = {name: place for place, name in enumerate(specs)}
    ids = sorted(found, key=lambda name: (order.get(name, len(order)), name))
    places = dict(zip(ids, unique([anchor(f"claim-{name}") for name in ids]), strict=True))
    keys = list(dict.fromkeys(_source(name, found[name], specs) for name in ids))
    return tuple(
        SourceView(
            key=key,
            text=_source_text(next((specs[n] for n in ids if n in specs and specs[n].source.key == key), None)),
            claims=tuple(
                _claim(name, places[name], number_of, columns, specs.get(name))
                for name in ids
                if _source(name, found[name], specs) == key
            ),
        )
        for number_of, key in enumerate(keys)
    )


def counts_of(records: Sequence[RunRecord]) -> dict[str, int]:
    """Count the records of each verdict, in the order of the legend."""
    found = [record.verdict for record in records]
    return {verdict: found.count(verdict) for verdict in SYMBOLS if verdict in found}


def _claim(name: str, place: str, source: int, columns: Sequence[ModelColumn], spec: ClaimSpec | None) -> ClaimView:
    results = tuple(
        _result(column, at, columns[at].records[name], place, spec)
        for at, column in enumerate(columns)
        if name in column.records
    )
    by_column = {result.column: result.cell for result in results}
    drawn = names_drawn([panel for result in results for panel in result.panels])
    return ClaimView(
        id=name,
        place=place,
        source=source,
        entry={} if spec is None else _entry(spec),
        links=() if spec is None else _links(spec),
        bounds=() if spec is None else tuple(_bound(key, bound) for key, bound in spec.bounds.items()),
        origins=() if spec is None else _origins(spec),
        cells=tuple(by_column.get(at, Cell(column=at, verdict="not run")) for at in range(len(columns))),
        results=results,
        unmatched=() if spec is None else published_panels(spec, drawn),
        note=_versions(name, columns, spec),
    )


def _result(column: ModelColumn, at: int, record: RunRecord, place: str, spec: ClaimSpec | None) -> Result:
    effect = record.effect
    row, panels = f"{place}--{column.anchor}", curve_panels(record, spec)
    expected = record.expected
    cell = Cell(
        column=at,
        verdict=record.verdict,
        effect="" if effect is None else number(effect.estimate),
        interval="" if effect is None else interval_text(effect.interval),
        reason=prose(record.reason),
        place=row,
        changed_from=expected if expected and expected != record.verdict and not record.out_of_time else "",
    )
    return Result(
        column=at,
        label=column.label,
        model_place=column.anchor,
        place=row,
        cell=cell,
        quantity="" if effect is None else effect.label,
        more=tuple(str(shown.text(record)) for shown in MORE),
        panels=panels,
        points=tuple(map(_point, lone_points(record, panels))),
        evidence=evidence_panel(record),
        pictures=record.pictures,
    )


def _point(line: Line) -> str:
    ends = interval_text([line.low[0], line.high[0]])
    return f"{line.label} at block {line.layers[0]} = {number(line.values[0])} {ends}"


def _entry(spec: ClaimSpec) -> dict[str, str]:
    fields = {
        "code": spec.code,
        "tier": spec.tier,
        "statement": spec.statement,
        "place": spec.place,
        "protocol": spec.protocol,
        "control": spec.control,
        "published": spec.published.text,
        "note": spec.note,
        "unpublished": "" if spec.source.arxiv or spec.source.url else spec.source.note,
        "budget": f"at most {spec.budget} images; the verdict errs with probability at most {spec.delta:g}",
    }
    return {name: prose(text) for name, text in fields.items()}


def _links(spec: ClaimSpec) -> tuple[tuple[str, str], ...]:
    source = spec.source
    arxiv = f"https://arxiv.org/abs/{source.arxiv}" if source.arxiv else None
    named = (("arXiv", arxiv), ("page", web_address(source.url)), ("code", web_address(source.code)))
    return tuple((name, address) for name, address in named if address)


def _bound(name: str, bound: Any) -> BoundRow:
    floors = [f"{bound.value:g}"]
    if bound.chance_times:
        floors.append(f"{bound.chance_times:g} × chance")
    if bound.above_chance:
        floors.append(f"chance + {bound.above_chance:g} × (1 − chance)")
    text = floors[0] if len(floors) == 1 else f"the larger of {', '.join(floors)}"
    return BoundRow(
        name=name,
        text=f"{bound_words(bound.direction)} {text}",
        published=number(bound.published),
        origin=prose(bound.origin),
    )


def _origins(spec: ClaimSpec) -> tuple[tuple[str, str], ...]:
    """List each published curve with where its values come from."""
    return tuple(
        (f"{name}: {curve.model}", prose(curve.origin))
        for name, curves in spec.published.curves.items()
        for curve in curves
    )


def _versions(name: str, columns: Sequence[ModelColumn], spec: ClaimSpec | None) -> str:
    if spec is None:
        return "The ledger entry of this claim is not at hand; only what its records hold is shown."
    others = sorted({c.records[name].version for c in columns if name in c.records} - {spec.version})
    if not others:
        return ""
    shown = ", ".join(map(str, others))
    return f"Some results were judged by version {shown} of the ledger entry; shown is version {spec.version}."


def _source(name: str, record: RunRecord, specs: Mapping[str, ClaimSpec]) -> str:
    return specs[name].source.key if name in specs else record.source


def _source_text(spec: ClaimSpec | None) -> str:
    return "" if spec is None else prose(f"{spec.source.authors} ({spec.source.year}): {spec.source.title}")
