"""A ledger that is wrong anywhere is refused, naming file, entry and field."""

import copy

import pytest
import yaml
from pydantic import ValidationError

from harness.errors import ClaimsError, unknown
from harness.judging.catalogue import spec_beside
from harness.judging.ledger import LEDGER_NAME, Bound, read_ledger, read_ledgers
from harness.models.subject import CAPABILITIES

SOURCE = {"key": "k", "title": "t", "authors": "a", "year": 2020, "arxiv": "2212.06727"}
ENTRY = {
    "id": "some-claim",
    "code": "A1",
    "statement": "s",
    "place": "p",
    "protocol": "p",
    "tier": "core",
    "published": {
        "value": 0.5,
        "text": "t",
        "curves": {"c": [{"model": "m", "layers": [0, 1], "values": [0.1, 0.2], "origin": "figure 1"}]},
    },
    "bounds": {"bound": {"value": 0.9, "direction": ">=", "origin": "o"}},
    "control": "c",
    "needs": ["class_token", "labels"],
    "budget": 100,
    "delta": 0.01,
    "version": 1,
}
REMOVED = "(removed)"
NEEDS = frozenset(CAPABILITIES)


def ledger(folder, *entries, source=SOURCE):
    folder.mkdir(exist_ok=True)
    path = folder / LEDGER_NAME
    path.write_text(yaml.safe_dump({"source": source, "claims": list(entries)}), encoding="utf-8")
    return path


def changed(record: dict, place: str, value: object) -> dict:
    """Copy a record with one field (by dotted path) replaced or removed."""
    made = copy.deepcopy(record)
    *parents, name = place.split(".")
    inner = made
    for parent in parents:
        inner = inner[int(parent)] if parent.isdecimal() else inner[parent]
    if value is REMOVED:
        del inner[name]
    else:
        inner[name] = value
    return made


def test_a_sound_ledger_is_read_with_its_source_in_every_entry(tmp_path):
    specs = read_ledger(ledger(tmp_path, ENTRY, {**ENTRY, "id": "other-claim"}), NEEDS)
    assert list(specs) == ["some-claim", "other-claim"]
    spec = specs["some-claim"]
    assert (spec.source.arxiv, spec.bounds["bound"].value, spec.budget, spec.delta) == ("2212.06727", 0.9, 100, 0.01)
    assert spec.published.curves["c"][0].values == (0.1, 0.2)
    with pytest.raises(ValueError, match="frozen"):
        spec.budget = 7


WRONG = [
    ("id", "Upper-Case"),
    ("id", "under_score"),
    ("id", "-dash"),
    ("id", ""),
    ("code", ""),
    ("statement", "  "),
    ("place", ""),
    ("protocol", ""),
    ("control", ""),
    ("tier", "corre"),
    ("published.text", ""),
    ("published.value", "high"),
    ("published.value", float("nan")),
    ("published.curves.c.0.model", ""),
    ("published.curves.c.0.values", [0.1]),
    ("published.curves.c.0.origin", REMOVED),
    ("bounds", {}),
    ("bounds.bound.value", REMOVED),
    ("bounds.bound.value", float("nan")),
    ("bounds.bound.value", float("inf")),
    ("bounds.bound.direction", ">"),
    ("bounds.bound.origin", ""),
    ("bounds.bound.origin", REMOVED),
    ("bounds.bound.chance_times", -1),
    ("bounds.bound.above_chance", 1.0),
    ("bounds.bound.above_chance", -0.1),
    ("bounds.bound.treshold", 3),
    ("needs", "class_token"),
    ("needs", REMOVED),
    ("budget", 1),
    ("budget", "many"),
    ("budget", 2.5),
    ("delta", 0),
    ("delta", 0.5),
    ("version", 0),
    ("version", REMOVED),
    ("budgett", 5),
]


@pytest.mark.parametrize(("place", "value"), WRONG, ids=str)
def test_a_wrong_field_of_an_entry_is_refused_naming_file_entry_and_field(tmp_path, place, value):
    path = ledger(tmp_path, ENTRY, changed({**ENTRY, "id": "wrong-claim"}, place, value))
    with pytest.raises(ClaimsError) as refusal:
        read_ledger(path, NEEDS)
    message = str(refusal.value)
    assert str(path) in message
    assert place.removesuffix(".values") in message
    if place != "id":
        assert "'wrong-claim'" in message
    if value is not REMOVED and value not in ({}, [0.1]):
        assert repr(value) in message, "the wrong value is shown"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", ""),
        ("title", ""),
        ("authors", REMOVED),
        ("year", 1700),
        ("year", 2200),
        ("arxiv", "2212.6"),
        ("journal", "j"),
    ],
)
def test_a_wrong_source_is_refused_naming_the_field(tmp_path, field, value):
    path = ledger(tmp_path, ENTRY, source=changed(SOURCE, field, value))
    with pytest.raises(ClaimsError, match=rf"(?s){path}, claim 'some-claim'.*source\.{field}"):
        read_ledger(path)


def test_a_source_that_cannot_be_found_is_refused(tmp_path):
    path = ledger(tmp_path, ENTRY, source=changed(SOURCE, "arxiv", REMOVED))
    with pytest.raises(ClaimsError, match="a source needs an arXiv id, a url, or"):
        read_ledger(path)
    read_ledger(ledger(tmp_path, ENTRY, source={**changed(SOURCE, "arxiv", REMOVED), "url": "https://example.org"}))


def test_an_unknown_need_is_refused_with_the_nearest_match(tmp_path):
    path = ledger(tmp_path, {**ENTRY, "needs": ["class_tokn"]})
    with pytest.raises(ClaimsError, match=r"unknown need 'class_tokn' in .*'some-claim'\. Did you mean 'class_token'"):
        read_ledger(path, NEEDS)


def test_a_claim_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(ClaimsError, match="claim 'some-claim' appears twice"):
        read_ledger(ledger(tmp_path, ENTRY, ENTRY))


def test_a_claim_that_stands_in_two_ledgers_is_refused(tmp_path):
    ledger(tmp_path / "one", ENTRY)
    second = ledger(tmp_path / "two", ENTRY)
    with pytest.raises(ClaimsError, match=rf"'some-claim' stands in two ledgers, the second is {second}"):
        read_ledgers(tmp_path)
    ledger(tmp_path / "two", {**ENTRY, "id": "other-claim"})
    assert set(read_ledgers(tmp_path, NEEDS)) == {"some-claim", "other-claim"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "cannot read the ledger"),
        ("- a\n- b\n", "allowed top-level keys are 'source' and 'claims'"),
        ("claims: []\n", "allowed top-level keys are 'source' and 'claims'"),
        ("source: {}\nclaims: []\nbounds: {}\n", "allowed top-level keys are 'source' and 'claims'"),
        ("source: {}\nclaims: [7]\n", "claim number 1 is 7, not a mapping"),
        ("source: {}\nclaims:\n", "'claims' is None, not a list"),
        ("source: {}\nclaims: {a: b}\n", "'claims' is .*, not a list"),
        ("source: {}\nclaims: [{code: A1}]\n", "claim 'number 1'"),
    ],
)
def test_a_file_that_is_no_ledger_is_refused_by_name(tmp_path, text, message):
    path = tmp_path / LEDGER_NAME
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClaimsError, match=message) as refusal:
        read_ledger(path)
    assert str(path) in str(refusal.value)


def test_a_file_that_is_not_there_or_no_text_is_refused_by_name(tmp_path):
    with pytest.raises(ClaimsError, match=f"cannot read the ledger {tmp_path / 'absent.yaml'}"):
        read_ledger(tmp_path / "absent.yaml")
    (tmp_path / LEDGER_NAME).write_bytes(b"\xff\xfe\x00source")
    with pytest.raises(ClaimsError, match="cannot read the ledger"):
        read_ledger(tmp_path / LEDGER_NAME)


def test_the_entry_of_a_claim_is_found_beside_its_file(tmp_path):
    with pytest.raises(ClaimsError, match=r"ledger\.yaml does not exist; every claim needs an entry there"):
        spec_beside(tmp_path / "test_x.py", "some-claim")
    ledger(tmp_path, ENTRY)
    assert spec_beside(tmp_path / "test_x.py", "some-claim").id == "some-claim"
    with pytest.raises(ClaimsError, match=r"unknown claim 'some-clam' in .*Did you mean 'some-claim'\?"):
        spec_beside(tmp_path / "test_x.py", "some-clam")


@pytest.mark.parametrize(
    ("fields", "classes", "expected"),
    [
        ({"value": 0.3}, 10, 0.3),
        ({"value": 0.0, "chance_times": 3.0}, 10, 0.3),
        ({"value": 0.0, "above_chance": 0.5}, 2, 0.75),
        ({"value": 0.0, "above_chance": 0.5}, 0, 0.0),
        ({"value": 0.9, "above_chance": 0.5, "chance_times": 2.0}, 4, 0.9),
    ],
)
def test_a_bound_is_the_largest_of_its_forms(fields, classes, expected):
    assert Bound(direction=">=", origin="o", **fields).at(classes) == pytest.approx(expected)


@pytest.mark.parametrize("fields", [{"tolerance": 0.1}, {"tolerance_origin": "o"}, {"tolerance": -0.1}])
def test_a_tolerance_comes_with_its_origin(fields):
    with pytest.raises(ValidationError, match="tolerance"):
        Bound(value=0.9, direction=">=", origin="o", **fields)
    assert Bound(value=0.9, direction=">=", origin="o", tolerance=0.1, tolerance_origin="read to that").tolerance == 0.1


def test_unknown_names_are_told_with_place_nearest_match_and_what_is_allowed():
    error = unknown("model", "vit_b61", ["vit_b16", "vit_b32", "resnet50"], "--model")
    assert str(error) == (
        "unknown model 'vit_b61' in --model. Did you mean 'vit_b16' or 'vit_b32'? Allowed: resnet50, vit_b16, vit_b32."
    )
    assert "Did you mean" not in str(unknown("model", "zzz", ["vit_b16"], "--model"))
    assert "... (25 in all)" in str(unknown("model", "x", [f"name{i}" for i in range(25)], "--model"))


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    path = ledger(tmp_path, ENTRY)
    path.write_text(path.read_text(encoding="utf-8") + "claims: []\n", encoding="utf-8")
    with pytest.raises(ClaimsError, match=r"(?s)the key 'claims' stands twice.*line"):
        read_ledger(path)
