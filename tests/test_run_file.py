"""The file of a run is valid by its published schema, and nothing else is taken for one."""

import json
from datetime import UTC, datetime, timedelta, timezone

import jsonschema
import pytest
from pydantic import ValidationError

from harness.errors import ClaimsError
from harness.results.record import record_from, record_text
from harness.results.run_file import SCHEMA_FILE, document_text, read_document, schema_text
from support.records import HOSTILE, finding, record, record_data, spec

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def written(*records, notes=(), specs=None) -> str:
    return document_text(records, specs or {"stays": spec()}, notes, NOW)


def test_the_schema_in_the_repository_is_the_one_of_the_code():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("verdict", ["supported", "refuted", "vacuous", "inconclusive", "reported", "not applicable"])
def test_what_is_written_is_valid_by_the_schema(verdict):
    jsonschema.validate(json.loads(written(record(verdict=verdict, expected="refuted"))), SCHEMA)


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_survive_the_round_trip_in_ascii(tmp_path, name):
    text = written(record(model=name, reason=name), notes=[name])
    assert text.isascii()
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    (found,), _, notes = read_document(tmp_path / "run.json")
    kept = name.replace("\udcff", "\\udcff")  # a byte of a file name that is no text stays visible
    assert (found.model, found.reason, notes) == (kept, kept, [kept])


def test_records_entries_and_notes_come_back_with_the_time(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(written(record(), record(model="other"), notes=["a note"]), encoding="utf-8")
    records, specs, notes = read_document(path)
    assert records == [record(model=model, time="2026-01-02T03:04:05+00:00") for model in ("tiny", "other")]
    assert specs == {"stays": spec()}
    assert notes == ["a note"]


def test_only_entries_of_recorded_claims_are_kept():
    made = json.loads(written(record(), specs={"stays": spec(), "other": spec("other")}))
    assert list(made["claims"]) == ["stays"]


def test_times_are_written_in_utc():
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    assert json.loads(document_text([], {}, [], local))["created"] == "2026-01-02T03:04:05+00:00"


def test_numbers_that_are_not_finite_have_no_value():
    odd = finding(estimate=float("nan"), p_true=float("inf"))
    made = json.loads(written(record(effect=odd, p=float("nan"))), parse_constant=pytest.fail)
    assert made["records"][0]["effect"]["estimate"] is None
    assert made["records"][0]["p"] is None
    jsonschema.validate(made, SCHEMA)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"format": 2}, "records.0.format"),
        ({"verdict": "maybe"}, "records.0.verdict"),
        ({"images": -1}, "records.0.images"),
        ({"effect": {"label": "x"}}, "records.0.effect.estimate"),
        ({"curves": {"a": [[0, 1.0]]}}, "records.0.curves.a.0"),
        ({"pictures": [{"title": "t", "media": "image/svg+xml", "data": ""}]}, "records.0.pictures.0.media"),
        ({"pictures": [{"title": "t", "media": "image/png", "data": "!!"}]}, "records.0.pictures.0.data"),
    ],
)
def test_a_wrong_field_is_refused_by_its_place(tmp_path, change, place):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"records": [record_data(**change)]}), encoding="utf-8")
    with pytest.raises(ClaimsError, match=place.replace(".", r"\.")):
        read_document(path)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(path.read_text()), SCHEMA)


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"records": 1}', '{"format": 7, "records": []}', "[" * 100_000])
def test_what_is_no_run_is_refused_with_the_way_to_make_one(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClaimsError, match="--claims-json FILE"):
        read_document(path)


def test_a_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(ClaimsError, match="cannot read the records"):
        read_document(tmp_path / "none.json")


def test_fields_that_a_later_version_adds_are_read():
    made = json.loads(written(record(later={"a": 1})))
    jsonschema.validate(made, SCHEMA)
    assert made["records"][0]["later"] == {"a": 1}


# A file as version 0.1 wrote it before records told pairs, fingerprints, members or the run they belong to.
OLD_CONTEXT = {"weights": "ab", "images": "pictures", "image_fingerprint": "cd", "train_images": ["train", "ee", 7]}
OLD_EFFECT = {"label": "x", "estimate": 1, "interval": None, "bound": 0.5, "direction": ">=", "p_true": 0, "p_false": 1}
OLD = {
    "format": 1, "claim": "stays", "version": 1, "model": "tiny", "source": "paper", "tier": "core",
    "verdict": "supported", "reason": "so", "published": None, "effect": OLD_EFFECT, "images": 64, "seconds": 1,
    "block_evaluations": 12, "measured_images": 0, "arms": {"clean": "id"}, "context": OLD_CONTEXT,
}  # fmt: skip


def test_a_file_of_an_older_version_is_read_with_the_values_that_were_meant(tmp_path):
    (tmp_path / "old.json").write_text(json.dumps({"records": [OLD]}), encoding="utf-8")
    (found,), specs, notes = read_document(tmp_path / "old.json")
    assert (specs, notes, found.time) == ({}, [], "")
    assert (found.what, found.pairs, found.members, found.fingerprints, found.run) == ("images", None, None, {}, "")
    assert (found.findings, found.controls, found.curves, found.pictures) == (None, (), {}, ())
    assert (found.context.target, found.context.card, found.context.left_out) == ("distribution", None, ())
    assert found.context.train_images == ["train", "ee", 7]
    assert set(json.loads(record_text(found))) == set(OLD), "what it did not say is not written as if it had"


def test_what_is_written_and_read_is_the_same_record(tmp_path):
    asked, refused = record(run="r", fingerprints={"claim": "0"}), record("b", verdict="not applicable")
    assert [record_from(record_text(one)) for one in (asked, refused)] == [asked, refused]
    (tmp_path / "run.json").write_text(written(asked, refused), encoding="utf-8")
    assert [one.but(time="") for one in read_document(tmp_path / "run.json")[0]] == [asked, refused]


def test_a_record_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        record().verdict = "refuted"
