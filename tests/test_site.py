"""A site has an index, a page per claim and model, links that lead somewhere, and a feed that goes on."""

import json
import re
from datetime import UTC, datetime

import pytest

from harness.cli.__main__ import main
from harness.results.run_file import document_text
from support.records import HOSTILE, record, spec

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*records):
        (tmp_path / "run.json").write_text(document_text(records, {"stays": spec()}, [], NOW), encoding="utf-8")
        return main(["site", "public", "run.json"]), tmp_path / "public"

    return call


def test_every_claim_and_model_has_a_page_and_every_link_leads_somewhere(written):
    code, site = written(record(), record(model="other", verdict="refuted"), record("b"))
    assert code == 0
    assert {str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()} == {
        *("index.html", "feed.json", "claims/stays.html", "claims/b.html", "models/tiny.html", "models/other.html"),
    }
    for page in site.rglob("*.html"):
        for link in re.findall(r'href="([^"#:]+)"', page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page, link)
    heads = re.findall(r'data-family="vit"><a href="#([^"]+)"', (site / "models/tiny.html").read_text(encoding="utf-8"))
    assert heads == ["model-tiny"]


def test_a_feed_tells_what_changed_and_keeps_what_it_told(written):
    _, site = written(record())
    assert json.loads((site / "feed.json").read_text())["items"] == []
    for verdict, was in (("refuted", "supported"), ("supported", "refuted")):
        written(record(verdict=verdict, expected=was))
    items = json.loads((site / "feed.json").read_text())["items"]
    assert [item["title"] for item in items] == [
        "stays on tiny: refuted to supported",
        "stays on tiny: supported to refuted",
    ]
    assert "(it was refuted before)" in items[0]["content_text"]


def test_a_file_that_is_no_feed_is_not_overwritten(written, tmp_path, capsys):
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "feed.json").write_text("[1]")
    code, _ = written(record())
    assert code == 2
    assert "is no feed of ours" in capsys.readouterr().err
    assert (tmp_path / "public" / "feed.json").read_text() == "[1]"


def test_no_name_leaves_the_folder_of_the_site(written, tmp_path):
    names = [*HOSTILE.values(), "../../up", "a/b", "a?b", "A/B"]
    code, site = written(*[record(name, name, source="odd") for name in names if "\udcff" not in name])
    assert code == 0
    assert {path.parent.name for path in site.rglob("*.html")} == {"public", "claims", "models"}
    assert len(list((site / "claims").iterdir())) == len(names) - 1
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "public"}
