"""Claims about several models, and about members that are no images, as a user runs and reads them."""

import json
from contextlib import closing

import pytest
import yaml

import harness.running.session  # noqa: F401 - an inner run forgets what it imports, and torch cannot be imported twice
from harness.judging.discovery import find_claims
from harness.regression.findings import asked_for
from harness.results.measurements import Store
from harness.results.run_file import read_document
from harness.running.rejudge import rejudge, with_bounds
from support import folders
from support.records import behind

QUICK = "-p harness.short_names --import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:jaxtyping"
MODELS = ("support.zoo:late_reader", "support.zoo:early_carrier", "support.zoo:patch_mean")
SHORT = {name: name.partition(":")[2] for name in MODELS}
CLAIMS = """
from dataclasses import dataclass
from harness.readouts.members import Classes
from harness.measurement.plan import Arm, Plan, claim, curve, difference, level


@dataclass(frozen=True)
class Halves:
    low = 0.0
    high = 1.0

    def numbers(self, place, members):
        return (members >= 2) * 1.0


@claim("reader-as-good")
def test_a_class_reader_is_as_good_as_a_pooler(reader, pooler):
    return Plan(
        arms={"reader": Arm(subject="reader"), "pooler": Arm(subject="pooler")},
        effect=difference("reader", "pooler"),
        curves={"accuracy": curve({0: level("reader"), 1: level("pooler")})},
    )


@claim("half-of-the-classes")
def test_half_of_the_classes_are_late(card):
    return Plan(arms={"late": Arm(readout=Halves())}, census=Classes(), effect=level("late"))
"""
ENTRIES = [
    {
        **folders.ENTRY,
        "id": "reader-as-good",
        "bounds": {"bound": {"value": -0.1, "direction": ">=", "origin": "o"}},
        "needs": ["labels"],
        "subjects": {"reader": ["class_readout"], "pooler": ["patch_mean_readout"]},
    },
    {
        **folders.ENTRY,
        "id": "half-of-the-classes",
        "bounds": {"bound": {"value": 0.5, "direction": ">=", "origin": "o"}},
        "needs": ["head"],
        "budget": 4,
        "pictures": 64,
    },
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return folders.pictures(tmp_path_factory.mktemp("several") / "pictures")


@pytest.fixture
def run(pytester, pictures):
    """Run pytest on a user's folder with both claims."""
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\nfilterwarnings = error\n")
    source = pytester.path / "mine" / "demo"
    source.mkdir(parents=True)
    (source / "test_demo.py").write_text(CLAIMS, encoding="utf-8")
    ledger = yaml.safe_dump({"source": folders.SOURCE, "claims": ENTRIES}, sort_keys=False)
    (source / "ledger.yaml").write_text(ledger, encoding="utf-8")

    def call(*arguments: str, models=MODELS):
        given = [part for model in models for part in ("--model", model)]
        return pytester.runpytest_inprocess(
            *given, "--data", str(pictures), "--batch-size", "32", "--claims-json", "out.json", *arguments, "mine"
        )

    return call


def records(pytester):
    return json.loads((pytester.path / "out.json").read_text())["records"]


def test_a_claim_about_several_models_is_asked_of_every_set_that_fits(run, pytester):
    result = run()
    assert result.ret == 0
    found = {(record["claim"], record["model"]): record["verdict"] for record in records(pytester)}
    late, early, pooler = MODELS
    assert found == {
        ("reader-as-good", f"{late} vs {pooler}"): "supported",
        ("reader-as-good", f"{early} vs {pooler}"): "supported",
        **{("half-of-the-classes", model): "supported" for model in MODELS},
    }


def test_the_record_of_a_set_tells_each_of_its_models(run, pytester):
    run("--claim", "reader-as-good")
    context = records(pytester)[0]["context"]
    assert {role: card["name"] for role, card in context["cards"].items()} == {
        "reader": "planted late reader",
        "pooler": "planted patch mean",
    }
    assert context["weights"] == " vs ".join(context["weights_by_role"].values())


def test_without_models_for_its_roles_a_claim_is_skipped_with_the_reason(run, pytester):
    result = run("-rs", models=MODELS[:2])
    assert result.ret == 0
    text = result.stdout.str()
    assert "none of the models of this run can be its 'pooler'" in text
    assert "reader-as-good was asked of no models" in " ".join(text.split())


def test_a_census_is_recorded_with_its_members_and_judged_again_from_the_store(run, pytester):
    run("--claims-cache", "cache")
    claims = find_claims(pytester.path / "mine")
    with closing(Store(pytester.path / "cache")) as store:
        found, _, _ = read_document(pytester.path / "out.json")
        for record in found:
            claim = claims[record.claim]
            again = rejudge(claim, claim.spec, record, **behind(record, store))
            assert str(again.judgement.verdict) == record.verdict
            assert again.outdated == ""
        census = next(record for record in found if record.claim == "half-of-the-classes")
        assert (census.what, census.members, census.images) == ("classes", 4, 4)
        spec = with_bounds(claims["half-of-the-classes"].spec, {"bound": 0.6})
        again = rejudge(claims["half-of-the-classes"], spec, census, **behind(census, store))
        assert str(again.judgement.verdict) == "refuted"


def test_a_report_shows_sets_of_models_in_a_table_of_their_own(run, pytester):
    run("--claims-report", "report.html", "--claims-json", "out.json")
    text = (pytester.path / "report.html").read_text(encoding="utf-8")
    assert "support.zoo:late_reader vs support.zoo:patch_mean" in text
    assert "reader: planted late reader; pooler: planted patch mean" in text


def test_a_night_asks_for_a_set_only_if_all_of_its_models_run():
    accepted = {"a vs b": {"verdicts": {"c": {}}}, "a": {"verdicts": {"d": {}}}}
    assert asked_for(accepted, ["a"], []) == {("a", "d")}
    assert asked_for(accepted, ["a", "b"], []) == {("a vs b", "c"), ("a", "d")}
    assert asked_for(accepted, [], []) == {("a vs b", "c"), ("a", "d")}
