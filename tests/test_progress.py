"""The progress line is written on terminals only, past pytest's capturing, and not for short runs."""

import io
import sys
from contextlib import contextmanager

import pytest

from harness.report import progress
from harness.report.progress import EVERY, PATIENCE, Progress


class Screen(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Capture:
    """Stands for pytest's capture manager."""

    off = 0

    @contextmanager
    def global_and_fixture_disabled(self):
        self.off += 1
        yield


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown(monkeypatch, terminal: bool, reporter: object = object()) -> tuple[Screen, Capture, Progress]:
    screen, capture = Screen(terminal), Capture()
    monkeypatch.setattr(sys, "__stderr__", screen)
    return screen, capture, Progress(reporter, capture)


@pytest.mark.parametrize(("terminal", "reporter"), [(False, object()), (True, None)])
def test_without_a_terminal_or_in_a_worker_nothing_is_written(monkeypatch, clock, terminal, reporter):
    screen, _, advance = shown(monkeypatch, terminal, reporter)
    for done in range(10):
        clock[0] += PATIENCE
        advance("images", done, 10)
    assert screen.getvalue() == ""


def test_a_long_run_shows_where_it_is(monkeypatch, clock):
    screen, capture, advance = shown(monkeypatch, terminal=True)
    advance("images", 0, 100)
    clock[0] += PATIENCE + 0.1
    advance("images", 50, 100)
    assert "images 50/100 [############            ] 2 s left at most" in screen.getvalue()
    assert screen.getvalue().startswith("\x1bD\x1b[1A\x1b7"), "a line is made free before the cursor is saved"
    assert screen.getvalue().endswith("\x1b8"), "the cursor goes back to where pytest left it"
    assert capture.off == 1


def test_short_runs_stay_quiet_and_long_ones_write_seldom(monkeypatch, clock):
    screen, capture, advance = shown(monkeypatch, terminal=True)
    for step in range(10):
        clock[0] += PATIENCE / 20
        advance("images", step, 100)
    assert screen.getvalue() == ""
    clock[0] += PATIENCE
    for _ in range(10):
        clock[0] += EVERY / 20
        advance("images", 20, 100)
    assert capture.off == 1


def test_the_line_is_taken_away_at_the_end(monkeypatch, clock):
    screen, _, advance = shown(monkeypatch, terminal=True)
    advance("images", 0, 100)
    clock[0] += PATIENCE + 0.1
    advance("images", 50, 100)
    written = len(screen.getvalue())
    for _ in range(2):
        advance("images", 100, 100)
    assert screen.getvalue()[written:] == "\x1bD\x1b[1A\x1b7\n\r\x1b[K\x1b8", "cleared once"
