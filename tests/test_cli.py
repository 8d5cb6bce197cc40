"""The claims command: finds claims without pytest, tells what they cost, and judges stored numbers again."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from timm.models import create_model

from harness.cli.__main__ import main
from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.intervention import NONE, cls_alone, isolate_cls, isolate_cls_with_noise, shuffle_cls
from harness.judging.discovery import find_claims, find_specs
from harness.judging.sample_size import images_needed, paired_images_needed
from harness.judging.statements import Holds, every, some
from harness.measurement.cost import Share, block_evaluations, expected_bill, forecast, plan_evaluations
from harness.measurement.expected_images import expected_images, rounded
from harness.measurement.forward import measure_chunk
from harness.measurement.observed import Job
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Arm, Plan, level, propose, ratio
from harness.measurement.prefix_tree import Bill, Request
from harness.measurement.record import record_of
from harness.measurement.runner import run
from harness.models.families import adapt
from harness.models.zoo import resolve
from harness.readouts.own_answer import Accuracy, Agreement, CrossEntropy, PatchAccuracy
from harness.results.accepted_outcomes import read_outcomes
from harness.results.history import open_history
from harness.results.measurements import Store
from harness.results.record import CardRecord, record_from, record_text
from harness.results.recorder import Recorder
from harness.running.context import card_from, card_record, context_of
from harness.running.options import parse
from support import cards
from support.claims import accuracy, bench, bound, isolation, loaded, retention, spec
from support.planted import Planted, PlantedImages
from support.records import behind

REAL = Path(__file__).parents[1] / "claims"
LEDGER = """
source: {key: planted, title: Planted findings, authors: Nobody, year: 2026, arxiv: "2601.00001"}
claims:
- {id: planted-isolation, code: X1, tier: core, statement: The class token waits., place: section 1, protocol: Cut it.,
   published: {value: 0.98, text: as good as all, curves: {retention: [
     {model: a model, layers: [0, 2], values: [1.0, 0.5], origin: figure 7},
     {model: another, layers: [1, 2], values: [0.25, 0.75], origin: table 3}]}},
   bounds: {bound: {value: 0.9, direction: ">=", origin: a guess}, gate: {value: 0.2, direction: ">=", origin: chance,
     chance_times: 2}},
   control: Cut it off for good., needs: [class_token, labels], budget: 256, delta: 0.05, version: 1}
- {id: planted-accuracy, code: X2, statement: It is right., place: section 2, protocol: Count., tier: extended,
   published: {value: null, text: most of them}, bounds: {bound: {value: 0.5, direction: ">=", origin: a guess}},
   control: None., needs: [labels], budget: 128, delta: 0.05, version: 1}
"""
CLAIMS = """
from harness.interventions.intervention import isolate_cls
from harness.measurement.plan import Arm, Plan, claim, level, ratio
from harness.judging.statements import Holds


@claim("planted-isolation")
def test_isolation(card):
    arms = {"clean": Arm(), "isolated": Arm(intervention=isolate_cls(range(card.depth - 1)))}
    arms["never"] = Arm(intervention=isolate_cls(range(card.depth)))
    gate = Holds(level("clean"), "gate")
    return Plan(arms=arms, effect=ratio("isolated", "clean"), control=ratio("never", "clean"), gate=gate)


@claim("planted-accuracy")
def test_accuracy(card):
    return Plan(arms={"clean": Arm()}, effect=level("clean"))
"""
BLOCK_MODELS = "import sys; sys.modules.update(dict.fromkeys(('timm', 'transformers', 'harness.models.zoo')))"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make a claims folder in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "claims" / "planted"
    source.mkdir(parents=True)
    (source / "ledger.yaml").write_text(LEDGER)
    (source / "test_planted.py").write_text(CLAIMS)
    return source


@pytest.fixture
def records(folder):
    """Measure the planted claims on a planted model, as a run does, and give what was recorded."""
    with closing(Store(Path(".claims"))) as store:
        here = loaded(Planted(), PlantedImages(count=256, wrong=0.1), store)
        jobs = [
            Job(spec=one.spec, plan=propose(one.function, one.spec, here.subject.card))
            for one in find_claims(Path("claims")).values()
        ]
        context = context_of(SimpleNamespace(resolved="planted:late_reader"), here, parse({}, {}))
        found = [record_of(outcome, "nameless", context) for outcome in run(jobs, OnImages.of(here)).values()]
        recorder = Recorder(Path(".claims"), "a run")
        for record in found:
            recorder.keep(record.but(run=recorder.run), store, here.images)
        recorder.close()
    return {record.claim: record for record in found}


def tokens_model(name: str = "test_vit", **changes):
    """Make a small random timm model."""
    return adapt(create_model(name, num_classes=10, **changes), name=name, arch=name, pretrained=False)


def wanted(intervention=NONE, readout=None) -> Request:
    return Request(intervention=intervention, readout=readout or Accuracy(), claimants=frozenset({"someone"}))


def test_list_shows_every_claim_and_can_be_narrowed(folder, capsys):
    assert main(["list"]) == 0
    assert "planted-isolation  (X1, core, planted; needs class_token, labels)" in capsys.readouterr().out
    assert main(["list", "--tier", "extended", "--source", "planted"]) == 0
    told = capsys.readouterr().out
    assert "planted-accuracy" in told
    assert "planted-isolation" not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["list", "--claims", "clams"], "name it: --claims DIR"),
        (["list", "--source", "plantet"], "Did you mean 'planted'"),
        (["explain", "planted-isolatoin"], "Did you mean 'planted-isolation'"),
        (["judge", "--bound", "planted-isolation.bond=1"], "Did you mean 'bound'"),
        (["judge", "--bound", "planted-isolatio.bound=1"], "Did you mean 'planted-isolation'"),
        (["judge", "--bound", "planted-isolation=1"], "allowed: CLAIM.NAME=VALUE"),
        (["judge", "--bound", "planted-isolation.bound=nan"], "allowed: CLAIM.NAME=VALUE"),
        (["judge"], "run `pytest claims/` first"),
        (["accept"], "run `pytest claims/` first"),
        (["history"], "run `pytest claims/` first"),
        (["diff", "last", "last~1"], "run `pytest claims/` first"),
        (["history", "--last", "0"], "0 in --last; allowed: whole numbers from 1 on"),
        (["plan", "--model", "tiny_vitt"], "Did you mean"),
        (["plan", "--model", "tiny_vit", "--max-images", "1"], "1 in --max-images"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_message_with_exit_code_two(folder, capsys, arguments, told):
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert told in errors
    assert "Traceback" not in errors
    assert not Path(".claims").exists()


@pytest.mark.parametrize(
    "arguments", [["judge", "--delta", "0.7"], ["plan", "--model", "m", "--images-per-second", "0"]]
)
def test_values_out_of_range_are_refused_by_the_parser(folder, capsys, arguments):
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "allowed: a number" in capsys.readouterr().err


def test_explain_tells_source_bounds_curves_and_the_last_result_of_each_model(records, capsys):
    assert main(["explain", "planted-isolation"]) == 0
    told = capsys.readouterr().out
    for part in ("Nobody (2026)", "arXiv 2601.00001", "Cut it off for good.", "at most 256 images", "0.05"):
        assert part in told
    assert "the larger of 0.2, 2 x chance" in told
    rows = [line.split() for line in told.splitlines()]
    assert ["0", "1", "-"] in rows
    assert ["1", "-", "0.25"] in rows
    assert ["2", "0.5", "0.75"] in rows
    assert "another; table 3" in told
    assert ["nameless", "supported"] in [row[:2] for row in rows]
    assert str(records["planted-isolation"].images) in told


def test_listing_and_explaining_import_neither_torch_nor_models(folder):
    told = subprocess.run(
        [sys.executable, "-c", f"{BLOCK_MODELS}; sys.modules['torch'] = None\n"
         "from harness.cli.__main__ import main\nmain(['list'])\nmain(['explain', 'planted-accuracy'])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "It is right." in told.stdout


def test_every_real_claim_can_be_listed_and_explained(tmp_path, capsys):
    if not list(REAL.rglob("ledger.yaml")):
        pytest.skip("this checkout has no claims")
    assert main(["list", "--claims", str(REAL)]) == 0
    listed = capsys.readouterr().out
    specs = find_specs(REAL)
    for identifier in specs:
        assert identifier in listed
        assert main(["explain", identifier, "--claims", str(REAL), "--cache", str(tmp_path)]) == 0
        assert specs[identifier].statement.split()[0] in capsys.readouterr().out
    assert set(find_claims(REAL)) == set(specs)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_module", "test_planted.py cannot be imported"),
        ("def (", "test_planted.py cannot be imported"),
        (CLAIMS.replace('"planted-accuracy"', '"planted-acuracy"'), "Did you mean 'planted-accuracy'"),
        (CLAIMS.replace('"planted-accuracy"', '"planted-isolation"'), "made by two functions"),
    ],
)
def test_claim_files_that_do_not_fit_their_ledger_are_refused(folder, text, told):
    (folder / "test_planted.py").write_text(text)
    with pytest.raises(ClaimsError, match="test_planted") as refused:
        find_claims(Path("claims"))
    assert told in str(refused.value)


def test_judging_again_with_the_same_bounds_reproduces_every_verdict_bit_for_bit(records):
    from harness.running.rejudge import rejudge

    claims = find_claims(Path("claims"))
    with closing(Store(Path(".claims"))) as store:
        for identifier, record in records.items():
            found = rejudge(
                claims[identifier], claims[identifier].spec, record_from(record_text(record)), **behind(record, store)
            )
            again = found.judgement
            assert (str(again.verdict), again.p, again.reason) == (record.verdict, record.p, record.reason)
            assert again.main.estimate == record.effect.estimate
            assert again.main.interval == record.effect.interval
            assert (found.images, found.delta, found.outdated) == (record.images, record.delta, "")


def test_another_bound_changes_the_verdict_without_models_and_without_a_record(records, capsys):
    assert main(["judge"]) == 0
    told = capsys.readouterr().out
    assert "2 judged from stored measurements, 0 changed" in told
    assert "exploratory" not in told
    told = subprocess.run(
        [sys.executable, "-c", f"{BLOCK_MODELS}\nfrom harness.cli.__main__ import main\n"
         "sys.exit(main(['judge', '--claim', 'planted-accuracy', '--bound', 'planted-accuracy.bound=0.999']))"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    row = next(line.split() for line in told.splitlines() if line.startswith("planted-accuracy"))
    assert row[1:5] == ["nameless", "supported", "refuted", "(exploratory)"]
    assert "may have been chosen after looking; such a verdict may be wrong up to twice as often" in told
    assert "1 changed; nothing was recorded" in told
    with closing(open_history(Path(".claims"))) as history:
        assert len(history.records()) == 2


def test_a_smaller_error_level_can_leave_a_verdict_open(records, capsys):
    assert main(["judge", "--claim", "planted-accuracy", "--delta", "1e-30"]) == 0
    assert "inconclusive (exploratory)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("range(card.depth - 1)", "range(card.depth - 2)", "arm 'isolated': the claim now asks for"),
        ('"never"', '"nevermore"', "other arms"),
        ('ratio("isolated"', 'ratio("isolatet"', "Did you mean 'isolated'"),
    ],
)
def test_numbers_of_another_experiment_are_not_judged(records, capsys, old, new, told):
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "ledger.yaml").write_text(LEDGER)
    (elsewhere / "test_planted.py").write_text(CLAIMS.replace(old, new))
    assert main(["judge", "--claims", "elsewhere"]) == 2
    said = capsys.readouterr()
    assert told in said.err
    assert "1 judged from stored measurements" in said.out


def test_a_measurement_that_is_gone_is_told(records, capsys):
    with closing(sqlite3.connect(Path(".claims/history.sqlite"))) as database:
        database.execute("DELETE FROM measurement")
        database.commit()
    assert main(["judge"]) == 2
    assert "is not recorded; run the claim again" in capsys.readouterr().err


def test_recorded_claims_that_the_folder_does_not_hold_are_named(records, capsys):
    Path("claims/planted/test_planted.py").unlink()
    assert main(["judge"]) == 0
    assert "recorded, but not in claims: planted-accuracy, planted-isolation" in capsys.readouterr().out


def test_code_that_changed_since_the_measurement_is_said(records, capsys, monkeypatch):
    monkeypatch.setattr("harness.measurement.measured_code.of_readout", lambda readout, fits: "another")
    assert main(["judge", "--claim", "planted-accuracy"]) == 0
    assert "the code of its readouts has changed" in capsys.readouterr().out


def test_accept_writes_the_last_verdicts_and_tells_what_changed(records, capsys):
    assert main(["accept", "--claim", "planted-accuracy"]) == 0
    assert "nameless: planted-accuracy: new -> supported" in capsys.readouterr().out
    written = json.loads(Path("claims/baselines/embedded.json").read_text())["models"]["nameless"]["verdicts"]
    assert list(written) == ["planted-accuracy"]
    kept = read_outcomes(Path("claims/baselines/embedded.safetensors")).claims["nameless", "planted-accuracy"].arms
    assert kept["clean"].mean() == pytest.approx(records["planted-accuracy"].effect.estimate)
    assert main(["accept", "--claim", "planted-accuracy"]) == 0
    assert "1 verdicts accepted, 0 of them changed" in capsys.readouterr().out
    assert main(["accept", "--model", "nameles"]) == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["history", "planted-acuracy"], "Did you mean 'planted-accuracy'"),
        (["history", "planted-accuracy", "--model", "nameles"], "Did you mean 'nameless'"),
        (["history", "--model", "nameles"], "Did you mean 'nameless'"),
        (["diff", "last", "last~1"], "only 1 run(s) are recorded"),
        (["diff", "a rum", "last"], "unknown run 'a rum' in `claims diff`. Did you mean 'a run'"),
        (["diff", "last", "last", "--claim", "planted-acuracy"], "Did you mean 'planted-accuracy'"),
        (["accept", "--run", "a rum"], "Did you mean 'a run'"),
    ],
)
def test_names_that_the_history_does_not_hold_are_refused_with_the_nearest(records, capsys, arguments, told):
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_history_draws_effect_interval_and_bound_of_each_run(records, capsys):
    assert main(["history", "planted-accuracy"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("planted-accuracy on nameless: o ")
    effect = records["planted-accuracy"].effect
    strip = lines[2].rpartition(f"{effect.estimate:.3f}  ")[2]
    assert strip[int(41 * effect.bound)] == "|"
    assert strip[int(41 * effect.estimate)] == "o"
    assert strip.count("-") >= 1


def test_what_was_accepted_under_other_conditions_stays_until_replacing_is_asked_for(records, capsys):
    main(["accept"])
    path = Path("claims/baselines/embedded.json")
    path.write_text(path.read_text().replace('"batch_size": 64', '"batch_size": 16'))
    before = path.read_bytes()
    capsys.readouterr()
    assert main(["accept", "--claim", "planted-accuracy"]) == 2
    told = capsys.readouterr()
    assert "reached under other conditions (batch_size 64 instead of 16) than the 2 that are accepted" in told.err
    assert "nothing was accepted, and nothing written" in told.out
    assert path.read_bytes() == before
    assert main(["accept", "--claim", "planted-accuracy", "--replace"]) == 0
    assert "nameless: planted-isolation: supported -> dropped" in capsys.readouterr().out
    assert list(read_outcomes(path.with_suffix(".safetensors")).claims) == [("nameless", "planted-accuracy")]


def test_a_dry_run_shows_the_difference_and_writes_nothing(records, capsys):
    assert main(["accept", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "nameless: planted-accuracy: new -> supported" in told
    assert "2 verdicts would be accepted, 2 of them changed; nothing was written" in told
    assert not Path("claims/baselines").exists()


def test_a_verdict_that_was_not_run_again_stays_with_its_outcomes(records, capsys):
    main(["accept"])
    path = Path("claims/baselines/embedded.json")
    held = json.loads(path.read_text())["models"]["nameless"]["verdicts"]
    assert main(["accept", "--claim", "planted-accuracy"]) == 0
    assert json.loads(path.read_text())["models"]["nameless"]["verdicts"] == held
    assert len(read_outcomes(path.with_suffix(".safetensors")).claims) == 2


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_a_card_survives_being_written_down(name):
    card = tokens_model(name).card
    assert card_from(CardRecord.model_validate(json.loads(card_record(card).model_dump_json()))) == card


PROGRAMS = {
    "one clean pass": [wanted()],
    "readouts at several blocks": [wanted(readout=PatchAccuracy(layer=k)) for k in range(3)],
    "a sweep of shuffles": [wanted(shuffle_cls(k)) for k in range(6)],
    "compared with the clean pass": [wanted(shuffle_cls(4), Agreement())],
    "masks, checked on a few images": [wanted(isolate_cls(range(k))) for k in range(1, 7)],
    "masks and noise": [wanted(isolate_cls_with_noise(range(3))), wanted(isolate_cls(range(5)), CrossEntropy())],
    "fewer tokens": [wanted(cls_alone(k)) for k in range(6)],
}


@pytest.mark.parametrize("name", [*PROGRAMS, "everything"])
def test_counted_block_evaluations_are_those_that_a_pass_bills(name):
    programs = PROGRAMS.get(name) or [one for part in PROGRAMS.values() for one in part]
    subject, images = tokens_model(), torch.rand(5, 3, 160, 160)
    chunk = Batch(positions=range(5), donors=torch.arange(5).roll(1), labels=torch.arange(5), seed=0)
    bill = Bill()
    measure_chunk(subject, images, chunk, programs, {}, bill)
    counted = expected_bill(programs, subject.card, 5)
    assert counted.total == pytest.approx(bill.total, rel=1e-12)
    assert counted.shares == pytest.approx(bill.shares)
    assert block_evaluations(programs, subject.card, 5) == pytest.approx(bill.total / 5)


def test_a_staged_model_costs_its_blocks():
    card = tokens_model("test_resnet").card
    assert block_evaluations([wanted()], card) == card.depth


def test_the_untrained_twin_is_a_pass_of_its_own():
    card = Planted().card
    twin = Plan(arms={"clean": Arm(), "twin": Arm(weights="untrained")}, effect=ratio("twin", "clean"))
    assert plan_evaluations({"one": accuracy()}, card) == card.depth
    assert plan_evaluations({"one": twin, "other": accuracy()}, card) == 2 * card.depth


@pytest.mark.parametrize("drops", [False, True], ids=["all arms to the end", "an arm is dropped"])
def test_a_forecast_counts_what_a_run_of_several_claims_bills(drops):
    here = bench(Planted(), PlantedImages(count=256, wrong=0.1))
    plans = {"shuffle": retention(2), "accuracy": accuracy(), **({"isolation": isolation()} if drops else {})}
    outcomes = run([Job(spec=spec(name), plan=plan) for name, plan in plans.items()], here)
    shares = {name: Share(plan=plan, images=outcomes[name].images) for name, plan in plans.items()}
    billed = sum(outcome.cost.block_evaluations for outcome in outcomes.values())
    card, batch = here.models[0].subject.card, here.settings.batch_size
    counted = forecast(shares, card, batch)
    assert counted.per_image == pytest.approx(plan_evaluations(plans, card, batch))
    if drops:  # a forecast cannot know who will be settled early
        assert billed < counted.total
    else:
        assert billed == pytest.approx(counted.total)


def published(value: float | None) -> dict:
    return {"value": value, "text": "so it is"}


def test_images_are_expected_from_the_published_value_and_the_bound():
    alone = images_needed([0.0, 1.0], [0.1, 0.9], 0.5, 0.0, 1.0, 0.05)
    plain = spec(published=published(0.9), bounds={"bound": bound(0.5)})
    assert expected_images(plain, accuracy(), 4, 0.05) == pytest.approx(alone)
    assert expected_images(spec(published=published(None)), accuracy(), 4, 0.05) is None
    assert expected_images(plain, replace(accuracy(), report_only="why"), 4, 0.05) is None
    assert expected_images(spec(published=published(0.9)), accuracy(), 4, 0.05) == float("inf")
    pairs = paired_images_needed([0.0, 1.0], [0.1, 0.9], 0.5, 0.0, 1.0, 0.05)
    exchanged = Plan(arms={"shuffled": Arm(intervention=shuffle_cls(2))}, effect=level("shuffled"))
    assert expected_images(plain, exchanged, 4, 0.05) == pytest.approx(pairs * 4 / 3)  # 1 in 4 is of one class
    kept = spec(published=published(1.0))
    alone, controlled = (expected_images(kept, plan, 4, 0.05) for plan in (retention(2), retention(2, 5)))
    assert 10 < alone == controlled < 1000, "what holds is established at the full error, control or not"
    lost = spec(published=published(0.5))
    alone, controlled = (expected_images(lost, plan, 4, 0.05) for plan in (retention(2), retention(2, 5)))
    assert 10 < alone < controlled < 1000, "what fails shares it with the control"


@pytest.mark.parametrize(
    ("combine", "names", "told"),
    [
        (every, ("easy", "hard"), "hard"),
        (some, ("easy", "hard"), "easy"),
        (every, ("easy", "wrong", "hard"), "wrong"),
        (some, ("wrong", "hard"), "hard"),
        (every, ("easy", "unknown"), "easy"),
        (every, ("unknown",), None),
    ],
)
def test_combined_statements_take_as_long_as_the_parts_that_decide_them(combine, names, told):
    bounds = {
        "easy": bound(0.1, published=0.9),
        "hard": bound(0.85, published=0.9),
        "wrong": bound(0.95, published=0.5),
        "unknown": bound(0.5),
        "spare": bound(0.5),
    }
    parts = [Holds(level("clean"), name) for name in names]
    extra = [Holds(level("clean"), "spare")]  # with one bound alone, the claim's published value would stand for it
    plan = Plan(arms={"clean": Arm()}, effect=combine(*parts, *extra))
    single = {name: replace(plan, effect=Holds(level("clean"), name)) for name in names}
    entry = spec(bounds=bounds)
    expected = expected_images(entry, plan, 4, 0.05)
    assert expected == (None if told is None else expected_images(entry, single[told], 4, 0.05))


def test_images_are_rounded_up_to_whole_chunks():
    assert rounded(65, 64) == rounded(128, 64) == 128
    assert rounded(float("inf"), 64) == float("inf")


def planned(told: str, claim: str) -> list[str]:
    """Find the row of a claim in a plan: minutes, images, forwards."""
    return next(line.split()[:-1] for line in told.splitlines() if line.endswith(f" {claim}"))


def test_plan_tells_cost_images_and_what_does_not_apply(folder, capsys):
    assert main(["plan", "--model", "tiny_vit", "--images-per-second", "60", "--max-images", "64"]) == 0
    told = capsys.readouterr().out
    minutes, images, forwards = planned(told, "planted-isolation")
    assert images == "64!"
    assert float(minutes) == pytest.approx(64 * float(forwards) / 60 / 60, abs=0.006)
    assert main(["plan", "--model", "tiny_resnet", "--images-per-second", "60"]) == 0
    told = capsys.readouterr().out
    assert "not applicable (1)" in told
    assert planned(told, "planted-accuracy") == ["0.04", "128", "1.0"]
    assert max(map(len, told.splitlines())) <= 80


def test_plan_knows_what_the_last_run_took(records, capsys):
    asked = ["plan", "--model", "tiny_vit", "--images-per-second", "60"]
    assert main(asked) == 0
    assert len(planned(capsys.readouterr().out, "planted-isolation")) == 3, "of this model nothing is known"
    recorder = Recorder(Path(".claims"), "another run")
    with closing(Store(Path(".claims"))) as store:
        record = records["planted-isolation"].but(model="tiny_vit", seconds=90.0, measured_images=64, run=recorder.run)
        recorder.keep(record, store, PlantedImages(count=256, wrong=0.1))
    recorder.close()
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert planned(told, "planted-isolation")[1] == "1.50"
    assert len(planned(told, "planted-accuracy")) == 3, "of this claim nothing is known"


def test_plan_of_several_models_counts_what_compares_them(tmp_path, monkeypatch, capsys):
    """Against the merged pass of each model's own arms, each at its own speed."""
    monkeypatch.chdir(tmp_path)  # a history beside it would add what the last run took
    names, claim = ("tiny_vit", "tiny_resnet"), "vit-tolerates-patch-shuffle-more-than-cnn"
    chosen = [part for name in names for part in ("--model", name)]
    assert main(["plan", *chosen, "--claims", str(cards.ROOT), "--claim", claim, "--images-per-second", "50"]) == 0
    told = capsys.readouterr().out
    assert "tiny_vit vs tiny_resnet" in told
    assert "tiny_resnet vs tiny_vit" not in told
    minutes, images, forwards = planned(told, claim)
    by_role = dict(zip(("vit", "cnn"), (resolve(name).card for name in names), strict=True))
    plan = propose(cards.CLAIMS[claim].function, cards.SPECS[claim], by_role)
    counted = 0.0
    for role, card in by_role.items():
        own = replace(plan, arms={name: arm for name, arm in plan.arms.items() if arm.subject == role})
        counted += plan_evaluations({claim: own}, card) / card.depth
    assert float(forwards) == pytest.approx(counted, abs=0.06)
    assert float(minutes) == pytest.approx(int(images.rstrip("!")) * counted / 50 / 60, rel=0.01)


def test_plan_tells_what_was_found_among_the_pictures(folder, tmp_path, capsys):
    for number in range(4):
        place = tmp_path / "val" / str(number)
        place.mkdir(parents=True)
        Image.new("RGB", (9, 8), (number, 0, 0)).save(place / "a.png")
        (place / "b.png").write_bytes((place / "a.png").read_bytes())
    data = ["--data", str(tmp_path / "val"), "--images-per-second", "60"]
    assert main(["plan", "--model", "tiny_vit", *data]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "8 pictures, 4 left out (4 same picture as another), 4 used: 9 x 8 pixels, 4 RGB; " in told
    assert "about 4 of the 10 classes" in told


def test_plan_times_a_forward_pass_of_random_weights(folder, capsys):
    assert main(["plan", "--model", "test_resnet.r160_in1k", "--claim", "planted-accuracy"]) == 0
    told = capsys.readouterr().out
    assert "timed here" in told
    assert "images not given (--data)" in " ".join(told.split())


def test_models_show_what_a_family_lacks(capsys):
    assert main(["models", "--model", "tiny_resnet", "--model", "tiny_vit"]) == 0
    told = capsys.readouterr().out
    assert "lacks class_token" in told
    assert told.index("tiny_resnet") < told.index("tiny_vit")


def test_the_command_also_runs_as_a_module():
    words = [sys.executable, "-m", "harness.cli", "--help"]  # the same as `claims --help`
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "usage: claims" in told
    assert "doctor" in told
