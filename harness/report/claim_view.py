"""From records and ledger entries to what a report shows of the claims; nothing here reads or writes."""

from collections.abc import Mapping, Sequence
from typing import Any

from harness.judging.ledger import ClaimSpec
from harness.measurement.record import images_used
from harness.report.columns import ModelColumn, unique
from harness.report.curve_text import bound_words
from harness.report.escaping import anchor, prose, web_address
from harness.report.panels import Line, curve_panels, evidence_panel, lone_points, names_drawn, published_panels
from harness.report.verdict_text import number
from harness.report.views import SYMBOLS, BoundRow, Cell, ClaimView, Result, SourceView

TINY = 0.0005  # an end of an interval below this is shown as 0


def sources_of(columns: Sequence[ModelColumn], specs: Mapping[str, ClaimSpec]) -> tuple[SourceView, ...]:
    """Group the claims of the records by source, in the order of the ledgers; claims without an entry come last."""
    found: dict[str, Mapping[str, Any]] = {}
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


def counts_of(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Count the records of each verdict, in the order of the legend."""
    found = [record["verdict"] for record in records]
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


def _result(column: ModelColumn, at: int, record: Mapping[str, Any], place: str, spec: ClaimSpec | None) -> Result:
    effect = record["effect"]
    row, panels = f"{place}--{column.anchor}", curve_panels(record, spec)
    expected = record.get("expected")
    cell = Cell(
        column=at,
        verdict=record["verdict"],
        effect="" if effect is None else number(effect["estimate"]),
        interval="" if effect is None else interval_text(effect["interval"]),
        reason=prose(record["reason"]),
        place=row,
        changed_from=expected if expected and expected != record["verdict"] else "",
    )
    return Result(
        column=at,
        label=column.label,
        model_place=column.anchor,
        place=row,
        cell=cell,
        quantity="" if effect is None else effect["label"],
        bound="" if effect is None else f"{bound_words(effect['direction'])} {number(effect['bound'])}",
        published=number(record["published"]),
        control=_control(record),
        images=_images(record),
        cost=cost_text(record),
        panels=panels,
        points=tuple(map(_point, lone_points(record, panels))),
        evidence=evidence_panel(record),
        pictures=tuple(record.get("pictures") or ()),
    )


def _images(record: Mapping[str, Any]) -> str:
    """Say how many images were used of how many, or what else was counted and the images behind it."""
    what, used = record.get("what", "images"), images_used(record)
    counted = f"{record['images']} of {record['budget']}" if record.get("budget") else str(record["images"])
    if what == "images" or record.get("pictures_behind") is None:
        return counted
    return used if used == "weights" else f"{used} ({counted} {what})"


def interval_text(interval: Sequence[float | None] | None) -> str:
    """Write an interval, or nothing where none was drawn."""
    return (
        ""
        if interval is None
        else "[" + ", ".join("0" if end and abs(end) < TINY else number(end) for end in interval) + "]"
    )


def cost_text(record: Mapping[str, Any]) -> str:
    """Write what a claim took; numbers that were read back cost no forward pass."""
    passes = f"{record['block_evaluations']:,.0f} block evaluations"
    return f"{record['seconds']:.1f} s, {passes if record['measured_images'] else 'read from stored measurements'}"


def _point(line: Line) -> str:
    ends = interval_text([line.low[0], line.high[0]])
    return f"{line.label} at block {line.layers[0]} = {number(line.values[0])} {ends}"


def _control(record: Mapping[str, Any]) -> str:
    findings = (record.get("findings") or {}).get("control") or ()
    return "; ".join(
        f"{finding['label']} = {number(finding['estimate'])} {interval_text(finding['interval'])}".strip()
        for finding in findings[:3]
    )


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
    others = sorted({c.records[name]["version"] for c in columns if name in c.records} - {spec.version})
    if not others:
        return ""
    shown = ", ".join(map(str, others))
    return f"Some results were judged by version {shown} of the ledger entry; shown is version {spec.version}."


def _source(name: str, record: Mapping[str, Any], specs: Mapping[str, ClaimSpec]) -> str:
    return specs[name].source.key if name in specs else str(record["source"])


def _source_text(spec: ClaimSpec | None) -> str:
    return "" if spec is None else prose(f"{spec.source.authors} ({spec.source.year}): {spec.source.title}")
