"""What lies in a folder of pictures: files that can be read, and everything else by name with the reason.

Links are followed once and only out of the folder: what they lead to within it counts at its own place, or a class
folder that links to its neighbour would give pictures two labels. What is no regular file is never opened.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from PIL import Image, features

from harness.errors import ClaimsError

PICTURES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"),
    *(".pbm", ".pnm", ".jp2", ".j2k", ".avif", ".avifs", ".qoi", ".tga", ".heic", ".heif", ".jxl"),
    *(".dng", ".cr2", ".nef", ".arw"),
)
SPECIAL = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
BUILT_IN = {"avif": {".avif", ".avifs"}, "webp": {".webp"}, "jpg_2000": {".jp2", ".j2k"}}  # if Pillow was built so


@dataclass(frozen=True)
class LeftOut:
    """What is not measured: a name, the reason, the kind under which it is counted, how many pictures it stands for."""

    name: str
    reason: str
    kind: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass
class Walk:
    """One reading of a folder; it remembers where links have led, so that every file counts once."""

    root: Path
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)  # files that are no pictures
    reasons: dict[Path, str | None] = field(default_factory=dict)  # why a link is not followed, None where it is
    reached: set[Path] = field(default_factory=set)  # where links have led
    above: set[Path] = field(default_factory=set)  # the folders that hold a folder that was reached

    @cached_property
    def home(self) -> Path:
        """Give the root without links."""
        return self.root.resolve()

    def folders(self) -> list[str]:
        """List the folders directly below the root in sorted order."""
        return sorted(place.name for place, shape in self._entries(self.root) if stat.S_ISDIR(shape.st_mode))

    def pictures(self, folder: str = "", *, deep: bool) -> list[str]:
        """List the pictures in a folder below the root as sorted paths relative to it."""
        top = self.root / folder
        return sorted(place.relative_to(top).as_posix() for place in self._files(top, deep))

    def _files(self, folder: Path, deep: bool) -> Iterator[Path]:
        waiting = [folder]
        while waiting:
            for place, shape in self._entries(waiting.pop()):
                if stat.S_ISDIR(shape.st_mode):
                    waiting += [place] if deep else []
                elif self._is_picture(place, shape.st_mode):
                    yield place

    def _entries(self, folder: Path) -> list[tuple[Path, os.stat_result]]:
        """List what a folder shows, links that lead out of the root for the first time among it."""
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError as error:
            raise ClaimsError(f"folder {folder} cannot be read: {error.strerror}") from error
        return [(place, shape) for name in names if (shape := self._shape(place := folder / name)) is not None]

    def _shape(self, place: Path) -> os.stat_result | None:
        if not place.is_symlink():
            return place.stat()
        if place not in self.reasons:
            self.reasons[place] = self._reason(place)
        if reason := self.reasons[place]:
            self._leave_out(place, reason, "links")
            return None
        return place.stat()

    def _reason(self, place: Path) -> str | None:
        """Say why a link is not followed, or remember where it leads."""
        try:
            target = place.resolve(strict=True)
        except (OSError, RuntimeError):
            return "a link that leads nowhere"
        if target.is_relative_to(self.home) or self.home.is_relative_to(target):
            return f"a link to {os.readlink(place)!r}, which counts at its own place"
        if target in self.above or not self.reached.isdisjoint((target, *target.parents)):
            return f"a link to {os.readlink(place)!r}, where another link leads"
        self.reached.add(target)
        self.above |= set(target.parents) if target.is_dir() else set()
        return None

    def _is_picture(self, place: Path, mode: int) -> bool:
        suffix = place.suffix.lower()
        if not stat.S_ISREG(mode):
            what = SPECIAL.get(stat.S_IFMT(mode), "special file")
            self._leave_out(place, f"a {what}, not a file", f"{what}s")
        elif suffix not in PICTURES:
            self.others.add(place.relative_to(self.root).as_posix())
        elif suffix not in readable():
            name = place.relative_to(self.root).as_posix()
            self.left_out[name] = no_decoder(name, suffix)
        else:
            return True
        return False

    def _leave_out(self, place: Path, reason: str, kind: str) -> None:
        name = place.relative_to(self.root).as_posix()
        self.left_out[name] = LeftOut(name, reason, kind)


@cache
def readable() -> frozenset[str]:
    """List the suffixes of pictures that the installed Pillow decodes."""
    Image.init()
    known = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    for feature, suffixes in BUILT_IN.items():
        known -= set() if features.check(feature) else suffixes
    return frozenset(known & set(PICTURES))


def no_decoder(name: str, suffix: str) -> LeftOut:
    """Leave out a picture that this Pillow cannot read."""
    return LeftOut(name, f"no decoder for {suffix} in this Pillow", f"{suffix} without decoder")
