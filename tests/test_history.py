"""The history keeps every run whole, beside other writers, through crashes and into later layouts."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ClaimsError
from harness.report.history_text import seeds_told
from harness.results.history import FILE_NAME, MIGRATIONS, History, find_run, open_history

CONTEXT = {"image_fingerprint": "f", "versions": {"torch": "2"}, "machine": "here", "weights": "w"}
ARMS = {"clean": np.array([1.0, 0.0, 1.0]), "edited": np.array([0.1, 0.2, 0.3])}


def record(run: str = "r1", claim: str = "a", model: str = "m", **changes) -> dict:
    made = {"run": run, "claim": claim, "model": model, "verdict": "supported", "images": 3, "context": CONTEXT}
    return {**made, "arms": {name: f"id of {name}" for name in ARMS}, **changes}


@pytest.fixture
def history(tmp_path):
    made = History(tmp_path)
    yield made
    made.close()


def test_a_record_comes_back_as_it_was_with_its_outcomes(history):
    history.keep(record(), ARMS, "pytest claims/")
    (found,) = history.records()
    assert {name: value for name, value in found.items() if name != "time"} == record()
    outcomes = history.outcomes("r1", "m", "a")
    assert outcomes.keys() == ARMS.keys()
    for name, values in ARMS.items():
        np.testing.assert_array_equal(outcomes[name], values)
    (run,) = history.runs()
    assert (run.id, run.command, run.versions, run.machine) == ("r1", "pytest claims/", {"torch": "2"}, "here")


def test_records_are_found_by_run_claim_and_model_and_the_latest_of_each_without_a_run(history):
    for run in ("r1", "r2"):
        for claim in ("a", "b"):
            history.keep(record(run, claim, reason=f"{run} {claim}"), ARMS)
    assert [r["reason"] for r in history.records(claim="b")] == ["r1 b", "r2 b"]
    assert [r["reason"] for r in history.records(run="r1", model="m")] == ["r1 a", "r1 b"]
    assert history.records(model="other") == []
    assert {place: r["reason"] for place, r in history.latest().items()} == {("a", "m"): "r2 a", ("b", "m"): "r2 b"}
    assert {r["run"] for r in history.latest(without="r2").values()} == {"r1"}
    assert history.claims() == [("a", "m"), ("b", "m")]


def test_the_same_claim_once_more_in_one_run_replaces_its_record(history):
    history.keep(record(), ARMS)
    history.keep(record(verdict="refuted", arms={"clean": "x"}), {"clean": ARMS["clean"]})
    assert [r["verdict"] for r in history.records()] == ["refuted"]
    assert list(history.outcomes("r1", "m", "a")) == ["clean"]


def test_equal_outcomes_and_contexts_of_many_runs_are_kept_once(history):
    for number in range(20):
        history.keep(record(f"r{number}"), ARMS)
    database = sqlite3.connect(history.path)
    counts = [
        database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("outcome", "context", "arm")
    ]
    database.close()
    assert counts == [2, 1, 40]


def test_a_record_that_cannot_be_written_leaves_nothing_behind(history):
    with pytest.raises(KeyError):
        history.keep(record(arms={}), ARMS)
    assert history.runs() == []
    assert history.records() == []


def test_the_longest_list_of_names_stays(history):
    history.keep_names("f", ["a", "b"])
    history.keep_names("f", ["a", "b", "c\n"])
    history.keep_names("f", ["a"])
    assert history.names("f") == ("a", "b", "c\n")
    assert history.names("g") == ()


def test_timings_are_told_by_machine_and_without_tonight(history):
    history.keep_timings("r1", "here", [{"claim": "a", "model": "m", "seconds": 1.0}])
    history.keep_timings("r2", "here", [{"claim": "a", "model": "m", "seconds": 2.0}])
    history.keep_timings("r2", "there", [{"claim": "a", "model": "m", "seconds": 3.0}])
    assert [one["seconds"] for one in history.timings("here")] == [1.0, 2.0]
    assert [one["seconds"] for one in history.timings("here", before="r2")] == [1.0]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from harness.results.history import History
made = History(Path(sys.argv[1]))
for number in range(40):
    context = {"image_fingerprint": "f", "versions": {}, "machine": "here"}
    record = {"run": "shared", "claim": f"c{number}", "model": sys.argv[2], "arms": {"x": "i"}, "context": context}
    made.keep_names("f", ["p"] * (number + 1))
    made.keep(record, {"x": np.arange(number + 1.0)})
made.close()
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), f"m{n}"]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    history = History(tmp_path)
    assert len(history.runs()) == 1
    assert len(history.records(run="shared")) == 160
    assert all(len(history.outcomes("shared", f"m{n}", "c39")["x"]) == 40 for n in range(4))
    assert len(history.names("f")) == 40
    history.close()


def test_an_older_file_is_brought_to_the_newest_layout_and_keeps_its_records(tmp_path):
    old = History(tmp_path, MIGRATIONS[:1])
    old.keep(record(), ARMS)
    old.close()
    new = History(tmp_path)
    assert len(new.records()) == 1
    new.keep_timings("r1", "here", [{"claim": "a", "model": "m"}])
    new.close()
    database = sqlite3.connect(tmp_path / FILE_NAME)
    assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    History(tmp_path).close()
    with pytest.raises(ClaimsError, match="cannot use the history"):
        History(tmp_path, (*MIGRATIONS, "CREATE TABLE more (x); CREATE TABLE run (y)"))
    database = sqlite3.connect(tmp_path / FILE_NAME)
    assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'more'").fetchall()
    database.close()


def test_a_newer_file_and_a_file_that_is_none_are_refused(tmp_path):
    History(tmp_path, (*MIGRATIONS, "CREATE TABLE more (x)")).close()
    with pytest.raises(ClaimsError, match="written with layout 3; this version reads layouts up to 2"):
        History(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FILE_NAME).write_text("no database" * 100)
    with pytest.raises(ClaimsError, match="cannot use the history"):
        History(tmp_path / "other")


def test_a_history_that_is_not_there_is_not_made_by_asking(tmp_path):
    with pytest.raises(ClaimsError, match="no runs are recorded in"):
        open_history(tmp_path / "none")
    assert not Path(tmp_path / "none").exists()


def test_runs_are_found_by_their_beginning_or_counted_from_the_last(history):
    for run in ("abc1", "abd2", "xyz3"):
        history.keep(record(run), ARMS)
    runs = history.runs()
    found = {text: find_run(runs, text, "here").id for text in ("abc1", "abd", "last", "last~0", "last~2", "x")}
    assert found == {"abc1": "abc1", "abd": "abd2", "last": "xyz3", "last~0": "xyz3", "last~2": "abc1", "x": "xyz3"}
    for text, told in (("ab", "fits 2 runs"), ("abx", "Did you mean 'ab"), ("last~3", "only 3 run"), ("lst", "'last'")):
        with pytest.raises(ClaimsError, match=told):
            find_run(runs, text, "here")


def test_the_seeds_that_were_tried_for_a_claim_are_known_and_told(history):
    for number, (seed, verdict) in enumerate(
        ((2, "refuted"), (0, "supported"), (0, "supported"), (1, "not applicable"))
    ):
        for claim in ("a", "b"):
            context = {"seed": seed if claim == "a" else 0}
            history.keep(record(run=f"r{number}", claim=claim, verdict=verdict, context=context), {})
    assert history.seeds() == {("a", "m"): (0, 2), ("b", "m"): (0,)}
    shown = [record(claim=claim, verdict="supported") for claim in ("a", "b")]
    (told,) = seeds_told(shown, history.seeds())
    assert told.startswith("m: a: tried with 2 seeds (0, 2)")
    assert seeds_told([record(claim="a", verdict="not applicable")], history.seeds()) == []
