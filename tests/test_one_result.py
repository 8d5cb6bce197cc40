"""The last result of a claim is one: whatever shows it, and wherever its numbers were measured."""

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import harness.running.session  # noqa: F401 - an inner run forgets what it imports, and torch cannot be imported twice
from harness.cli.__main__ import main
from harness.results.accepted_outcomes import read_outcomes
from harness.results.history import open_history
from support import folders

QUICK = "-p harness.short_names --import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:jaxtyping"
MODEL, CLAIM = "support.zoo:late_reader", "holds"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    return folders.pictures(tmp_path_factory.mktemp("user") / "pictures")


@pytest.fixture
def run(pytester, pictures, monkeypatch):
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\nfilterwarnings = error\n")
    monkeypatch.chdir(pytester.path)
    folders.claims(pytester.path / "mine")

    def call(*arguments: str):
        given = ["--model", MODEL, "--data", str(pictures), "--batch-size", "32", "--claim", CLAIM]
        return pytester.runpytest_inprocess(*given, *arguments, "mine")

    return call


@pytest.fixture
def told(capsys):
    def call(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return call


def row(text: str, first: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.startswith(first))


def rows(table: str) -> int:
    with closing(sqlite3.connect(".claims/history.sqlite")) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def shown(told) -> dict[str, tuple[str, int]]:
    """Give the verdict and the images that each command tells of the claim."""
    found = {}
    cells = row(told("explain", CLAIM, "--claims", "mine").partition("last results")[2], MODEL)
    found["explain"] = (cells[1], int(cells[-2]))
    cells = row(told("judge", "--claims", "mine", "--claim", CLAIM), CLAIM)
    assert cells[2] == cells[3], "judged again it is the same"
    found["judge"] = (cells[2], int(cells[-1]))
    told("report", "--claims", "mine", "--claim", CLAIM, "--out", "out.csv")
    (line,) = csv.DictReader(Path("out.csv").read_text().splitlines())
    found["report"] = (line["verdict"], int(line["images"]))
    told("accept", "--claim", CLAIM, "--baseline", "accepted.json", "--replace")
    accepted = json.loads(Path("accepted.json").read_text())["models"][MODEL]["verdicts"][CLAIM]
    found["accept"] = (accepted["verdict"], accepted["images"])
    outcomes = read_outcomes(Path("accepted.safetensors")).claims[MODEL, CLAIM].arms.values()
    assert max(len(values) for values in outcomes) == accepted["images"]  # arms that were settled have fewer
    cells = told("history", CLAIM).splitlines()[-1].split()
    found["history"] = (cells[3], int(cells[4]))
    return found


def test_every_command_tells_the_same_last_result_after_a_run_without_the_cache(run, told):
    run("--claims-seed", "1")
    (before,) = set(shown(told).values())
    run("--claims-no-cache", "--max-images", "40")
    (after,) = set(shown(told).values())
    assert after != before, "the test is about two results that differ"
    assert after[1] == 40
    assert "arms compared" in told("diff", "last", "last"), "its outcomes are there"
    with closing(open_history(Path(".claims"))) as history:
        assert history.latest()[CLAIM, MODEL].images == 40


def test_a_run_left_out_of_the_history_is_left_out_of_everything(run, told):
    run("--claims-no-history")
    text = told("explain", CLAIM, "--claims", "mine")
    assert "none in .claims (a run with --claims-no-history leaves none)" in " ".join(text.split())
    assert main(["judge", "--claims", "mine"]) == 2
    run("--max-images", "40")
    (kept,) = set(shown(told).values())
    run("--claims-no-history")
    assert set(shown(told).values()) == {kept}


def test_numbers_per_image_lie_in_one_place_whatever_run_measured_them(run, told):
    run()
    assert rows("outcome") == 0, "the record refers to what was measured"
    assert rows("arm") > 0
    measured = rows("chunk")
    run("--claims-no-cache")
    assert (rows("outcome"), rows("chunk")) == (0, measured), "the same numbers again are not copied"
    run("--claims-no-cache", "--claims-seed", "1")
    copies = rows("outcome")
    assert copies > 0, "what was measured elsewhere alone is copied"
    run("--claims-no-cache", "--claims-seed", "1")
    assert rows("outcome") == copies
