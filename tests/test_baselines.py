"""Accepted verdicts hold under the conditions under which they were accepted, and files that hold none are refused."""

import json

import pytest

from harness.errors import ClaimsError
from harness.results.acceptance import merge_verdicts
from harness.results.baselines import CONDITIONS, NO_BASELINE, find_baseline, read_baseline
from harness.results.record import Context
from support.records import accept, context
from support.records import record as made

CONTEXT = Context.model_validate(context())
CHANGED = {
    "image_fingerprint": "another",
    "train_images": ["train", "aa", 10],
    "seed": 1,
    "dtype": "bfloat16",
    "device": "cuda",
    "batch_size": 64,
    "delta": 0.05,
    "max_images": 100,
    "target": "images",
}


def record(claim: str = "a", verdict: str = "supported", model: str = "m"):
    return made(claim, model, verdict)


def test_what_is_accepted_is_expected(tmp_path):
    path = tmp_path / "deep" / "accepted.json"
    assert accept([record(), record("b", "refuted"), record("a", "vacuous", "n")], path) == [
        "m: a: new -> supported",
        "m: b: new -> refuted",
        "n: a: new -> vacuous",
    ]
    baseline = read_baseline(path, explicit=False)
    assert baseline.expected("m", "b", CONTEXT) == "refuted"
    assert baseline.expected("n", "a", CONTEXT) == "vacuous"
    assert baseline.expected("m", "c", CONTEXT) is None
    assert baseline.expected("other", "a", CONTEXT) is None


@pytest.mark.parametrize("name", CONDITIONS)
def test_another_condition_has_no_expectation_unless_the_file_was_named(tmp_path, name):
    path = tmp_path / "accepted.json"
    accept([record()], path)
    other = CONTEXT.model_copy(update={name: CHANGED[name]})
    assert read_baseline(path, explicit=False).expected("m", "a", other) is None
    assert read_baseline(path, explicit=True).expected("m", "a", other) == "supported"


def test_accepting_again_keeps_the_rest_and_tells_what_changed(tmp_path):
    path = tmp_path / "accepted.json"
    accept([record(), record("b")], path)
    assert accept([record("b", "refuted")], path) == ["m: b: supported -> refuted"]
    assert {c: v["verdict"] for c, v in json.loads(path.read_text())["models"]["m"]["verdicts"].items()} == {
        "a": "supported",
        "b": "refuted",
    }


def test_none_means_none_and_a_named_file_must_be_there(tmp_path):
    file = tmp_path / "source" / "test_x.py"
    assert find_baseline("none", file) is NO_BASELINE
    assert find_baseline(None, file) is NO_BASELINE
    (tmp_path / "accepted.json").write_text("{}")
    with pytest.raises(ClaimsError, match=r"unknown baseline file .*acepted\.json.*Did you mean .*accepted\.json"):
        find_baseline(str(tmp_path / "acepted.json"), file)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"models": {"m": {}}}',
        '{"models": {"m": {"verdicts": {"a": {}}, "conditions": {}}}}',
        '{"models": 3}',
    ],
)
def test_a_file_that_is_no_baseline_is_refused(tmp_path, text):
    path = tmp_path / "accepted.json"
    path.write_text(text)
    with pytest.raises(ClaimsError, match="is no baseline file"):
        read_baseline(path, explicit=True)


def test_an_unknown_verdict_is_refused_with_the_nearest_match(tmp_path):
    path = tmp_path / "accepted.json"
    accept([record().but(verdict="suported")], path)
    with pytest.raises(ClaimsError, match=r"unknown verdict 'suported' in .*, m, a\. Did you mean 'supported'"):
        read_baseline(path, explicit=True)


def test_a_run_under_other_conditions_is_told_so_and_its_accepted_verdicts_stay(tmp_path):
    path = tmp_path / "accepted.json"
    accept([record(), record("b", "refuted")], path)
    short = CONTEXT.model_copy(update={"max_images": 64})
    (told,) = [read_baseline.__wrapped__(path, explicit=False).remark("m", short)]
    assert f"m was accepted under other conditions in {path} (max_images 64 instead of none)" in told
    assert "what is refuted fails" in told
    assert "expected all the same" in read_baseline(path, explicit=True).remark("m", short)
    assert read_baseline(path, explicit=False).remark("m", CONTEXT) is None
    assert read_baseline(path, explicit=False).remark("n", short) is None


def test_records_of_other_conditions_are_refused_and_those_of_the_same_are_merged():
    old = merge_verdicts({}, [record(), record("b", "refuted")]).models
    short = record("a", "vacuous").but(context=CONTEXT.model_copy(update={"max_images": 64}))
    made = merge_verdicts(old, [short, record("b", "supported")])
    assert made.differences == ("m: b: refuted -> supported",)
    assert [one.claim for one in made.taken] == ["b"]
    assert made.models["m"]["verdicts"]["a"]["verdict"] == "supported"
    assert "1 verdict(s) not accepted: reached under other conditions (max_images 64" in made.refused[0]
    replaced = merge_verdicts(old, [short], replace=True)
    assert {name: one["verdict"] for name, one in replaced.models["m"]["verdicts"].items()} == {"a": "vacuous"}
    assert replaced.models["m"]["conditions"]["max_images"] == 64
    assert merge_verdicts(old, [short, record("b")], replace=True).models == {
        "m": {**old["m"], "verdicts": {**old["m"]["verdicts"], "b": old["m"]["verdicts"]["a"]}}
    }, "where a part of the records fits, nothing is replaced"


@pytest.mark.parametrize("replace", [False, True])
def test_records_under_several_conditions_that_nobody_accepted_are_refused(replace):
    short = record("a").but(context=CONTEXT.model_copy(update={"seed": 3}))
    made = merge_verdicts({}, [short, record("b"), record("c", model="n")], replace)
    assert list(made.models) == ["n"]
    assert "m: none of its 2 verdicts accepted" in made.refused[0]
    assert "seed 0 instead of 3" in made.refused[0]
    assert "--run ID" in made.refused[0]
