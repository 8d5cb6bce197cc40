"""Folders of several machines become one: in any order, repeated and with overlaps the same as one run's."""

import shutil
from contextlib import closing
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.cli.__main__ import main
from harness.errors import ClaimsError
from harness.measurement.record import record_of
from harness.measurement.runner import run
from harness.results.history import History
from harness.results.measurements import Store
from harness.results.merging import merge_folder
from harness.results.record import Context
from harness.running.shards import in_shard
from support.claims import accuracy, bench, isolation, job, retention, told
from support.planted import Planted

JOBS = [job(isolation(), "isolation"), job(retention(2, control=5), "shuffle"), job(accuracy(), "accuracy")]
KINDS = ("late reader", "early carrier")
PLACES = [(kind, one) for kind, one in product(KINDS, JOBS)]


def measure(folder, places):
    """Measure claims on models as a run of its own, and keep the results; outcomes by place."""
    found = {}
    with closing(Store(folder)) as store, closing(History(folder)) as history:
        for kind, one in places:
            outcome = run([one], bench(Planted(kind=kind), store=store))[one.spec.id]
            history.keep(record_of(outcome, kind, Context()).but(run=f"run of {folder.name}"), command="pytest")
            found[kind, one.spec.id] = told(outcome)
    return found


def contents(folder):
    """Read what a folder says, whoever wrote it: the last results with their numbers."""
    with closing(History(folder)) as history:
        return {
            place: (
                record.but(run="", time="", seconds=0.0, measured_images=0, block_evaluations=0.0),
                {arm: numbers.tolist() for arm, numbers in history.outcomes(record.run, *place[::-1]).items()},
            )
            for place, record in history.latest().items()
        }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return measure(folder, PLACES), contents(folder)


@settings(max_examples=12, deadline=None)
@given(
    parts=st.lists(st.integers(0, 3), min_size=len(PLACES), max_size=len(PLACES)),
    twice=st.lists(st.integers(0, len(PLACES) - 1), max_size=3),
    order=st.permutations(range(4)),
    repeated=st.lists(st.integers(0, 3), max_size=2),
)
def test_any_parts_in_any_order_make_the_whole(tmp_path_factory, whole, parts, twice, order, repeated):
    base = tmp_path_factory.mktemp("parts")
    shares = [{number for number, part in enumerate(parts) if part == one} for one in range(4)]
    shares[0] |= set(twice)  # measured by two machines
    for number, share in enumerate(shares):
        measure(base / f"part{number}", [PLACES[one] for one in sorted(share)])
    for number in [*order, *repeated]:
        merge_folder(base / "all", base / f"part{number}")
    found = contents(base / "all")
    assert found.keys() == whole[1].keys()
    for place, (record, numbers) in found.items():
        assert numbers == whole[1][place][1]
        assert record == whole[1][place][0]
    with closing(Store(base / "all")) as store:
        for one in JOBS:
            again = run([one], bench(Planted(kind=KINDS[0]), store=store))[one.spec.id]
            assert told(again) == whole[0][KINDS[0], one.spec.id]
            assert again.cost.measured_images == 0


def test_a_later_result_is_the_last_one_wherever_it_came_from(tmp_path):
    for name in ("old", "new"):
        measure(tmp_path / name, PLACES[:1])
    merge_folder(tmp_path / "one", tmp_path / "new")
    merge_folder(tmp_path / "one", tmp_path / "old")
    with closing(History(tmp_path / "one")) as history:
        assert [one.id for one in history.runs()] == ["run of old", "run of new"]
        assert {record.run for record in history.latest().values()} == {"run of new"}


def test_the_command_says_what_was_new_and_copies_fits(tmp_path, capsys):
    measure(tmp_path / "part", PLACES[:2])
    (tmp_path / "part" / "fits").mkdir()
    (tmp_path / "part" / "fits" / "abc.safetensors").write_bytes(b"whole")
    asked = ["merge", str(tmp_path / "part"), "--cache", str(tmp_path / "all")]
    assert main(asked) == 0
    first = capsys.readouterr().out
    assert "2 results of 1 runs and 1 fits are new in" in first
    assert (tmp_path / "all" / "fits" / "abc.safetensors").read_bytes() == b"whole"
    assert main(asked) == 0
    assert "0 chunks of measurements, 0 results of 0 runs and 0 fits are new" in capsys.readouterr().out


def test_what_is_no_other_folder_is_refused(tmp_path, capsys):
    measure(tmp_path / "part", PLACES[:1])
    with pytest.raises(ClaimsError, match="no measurements in"):
        merge_folder(tmp_path / "part", tmp_path / "nowhere")
    with pytest.raises(ClaimsError, match="is the folder that is merged into"):
        merge_folder(tmp_path / "part", tmp_path / "part")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "history.sqlite").write_bytes(b"no database" * 100)
    assert main(["merge", str(tmp_path / "broken"), "--cache", str(tmp_path / "part")]) == 2
    assert "broken" in capsys.readouterr().err


def test_a_merge_that_fails_leaves_everything_as_it_was(tmp_path, monkeypatch):
    measure(tmp_path / "part", PLACES[:2])
    measure(tmp_path / "all", PLACES[2:3])
    before = contents(tmp_path / "all")
    monkeypatch.setattr("harness.results.merging._take_runs", lambda cursor: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        merge_folder(tmp_path / "all", tmp_path / "part")
    assert contents(tmp_path / "all") == before
    shutil.rmtree(tmp_path / "part")


@given(
    models=st.lists(st.sampled_from("abcde"), min_size=1, max_size=30),
    parts=st.integers(1, 9),
)
def test_every_claim_belongs_to_one_shard_and_models_are_not_torn_where_there_are_enough(models, parts):
    places = [(label, str(number)) for number, label in enumerate(sorted(models))]
    shards = np.array([in_shard(places, part, parts) for part in range(1, parts + 1)])
    assert (shards.sum(axis=0) == 1).all()
    if len(set(models)) >= parts:
        assert shards.any(axis=1).all()
        for label in set(models):
            mine = shards[:, [one == label for one, _ in places]]
            assert mine.any(axis=1).sum() == 1
