"""Measurements on disk are whole chunks or nothing, written once, and never mistaken for one another."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ClaimsError
from harness.results.database import FILE_NAME
from harness.results.measurements import MeasuredBatch, MeasurementKey, Receipt, Store
from support import writer

POSITIONS = range(4)
NUMBERS = np.array([0.5, 0.25, 1.0, 0.1])
CHUNKS = 150


@pytest.fixture(params=["memory", "disk"])
def store(request, tmp_path):
    with closing(Store(None if request.param == "memory" else tmp_path / "cache")) as opened:
        yield opened


@pytest.fixture
def on_disk(tmp_path):
    with closing(Store(tmp_path)) as opened:
        yield opened


def spawn(folder: Path, seen: Path, chunks: int = CHUNKS) -> subprocess.Popen:
    tests = Path(writer.__file__).parents[1]
    path = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "support.writer", str(folder), str(chunks), str(seen)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})


def rows_of(folder: Path) -> list[tuple]:
    with closing(sqlite3.connect(folder / FILE_NAME)) as database:
        return database.execute("SELECT id, start, stop, numbers FROM chunk ORDER BY id, start").fetchall()


def assert_whole_and_true(folder: Path, chunks: int = CHUNKS) -> None:
    expected = {
        (writer.key(number).id, positions.start, positions.stop): writer.truth(number, positions).tobytes()
        for number in range(writer.KEYS)
        for positions in writer.grid(chunks)
    }
    found = rows_of(folder)
    assert len(found) == len(expected)
    assert {row[:3]: row[3] for row in found} == expected


def test_numbers_and_receipts_come_back_bit_for_bit(store):
    numbers = np.nextafter(NUMBERS, 2.0)
    store.append(POSITIONS, {writer.key(0): MeasuredBatch(numbers=numbers, receipts=(Receipt("site", 1, 4),))})
    (row,) = store.load([writer.key(0).id, "unknown"], POSITIONS).values()
    assert row.numbers.tobytes() == numbers.tobytes()
    assert row.receipts == (Receipt("site", 1, 4),)


def test_a_chunk_that_is_stored_is_never_written_again(store):
    store.append(POSITIONS, {writer.key(0): MeasuredBatch(numbers=NUMBERS)})
    store.append(
        POSITIONS, {writer.key(0): MeasuredBatch(numbers=1 - NUMBERS), writer.key(1): MeasuredBatch(numbers=NUMBERS)}
    )
    np.testing.assert_array_equal(store.numbers(writer.key(0).id, 4), NUMBERS)
    np.testing.assert_array_equal(store.numbers(writer.key(1).id, 4), NUMBERS)


def test_numbers_without_a_gap_come_in_measuring_order_and_cut_to_the_images_asked_for(store):
    for start in (4, 0, 8):
        store.append(range(start, start + 4), {writer.key(0): MeasuredBatch(numbers=NUMBERS + start)})
    expected = np.concatenate([NUMBERS, NUMBERS + 4, NUMBERS + 8])
    for images in (1, 4, 5, 12):
        np.testing.assert_array_equal(store.numbers(writer.key(0).id, images), expected[:images])


def test_a_gap_in_the_numbers_is_refused(store):
    for start in (0, 8):
        store.append(range(start, start + 4), {writer.key(0): MeasuredBatch(numbers=NUMBERS)})
    with pytest.raises(ClaimsError, match="holds 4 images, 9 are needed"):
        store.numbers(writer.key(0).id, 9)
    with pytest.raises(ClaimsError, match="holds 0 images, 1 are needed"):
        store.numbers(writer.key(1).id, 1)


@pytest.mark.parametrize(
    "numbers", [[0.0, 1.0, np.nan, 0.0], [0.0, np.inf, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0] * 5], ids=str
)
def test_rows_that_are_not_one_finite_number_per_image_are_refused_and_nothing_of_the_chunk_is_written(store, numbers):
    rows = {writer.key(0): MeasuredBatch(numbers=NUMBERS), writer.key(1): MeasuredBatch(numbers=np.array(numbers))}
    with pytest.raises(ClaimsError, match="one finite number per image is needed"):
        store.append(POSITIONS, rows)
    assert store.load([writer.key(0).id, writer.key(1).id], POSITIONS) == {}


def test_a_failure_while_a_chunk_is_written_leaves_nothing_of_it(store):
    unwritable = MeasuredBatch(numbers=NUMBERS, receipts=(Receipt({"a set"}, 1, 1),))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="set"):
        store.append(POSITIONS, {writer.key(0): MeasuredBatch(numbers=NUMBERS), writer.key(1): unwritable})
    assert store.load([writer.key(0).id], POSITIONS) == {}
    store.append(POSITIONS, {writer.key(0): MeasuredBatch(numbers=NUMBERS)})  # the transaction is over
    assert len(store.load([writer.key(0).id], POSITIONS)) == 1


@pytest.mark.parametrize(
    "damage", ["UPDATE chunk SET numbers = x'00'", "UPDATE chunk SET stop = 3", "UPDATE chunk SET stop = 5"]
)
def test_a_damaged_row_is_refused(on_disk, tmp_path, damage):
    on_disk.append(POSITIONS, {writer.key(0): MeasuredBatch(numbers=NUMBERS)})
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.execute(damage)
        database.commit()
    with pytest.raises(ClaimsError, match="the file is damaged"):
        on_disk.load([writer.key(0).id], POSITIONS)


def test_a_chunk_of_another_size_is_not_taken_for_this_one(on_disk):
    on_disk.append(POSITIONS, {writer.key(0): MeasuredBatch(numbers=NUMBERS)})
    with pytest.raises(ClaimsError, match=r"where 0\.\.7 belong"):
        on_disk.load([writer.key(0).id], range(8))


def test_a_file_of_another_layout_is_refused(tmp_path):
    Store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ClaimsError, match="layout 99; this version reads layout"):
        Store(tmp_path)


@pytest.mark.parametrize("name", [field.name for field in fields(MeasurementKey)])
def test_every_field_of_a_key_changes_its_id(name):
    old = writer.key(0)
    value = getattr(old, name)
    assert replace(old, **{name: value + 1 if isinstance(value, int) else value + "'"}).id != old.id
    assert replace(old).id == old.id


def test_the_fields_of_a_key_are_those_that_a_number_depends_on():
    promised = {"weights", "preprocessing", "images", "intervention", "readout", "intervention_code", "readout_code"}
    assert promised | {"dtype", "batch_size", "seed", "device", "subject_code"} <= {
        f.name for f in fields(MeasurementKey)
    }


def test_a_store_without_a_folder_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with closing(Store(None)) as opened:
        opened.append(POSITIONS, {writer.key(0): MeasuredBatch(numbers=NUMBERS)})
    assert list(tmp_path.iterdir()) == []


def test_kills_at_random_moments_lose_nothing_and_count_nothing_twice(tmp_path):
    folder, seen = tmp_path / "cache", tmp_path / "seen"
    moments, kills = random.Random(5), 0
    while kills < 6:
        process = spawn(folder, seen)
        before = seen.read_text().count("\n") if seen.exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if seen.exists() and seen.read_text().count("\n") > before + moments.randrange(2, 20):
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            break
        kills += 1
        whole = {}
        for identifier, start, stop, _ in rows_of(folder):
            whole.setdefault((start, stop), set()).add(identifier)
        assert all(len(keys) == writer.KEYS for keys in whole.values()), "a chunk is whole or not there"
    assert kills >= 3, "the test is about kills in the middle"
    assert spawn(folder, seen).wait() == 0
    assert_whole_and_true(folder)
    measured = [int(line.split()[0]) for line in seen.read_text().splitlines()]
    assert len(measured) == len(set(measured)), "no chunk was measured twice"
    # A kill between the transaction and the note in `seen` leaves the chunk unnoted, but stored.
    assert CHUNKS - kills <= len(measured) <= CHUNKS


def test_two_processes_that_write_the_same_chunks_at_once_agree(tmp_path):
    folder = tmp_path / "cache"
    both = [spawn(folder, tmp_path / f"seen {number}", chunks=60) for number in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert_whole_and_true(folder, chunks=60)


def test_a_second_process_reads_what_the_first_one_has_written(on_disk, tmp_path):
    on_disk.append(POSITIONS, {writer.key(0): MeasuredBatch(numbers=NUMBERS)})
    with closing(Store(tmp_path)) as other:
        np.testing.assert_array_equal(other.numbers(writer.key(0).id, 4), NUMBERS)
        other.append(range(4, 8), {writer.key(0): MeasuredBatch(numbers=NUMBERS)})
    assert len(on_disk.numbers(writer.key(0).id, 8)) == 8
