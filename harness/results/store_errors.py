"""What can be wrong with the file of a store, each with its cure in one sentence."""

import errno
import json
import os
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import ClaimsError

ELSEWHERE = "--claims-cache DIR of a run or --cache DIR of a command names another folder"
# By the beginning of SQLite's name of an error; the first that fits is told.
CURES = {
    ("BUSY", "LOCKED"): f"another process holds it; wait for that one, or {ELSEWHERE}",
    ("FULL",): "its disk is full; make room and run again: what was stored before is whole",
    ("READONLY", "PERM", "AUTH"): f"it may not be written to here; change that, copy its folder, or {ELSEWHERE}",
    ("NOTADB", "CORRUPT", "FORMAT", "ERROR", "MISMATCH", "CONSTRAINT", "GARBLED"): (
        "it is damaged or no file of ours; bring back a copy, or move it away with the files of the same beginning "
        "beside it: the next run makes a new one, and accepted verdicts lie elsewhere"
    ),
    ("NOMEM", "TOOBIG"): "it needs more memory than there is here",
    ("",): f"it cannot be opened or read here; see that its folder is one and may be written to, or {ELSEWHERE}",
}
OF_THE_DISK = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "FULL"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "READONLY"),
}
IN_WORDS = re.compile(r"\(os error (\d+)\)")  # as libraries written in Rust put it
GARBLED = (ValueError, TypeError, LookupError, AttributeError, zlib.error, RecursionError)


class StoreError(ClaimsError):
    """Say what is wrong with a store and how to go on; nothing else could be stored or read either."""


def told(path: Path | str, error: BaseException) -> StoreError:
    """Put an error of SQLite or of the disk into one sentence with its cure."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if isinstance(error, OSError):
        name = OF_THE_DISK.get(error.errno or 0, "")
    elif not name:  # a row that cannot be read, or text that is none
        name = "GARBLED"
    name = name.removeprefix("SQLITE_")
    cure = next(cure for names, cure in CURES.items() if name.startswith(names))
    why = " ".join(str(getattr(error, "strerror", None) or error).split())
    return StoreError(f"cannot use {str(path)!r} ({why:.120}): {cure}.")


def of_the_disk(error: BaseException, place: Path | None) -> StoreError | None:
    """Recognize a disk that is full or may not be written to, whichever library met it; None for any other error."""
    number = getattr(error, "errno", None) if isinstance(error, OSError) else None
    if number is None and (found := IN_WORDS.search(str(error))):
        number = int(found[1])
    if number not in OF_THE_DISK:
        return None
    return told(place or "a file of the run", OSError(number, os.strerror(number)))


@contextmanager
def readable(path: Path | str) -> Iterator[None]:
    """Turn what reading garbled rows raises into one sentence."""
    try:
        yield
    except GARBLED as error:
        raise told(path, error) from error


def parsed(text: Any) -> Any:
    """Read JSON of a row."""
    if not isinstance(text, str | bytes):
        raise TypeError(f"a row holds {type(text).__name__} where text belongs")
    return json.loads(text)


class _Cursor(sqlite3.Cursor):
    """A cursor whose errors say what to do."""

    def _do(self, method: Any, *given: Any) -> Any:
        try:
            return method(*given)
        except sqlite3.Error as error:
            raise told(getattr(self.connection, "place", "the store"), error) from error

    def execute(self, *given: Any) -> "_Cursor":
        self._do(super().execute, *given)
        return self

    def fetchone(self) -> Any:
        return self._do(super().fetchone)

    def fetchall(self) -> list[Any]:
        return self._do(super().fetchall)

    def __next__(self) -> Any:
        return self._do(super().__next__)


class Connection(sqlite3.Connection):
    """A connection whose errors say what to do; `place` is the file that they name."""

    place: Path | str = "the store in memory"

    def cursor(self, factory: Any = _Cursor) -> Any:
        """Give a cursor; `execute` of a connection makes one too."""
        return super().cursor(factory)

    def execute(self, *given: Any) -> Any:
        """Run one statement."""
        return self.cursor().execute(*given)
