"""The history keeps every run whole, beside other writers, through crashes and into later layouts."""

import json
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ClaimsError
from harness.report.history_text import seeds_told
from harness.results.database import BEFORE, FILE_NAME, MIGRATIONS
from harness.results.history import History, find_run, open_history
from harness.results.measurements import MeasuredBatch, Store
from harness.results.record import RunRecord
from support import writer
from support.records import record as made

CONTEXT = {"image_fingerprint": "f", "versions": {"torch": "2"}, "machine": "here", "weights": "w"}
ARMS = {"clean": np.array([1.0, 0.0, 1.0]), "edited": np.array([0.1, 0.2, 0.3])}


def record(run: str = "r1", claim: str = "a", model: str = "m", verdict: str = "supported", **more) -> RunRecord:
    arms = {name: f"id of {name}" for name in ARMS}
    return made(claim, model, verdict, **{"run": run, "images": 3, "context": CONTEXT, "arms": arms, **more})


@pytest.fixture
def history(tmp_path):
    made = History(tmp_path)
    yield made
    made.close()


def test_a_record_comes_back_as_it_was_with_its_outcomes(history):
    history.keep(record(), ARMS, command="pytest claims/")
    (found,) = history.records()
    assert found == record(time=found.time)
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
    assert [r.reason for r in history.records(claim="b")] == ["r1 b", "r2 b"]
    assert [r.reason for r in history.records(run="r1", model="m")] == ["r1 a", "r1 b"]
    assert history.records(model="other") == []
    assert {place: r.reason for place, r in history.latest().items()} == {("a", "m"): "r2 a", ("b", "m"): "r2 b"}
    assert {r.run for r in history.latest(without="r2").values()} == {"r1"}
    assert history.claims() == [("a", "m"), ("b", "m")]


def test_the_same_claim_once_more_in_one_run_replaces_its_record(history):
    history.keep(record(), ARMS)
    history.keep(record(verdict="refuted", arms={"clean": "x"}), {"clean": ARMS["clean"]})
    assert [r.verdict for r in history.records()] == ["refuted"]
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
    with pytest.raises(ClaimsError, match="holds 0 images, 3 are needed"):
        history.keep(record(), {"clean": ARMS["clean"]})
    assert history.runs() == []
    assert history.records() == []


def test_the_longest_list_of_names_stays(history):
    history.keep_names("f", ["a", "b"])
    history.keep_names("f", ["a", "b", "c\n"])
    history.keep_names("f", ["a"])
    assert history.names("f") == ("a", "b", "c\n")
    assert history.names("g") == ()


WRITER = """
import sys
from pathlib import Path
import numpy as np
from harness.results.history import History
from support.records import record
made = History(Path(sys.argv[1]))
for number in range(40):
    context = {"image_fingerprint": "f", "versions": {}, "machine": "here"}
    one = record(f"c{number}", sys.argv[2], run="shared", arms={"x": "i"}, context=context)
    made.keep_names("f", ["p"] * (number + 1))
    made.keep(one, {"x": np.arange(number + 1.0)})
made.close()
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), f"m{n}"], cwd=Path(__file__).parent)
        for n in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0] * 4
    history = History(tmp_path)
    assert len(history.runs()) == 1
    assert len(history.records(run="shared")) == 160
    assert all(len(history.outcomes("shared", f"m{n}", "c39")["x"]) == 40 for n in range(4))
    assert len(history.names("f")) == 40
    history.close()


# What version 0.1 wrote of a claim that was not applicable, of a measured one, and of the measurements beside them.
OLD_RECORD = {
    "format": 1, "claim": "a", "version": 1, "model": "m", "source": "paper", "tier": "core", "verdict": "supported",
    "reason": "so", "published": None, "images": 3, "seconds": 1, "block_evaluations": 12, "measured_images": 3,
    "effect": {
        "label": "x", "estimate": 0.9, "interval": [0.8, 1], "bound": 0.5, "direction": ">=", "p_true": 0, "p_false": 1
    },
    "arms": {"clean": "id of clean"}, "run": "r0", "expected": None,
}  # fmt: skip
OLD_REFUSAL = {**OLD_RECORD, "claim": "b", "verdict": "not applicable", "effect": None, "images": 0, "arms": {}}
OLD_MEASUREMENTS = """
CREATE TABLE measurement (id TEXT PRIMARY KEY, key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE chunk (
    id TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    numbers BLOB NOT NULL, receipts TEXT NOT NULL, PRIMARY KEY (id, start)
) WITHOUT ROWID;
CREATE TABLE result (
    number INTEGER PRIMARY KEY, time TEXT NOT NULL, claim TEXT NOT NULL, model TEXT NOT NULL, record TEXT NOT NULL
);
PRAGMA user_version = 1;
"""


def old_history(folder: Path, layout: int) -> None:
    """Write the file of an older version."""
    data = ARMS["clean"].astype("<f8").tobytes()
    with closing(sqlite3.connect(folder / FILE_NAME)) as database:
        database.executescript("".join(MIGRATIONS[:layout]) + f"PRAGMA user_version = {layout};")
        database.execute("INSERT INTO run VALUES (1, 'r0', '2026-01-01T00:00:00+00:00', 'pytest', '{}', 'here')")
        database.execute("INSERT INTO context VALUES ('c', ?)", (json.dumps(CONTEXT),))
        database.execute("INSERT INTO outcome VALUES ('o', 3, ?)", (zlib.compress(data),))
        for number, one in enumerate([OLD_RECORD, OLD_REFUSAL], start=1):
            row = (number, "r0", "2026-01-01T00:00:00+00:00", one["claim"], "m", json.dumps(one), "c")
            database.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        database.execute("INSERT INTO arm VALUES (1, 'clean', 'id of clean', 'o')")
        database.commit()


def old_measurements(folder: Path) -> None:
    """Write the file that older versions kept measurements in."""
    with closing(sqlite3.connect(folder / BEFORE)) as database:
        database.executescript(OLD_MEASUREMENTS)
        database.execute("INSERT INTO measurement VALUES (?, ?)", (writer.key(0).id, writer.key(0).text))
        database.execute("INSERT INTO chunk VALUES (?, 0, 2, ?, '[]')", (writer.key(0).id, np.ones(2).tobytes()))
        database.execute("INSERT INTO result VALUES (1, 'then', 'a', 'm', '{}')")
        database.commit()


@pytest.mark.parametrize("layout", range(1, len(MIGRATIONS)))
def test_an_older_file_is_brought_to_the_newest_layout_and_keeps_its_records(tmp_path, layout):
    old_history(tmp_path, layout)
    new = History(tmp_path)
    first, second = new.records()
    assert (first.verdict, first.effect.interval, first.what, first.time[:10]) == (
        "supported", (0.8, 1.0), "images", "2026-01-01"
    )  # fmt: skip
    assert (first.context.weights, first.context.target, first.fingerprints) == ("w", "distribution", {})
    assert (second.asked, second.effect, second.controls) == (False, None, ())
    np.testing.assert_array_equal(new.outcomes("r0", "m", "a")["clean"], ARMS["clean"])
    with pytest.raises(ClaimsError, match="is not recorded; run the claim again"):
        new.key("id of clean")
    new.keep(record(), ARMS)
    assert new.latest()["a", "m"].run == "r1"
    new.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("recorded", [True, False])
def test_measurements_of_an_older_version_are_taken_over_once(tmp_path, recorded):
    if recorded:
        old_history(tmp_path, 2)
    old_measurements(tmp_path)
    for _ in range(2):
        with closing(Store(tmp_path)) as store:
            (batch,) = store.load([writer.key(0).id], range(2)).values()
            assert batch.numbers.tolist() == [1.0, 1.0]
            assert store.key(writer.key(0).id) == writer.key(0)
        (tmp_path / BEFORE).unlink(missing_ok=True)


def test_a_record_of_a_later_version_is_refused_by_its_place(tmp_path, history):
    history.keep(record(), ARMS)
    with closing(sqlite3.connect(history.path)) as database:
        database.execute("UPDATE record SET text = replace(text, '\"format\": 1', '\"format\": 2')")
        database.commit()
    with pytest.raises(ClaimsError, match="cannot read: format"):
        history.records()


def rows(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_record_refers_to_the_measurements_in_its_file_and_holds_copies_of_others_only(tmp_path, history):
    first, second = writer.key(0), writer.key(1)
    with closing(Store(tmp_path)) as store:
        for start in (0, 2):
            store.append(range(start, start + 2), {first: MeasuredBatch(numbers=np.array([1.0, 0.0]))})
    arms = {"clean": first.id, "edited": second.id}
    edited = {"edited": np.array([0.5, 0.25, 0.5])}
    history.keep(record(arms=arms), edited, {second.id: second})
    assert rows(history.path, "outcome") == 1
    found = history.outcomes("r1", "m", "a")
    assert {name: values.tolist() for name, values in found.items()} == {"clean": [1, 0, 1], "edited": [0.5, 0.25, 0.5]}
    assert history.key(second.id) == second
    history.keep(record("r2", arms=arms), {"clean": np.array([1.0, 0.0, 1.0]), **edited})
    assert rows(history.path, "outcome") == 1, "equal numbers that were measured elsewhere are not copied again"
    history.keep(record("r3", arms=arms), {"clean": np.array([1.0, 1.0, 1.0]), **edited})
    assert rows(history.path, "outcome") == 2
    assert history.outcomes("r3", "m", "a")["clean"].tolist() == [1, 1, 1]
    assert history.outcomes("r1", "m", "a")["clean"].tolist() == [1, 0, 1]


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path):
    History(tmp_path).close()
    with pytest.raises(ClaimsError, match="cannot use "):
        History(tmp_path, (*MIGRATIONS, "CREATE TABLE more (x); CREATE TABLE run (y)"))
    database = sqlite3.connect(tmp_path / FILE_NAME)
    assert database.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    assert not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'more'").fetchall()
    database.close()


def test_a_newer_file_and_a_file_that_is_none_are_refused(tmp_path):
    History(tmp_path, (*MIGRATIONS, "CREATE TABLE more (x)")).close()
    with pytest.raises(ClaimsError, match="written with layout 4; this version reads layouts up to 3"):
        History(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FILE_NAME).write_text("no database" * 100)
    with pytest.raises(ClaimsError, match="cannot use "):
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
            history.keep(record(run=f"r{number}", claim=claim, verdict=verdict, context=context, arms={}))
    assert history.seeds() == {("a", "m"): (0, 2), ("b", "m"): (0,)}
    shown = [record(claim=claim, verdict="supported") for claim in ("a", "b")]
    (told,) = seeds_told(shown, history.seeds())
    assert told.startswith("m: a: tried with 2 seeds (0, 2)")
    assert seeds_told([record(claim="a", verdict="not applicable")], history.seeds()) == []
