"""Which pictures of a listing are measured: each picture once, decoded once, none that is among others already used.

Copies of a file are found over the whole listing and set aside before the order is drawn, so that every picture has
the same chance of every place. The same pixels in other bytes show only when pictures are decoded; there the first in
the order counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.errors import ClaimsError
from harness.images.class_order import class_order
from harness.images.decoding import Look, Meaningless, fault
from harness.images.identity import Content
from harness.images.listing import Listing, threaded
from harness.images.sampling import measuring_order
from harness.images.walking import LeftOut

BLOCK = 256  # pictures checked at a time while opening
COPY = "same picture as another"
SHARED = "among the measured pictures"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Pictures that a further set must not hold: their files, and the pixels of those that were decoded, with names."""

    content: Content
    pixels: Mapping[str, str]


@dataclass(kw_only=True)
class Checked:
    """What a check found: entries kept in measuring order with what was seen of each, and what was left out."""

    listing: Listing
    limit: int | None
    wanted: Sequence[int]  # entries in measuring order, copies and pictures of another set left out
    kept: list[int] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)  # by hash of pixels, the entry that counts

    @property
    def full(self) -> bool:
        """Tell whether no further picture is wanted."""
        return self.limit is not None and len(self.kept) == self.limit

    @property
    def classes_present(self) -> int:
        """Count the classes of what could be measured: of what was kept, or of all where the limit came first."""
        labels = self.listing.labels
        return 0 if labels is None else len(np.unique(labels[self.wanted if self.full else self.kept]))

    @property
    def pixels(self) -> dict[str, str]:
        """Name the pictures that were kept by the hash of their pixels."""
        return {pixels: self.listing.names[entry] for pixels, entry in self.seen.items()}

    def take(self, entry: int, found: Look | Exception, apart: Mapping[str, str]) -> None:
        """Keep a picture, or leave it out with the reason; `apart` names pictures of another set by their pixels."""
        name = self.listing.names[entry]
        if isinstance(found, Exception):
            reason = f"{type(found).__name__}: {found}".replace("\n", " ")
            kind = "no exact meaning in 8 bits" if isinstance(found, Meaningless) else "cannot be decoded"
            self.left_out.append(LeftOut(name, str(found) if isinstance(found, Meaningless) else reason, kind))
        elif found.pixels in apart:
            self.left_out.append(_shared(name, apart[found.pixels]))
        elif found.pixels in self.seen:
            self.left_out.append(_copy(self.listing, entry, self.seen[found.pixels]))
        else:
            self.seen[found.pixels] = entry
            self.kept.append(entry)
            self.looks.append(found)


def check(
    listing: Listing, content: Content, seed: int, limit: int | None, apart: Measured | None, by_class: bool = False
) -> Checked:
    """Put entries into measuring order and decode them from the first on until `limit` are kept (None: all).

    A larger limit adds pictures at the end and moves none.

    Raises:
        ClaimsError: no picture remains, or those that do cannot be put in an order by class.
    """
    shared = {} if apart is None else content.shared_with(apart.content)
    copies = {entry: one for entry, one in _copies(listing, content).items() if entry not in shared}
    aside = [*(_shared(listing.names[entry], name) for entry, name in shared.items()), *copies.values()]
    passed = {*shared, *copies}
    entries = sorted((e for e in range(len(listing)) if e not in passed), key=listing.names.__getitem__)
    labels = None if listing.labels is None else listing.labels[entries]
    drawn = class_order(labels, seed, listing.name) if by_class else measuring_order(len(entries), seed)
    order = np.array(entries, dtype=np.int64)[drawn].tolist()
    found = Checked(listing=listing, limit=limit, wanted=order, left_out=[*listing.left_out, *aside])
    _fill(found, {} if apart is None else apart.pixels)
    if not found.kept:
        raise _none_left(listing, found.left_out)
    return found


def _fill(found: Checked, apart: Mapping[str, str]) -> None:
    for start in range(0, len(found.wanted), BLOCK):
        block = found.wanted[start : start + BLOCK]
        looks = threaded(lambda entry: fault(found.listing.open, entry), block)
        for entry, seen in zip(block, looks, strict=True):
            if found.full:
                return
            found.take(entry, seen, apart)


def _copies(listing: Listing, content: Content) -> dict[int, LeftOut]:
    """Leave out all copies of a file but the first by name, and that too where they have several labels."""
    found: dict[int, LeftOut] = {}
    for first, *others in content.copies():
        found |= {entry: _copy(listing, entry, first) for entry in others}
        contrary = [] if listing.labels is None else [e for e in others if listing.labels[e] != listing.labels[first]]
        if contrary:
            found[first] = _copy(listing, first, contrary[0])
    return found


def _shared(name: str, measured: str) -> LeftOut:
    return LeftOut(name, f"same picture as {measured}, which is measured", SHARED)


def _copy(listing: Listing, entry: int, other: int) -> LeftOut:
    labels = listing.labels
    contrary = labels is not None and labels[entry] != labels[other]
    label = f", which has label {labels[other]}, not {labels[entry]}" if labels is not None and contrary else ""
    return LeftOut(listing.names[entry], f"same picture as {listing.names[other]}{label}", COPY)


def _none_left(listing: Listing, left_out: Sequence[LeftOut]) -> ClaimsError:
    if sum(one.kind == SHARED for one in left_out) == len(listing):
        return ClaimsError(
            f"{listing.name!r} holds the very pictures that are measured; a probe must be fitted on other ones"
        )
    shown = next((one for one in left_out if one.kind not in (COPY, SHARED)), left_out[0])
    return ClaimsError(f"none of the {len(listing)} pictures of {listing.name!r} can be used: {shown}, ...")
