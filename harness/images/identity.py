"""Which stored pictures are the same: the content of a listing, and copies of a picture within it or in another one.

Files are compared byte by byte over the whole listing, which costs little: their sizes and ends are read for the
fingerprint anyhow, and only files that agree in these are read whole. Pictures of the same pixels in other bytes are
found among those that a run decodes (`harness.images.checked`).
"""

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from harness.images.listing import Listing, threaded

EDGE = 4096  # bytes of a picture's file that count for its identity, at either end
BLOCK = 256  # files hashed in one task
Ends = tuple[int, str]  # size of a file in bytes, hash of its first and last bytes


@dataclass(frozen=True, eq=False)
class Content:
    """The files of a listing, compared by their bytes."""

    listing: Listing

    @cached_property
    def ends(self) -> Sequence[Ends]:
        """Give size and hashed ends of every entry."""
        starts = range(0, len(self.listing), BLOCK)
        return list(chain.from_iterable(threaded(lambda start: _block(self.listing, start), starts)))

    def digest(self) -> str:
        """Identify the content: sha256 over (name, size in bytes, label, first and last 4 kB) of all entries by name.

        Neither the place of the folder nor the time stamps count. A file of more than 8 kB that is changed in its
        middle only, at the same size, keeps its identity: hashing 50,000 whole pictures would take minutes.
        """
        listing = self.listing
        labels = [None] * len(listing) if listing.labels is None else listing.labels.tolist()
        rows = zip(listing.names, labels, self.ends, strict=True)
        hashed = hashlib.sha256()
        for name, label, (size, edges) in sorted(rows, key=lambda row: row[0]):
            hashed.update(json.dumps([name, size, label, edges]).encode())
        return hashed.hexdigest()

    def copies(self) -> list[list[int]]:
        """List the entries that are copies of one another, file by file, each group sorted by name."""
        groups = []
        for alike in self._by_ends.values():
            if len(alike) > 1:
                same = defaultdict(list)
                for entry in sorted(alike, key=self.listing.names.__getitem__):
                    same[self.whole(entry)].append(entry)
                groups += [group for group in same.values() if len(group) > 1]
        return groups

    def shared_with(self, other: "Content") -> dict[int, str]:
        """Find the entries whose very file is in the other listing too, with its name there."""
        found = {}
        for ends, entries in self._by_ends.items():
            theirs = {other.whole(entry): other.listing.names[entry] for entry in other._by_ends.get(ends, ())}
            for entry in entries if theirs else ():
                if (name := theirs.get(self.whole(entry))) is not None:
                    found[entry] = name
        return found

    def whole(self, entry: int) -> str:
        """Hash a whole file; the ends say it all where they meet."""
        size, edges = self.ends[entry]
        if size <= 2 * EDGE:
            return edges
        with self.listing.open(entry) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def _by_ends(self) -> Mapping[Ends, Sequence[int]]:
        """Group entries by size and ends; what is empty or cannot be opened is no copy of anything."""
        alike = defaultdict(list)
        for entry, ends in enumerate(self.ends):
            if ends[0]:
                alike[ends].append(entry)
        return alike


def _block(listing: Listing, start: int) -> list[Ends]:
    """Hash a block of entries at a time, for a task of a thread costs more than a small file."""
    return [_edge(listing, entry) for entry in range(start, min(start + BLOCK, len(listing)))]


def _edge(listing: Listing, entry: int) -> Ends:
    """Hash both ends of a file; an entry that cannot even be opened counts as empty and is named when it is checked."""
    try:
        with listing.open(entry) as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            hashed = hashlib.sha256(file.read(EDGE))
            file.seek(max(0, size - EDGE))
            hashed.update(file.read(EDGE))
    except OSError:
        return 0, ""
    return size, hashed.hexdigest()
