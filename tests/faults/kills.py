"""Kills at any moment: of a run, of one of its workers, and of every command that writes.

    python tests/faults/kills.py --commands 300 --runs 40

A killed command leaves the files of before or the new ones, whole. A run that is ended by SIGINT, SIGTERM or SIGKILL
leaves whole rows and no process after 10 seconds; one whose worker is killed comes to the same verdicts. What is run
next goes on from there. Prints a table, and ends with 1 where something was lost, torn or left behind.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import scene

from harness.results.accepted_outcomes import read_outcomes
from harness.results.history import open_history

BASELINE = Path("mine/baselines/embedded.json")
ORPHANS = 10.0  # seconds after which no process of a run may be there
WAYS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)


def whole_store() -> list[str]:
    """Say what is torn in the store of the current folder."""
    with sqlite3.connect(".claims/history.sqlite") as database:
        (state,) = database.execute("PRAGMA integrity_check").fetchone()
        lame = database.execute("SELECT count(*) FROM arm WHERE record NOT IN (SELECT number FROM record)").fetchone()[
            0
        ]
    database.close()
    history = open_history(Path(".claims"))
    for record in history.records():
        history.outcomes(record.run, record.model, record.claim)
    history.close()
    return [f"integrity: {state}"] * (state != "ok") + [f"{lame} arms without a record"] * bool(lame)


def kill_command(name: str, seconds: float) -> list[str]:
    """Start a command in a fork, kill it after some time, and look at what it left."""
    before = json.loads(BASELINE.read_text())["models"][scene.MODELS[0]]["verdicts"]
    pages = {path: path.read_bytes() for path in map(Path, ("again.md", "again.csv", "again.curves.csv"))}
    child = os.fork()
    if child == 0:
        scene.ask(scene.COMMANDS[name])
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    now = json.loads(BASELINE.read_text())["models"][scene.MODELS[0]]["verdicts"]
    found = [f"{name}: accepted verdicts {set(before) ^ set(now)} differ"] if set(before) - set(now) else []
    outcomes = {claim for _, claim in read_outcomes(BASELINE.with_suffix(".safetensors")).claims}
    measured = {claim for claim, entry in now.items() if entry["images"]}
    found += [f"{name}: no outcomes of {measured - outcomes}"] if measured - outcomes else []
    for path, was in pages.items():
        text = path.read_bytes()
        found += [f"{name}: {path} is torn"] if text != was and not text.endswith(b"\n") else []
    return found + whole_store()


def start_run(folder: Path, *more: str) -> subprocess.Popen:
    """Start a run of two worker processes in a session of its own."""
    given = [part for model in scene.MODELS for part in ("--model", model)]
    command = [sys.executable, "-m", "pytest", *scene.PYTEST, *given, "--claims-jobs", "2", *more, "mine"]
    environment = {**os.environ, "PYTHONPATH": str(scene.TESTS), "OMP_NUM_THREADS": "1"}
    out = (folder / "said.txt").open("w")
    return subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)


def processes(session: int) -> list[int]:
    """List the processes of a session that are no zombies."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            state, _, _, its = (place / "stat").read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(its) == session and state != "Z" and place.name.isdecimal():
            found.append(int(place.name))
    return found


def command_of(number: int) -> str:
    try:
        return Path(f"/proc/{number}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def kill_run(folder: Path, way: signal.Signals, worker: bool, seconds: float) -> tuple[list[str], float]:
    """End a run, or one of its workers, after some time; give what is wrong and how long its processes lived on."""
    run = start_run(folder, "--claims-json", "out.json", "--claims-no-history")
    time.sleep(seconds)
    if worker:
        others = [number for number in processes(run.pid) if "spawn_main" in command_of(number)]
        if others:
            os.kill(random.choice(others), signal.SIGKILL)
        run.wait(timeout=240)
    elif run.poll() is None:
        run.send_signal(way)
    began = time.monotonic()
    while processes(run.pid) and time.monotonic() - began < ORPHANS:
        time.sleep(0.1)
    took = time.monotonic() - began
    left = processes(run.pid)
    names = [command_of(number)[-60:] for number in left]
    for number in left:
        os.kill(number, signal.SIGKILL)
    run.wait()
    text = (folder / "said.txt").read_text()
    found = [f"left after {took:.0f} s: {', '.join(names)}"] if left else []
    found += ["a traceback: " + text.strip().splitlines()[-1][:120]] if scene.bare(text) else []
    if worker and run.returncode not in (0, 1):
        found.append(f"exit code {run.returncode} after a worker was killed")
    return found + whole_store(), took


def commands(count: int, dice: random.Random, table: Counter) -> list[str]:
    """Kill every command at moments spread over the time that it takes."""
    found, names = [], ("accept", "accept --replace", "report", "history CLAIM", "diff", "judge")
    took = {}
    for name in names:
        began = time.monotonic()
        scene.ask(scene.COMMANDS[name])
        took[name] = time.monotonic() - began
    for number in range(count):
        name = names[number % len(names)]
        found += kill_command(name, dice.uniform(0, 1.2 * took[name]))
        table[name] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--commands", type=int, default=300)
    parser.add_argument("--runs", type=int, default=40)
    asked = parser.parse_args()
    dice, table, found, longest = random.Random(0), Counter(), [], 0.0
    folder = Path(tempfile.mkdtemp())
    scene.make(folder)
    scene.ask(scene.COMMANDS["report"])
    found += commands(asked.commands, dice, table)
    began = time.monotonic()
    start_run(folder, "--claims-no-cache", "--claims-no-history").wait()
    whole = time.monotonic() - began
    for number in range(asked.runs):
        way, worker = WAYS[number % 3], number % 4 == 3
        wrong, took = kill_run(folder, way, worker, dice.uniform(0.2, 1.0) * whole)
        found += [f"{'a worker' if worker else way.name}: {text}" for text in wrong]
        longest = max(longest, took)
        table["a worker" if worker else f"run, {way.name}"] += 1
    for text in found[:20]:
        print(f"  {text}")
    os.chdir("/")
    shutil.rmtree(folder, ignore_errors=True)
    for name, count in table.items():
        print(f"| kill: {name} | {count} |")
    told = f"{len(found)} failures; the last process of a run was gone after {longest:.1f} s"
    print(f"| kills in all | {sum(table.values())} | {told} |")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
