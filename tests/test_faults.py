"""The faults of `tests/faults/`, a few of each: the scripts there try them by the thousand."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from harness.cli import environment
from harness.results.store_errors import told

sys.path.insert(0, str(Path(__file__).parent / "faults"))
import damage
import fuzz
import kills
import scene
import starts

SOME = (
    *("cut to 50%", "page 2 of zeros", "no table run", "another column", "records that are no JSON", "a deep record"),
    *(
        "numbers that are text",
        "names that are no zlib",
        "keys of other fields",
        "a newer layout",
        "a text",
        "a folder",
    ),
    *("a link to itself", "a pipe", "a log of noise", "its folder is a file"),
)
COMMANDS = ("explain", "judge", "accept", "report", "history", "diff", "doctor")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Make the scene once; tests work on copies."""
    here, folder = os.getcwd(), tmp_path_factory.mktemp("scene")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "answers", lambda url, seconds: True)
        scene.make(folder)
        assert scene.ask(scene.COMMANDS["report"])[0] == 0
        os.chdir(here)
        yield folder


@pytest.fixture
def copy(whole, tmp_path, monkeypatch):
    shutil.copytree(whole, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("name", SOME)
def test_a_damaged_store_is_told_in_one_sentence_by_every_command(whole, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)  # and back again afterwards
    monkeypatch.setattr(environment, "check_neighbours", environment.check_benchmark)
    commands = COMMANDS if name == "cut to 50%" else COMMANDS[:-1]
    for command in commands:
        assert damage.trial(whole, tmp_path / "copy", damage.DAMAGES[name], command) == ""


def test_a_traceback_and_a_lost_verdict_would_be_found(copy):
    baseline = damage.scene_baseline()
    assert "a traceback" in damage.judged("judge", 70, "Traceback (most recent call last):\nBoom", baseline)
    assert "no sentence" in damage.judged("judge", 2, "", baseline)
    Path("mine/baselines/embedded.json").write_text('{"models": {"support.zoo:late_reader": {"verdicts": {}}}}')
    assert "are lost" in damage.judged("accept", 0, "", baseline)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.parametrize("name", ["accept", "accept --replace", "report"])
def test_a_killed_command_leaves_files_whole(copy, name):
    for tenth in range(8):
        assert kills.kill_command(name, 0.01 * tenth) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_many_processes_make_one_store_at_once():
    assert starts.starts(rounds=10, processes=6) == []


@pytest.mark.parametrize("kind", list(fuzz.KINDS))
def test_what_nobody_would_write_is_answered_in_one_sentence(kind):
    assert fuzz.fuzz(kind, 60)[0] > 0


def test_a_full_disk_ends_a_run_in_one_sentence_and_loses_nothing(copy, monkeypatch):
    def full(self, record, *_, **__):
        raise told(self.path, OSError(28, "No space left on device"))

    monkeypatch.setattr("harness.results.history.History.keep", full)
    code, text = scene.ask_pytest("--model", scene.MODELS[0], "--claims-json", "out.json")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "its disk is full; make room and run again: what was stored before is whole" in text
    assert not scene.bare(text)
    assert "PARTIAL: the run ended before" in text
    assert all(len(line) <= 80 for line in text.splitlines() if "PARTIAL" in line), "also where no verdict fell"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are listed there")
def test_a_run_that_is_ended_leaves_no_process_and_says_what_is_missing(copy):
    wrong, took = kills.kill_run(copy, signal.SIGTERM, worker=False, seconds=9.0)
    assert wrong == []
    assert took < kills.ORPHANS
