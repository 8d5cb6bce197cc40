"""What was found when pictures were opened, in one line."""

from collections import Counter
from collections.abc import Sequence

from harness.images.decoding import Look
from harness.images.walking import LeftOut

UPRIGHT = 1
SHOWN = 4  # kinds of a thing that are told one by one


def audit(found: int, looks: Sequence[Look], left_out: Sequence[LeftOut], labels: str) -> str:
    """Tell how many pictures were found, left out and why, how those looked at are stored, and how they are labelled.

    `found` counts files that could be pictures; those beyond the limit of a run are not looked at.
    """
    kinds: Counter[str] = Counter()
    for one in left_out:
        kinds[one.kind] += one.count
    gone = f", {kinds.total():,} left out ({_counted(kinds, len(kinds))})" if kinds else ""
    shapes = [look.shape for look in looks]
    modes = Counter(shape.mode for shape in shapes)
    turned = Counter(f"EXIF orientation {shape.orientation}" for shape in shapes if shape.orientation != UPRIGHT)
    how = f"; {_counted(turned)}, turned upright" if turned else ""
    return f"{found:,} pictures{gone}, {len(looks):,} used: {_sizes(looks)}, {_counted(modes)}{how}; {labels}"


def _sizes(looks: Sequence[Look]) -> str:
    sizes = Counter(look.shape.size for look in looks)
    least, most = (pick(sizes, key=lambda size: (size[0] * size[1], size)) for pick in (min, max))
    if len(sizes) == 1:
        return f"{least[0]} x {least[1]} pixels"
    return f"{least[0]} x {least[1]} to {most[0]} x {most[1]} pixels ({len(sizes)} sizes)"


def _counted(kinds: Counter[str], shown: int = SHOWN) -> str:
    """Tell counts, the most frequent first."""
    most = sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(count for _, count in most[shown:])
    return ", ".join(f"{count:,} {kind}" for kind, count in most[:shown]) + (f", {rest:,} other" if rest else "")
