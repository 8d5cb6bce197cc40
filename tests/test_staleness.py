"""Fingerprints change with what a verdict rests on, and with nothing else."""

import textwrap

import pytest

from harness.fingerprint import fingerprint_outside
from harness.judging.discovery import load_file
from harness.measurement.observed import Job
from harness.measurement.runner import run
from harness.measurement.verdict_ground import fingerprints
from harness.results.measurements import Store
from harness.results.record import Context
from harness.results.staleness import PARTS, changed_parts
from support.claims import accuracy, bench, bound, spec
from support.planted import Planted, PlantedImages

CODE = '''
"""Two claims."""
LAYER = 2

def helper():
    """Help."""
    return LAYER

def test_one(card):
    """Claim one."""
    return helper() + 1

def test_two(card):
    return 2
'''


@pytest.fixture
def code_of(tmp_path):
    made = []

    def call(text: str, name: str = "test_one") -> str:
        path = tmp_path / f"test_{len(made)}.py"
        made.append(path)
        path.write_text(textwrap.dedent(text))
        return fingerprint_outside(getattr(load_file(path), name))

    return call


@pytest.mark.parametrize(
    ("old", "new"),
    [("+ 1", "+ 1  # plus one"), ("Claim one.", "The first claim."), ("return 2", "return 3"), ("Two", "The two")],
)
def test_comments_docstrings_and_other_claims_leave_a_claim_as_it_is(code_of, old, new):
    assert old in CODE
    assert code_of(CODE) == code_of(CODE.replace(old, new))


@pytest.mark.parametrize(("old", "new"), [("+ 1", "+ 2"), ("LAYER = 2", "LAYER = 3"), ("return LAYER", "return 7")])
def test_the_claim_and_what_stands_beside_it_count(code_of, old, new):
    assert old in CODE
    assert code_of(CODE) != code_of(CODE.replace(old, new))


def ground(subject=None, images=None, entry=None, context=None) -> dict[str, str]:
    store = Store(None)
    here = bench(subject or Planted(), images or PlantedImages(count=64), store)
    (outcome,) = run([Job(spec=entry or spec(), plan=accuracy())], here).values()
    about = {
        "image_fingerprint": here.models[0].images.fingerprint,
        "train_images": None,
        "weights": here.models[0].weights_hash("given"),
        **(context or {}),
    }
    return fingerprints(accuracy, entry or spec(), Context(**about), outcome.plan, outcome.keys)


def test_what_is_measured_twice_rests_on_the_same_ground():
    assert set(ground()) == set(PARTS)
    assert changed_parts(ground(), ground()) == ()


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("weights", {"subject": Planted(shift=1)}),
        ("images", {"images": PlantedImages(count=64, seed=5)}),
        ("ledger", {"entry": spec(bounds={"bound": bound(0.8)})}),
        ("ledger", {"entry": spec(delta=0.01)}),
        ("train", {"context": {"train_images": ["t", "x", 3]}}),
    ],
)
def test_each_part_is_told_by_its_own_words(part, changes):
    assert changed_parts(ground(), ground(**changes)) == (PARTS[part],)


def test_a_statement_or_a_note_in_the_ledger_is_no_change_of_its_numbers():
    assert ground() == ground(entry=spec(statement="Something else is so.", note="seen"))


def test_code_behind_the_numbers_counts(monkeypatch):
    before = ground()
    monkeypatch.setattr("harness.measurement.measured_code.of_readout", lambda readout, fits: "another")
    assert changed_parts(before, ground()) == (PARTS["measuring"],)


def test_other_versions_of_libraries_are_named(monkeypatch):
    before = ground()
    monkeypatch.setattr("harness.measurement.loaded_model.libraries", lambda: "torch 1.0")
    (told,) = changed_parts(before, ground())
    assert told.startswith("libraries (torch ")
    assert told.endswith(" to torch 1.0)")


def test_where_no_fingerprints_are_there_is_nothing_to_compare():
    assert changed_parts(None, ground()) == changed_parts({}, ground()) == changed_parts(ground(), None) == ()
