"""A progress line on long runs that leaves pytest's own output alone."""

import sys
import textwrap
import time
from typing import Any

from harness.report.escaping import plain
from harness.report.verdict_text import verdict_line
from harness.results.record import RunRecord

PATIENCE = 2.0  # seconds before a line appears: short runs stay quiet
# One line down and up again in the same column: at the bottom of the screen this scrolls before the cursor is saved.
MAKE_ROOM = "\x1bD\x1b[1A"
EVERY = 0.2


class Progress:
    """Writes one line below pytest's on a terminal, rewrites it in place, and takes it away at the end.

    Without a terminal (a file, CI, a worker process) it writes nothing.
    """

    def __init__(self, reporter: Any, capture: Any) -> None:
        self._capture, self._reporter = capture, reporter
        self._on = bool(reporter is not None and sys.__stderr__ is not None and sys.__stderr__.isatty())
        self._began = self._written = 0.0
        self._task = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show that `done` of `total` are through."""
        if not self._on:
            return
        now = time.monotonic()
        if what != self._task:
            self._task, self._began = what, now
        if done >= total:
            if self._written:
                self._write("\n\r\x1b[K")
            self._written = 0.0
            return
        if now - self._began < PATIENCE or now - self._written < EVERY:
            return
        rest = (now - self._began) * (total - done) / max(done, 1)
        bar = "#" * int(24 * done / max(total, 1))
        self._write(f"\n\r\x1b[K  {plain(what)} {done}/{total} [{bar:<24}] {rest:.0f} s left at most")
        self._written = now

    def tell(self, record: RunRecord) -> None:
        """Print a verdict on a line of its own, also without a terminal; pytest goes on with its own line below."""
        line = verdict_line(record)
        if self._capture is None or self._reporter is None:
            print(line, flush=True)
            return
        with self._capture.global_and_fixture_disabled():
            self._reporter.ensure_newline()
            for part in textwrap.wrap(line, self._reporter._tw.fullwidth, subsequent_indent="  "):
                self._reporter.write_line(part)

    def _write(self, text: str) -> None:
        """Write past pytest's capturing, and put the cursor back where pytest left it."""
        stream = sys.__stderr__
        assert stream is not None
        if self._capture is None:
            stream.write(f"{MAKE_ROOM}\x1b7{text}\x1b8")
        else:
            with self._capture.global_and_fixture_disabled():
                stream.write(f"{MAKE_ROOM}\x1b7{text}\x1b8")
        stream.flush()
