"""Files are whole or as they were, whatever happens while they are written."""

import errno
import os
import subprocess
import sys
import time

import pytest

from harness import files
from harness.errors import ClaimsError
from harness.files import held, write_together, write_whole


def test_a_file_is_written_with_its_folders_and_nothing_lies_beside_it(tmp_path):
    path = tmp_path / "deep" / "down" / "file.json"
    write_whole(path, b"one", "it")
    write_whole(path, b"two", "it")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.json"]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_file_of_before(tmp_path, monkeypatch, step):
    path = tmp_path / "file.json"
    path.write_bytes(b"accepted")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if step == "write":
        monkeypatch.setattr(files, "_bring_to_disk", full)
    else:
        monkeypatch.setattr(os, step, full)
    with pytest.raises(ClaimsError, match=r"cannot write the report '.*file\.json': No space left on device; what was"):
        write_whole(path, b"x" * 100, "the report")
    assert path.read_bytes() == b"accepted"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.json"]


def test_of_two_files_none_is_replaced_before_both_are_on_the_disk(tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"old")
    two.write_bytes(b"old")
    whole = files._bring_to_disk

    def second_fails(draft, data):
        if data == b"second":
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(draft, data)

    monkeypatch.setattr(files, "_bring_to_disk", second_fails)
    with pytest.raises(ClaimsError, match="two"):
        write_together({one: b"first", two: b"second"}, "both")
    assert (one.read_bytes(), two.read_bytes()) == (b"old", b"old")


@pytest.mark.parametrize("name", ["a folder", "in the way/file", "null\0in it", "x" * 300])
def test_a_place_where_nothing_can_be_written_is_told_with_the_cure(tmp_path, name):
    (tmp_path / "a folder").mkdir()
    (tmp_path / "in the way").write_bytes(b"")
    with pytest.raises(ClaimsError, match=r"cannot write it .*name a file in a folder that you may write to"):
        write_whole(tmp_path / name, b"x", "it")


def test_a_link_stays_a_link_and_its_file_is_written(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", b"new", "it")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="there is none here")
def test_what_is_no_file_is_written_to(tmp_path):
    code = "from pathlib import Path; from harness.files import write_whole\n"
    code += "write_whole(Path('/dev/stdout'), b'told', 'it')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"told"


def test_what_a_kill_left_is_swept_away_and_what_is_being_written_is_not(tmp_path):
    old, young = tmp_path / files.DRAFT.format("old"), tmp_path / files.DRAFT.format("young")
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    long_ago = time.time() - 2 * files.STALE_SECONDS
    os.utime(old, (long_ago, long_ago))
    write_whole(tmp_path / "file", b"x", "it")
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such lock there")
def test_one_process_at_a_time_changes_a_folder(tmp_path):
    code = f"""
from pathlib import Path
from harness.files import held, write_whole
path = Path({str(tmp_path / "number")!r})
for _ in range(50):
    with held(path.parent):
        write_whole(path, str(int(path.read_text() or 0) + 1).encode(), "it")
"""
    (tmp_path / "number").write_text("0")
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [one.wait() for one in started] == [0, 0, 0]
    assert (tmp_path / "number").read_text() == "150"


def test_where_no_folder_can_be_locked_the_block_runs(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with held(tmp_path / "file" / "below"):
        ran = True
    assert ran
