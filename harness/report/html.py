"""One self-contained HTML file: no server, no network, and nothing in it runs but its own filter script."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.judging.ledger import ClaimSpec
from harness.report import figures
from harness.report.claim_view import MORE, counts_of, sources_of
from harness.report.columns import columns_of
from harness.report.escaping import plain, short
from harness.report.model_view import model_view
from harness.report.panels import CurvePanel, EvidencePanel, Line
from harness.report.surprises import Known, surprises
from harness.report.terminal import jointly
from harness.report.views import MEANINGS, SYMBOLS, ClaimView
from harness.results.record import PictureRecord, RunRecord

PAGE, STYLE, SCRIPT = "page.html.j2", "style.css", "filter.js"
MIMES = ("image/png", "image/jpeg", "image/webp")


def html_report(
    records: Sequence[RunRecord],
    specs: Mapping[str, ClaimSpec],
    *,
    title: str,
    now: datetime,
    notes: Sequence[str] = (),
    before: Known | None = None,
) -> str:
    """Render the report of one or several runs as one HTML page."""
    columns = columns_of(records)
    shown = [record for column in columns for record in column.records.values()]
    sources = sources_of(columns, specs)
    results = [(claim.id, one) for source in sources for claim in source.claims for one in claim.results]
    places = {(claim, plain(columns[one.column].model)): one.place for claim, one in results}
    style, script = _asset(STYLE), _asset(SCRIPT)
    return (
        _environment()
        .get_template(PAGE)
        .render(
            title=title,
            created=now.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            columns=columns,
            sources=sources,
            models=[model_view(column, at) for at, column in enumerate(columns)],
            families=sorted({column.family for column in columns}),
            counts=counts_of(shown),
            surprises=[(one, places[one.claim, one.model]) for one in surprises(shown, specs, before)],
            joint=jointly(shown),
            notes=notes,
            more=MORE,
            symbols=SYMBOLS,
            meanings=MEANINGS,
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}",
        )
    )


@cache
def _environment() -> Environment:
    """Set up templates in which everything is escaped and every control character is shown instead of acting."""
    made = Environment(
        loader=PackageLoader("harness.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters |= {"short": short, "drawing": drawing, "legend": legend, "source_of_picture": source_of_picture}
    return made


def _finalize(value: Any) -> Any:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def drawing(panel: CurvePanel | EvidencePanel) -> Markup:
    """Draw a panel as an image that stands in the page itself; within an image no script runs."""
    svg = figures.curve_svg(panel) if isinstance(panel, CurvePanel) else figures.evidence_svg(panel)
    safe = svg.replace('"', "'").replace("%", "%25").replace("#", "%23").replace("&", "%26")
    return Markup("data:image/svg+xml,") + Markup(safe)


def legend(claim: ClaimView) -> list[Line]:
    """List what the pictures of a claim show beside our own curves: rivals' and published curves, once each."""
    panels = [panel for result in claim.results for panel in result.panels] + list(claim.unmatched)
    lines = {(line.role, line.style): line for panel in panels for line in panel.lines if line.role != "ours"}
    return sorted(lines.values(), key=lambda line: (line.role, line.style))


def source_of_picture(picture: PictureRecord) -> str:
    """Give the address of a picture that a record carries; anything but a bitmap is refused."""
    if picture.media not in MIMES:
        raise ValueError(f"a picture of type {picture.media!r}; allowed: {', '.join(MIMES)}")
    data = base64.b64encode(base64.b64decode(picture.data, validate=True)).decode("ascii")
    return f"data:{picture.media};base64,{data}"


def _asset(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"
