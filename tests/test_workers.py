"""Models measured side by side in processes of their own: what comes out is what one process finds."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness.results.history import open_history
from harness.running import workers
from harness.running.option_table import OPTIONS
from harness.running.options import parse
from support import folders

QUICK = "-p harness.short_names --import-mode=importlib -p no:hypothesispytest -p no:anyio -p no:jaxtyping"
LATE, EARLY = "support.zoo:late_reader", "support.zoo:early_carrier"
DEFAULTS = parse({option.dest: None for option in OPTIONS}, {})
DOOMED = """
import multiprocessing
import os

from support.planted import Planted


def doomed():
    if multiprocessing.parent_process() is not None:
        os._exit(9)
    return Planted()
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return folders.pictures(tmp_path_factory.mktemp("crew") / "pictures")


@pytest.fixture
def run(pytester, pictures):
    """Run a user's claims on two models; give the records by model and claim, and all that was printed."""
    pytester.makeini(f"[pytest]\naddopts = {QUICK}\nfilterwarnings = error\n")

    def call(*arguments: str, models=(LATE, EARLY), broken=False):
        source = pytester.path / "mine"
        if not source.exists():
            folders.claims(source, broken=broken)
        given = [part for model in models for part in ("--model", model)]
        given += ["--data", str(pictures), "--batch-size", "32", "--claims-json", "out.json"]
        result = pytester.runpytest_inprocess(*given, *arguments, str(source))
        found = json.loads((pytester.path / "out.json").read_text())["records"]
        return {(one["model"], one["claim"]): one for one in found}, result

    return call


def rows(path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def told(made):
    names = ("verdict", "reason", "images", "effect", "curves", "trace", "arms", "fingerprints", "block_evaluations")
    return {place: {name: record.get(name) for name in names} for place, record in made.items()}


def test_two_processes_find_what_one_does_and_the_run_keeps_it(run, pytester):
    alone, first = run("--claims-no-cache")
    apart, second = run("--claims-no-cache", "--claims-jobs", "2")
    assert told(alone) == told(apart)
    assert first.parseoutcomes() == second.parseoutcomes()
    assert len({record["run"] for record in apart.values()}) == 1, "the processes are one run"
    with closing(open_history(pytester.path / ".claims")) as history:
        one = apart[EARLY, "told"]
        assert rows(history.path, "chunk") == 0, "no measurement is kept beside the copies"
        outcomes = history.outcomes(one["run"], EARLY, "told")
        assert {name: values.mean() for name, values in outcomes.items()} == one["arm_means"]
        assert len(history.names(one["context"]["image_fingerprint"])) >= one["images"]


def test_with_the_cache_a_second_run_measures_nothing(run):
    run("--claims-jobs", "2")
    again, _ = run("--claims-jobs", "2")
    assert {record.get("measured_images", 0) for record in again.values()} == {0}


def test_a_claim_that_raises_in_its_process_raises_in_its_own_test(run):
    made, result = run("--claims-jobs", "2", broken=True)
    assert result.parseoutcomes()["errors"] == 2
    result.stdout.fnmatch_lines(["*ZeroDivisionError*a bug in this readout*"])
    assert len(made) == 14, "the verdicts of the other claims are there"


def test_what_a_process_took_with_it_is_measured_in_that_of_the_run(run, pytester):
    pytester.makepyfile(doomed_models=DOOMED)
    pytester.syspathinsert()
    made, result = run("--claims-jobs", "2", models=("doomed_models:doomed", LATE))
    assert made["doomed_models:doomed", "holds"]["verdict"] == "supported"
    alone, _ = run("--claims-no-cache", models=("doomed_models:doomed", LATE))
    assert told(made) == told(alone)
    text = " ".join(" ".join(result.outlines).split())
    assert "doomed_models:doomed: measured in the process of the run; its own ended with BrokenProcessPool" in text


def test_every_process_has_its_share_of_the_processors_in_all_libraries(run, pytester, monkeypatch):
    pytester.makepyfile(
        telling_models="""
        import os

        import numpy
        import torch
        from support.planted import Planted

        def telling():
            with open("threads.txt", "a") as file:
                print(torch.get_num_threads(), os.environ.get("OPENBLAS_NUM_THREADS"), file=file)
            return Planted()
        """
    )
    pytester.syspathinsert()
    monkeypatch.setattr(workers, "processors", lambda: 2)
    run("--claims-jobs", "2", "--claim", "told", models=("telling_models:telling", LATE))
    lines = (pytester.path / "threads.txt").read_text().splitlines()
    assert "1 1" in lines  # the others are those of the run itself, which reads the card


def test_the_embedded_zoo_takes_every_processor_and_named_models_take_turns(monkeypatch):
    monkeypatch.setattr(workers, "processors", lambda: 2)
    assert workers.crew_size(DEFAULTS) == 2
    assert workers.crew_size(replace(DEFAULTS, models=("vit_b16",))) == 1
    assert workers.crew_size(replace(DEFAULTS, device="cuda")) == 1
    assert workers.crew_size(replace(DEFAULTS, models=("vit_b16",), jobs=3)) == 3
    monkeypatch.setattr(workers, "processors", lambda: 64)
    assert workers.crew_size(DEFAULTS) == workers.MOST
