"""Files that are whole or as they were: written beside, brought to the disk, and renamed.

A full disk, a kill or a crash of the machine at any moment leaves the file of before. What a kill leaves beside it is
swept away by the next writer in that folder.
"""

import os
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import ClaimsError

DRAFT = ".claims-{}.draft"
STALE_SECONDS = 3600.0  # a draft of this age was left by a kill: writing takes seconds


def write_whole(path: Path, data: bytes, what: str) -> None:
    """Put `data` in the place of a file; see `write_together`."""
    write_together({path: data}, what)


def write_together(files: Mapping[Path, bytes], what: str) -> None:
    """Put bytes in the place of files by path, making their folders; all are on the disk before the first is replaced.

    What is no regular file (`/dev/stdout`, a pipe) is written to directly.
    Raises ClaimsError with `what` could not be written, where, why and the cure.
    """
    drafts: list[tuple[Path, Path]] = []
    path = Path()
    try:
        for path, data in files.items():
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                path.write_bytes(data)
                continue
            target = Path(os.path.realpath(path))  # a link stays one
            target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(target.parent)
            drafts.append((target.parent / DRAFT.format(uuid.uuid4().hex[:12]), target))
            _bring_to_disk(drafts[-1][0], data)
        for draft, target in drafts:
            os.replace(draft, target)
        for folder in {target.parent for _, target in drafts}:
            _settle(folder)
    except (OSError, ValueError) as error:  # ValueError: a name with a null in it
        why = getattr(error, "strerror", None) or error
        raise ClaimsError(
            f"cannot write {what} {str(path)!r}: {why}; what was there before is unchanged. Make room, or name a file "
            "in a folder that you may write to"
        ) from error
    finally:
        for draft, _ in drafts:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Let one process at a time read, change and write what lies in a folder; a kill lets go of it.

    Where the system or the disk has no such lock the block runs without one.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with suppress(OSError):  # what cannot be made or locked is told by the write
        folder.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _bring_to_disk(draft: Path, data: bytes) -> None:
    with draft.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _settle(folder: Path) -> None:
    """Bring the new names to the disk, where folders can be."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sweep(folder: Path) -> None:
    """Take away what kills left behind."""
    for left in folder.glob(DRAFT.format("*")):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                left.unlink()
