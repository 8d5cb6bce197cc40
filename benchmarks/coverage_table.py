"""Tables of which claims can be asked of which architectures."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel

Row = dict[str, Any]
FEW = 20  # claims that a name with a class token should have
LINE = "{:<26} {:>5} {:>9} {:>6} {:>11} {:>9}  {}"


class Described(BaseModel):
    """What was found out of one name without its weights: claims that apply, or why it cannot be read."""

    name: str
    seconds: float
    family: str = ""
    parameters: int = 0
    depth: int = 0
    class_token: bool = False
    late: bool = False
    head: bool = False
    claims: list[str] = []
    refused: str = ""
    failed: str = ""

    @property
    def mebibytes(self) -> float:
        """Give the memory of the weights in fp32."""
        return self.parameters * 4 / 2**20


def summary(names: Sequence[Described], built: Sequence[Row], each: bool) -> str:
    """Tell of all names by family (or one by one), and count what should not be."""
    if not names:
        return "nothing is in the log yet"
    return "\n".join([*(_each(names) if each else _families(names)), "", *_counts(names), "", *_built(built)])


def _families(names: Sequence[Described]) -> Iterable[str]:
    by_family: dict[str, list[Described]] = defaultdict(list)
    for one in names:
        by_family[one.family or "(none)"].append(one)
    yield LINE.format("family", "names", "claims", "token", "MiB", "s a name", "smallest")
    for family, members in sorted(by_family.items(), key=lambda item: -len(item[1])):
        claims = sorted(len(one.claims) for one in members)
        sizes = sorted(one.mebibytes for one in members)
        yield LINE.format(
            family,
            len(members),
            f"{claims[0]}-{claims[-1]}",
            sum(one.class_token for one in members),
            f"{sizes[0]:.0f}-{sizes[-1]:.0f}",
            f"{sum(one.seconds for one in members) / len(members):.1f}",
            min(members, key=lambda one: one.parameters).name,
        )


def _each(names: Sequence[Described]) -> Iterable[str]:
    yield LINE.format("family", "depth", "claims", "token", "MiB", "s", "name")
    for one in names:
        token = "late" if one.late else "yes" if one.class_token else ""
        size, seconds = f"{one.mebibytes:.0f}", f"{one.seconds:.1f}"
        yield LINE.format(one.family or "(none)", one.depth, len(one.claims), token, size, seconds, one.name)


def _counts(names: Sequence[Described]) -> Iterable[str]:
    none = [one for one in names if not one.claims]
    few = [one for one in names if one.class_token and len(one.claims) < FEW]
    spread = Counter("0" if not n else "1-9" if n < 10 else "10-19" if n < 20 else "20 or more" for n in _sizes(names))
    yield f"{len(names)} names; by claims that apply: " + ", ".join(
        f"{kind}: {n}" for kind, n in sorted(spread.items())
    )
    yield f"no claim: {len(none)} ({len(none) / len(names):.1%})"
    reasons: dict[str, list[str]] = defaultdict(list)
    for one in none:
        reasons[one.refused or ("traceback" if one.failed else "no claim applies")].append(one.name)
    for reason, whose in reasons.items():
        yield f"    {', '.join(whose)}: {reason}"
    yield f"a class token and less than {FEW} claims: {len(few)}"
    families = Counter(f"{one.family} ({'late' if one.late else 'from the start'}, {len(one.claims)})" for one in few)
    yield from (f"    {n} of {family}" for family, n in families.items())
    failed = [one for one in names if one.failed]
    yield f"tracebacks: {len(failed)}"
    yield from (f"    {one.name}: {one.failed.strip().splitlines()[-1]}" for one in failed)


def _sizes(names: Sequence[Described]) -> list[int]:
    return [len(one.claims) for one in names]


def _built(built: Sequence[Row]) -> Iterable[str]:
    wrong = [row for row in built if row["wrong"]]
    yield f"{len(built)} families built with random weights and checked; {len(wrong)} refused"
    for row in built:
        told = f"REFUSED: {row['wrong'].strip().splitlines()[-1]}" if row["wrong"] else "ok"
        yield f"    {row['built']:<40} {row['seconds']:6.1f} s, peak {row['peak_mib']:6.0f} MiB  {told}"
