"""`kill -9` in the middle of a run, then the same command: nothing is measured twice, and the verdict is the same."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.results.database import FILE_NAME

ROOT = Path(__file__).parents[1]
CLAIM = "one-block-rebuilds-cls"  # reads all 2,000 embedded pictures on every model
PATIENCE = 120.0  # seconds until the run must have stored something


def command(folder: Path) -> list[str]:
    options = ["--model", "tiny_vit", "--claim", CLAIM, "--batch-size", "16", "--claims-cache", str(folder)]
    options += ["--claims-json", str(folder / "records.json"), "-q", "-p", "no:cacheprovider"]
    return [sys.executable, "-m", "pytest", str(ROOT / "claims"), *options]


def chunks(folder: Path) -> int:
    if not (folder / FILE_NAME).exists():
        return 0
    try:
        with sqlite3.connect(folder / FILE_NAME, timeout=10) as database:
            return database.execute("SELECT count(DISTINCT start) FROM chunk").fetchone()[0]
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0


def record(folder: Path) -> dict:
    return json.loads((folder / "records.json").read_text())["records"][0]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL does not exist there")
def test_a_killed_run_goes_on_where_it_stood_and_ends_the_same(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen(command(killed), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while chunks(killed) < 5 and time.monotonic() - began < PATIENCE and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "killed in the middle, not after the end"
    kept = 16 * chunks(killed)
    assert 0 < kept < 2000
    subprocess.run(command(killed), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    unbroken, resumed = record(whole), record(killed)
    assert resumed["measured_images"] == 2000 - kept, "no image twice, none left out"
    same = ("verdict", "images", "effect", "findings", "curves", "arm_means", "trace", "arms")
    assert {name: resumed[name] for name in same} == {name: unbroken[name] for name in same}
