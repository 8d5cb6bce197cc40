"""A small static site of results: an index, a page per claim, a page per model, and a feed of what changed."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from harness.judging.ledger import ClaimSpec
from harness.report.columns import columns_of, unique
from harness.report.escaping import file_name, plain
from harness.report.html import html_report
from harness.report.surprises import Known, surprises
from harness.results.record import RunRecord

INDEX, FEED = "index.html", "feed.json"
KEPT = 200  # changes that a feed remembers
FORMAT = "https://jsonfeed.org/version/1.1"


def site_pages(
    records: Sequence[RunRecord], specs: Mapping[str, ClaimSpec], *, title: str, now: datetime, before: Known
) -> dict[PurePosixPath, str]:
    """Write every page of a site by its path within it; the index leads to the others, and each of them back."""
    columns = columns_of(records)
    shown = [record for column in columns for record in column.records.values()]
    claims = _paths("claims", list(dict.fromkeys(record.claim for record in shown)))
    models = _paths("models", [column.label for column in columns])
    pages: dict[PurePosixPath, str] = {}
    back = {"the whole site": f"../{INDEX}"}
    for claim, path in claims.items():
        own = [record for record in shown if record.claim == claim]
        pages[path] = html_report(own, specs, title=plain(claim), now=now, before=before, links=back)
    for column in columns:
        own, label = list(column.records.values()), plain(column.label)
        pages[models[column.label]] = html_report(own, specs, title=label, now=now, before=before, links=back)
    links = {plain(name): str(path) for name, path in {**claims, **models}.items()} | {"what changed (feed)": FEED}
    pages[PurePosixPath(INDEX)] = html_report(shown, specs, title=title, now=now, before=before, links=links)
    return pages


def feed(
    records: Sequence[RunRecord],
    specs: Mapping[str, ClaimSpec],
    *,
    title: str,
    now: datetime,
    before: Known,
    older: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Write what changed as a JSON feed, the newest first, with the `older` items of the feed that stood there."""
    time = now.astimezone(UTC).isoformat(timespec="seconds")
    changed = [one for one in surprises(records, specs, before, count=len(records)) if one.before]
    items: list[Mapping[str, Any]] = [
        {
            "id": f"{one.claim} on {one.model}, {time}",
            "title": f"{one.claim} on {one.model}: {one.before} to {one.verdict}",
            "content_text": one.sentence,
            "date_published": time,
        }
        for one in changed
    ]
    document = {"version": FORMAT, "title": plain(title), "items": [*items, *older][:KEPT]}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _paths(folder: str, names: Sequence[str]) -> dict[str, PurePosixPath]:
    return {
        name: PurePosixPath(folder, f"{file}.html")
        for name, file in zip(names, unique([file_name(name).lower() for name in names]), strict=True)
    }
