"""Damaged stores under every command: one sentence with the cure, never a traceback, and nothing accepted is lost.

    python tests/faults/damage.py

Prints a table of damages and commands, and ends with 1 where one was not told as it must be.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import scene

FILE = Path(".claims/history.sqlite")
SECONDS = 20  # for one command; a store that is held by nobody keeps nobody waiting
Damage = Callable[[], None]


def flip(seed: int) -> Damage:
    """Change 40 bytes at random."""

    def damage() -> None:
        dice, data = random.Random(seed), bytearray(FILE.read_bytes())
        for _ in range(40):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        FILE.write_bytes(data)

    return damage


def cut(share: float) -> Damage:
    return lambda: FILE.write_bytes(FILE.read_bytes()[: int(FILE.stat().st_size * share)])


def page(number: int, fill: bytes) -> Damage:
    """Overwrite a whole page of 4,096 bytes."""

    def damage() -> None:
        data = bytearray(FILE.read_bytes())
        place = number % (len(data) // 4096) * 4096
        data[place : place + 4096] = fill * 4096
        FILE.write_bytes(data)

    return damage


def sql(*statements: str) -> Damage:
    def damage() -> None:
        with sqlite3.connect(FILE) as database:
            for statement in statements:
                database.execute(statement)
        database.close()

    return damage


def instead(content: bytes) -> Damage:
    return lambda: FILE.write_bytes(content) and None


def becomes(make: Callable[[Path], object]) -> Damage:
    def damage() -> None:
        FILE.unlink()
        make(FILE)

    return damage


def parent_is_a_file() -> None:
    shutil.rmtree(FILE.parent)
    FILE.parent.write_text("a file")


def old_file_is_a_text() -> None:
    sql("PRAGMA user_version = 2")()
    Path(".claims/measurements.sqlite").write_text("x")


HEADER = b"SQLite format 3\0"
DAMAGES: dict[str, Damage] = {
    **{f"40 flipped bytes, {seed}": flip(seed) for seed in range(12)},
    **{f"cut to {share:.0%}": cut(share) for share in (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.99)},
    **{f"page {number} of zeros": page(number, b"\0") for number in (0, 1, 2, 3, 5, 8, 13)},
    **{f"page {number} of ones": page(number, b"\xff") for number in (1, 4, 9)},
    **{f"no table {name}": sql(f"DROP TABLE {name}") for name in ("run", "record", "arm", "context", "chunk", "names")},
    "no table measurement": sql("DROP TABLE measurement"),
    "another column": sql("ALTER TABLE record RENAME COLUMN text TO words"),
    "records that are no JSON": sql("UPDATE record SET text = '{'"),
    "records that are numbers": sql("UPDATE record SET text = 7"),
    "records of other fields": sql("UPDATE record SET text = '{}'"),
    "records that are lists": sql("UPDATE record SET text = '[1, 2]'"),
    "contexts that are no JSON": sql("UPDATE context SET text = x'ff00'"),
    "versions that are no JSON": sql("UPDATE run SET versions = 'x'"),
    "a deep record": sql("UPDATE record SET text = '" + "[" * 20000 + "'"),
    "a number of 5,000 digits": sql('UPDATE record SET text = \'{"images": ' + "9" * 5000 + "}'"),
    "numbers that are text": sql("UPDATE chunk SET numbers = 'abc'"),
    "numbers cut short": sql("UPDATE chunk SET numbers = x'0102030405'"),
    "names that are no zlib": sql("UPDATE names SET data = x'00'"),
    "names that are no list": sql(f"UPDATE names SET data = x'{zlib.compress(json.dumps(3).encode()).hex()}'"),
    "keys of other fields": sql("UPDATE measurement SET key = '{\"a\": 1}'"),
    "keys that are no JSON": sql("UPDATE measurement SET key = '{'"),
    "a newer layout": sql("PRAGMA user_version = 99"),
    "a layout below none": sql("PRAGMA user_version = -1"),
    "an older layout": sql("PRAGMA user_version = 1"),
    "an empty file": instead(b""),
    "a text": instead(b"no database at all\n" * 100),
    "a header alone": instead(HEADER),
    "a header and noise": instead(HEADER + random.Random(5).randbytes(9000)),
    "a folder": becomes(Path.mkdir),
    "a link to nowhere": becomes(lambda path: path.symlink_to("nowhere/at/all")),
    "a link to itself": becomes(lambda path: path.symlink_to(path.name)),
    "a link to a device": becomes(lambda path: path.symlink_to("/dev/full")),
    "a pipe": becomes(os.mkfifo),
    "a log of noise": lambda: Path(f"{FILE}-wal").write_bytes(random.Random(6).randbytes(5000)) and None,
    "an index of noise": lambda: Path(f"{FILE}-shm").write_bytes(random.Random(7).randbytes(40000)) and None,
    "a log that is a folder": lambda: Path(f"{FILE}-wal").mkdir(),
    "its folder is a file": parent_is_a_file,
    "the old file beside is a text": old_file_is_a_text,
}


class TooSlow(BaseException):
    pass


def _too_slow(*_: object) -> None:
    raise TooSlow


def judged(name: str, code: int, text: str, baseline: bytes) -> str:
    """Say what is wrong with an answer; "" where a reader can go on from it."""
    if "TooSlow" in text:
        return f"not done after {SECONDS} s"
    if scene.bare(text):
        return "a traceback: " + text.strip().splitlines()[-1][:150]
    lines = [line for line in text.splitlines() if line.startswith(("claims ", "ERROR"))]
    if code == 2 and name != "pytest" and not any(len(line) > 20 for line in lines):
        return f"no sentence: {text[-200:]!r}"
    if name not in ("accept", "accept --replace") and scene_baseline() != baseline:
        return "the accepted verdicts changed"
    kept, was = json.loads(scene_baseline())["models"], json.loads(baseline)["models"]
    lost = [(m, c) for m, entry in was.items() for c in entry["verdicts"] if c not in kept[m]["verdicts"]]
    return f"accepted verdicts are lost: {lost}" if lost and name == "accept" else ""


def scene_baseline() -> bytes:
    return Path("mine/baselines/embedded.json").read_bytes()


def trial(whole: Path, folder: Path, damage: Damage, command: str) -> str:
    """Damage a copy of the scene, run one command in it, and judge what it said."""
    os.chdir("/")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder, symlinks=True)
    os.chdir(folder)
    baseline = scene_baseline()
    damage()
    signal.alarm(SECONDS)
    try:
        code, text = (
            scene.ask_pytest("--model", scene.MODELS[0]) if command == "pytest" else scene.ask(scene.COMMANDS[command])
        )
    finally:
        signal.alarm(0)
    return judged(command, code, text, baseline)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", help="a part of the name of a damage")
    asked = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_slow)
    failed = trials = 0
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place, "whole")
        whole.mkdir()
        scene.make(whole)
        for name, damage in DAMAGES.items():
            if asked.only and asked.only not in name:
                continue
            for command in (*scene.COMMANDS, "pytest"):
                trials += 1
                if wrong := trial(whole, Path(place, "copy"), damage, command):
                    failed += 1
                    print(f"  {name} x {command}: {wrong}", flush=True)
        os.chdir("/")
    commands = len(scene.COMMANDS) + 1
    print(f"| {trials // commands} damages x {commands} commands | {trials} trials | {failed} failures |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
