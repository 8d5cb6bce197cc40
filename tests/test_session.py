"""A session measures every claim of a model together, once, and an error of one claim stays with that claim."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ClaimsError, NotApplicable
from harness.judging.discovery import Claim
from harness.measurement.plan import Arm, Plan, level
from harness.readouts.members import Batches
from harness.readouts.own_answer import Accuracy
from harness.running.options import parse
from harness.running.session import Refusal, Session
from support import folders, planted
from support.claims import accuracy, bound, isolation, retention, spec

LATE = "support.zoo:late_reader"


@dataclass(frozen=True, kw_only=True)
class Raising(Accuracy):
    def read(self, reading):
        raise ZeroDivisionError("a bug in this readout")


@dataclass(frozen=True, kw_only=True)
class Half:
    """A reading of batches that looks at nothing."""

    low = 0.0
    high = 1.0

    def numbers(self, place, members):
        return np.full(len(members), 0.5)


def batches(card):
    return Plan(arms={"half": Arm(readout=Half())}, census=Batches(), effect=level("half"))


def refuses(card):
    raise NotApplicable("never asked")


PLANS = {
    "isolation": (spec("isolation", budget=96), lambda card: isolation()),
    "last": (spec("last", budget=96), lambda card: retention(5)),
    "close": (spec("close", {"bound": bound(0.999)}, budget=64), lambda card: accuracy()),
    "readout-bug": (
        spec("readout-bug"),
        lambda card: Plan(arms={"r": Arm(readout=Raising())}, effect=level("r")),
    ),
    "plan-bug": (spec("plan-bug"), lambda card: Plan(arms={}, effect=level("absent"))),
    "refused": (spec("refused"), refuses),
    "needy": (spec("needy", needs=("distillation_token",)), lambda card: accuracy()),
    "trained": (spec("trained", needs=("train",)), lambda card: accuracy()),
}
ASKED = {name: Claim(spec=entry, function=function, path=Path(__file__)) for name, (entry, function) in PLANS.items()}
SOUND = ("isolation", "last", "close")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return folders.pictures(tmp_path_factory.mktemp("session") / "pictures")


@pytest.fixture
def session(pictures):
    with closing(opened(pictures)) as made:
        yield made


def opened(pictures, **values) -> Session:
    return Session(
        parse({"model": [LATE], "data": str(pictures), "batch_size": "32", "claims_no_cache": True, **values}, {})
    )


def told(outcome):
    return outcome.judgement, outcome.images, outcome.trace, outcome.arm_means


def test_an_error_of_one_claim_leaves_the_verdicts_of_the_others_alone(session, pictures):
    beside = list(ASKED.values())
    outcomes = {name: session.outcome(LATE, ASKED[name], beside) for name in SOUND}
    with closing(opened(pictures)) as plain:
        expected = {name: plain.outcome(LATE, ASKED[name], [ASKED[name]]) for name in SOUND}
    assert {name: told(one) for name, one in outcomes.items()} == {name: told(one) for name, one in expected.items()}
    assert [str(one.judgement.verdict) for one in outcomes.values()] == ["supported", "refuted", "inconclusive"]
    with pytest.raises(ZeroDivisionError, match="a bug in this readout"):
        session.outcome(LATE, ASKED["readout-bug"], beside)
    with pytest.raises(ClaimsError, match="unknown arm 'absent'"):
        session.outcome(LATE, ASKED["plan-bug"], beside)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refused", "never asked"),
        ("needy", "the model has no distillation token"),
        ("trained", "no training images are given (--train-data)"),
    ],
)
def test_a_claim_that_cannot_be_asked_is_refused_with_its_reason(session, name, reason):
    assert session.outcome(LATE, ASKED[name], list(ASKED.values())) == Refusal(reason)
    assert session.outcome(LATE, ASKED[name], [ASKED[name]], merge=False) == Refusal(reason)


def test_a_run_whose_time_is_up_leaves_claims_open_and_the_same_one_goes_on(pictures, tmp_path):
    beside, cache = [ASKED[name] for name in SOUND], {"claims_no_cache": False, "claims_cache": str(tmp_path)}
    with closing(opened(pictures, claims_minutes="1e-9", **cache)) as short:
        short._begun = True  # the first models of a run have a second, so that it gets on
        records = [short.record(LATE, one, beside) for one in beside]
        for record in records:
            short.keep(record)
    assert all(record.out_of_time and record.verdict == "inconclusive" for record in records)
    assert {record.reason for record in records} == {"the time was up before it was begun"}
    with closing(opened(pictures, **cache)) as long:
        again = [long.record(LATE, one, beside) for one in beside]
    assert [record.verdict for record in again] == ["supported", "refuted", "inconclusive"]
    assert not any(record.out_of_time for record in again)


def test_a_run_gets_on_though_loading_took_all_its_time(pictures):
    with closing(opened(pictures, claims_minutes="1e-9")) as made:
        assert made.record(LATE, ASKED["last"], [ASKED["last"]]).verdict == "refuted"


def test_a_claim_for_which_there_are_too_few_pictures_leaves_the_others_together(session):
    many = spec("batches", bounds={"bound": bound(0.5)}, batch=10_000)
    asked = Claim(spec=many, function=batches, path=Path(__file__))
    beside = [asked, *(ASKED[name] for name in SOUND)]
    assert "takes 2 or more" in session.outcome(LATE, asked, beside).reason
    assert not session.one_by_one
    assert set(session._loaded.outcomes) == {"batches", *SOUND}


def test_groups_of_models_share_the_time(pictures):
    with closing(opened(pictures, claims_minutes="10")) as made:
        made.groups_ahead = 4
        made.outcome(LATE, ASKED["last"], [ASKED["last"]])
        assert 140.0 < made._loaded.clock.left < 150.0
        assert made.groups_ahead == 3


def test_all_claims_of_a_model_are_measured_in_one_go(session, monkeypatch):
    beside = [ASKED[name] for name in SOUND]
    first = session.outcome(LATE, beside[0], beside)

    def start(*_):
        raise AssertionError("a second pass")

    monkeypatch.setattr(planted.Planted, "start", start)
    for asked in beside:
        session.outcome(LATE, asked, beside)
    assert session.outcome(LATE, beside[0], beside) is first


def test_a_worker_measures_only_what_it_is_asked_for(session):
    beside = [ASKED[name] for name in SOUND]
    session.outcome(LATE, ASKED["last"], beside, merge=False)
    assert set(session._loaded.outcomes) == {"last"}


def test_timing_measures_alone_and_without_the_cache(session):
    beside = [ASKED[name] for name in SOUND]
    session.outcome(LATE, ASKED["isolation"], beside)
    fresh = session.fresh(LATE, ASKED["isolation"], beside)
    for _ in range(2):
        assert fresh().cost.measured_images == 64


def test_a_run_tells_what_was_found_among_its_pictures(tmp_path):
    made_of = folders.pictures(tmp_path / "val")
    (made_of / "images" / "again.png").write_bytes((made_of / "images" / "003.png").read_bytes())
    (made_of / "images" / "x.heic").touch()
    with (made_of / "labels.csv").open("a") as table:
        table.write("again.png,3\n")
    train = folders.pictures(tmp_path / "train", count=260)
    with closing(opened(made_of, train_data=str(train))) as made:
        record = made.record(LATE, ASKED["last"], [ASKED["last"]])
        notes = "\n".join(made.notes())
    assert "val: 258 pictures, 2 left out (1 .heic without decoder, 1 same picture as another), 96 used" in notes
    assert "again.png: same picture as 003.png" in notes
    assert "train, to fit on: 260 pictures, 256 left out (256 among the measured pictures), 4 used" in notes
    assert (record.context.classes_present, record.context.image_classes) == (4, 4)


def test_a_finite_set_is_all_of_the_given_pictures_whatever_the_budgets(pictures):
    with closing(opened(pictures, claims_target="images")) as made:
        made.outcome(LATE, ASKED["close"], [ASKED["close"]])
        assert made._loaded.images.usable == 256


def test_a_model_whose_labels_the_embedded_pictures_cannot_have_is_refused_at_the_door():
    with pytest.raises(ClaimsError, match="answers 4 classes; the embedded pictures have 10"):
        opened(None, data=None)


def test_records_are_kept_in_the_history_of_the_store(session):
    record = session.record(LATE, ASKED["isolation"], [ASKED["isolation"]])
    refusal = session.record(LATE, ASKED["refused"], [ASKED["refused"]])
    assert record.verdict == "supported"
    assert (refusal.verdict, refusal.reason, refusal.effect) == ("not applicable", "never asked", None)
    assert set(record.arms) == {"clean", "isolated", "never"}
    for name, identifier in record.arms.items():
        assert session.store.numbers(identifier, record.images_of(name)).mean() == record.arm_means[name]
