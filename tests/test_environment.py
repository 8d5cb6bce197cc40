"""Every check of the doctor fires on its trap, and is quiet without it."""

import importlib
import shutil
import sqlite3
import time
from types import SimpleNamespace

import pytest

from harness.cli import environment
from harness.cli.__main__ import main

VERSIONS = {"timm": "1.0.30", "pytest": "9.1.0", "pytest-xdist": "3.8.0", "pytest-benchmark": "5.3.1"}


@pytest.fixture
def versions(monkeypatch):
    """Give the installed versions, to be changed."""
    known = dict(VERSIONS)
    monkeypatch.setattr(environment, "_version", known.get)
    return known


@pytest.fixture
def healthy(monkeypatch, versions):
    """Stand for an environment without any trap; nothing is asked of the network."""
    monkeypatch.setattr(environment, "answers", lambda url, seconds: True)
    monkeypatch.setattr(environment, "_cores", lambda: 64)
    return versions


def imports(monkeypatch, name: str, error: Exception) -> None:
    """Make one module fail to import."""
    real = importlib.import_module

    def importing(wanted, *rest):
        if wanted == name:
            raise error
        return real(wanted, *rest)

    monkeypatch.setattr(importlib, "import_module", importing)


def test_a_healthy_environment_has_no_trap(healthy, tmp_path, capsys):
    assert main(["doctor", "--cache", str(tmp_path)]) == 0
    assert "12 checks, 0 traps" in capsys.readouterr().out


def test_a_trap_that_breaks_runs_gives_exit_code_one_and_its_cure(healthy, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(environment, "entry_points", lambda group: ())
    assert main(["doctor", "--cache", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "TRAP" in told
    assert "cure: pip install -e ." in told


def test_a_trap_that_breaks_nothing_gives_exit_code_zero(healthy, tmp_path, capsys):
    healthy["pytest"] = "9.2.0"
    assert main(["doctor", "--cache", str(tmp_path)]) == 0
    assert "1 traps, 0 of them" in capsys.readouterr().out


def test_torch_that_cannot_be_imported_is_a_trap(monkeypatch):
    imports(monkeypatch, "torch", OSError("libtorch.so: cannot open shared object file"))
    assert environment.check_torch().breaks
    assert "without torch" in environment.check_threads().text


def test_builds_of_torch_and_torchvision_that_do_not_match_are_named(monkeypatch):
    imports(monkeypatch, "timm", RuntimeError("operator torchvision::nms does not exist"))
    found = environment.check_timm()
    assert found.breaks
    assert "different builds" in found.text
    assert "from one index" in found.cure


def test_timm_that_is_not_there_is_a_trap(monkeypatch):
    imports(monkeypatch, "timm", ImportError("No module named 'timm'"))
    assert environment.check_timm().breaks


@pytest.mark.parametrize(
    ("version", "trap", "breaks"),
    [("1.0.27", True, True), ("1.0.28", False, False), ("1.0.31", False, False), ("1.0.32", True, False),
     ("2.0.0.dev0", True, False), (None, True, True)],
)  # fmt: skip
def test_versions_of_timm_outside_of_the_tested_range_are_told(versions, version, trap, breaks):
    versions["timm"] = version
    found = environment.check_timm_version()
    assert (found.trap, found.breaks) == (trap, breaks)


def test_fused_attention_is_explained_per_module():
    assert "fused_attn = False" in environment.check_fused_attention().text


def test_a_hub_out_of_reach_is_a_trap_unless_the_offline_switch_is_set(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(environment, "answers", lambda url, seconds: False)
    found = environment.check_hub()
    assert found.trap
    assert not found.breaks
    assert "HF_HUB_OFFLINE=1" in found.cure
    assert "47 s" in found.text
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not environment.check_hub().trap


def test_a_hub_that_is_not_there_is_known_within_its_time(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    began = time.monotonic()
    assert environment.check_hub().trap
    assert time.monotonic() - began < environment.PROBE_SECONDS + 1


def test_the_installed_plugin_is_found_and_its_absence_told(monkeypatch):
    assert not environment.check_plugin().trap
    monkeypatch.setattr(environment, "entry_points", lambda group: (SimpleNamespace(value="another.plugin"),))
    assert environment.check_plugin().breaks


@pytest.mark.parametrize(
    ("pytest_version", "xdist", "trap"),
    [("9.2.0", "3.8.0", True), ("9.2.1", "3.8.0", False), ("9.2.0", "3.9.0", False), ("9.2.0", None, False)],
)
def test_only_the_versions_that_ignore_loadgroup_are_a_trap(versions, pytest_version, xdist, trap):
    versions |= {"pytest": pytest_version, "pytest-xdist": xdist}
    assert environment.check_xdist().trap == trap


def test_where_timings_come_from_is_told_with_and_without_benchmark(versions):
    assert "disables itself" in environment.check_benchmark().text
    del versions["pytest-benchmark"]
    assert "not installed" in environment.check_benchmark().text


def test_more_threads_than_cores_are_a_trap(monkeypatch):
    monkeypatch.setattr(environment, "_cores", lambda: 0)
    assert "OMP_NUM_THREADS" in environment.check_threads().cure


def test_a_full_disk_is_a_trap(monkeypatch, tmp_path):
    assert not environment.check_disk(tmp_path / "not" / "there").trap
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    assert environment.check_disk(tmp_path).breaks


def test_a_folder_that_cannot_be_written_is_a_trap(monkeypatch, tmp_path):
    def refuse(**_):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(environment.tempfile, "TemporaryDirectory", refuse)
    assert environment.check_store(tmp_path).breaks


def test_a_disk_without_a_write_ahead_log_is_a_trap(monkeypatch, tmp_path):
    class Plain(sqlite3.Connection):
        def execute(self, query, *rest):
            return super().execute(query.replace("WAL", "DELETE"), *rest)

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path: real(path, factory=Plain))
    found = environment.check_store(tmp_path)
    assert found.breaks
    assert "'delete'" in found.text


def test_the_store_check_leaves_nothing_behind(tmp_path):
    assert not environment.check_store(tmp_path / "cache").trap
    assert not list(tmp_path.iterdir())
