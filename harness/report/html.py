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
from harness.report.claim_view import counts_of, sources_of
from harness.report.columns import columns_of
from harness.report.escaping import plain, short
from harness.report.model_view import model_view
from harness.report.page_data import page_data
from harness.report.page_layout import laid_out
from harness.report.surprises import Known, surprises
from harness.report.terminal import jointly
from harness.report.views import GLOSSARY, MEANINGS, SYMBOLS
from harness.results.record import PictureRecord, RunRecord

PAGE, STYLE = "page.html.j2", "style.css"
SCRIPTS = ("curves.js", "compare.js", "page.js")
PARTIAL = "PARTIAL"  # how the note of a run that was cut short begins
MIMES = ("image/png", "image/jpeg", "image/webp")


def html_report(
    records: Sequence[RunRecord],
    specs: Mapping[str, ClaimSpec],
    *,
    title: str,
    now: datetime,
    notes: Sequence[str] = (),
    before: Known | None = None,
    links: Mapping[str, str] | None = None,
) -> str:
    """Render the report of one or several runs as one HTML page; `links` lead to other pages, by their names."""
    columns = columns_of(records)
    shown = [record for column in columns for record in column.records.values()]
    sources = sources_of(columns, specs)
    claims = [claim for source in sources for claim in source.claims]
    places = {(claim.id, plain(columns[one.column].model)): one.place for claim in claims for one in claim.results}
    layout = laid_out(columns, sources)
    return (
        _environment()
        .get_template(PAGE)
        .render(
            **vars(layout),
            title=title,
            created=now.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            models=[model_view(columns[one.number], one.number) for one in layout.singles],
            families=sorted({one.family for one in layout.singles}),
            counts=counts_of(shown),
            surprises=[(one, places[one.claim, one.model]) for one in surprises(shown, specs, before)],
            joint=jointly(shown),
            notes=notes,
            links=links or {},
            partial=[note for note in notes if note.startswith(PARTIAL)],
            data=Markup(page_data(columns, claims, specs, source_of_picture)),
            symbols=SYMBOLS,
            meanings=MEANINGS,
            glossary=GLOSSARY,
            **_own_parts(),
        )
    )


@cache
def _own_parts() -> dict[str, Markup | str]:
    """Give style and script of every page, and the policy that lets only these act."""
    style, script = _asset(STYLE), "".join(map(_asset, SCRIPTS))
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}"
    return {"style": Markup(style), "script": Markup(script), "policy": policy}


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
    made.filters["short"] = short
    return made


def _finalize(value: Any) -> Any:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


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
