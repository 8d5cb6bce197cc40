"""Pruning drops old runs and numbers that nothing refers to, and never the last result of a claim."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from harness.cli.__main__ import main
from harness.results import history as histories
from harness.results.database import FILE_NAME
from harness.results.history import History
from harness.results.measurements import MeasuredBatch, MeasurementKey, Store
from harness.results.pruning import prune
from support.records import record

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SHARED = {"context": {"image_fingerprint": "f", "weights": "w"}, "images": 3}


def key(readout: str) -> MeasurementKey:
    """Name a measurement."""
    words = dict.fromkeys(MeasurementKey.__dataclass_fields__, "-")
    return MeasurementKey(**{**words, "readout": readout, "batch_size": 3, "seed": 0})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Keep runs of 100, 50 and 1 days ago; claim "b" was asked in the oldest alone, and one number in no run at all."""
    with closing(Store(tmp_path)) as store:
        for name in ("old a", "b", "new a", "lost"):
            store.append(range(3), {key(name): MeasuredBatch(numbers=np.arange(3.0))})
    for run, days, claims in (
        ("first", 100, {"b": "b"}),
        ("second", 50, {"a": "old a"}),
        ("third", 1, {"a": "new a"}),
    ):
        moment = NOW - timedelta(days=days)
        monkeypatch.setattr(histories, "datetime", type("Then", (), {"now": staticmethod(lambda zone, at=moment: at)}))
        with closing(History(tmp_path)) as history:
            for claim, measured in claims.items():
                history.keep(record(claim, "m", run=run, arms={"arm": key(measured).id}, **SHARED))
    monkeypatch.undo()
    return tmp_path


def left(folder):
    with closing(History(folder)) as history, closing(Store(folder)) as store:
        measured = {name: len(store.load([key(name).id], range(3))) for name in ("old a", "b", "new a", "lost")}
        return [run.id for run in history.runs()], {name for name, count in measured.items() if count}


def test_old_runs_go_with_their_numbers_but_not_the_last_result_of_a_claim(folder):
    assert prune(folder, 30, write=True, now=NOW).runs == 1
    assert left(folder) == (["first", "third"], {"b", "new a", "lost"})
    with closing(History(folder)) as history:
        assert history.latest().keys() == {("a", "m"), ("b", "m")}
        assert history.outcomes("first", "m", "b")["arm"].tolist() == [0.0, 1.0, 2.0]


def test_counting_changes_nothing_and_counts_what_goes(folder):
    counted = prune(folder, 30, write=False, now=NOW)
    assert left(folder) == (["first", "second", "third"], {"old a", "b", "new a", "lost"})
    done = prune(folder, 30, write=True, now=NOW)
    assert (counted.runs, counted.records, counted.chunks) == (done.runs, done.records, done.chunks) == (1, 1, 1)
    assert counted.bytes is None
    assert prune(folder, 30, write=True, now=NOW).chunks == 0


def test_a_run_that_had_no_time_takes_nobodys_place(folder):
    with closing(History(folder)) as history:
        late = record("a", "m", "inconclusive", run="fourth", out_of_time=True, arms={}, effect=None, **SHARED)
        history.keep(late)
        assert history.latest()["a", "m"].run == "third"
    prune(folder, 0.0, write=True, now=NOW + timedelta(days=3650))
    assert left(folder) == (["first", "third"], {"b", "new a", "lost"})


def test_young_runs_stay(folder):
    assert prune(folder, 1000, write=True, now=NOW).runs == 0
    assert left(folder) == (["first", "second", "third"], {"old a", "b", "new a", "lost"})


def test_the_command_says_first_what_it_would_do(folder, capsys):
    asked = ["prune", "--cache", str(folder), "--days", "0.001"]
    assert main(asked) == 0
    assert "would drop 1 runs with 1 results, and 1 chunks" in capsys.readouterr().out
    assert main([*asked, "--write"]) == 0
    assert "dropped 1 runs with 1 results, and 1 chunks" in capsys.readouterr().out
    assert main(["prune", "--cache", str(folder / "nowhere")]) == 2
    assert not (folder / "nowhere" / FILE_NAME).exists()
