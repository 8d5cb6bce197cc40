"""A user's own claims, models and pictures, anywhere, reach every outcome that pytest can show."""

import json
import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import harness.running.session  # noqa: F401 - an inner run forgets what it imports, and torch cannot be imported twice
from harness.results.history import open_history
from harness.results.record import record_data
from harness.results.run_file import read_document
from support import folders, planted
from support.records import accept

LATE = "support.zoo:late_reader"
# Of the other plugins those that take seconds to report nothing stay away.
QUICK = "-p harness.short_names --import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:jaxtyping"
VERDICTS = {
    "holds": "supported",
    "fails": "refuted",
    "empty": "vacuous",
    "open": "inconclusive",
    "told": "reported",
    "needy": "not applicable",
    "choosy": "not applicable",
}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    return folders.pictures(tmp_path_factory.mktemp("user") / "pictures")


@pytest.fixture
def run(pytester, pictures):
    """Run pytest on a user's folder; the first call makes the folder."""
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\nfilterwarnings = error\n")

    def call(*arguments: str, models=(LATE,), data: Path | None = pictures, broken=False, process=False, **made):
        claims = pytester.path / "mine"
        if not claims.exists():
            folders.claims(claims, broken=broken, **made)
        given = [part for model in models for part in ("--model", model)]
        given += [] if data is None else ["--data", str(data)]
        given += ["--batch-size", "32", *arguments, str(claims)]
        return (pytester.runpytest_subprocess if process else pytester.runpytest_inprocess)(*given)

    return call


def records(path: Path) -> list[dict]:
    return json.loads(path.read_text())["records"]


def text_of(result) -> str:
    return "\n".join([*result.outlines, *result.errlines])


def test_every_verdict_has_its_pytest_outcome(run, pytester):
    result = run("-v", "--claims-json", "out.json")
    counts = result.parseoutcomes()
    assert counts == {"passed": 2, "failed": 2, "skipped": 2, "inconclusive": 1, "reported": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    made = {record["claim"]: record for record in records(pytester.path / "out.json")}
    assert {name: record["verdict"] for name, record in made.items()} == VERDICTS
    assert {record["model"] for record in made.values()} == {LATE}
    result.stdout.fnmatch_lines(
        [
            f"*test_early_shuffles_are_harmless?{LATE}? PASSED*",
            f"*test_the_last_shuffle_is_harmless?{LATE}? FAILED*",
            f"*test_accuracy_is_nearly_perfect?{LATE}? INCONCLUSIVE*",
            f"*test_accuracy_is_reported?{LATE}? REPORTED*",
        ]
    )


def test_a_refuted_claim_fails_with_one_paragraph_and_no_traceback(run):
    text = text_of(run("--claim", "fails"))
    for part in (
        f"fails is refuted on {LATE}: shuffled / clean = 0 (bound >= 0.9).",
        "The claim: Something is so.",
        "Effect: shuffled / clean = 0.000 [0.000, ",
        "bound >= 0.900",
        "Published: The paper says 0.99.",
        "Control: A rival. Measured: none.",
        "Images used: 32 of at most 256; error of the verdict at most 0.05.",
    ):
        assert part in text
    assert "Traceback" not in text
    assert "pytest_plugin.py" not in text


def test_a_log_says_verdicts_as_they_fall_and_failures_by_claim_in_one_clause(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = text_of(run("--claims-json", "out.json")).splitlines()
    failures = [line for line in lines if line.startswith("FAILED")]
    assert failures[0].startswith(f"FAILED fails on {LATE} - refuted: 0.000 [0, ")
    fell = lines.index(next(line for line in lines if line.startswith(f"{LATE}: fails is refuted: 0.000")))
    assert fell < next(at for at, line in enumerate(lines) if "FAILURES" in line)
    assert not [line for line in lines if line.startswith(f"{LATE}: needy is")]
    assert "not judged: published for another model" in " ".join(" ".join(lines).split())
    before_failures = lines.index(next(line for line in lines if "short test summary" in line)) - 1
    assert "next: `claims explain fails --claims mine` tells one claim" in " ".join(" ".join(lines).split())
    assert lines[before_failures].strip() == "inconclusive"


def test_a_vacuous_claim_fails_and_says_that_the_control_clears_the_bound_too(run):
    result = run("--claim", "empty")
    assert result.parseoutcomes() == {"failed": 1, "passed": 1, "deselected": 6}
    assert "the control clears the bound too: rival / clean = 1" in text_of(result)


def test_an_inconclusive_claim_is_a_question_mark_and_skips_or_fails_as_asked(run):
    result = run("--claim", "open")
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes() == {"inconclusive": 1, "passed": 1, "deselected": 6}
    assert [line for line in result.outlines if line.split("[")[0].strip(" .") == "?"], "letters below the verdicts"
    failing = run("--claim", "open", "--claims-inconclusive", "fail")
    assert failing.ret == pytest.ExitCode.TESTS_FAILED
    assert failing.parseoutcomes()["failed"] == 1
    assert "open is inconclusive" in text_of(failing)


def test_a_claim_that_does_not_apply_is_skipped_with_its_reason(run):
    result = run("-rs", "--claim", "needy", "--claim", "choosy")
    assert result.parseoutcomes()["skipped"] == 2
    text = text_of(result)
    assert "not applicable: the model has no distillation token" in text
    assert "not applicable: it is asked of deep models only" in text


def test_an_error_is_an_error_with_its_traceback_and_leaves_the_other_verdicts_alone(run, pytester):
    result = run("--claims-json", "out.json", broken=True)
    counts = result.parseoutcomes()
    assert counts == {"passed": 2, "failed": 2, "skipped": 2, "inconclusive": 1, "reported": 1, "errors": 1}
    result.stdout.fnmatch_lines(['*raise ZeroDivisionError("a bug in this readout")*', "*ZeroDivisionError*"])
    assert {record["claim"]: record["verdict"] for record in records(pytester.path / "out.json")} == VERDICTS


def test_an_accepted_refutation_is_an_expected_failure(run, pytester):
    run("--claims-json", "out.json")
    accept(read_document(pytester.path / "out.json")[0], pytester.path / "accepted.json")
    result = run("--claims-baseline", str(pytester.path / "accepted.json"))
    assert result.ret == pytest.ExitCode.OK
    assert result.parseoutcomes() == {"passed": 2, "xfailed": 2, "skipped": 2, "inconclusive": 1, "reported": 1}
    beside = pytester.path / "mine" / "baselines"
    beside.mkdir()
    (pytester.path / "accepted.json").rename(beside / "embedded.json")
    assert run().parseoutcomes()["xfailed"] == 2, "the baseline beside the claims is found"
    assert run("--claims-baseline", "none").parseoutcomes()["failed"] == 2
    assert run("--claims-seed", "1").parseoutcomes()["failed"] == 2, "another seed is another condition"


@pytest.mark.parametrize(
    ("name", "was"),
    [("holds", "refuted"), ("fails", "supported"), ("open", "supported"), ("choosy", "refuted")],
)
def test_a_verdict_that_differs_from_the_accepted_one_fails(run, pytester, name, was):
    run("--claims-json", "out.json", "--claim", name)
    ((record,), _, _) = read_document(pytester.path / "out.json")
    accept([record.but(verdict=was)], pytester.path / "accepted.json")
    result = run("--claims-baseline", str(pytester.path / "accepted.json"), "--claim", name)
    assert result.parseoutcomes()["failed"] == 1
    assert f"expected {was}, found {VERDICTS[name]}" in text_of(result)


def test_the_summary_is_a_table_of_claims_with_cost(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    result = run("--claims-seed", "3", models=(LATE, "support.zoo:early_carrier"))
    text = text_of(result)
    head = next(line for line in result.outlines if line.startswith("claim ") and "verdict" in line)
    columns = ["claim", "verdict", "effect [interval]", "bound", "paper", "images", "sec", "blocks", "img/s"]
    places = [head.find(column) for column in columns]
    assert -1 not in places
    assert places == sorted(places)
    assert f"{LATE}: {LATE} on pictures" in text
    assert "support.zoo:early_carrier" in text
    rows = [line for line in result.outlines if line.startswith("holds  ") and "[" in line]
    assert [("supported" in row, "refuted" in row) for row in rows] == [(True, False), (False, True)]
    assert "not applicable (2; -v names them): the model has no distillation token (1);" in text
    assert "block evaluations x images in" in text


def test_a_second_run_reads_what_the_first_has_measured(run, pytester, monkeypatch):
    run("--claims-json", "first.json")

    def measure(*_):
        raise AssertionError("a forward pass")

    # The two random pictures by which a model is checked when it is loaded are no measurement.
    monkeypatch.setattr("harness.measurement.loaded_model.LoadedModel.measure", measure)
    run("--claims-json", "second.json")
    first, second = records(pytester.path / "first.json"), records(pytester.path / "second.json")
    varying = {"seconds", "block_evaluations", "measured_images", "run"}
    assert [{k: v for k, v in record.items() if k not in varying} for record in first] == [
        {k: v for k, v in record.items() if k not in varying} for record in second
    ]
    assert all(record["measured_images"] == 0 for record in second)


def test_without_the_cache_no_measurement_is_kept_but_the_run_with_its_outcomes_is(run, pytester):
    result = run("--claims-no-cache", "--claim", "told", "--claims-json", "out.json")
    assert result.parseoutcomes() == {"reported": 1, "passed": 1, "deselected": 6}
    history = open_history(pytester.path / ".claims")
    (kept,), (told,) = history.records(), records(pytester.path / "out.json")
    assert {name: value for name, value in record_data(kept).items() if name != "time"} == told
    outcomes = history.outcomes(told["run"], LATE, "told")
    assert {name: values.mean() for name, values in outcomes.items()} == told["arm_means"]
    assert all(len(values) == told["images"] for values in outcomes.values())
    assert len(history.names(told["context"]["image_fingerprint"])) >= told["images"]
    history.close()


def test_shards_ask_every_claim_once_and_one_without_a_claim_is_no_failure(run, pytester):
    asked = []
    for part in range(1, 10):
        result = run("--claims-shard", f"{part}/9", "--claims-json", f"{part}.json", "--claims-baseline", "none")
        if (pytester.path / f"{part}.json").exists():
            asked += [record["claim"] for record in records(pytester.path / f"{part}.json")]
        else:
            assert result.ret == pytest.ExitCode.OK
    assert sorted(asked) == sorted(VERDICTS)


def test_a_run_whose_time_is_up_says_so_and_fails_nothing(run, pytester):
    result = run("--claims-minutes", "1e-9", "--claims-json", "out.json")
    made = records(pytester.path / "out.json")
    late = [record for record in made if record.get("out_of_time")]
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if result.parseoutcomes().get("failed") else pytest.ExitCode.OK)
    if late:
        assert f"the time was up: {len(late)} claims are open" in text_of(result)
    whole = run("--claims-json", "whole.json")
    assert {r["claim"]: r["verdict"] for r in records(pytester.path / "whole.json")} == VERDICTS
    assert "the time was up" not in text_of(whole)
    assert f"{LATE}: holds is supported" in text_of(run("--claims-minutes", "10"))


def test_a_run_can_be_left_out_of_the_history(run, pytester):
    assert run("--claims-no-cache", "--claims-no-history", "--claim", "told").ret == pytest.ExitCode.OK
    assert not (pytester.path / ".claims").exists()


def test_junit_holds_the_numbers_of_every_claim(run, pytester):
    run("--junitxml", "out.xml")
    cases = ElementTree.parse(pytester.path / "out.xml").getroot().iter("testcase")
    found = {}
    for case in cases:
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        if properties:
            found[properties["claims.claim"]] = (properties, {child.tag for child in case})
    assert {name: properties["claims.verdict"] for name, (properties, _) in found.items()} == VERDICTS
    assert found["holds"][0]["claims.model"] == LATE
    assert float(found["holds"][0]["claims.effect"]) == 1.0
    numbers = {"claims.interval", "claims.bound", "claims.images", "claims.seconds", "claims.published"}
    assert numbers <= set(found["holds"][0])
    assert "skipped" in found["open"][1]
    assert "failure" in found["fails"][1]


def test_two_workers_reach_the_same_verdicts(run, pytester, monkeypatch):
    tests = str(Path(planted.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    run("--claims-no-cache", "--claims-json", "serial.json")
    result = run("-n", "2", "--claims-json", "parallel.json", process=True)
    serial, parallel = (records(pytester.path / f"{name}.json") for name in ("serial", "parallel"))

    def told(made):
        names = ("verdict", "reason", "images", "effect", "curves", "trace", "arms")
        return {record["claim"]: {name: record.get(name) for name in names} for record in made}

    assert told(serial) == told(parallel)
    assert len({record["run"] for record in parallel}) == 1, "the workers are one run"
    history = open_history(pytester.path / ".claims")
    assert [len(history.records(run=one.id)) for one in history.runs()] == [len(serial), len(parallel)]
    history.close()
    assert "timings under xdist" in text_of(result)


def test_every_claim_is_one_entry_of_the_benchmark(run, pytester, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # pytest-benchmark switches itself off in a worker
    run("--benchmark-json", "bench.json", models=(LATE, "support.zoo:patch_mean"))
    entries = json.loads((pytester.path / "bench.json").read_text())["benchmarks"]
    judged = [name for name, verdict in VERDICTS.items() if verdict != "not applicable"]
    found = sorted((entry["extra_info"]["model"], entry["extra_info"]["claim"]) for entry in entries)
    assert found == sorted((model, name) for model in (LATE, "support.zoo:patch_mean") for name in judged)
    for entry in entries:
        assert entry["stats"]["rounds"] == 1
        assert entry["extra_info"]["block_evaluations"] > 0, "measured without the cache"
        assert entry["extra_info"]["images"] > 0


def test_ini_keys_stand_in_for_options(pytester, pictures):
    folders.claims(pytester.path / "mine")
    keys = f"claims_model =\n  {LATE}\nclaims_claim =\n  holds\n  fails\nclaims_data = {pictures}\n"
    keys += "claims_batch_size = 16\n"
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\nclaims_json = out.json\nclaims_no_cache = yes\n" + keys)
    pytester.runpytest_inprocess("mine").assert_outcomes(passed=2, failed=1, deselected=5)
    made = records(pytester.path / "out.json")
    assert [record["context"]["batch_size"] for record in made] == [16, 16]
    assert pytester.runpytest_inprocess("mine", "--batch-size", "32", "--claim", "holds").parseoutcomes()["passed"] == 2
    assert [record["context"]["batch_size"] for record in records(pytester.path / "out.json")] == [32]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "tiny_vti"), "unknown model 'tiny_vti' in --model"),
        (("--model", "support.zoo:late_raeder"), "Did you mean 'late_reader'"),
        (("--model", "support.zo:late_reader"), "no module 'support.zo'"),
        (("--model", "support.zoo:broken"), "returned int, neither an nn.Module nor a Subject"),
        (("--claim", "hold"), "Did you mean 'holds'"),
        (("--data", "pictres"), "unknown picture folder 'pictres' in --data. Did you mean 'pictures'"),
        (("--dtype", "float23"), "unknown value 'float23' in --dtype. Did you mean 'float32'"),
        (("--batch-size", "1"), "'1' in --batch-size; allowed: whole numbers from 2 on"),
        (("--delta", "0.7"), "'0.7' in --delta; allowed: a number between 0 and 0.5"),
        (("--device", "gpu"), "device 'gpu' in --device cannot be used"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_unknown_is_refused_with_the_nearest_match_before_weights_are_loaded(
    run, pytester, monkeypatch, arguments, message
):
    def load(*_, **__):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("harness.models.zoo.ModelEntry.load", load)
    (pytester.path / "pictures").mkdir()
    own = "--model" in arguments
    result = run(*arguments, models=() if own else (LATE,))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in text_of(result)
    assert "Traceback" not in text_of(result)


def test_an_unknown_value_of_an_ini_key_is_refused_by_the_name_of_the_key(run, pytester):
    pytester.makeini("[pytest]\naddopts = -p harness.short_names\nclaims_dtype = float23\n")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "unknown value 'float23' in ini key claims_dtype" in text_of(result)


def test_a_claim_without_an_entry_in_the_ledger_is_refused(run):
    result = run(leave_out="holds")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "unknown claim 'holds' in" in text_of(result)


def test_claims_without_a_ledger_are_refused(run, pytester):
    folders.claims(pytester.path / "mine")
    (pytester.path / "mine" / "planted" / "ledger.yaml").unlink()
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ledger.yaml does not exist; every claim needs an entry there" in text_of(result)


def test_pictures_whose_labels_the_model_cannot_have_are_refused(run, tmp_path):
    eight = folders.pictures(tmp_path / "eight", count=64, classes=8)
    result = run("--claim", "holds", data=eight)
    assert result.ret != pytest.ExitCode.OK
    assert "is not a class of" in text_of(result)


def test_a_model_of_the_users_own_folder_can_be_named(run, pytester):
    pytester.makepyfile(users_models="from support.planted import Planted\n\ndef mine():\n    return Planted()\n")
    pytester.syspathinsert()
    result = run("--claim", "holds", models=("users_models:mine",))
    result.assert_outcomes(passed=2, deselected=6)


def test_the_cap_on_images_is_kept(run, pytester):
    run("--max-images", "40", "--claims-json", "out.json", "--claim", "told", "--claim", "fails")
    assert {r["claim"]: r["images"] for r in records(pytester.path / "out.json")} == {"told": 40, "fails": 32}


def test_a_claim_has_the_same_verdict_on_exactly_the_given_pictures_alone_and_beside_others(run, pytester):
    options = ("--claims-target", "images", "--claims-no-cache", "--claims-json", "out.json")
    run(*options, "--claim", "open")
    (alone,) = records(pytester.path / "out.json")
    run(*options)
    together = {record["claim"]: record for record in records(pytester.path / "out.json")}
    for name in ("verdict", "images", "effect", "trace"):
        assert together["open"][name] == alone[name]


def test_tests_that_are_no_claims_run_as_ever(pytester):
    pytester.makepyfile("def test_plain():\n    assert 1 + 1 == 2\n")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1)
    assert not any("= claims =" in line for line in result.outlines)
