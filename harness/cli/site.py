"""`claims site DIR`: the last results, or those of run files, as a static site that a project can publish."""

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.cli.arguments import add_cache, add_claims_folder
from harness.cli.report import gather
from harness.errors import ClaimsError
from harness.files import write_whole
from harness.judging.catalogue import specs_below

NAME = "site"
HELP = "write the last results as a small static site: index, a page per claim and per model, a feed of what changed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the site; a feed that is there goes on")
    runs = "files that --claims-json wrote, or folders with a history of runs (default: --cache)"
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help=runs)
    parser.add_argument("--title", help="heading of the index")
    add_claims_folder(parser)
    add_cache(parser)


def run(asked: argparse.Namespace) -> int:
    """Write the pages and the feed, and say how many."""
    from harness.report.quantity import with_words
    from harness.report.site import FEED, feed, site_pages
    from harness.report.write import TITLE

    specs = specs_below(asked.claims) if asked.claims.is_dir() else {}
    records, entries, _, before = gather(asked.runs or [asked.cache], None)
    specs = {**specs, **with_words(entries, specs)}
    now, title = datetime.now(UTC), asked.title or TITLE
    older = _items(asked.folder / FEED)
    pages = site_pages(records, specs, title=title, now=now, before=before)
    for path, text in pages.items():
        write_whole(asked.folder / path, text.encode("utf-8"), "the site")
    told = feed(records, specs, title=title, now=now, before=before, older=older)
    write_whole(asked.folder / FEED, told.encode("utf-8"), "the site")
    print(f"{len(pages)} pages and {FEED} written to {asked.folder}")
    return 0


def _items(path: Path) -> list[Mapping[str, Any]]:
    """Read the items of the feed that stands there; none where there is no feed."""
    if not path.exists():
        return []
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["items"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ClaimsError(f"{path} is no feed of ours ({error}); take another folder") from error
    if not isinstance(items, list):
        raise ClaimsError(f"{path} is no feed of ours: its items are {type(items).__name__}; take another folder")
    return items
