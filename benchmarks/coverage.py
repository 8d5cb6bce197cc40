"""Which claims can be asked of which architectures of timm: `python -m benchmarks.coverage`.

Every name is described without weights, and the smallest member of every family is built with random ones and
checked as a run checks what it loads. Nothing is downloaded. A run that was ended goes on where it was.
"""

import argparse
import json
import resource
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import timm

from benchmarks.coverage_table import Described, Row, summary
from harness.errors import ClaimsError, NotApplicable
from harness.judging.discovery import Claim, find_claims
from harness.measurement.plan import propose
from harness.models.subject import ModelCard
from harness.models.zoo import resolve

ROOT = Path(__file__).parents[1]
LOG = ROOT / ".claims" / "coverage.jsonl"
LARGEST = 120_000_000  # parameters of a member that is built with weights


def applicable(claim: Claim, card: ModelCard) -> bool:
    """Say whether a claim can be asked of a model, as the only one or in one of the roles that it compares."""
    if card.missing(claim.spec.needs):
        return False
    if claim.spec.subjects:
        return any(card.missing(needs) is None for needs in claim.spec.subjects.values())
    try:
        propose(claim.function, claim.spec, card)
    except NotApplicable:
        return False
    return True


def describe(name: str, claims: Sequence[Claim]) -> Described:
    """Describe one name on the meta device; what cannot be read has its reason, any other error its traceback."""
    start = time.perf_counter()
    try:
        card = resolve(name).card
        asked = [claim.spec.id for claim in claims if applicable(claim, card)]
    except ClaimsError as error:
        return Described(name=name, seconds=time.perf_counter() - start, refused=str(error))
    except Exception:  # noqa: BLE001 - the table counts them
        return Described(name=name, seconds=time.perf_counter() - start, failed=traceback.format_exc(limit=-4))
    return Described(
        name=name,
        seconds=time.perf_counter() - start,
        family=card.family,
        parameters=card.parameters,
        depth=card.depth,
        class_token="class" in card.prefix,
        late="class" in card.prefix and "class_token" not in card.capabilities,
        head=card.classes > 0,
        claims=asked,
    )


def build(name: str) -> Row:
    """Build one name with random weights and check it; give seconds and the highest memory of this process so far."""
    start = time.perf_counter()
    try:
        resolve(name, pretrained=False).load()
        wrong = ""
    except ClaimsError as error:
        wrong = str(error)
    except Exception:  # noqa: BLE001 - the table counts them
        wrong = traceback.format_exc(limit=-4)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"built": name, "seconds": time.perf_counter() - start, "peak_mib": peak, "wrong": wrong}


def smallest(described: Sequence[Described]) -> Iterator[str]:
    """Name the smallest member of every family, where it is small enough to be built here."""
    families: dict[str, Described] = {}
    for one in sorted(described, key=lambda one: one.parameters):
        if one.family and one.parameters <= LARGEST:
            families.setdefault(one.family, one)
    yield from (one.name for one in families.values())


def main() -> None:
    """Go through the names, then the smallest members, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--log", type=Path, default=LOG, help="JSON lines of what is done (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="begin anew instead of going on from the log")
    parser.add_argument("--names", default="*", help="pattern of names (default: all)")
    parser.add_argument("--table", action="store_true", help="print the tables of the log and stop")
    parser.add_argument("--all", action="store_true", help="print a line for every name, not only for every family")
    asked = parser.parse_args()
    asked.log.parent.mkdir(exist_ok=True)
    if asked.fresh:
        asked.log.unlink(missing_ok=True)
    rows = read(asked.log)
    if not asked.table:
        fill(asked.log, rows, timm.list_models(asked.names))
    print(
        summary([Described(**row) for row in rows if "name" in row], [row for row in rows if "built" in row], asked.all)
    )


def fill(log: Path, rows: list[Row], names: Sequence[str]) -> None:
    """Add to the log what is missing in it."""
    claims = [claim for _, claim in sorted(find_claims(ROOT / "claims").items())]
    done = {row.get("name") for row in rows}
    for number, name in enumerate(names):
        if name not in done:
            add(log, rows, describe(name, claims).model_dump())
            print(f"\r{number + 1} of {len(names)} {name:<60}", end="", flush=True)
    built = {row.get("built") for row in rows}
    for name in smallest([Described(**row) for row in rows if "name" in row]):
        if name not in built:
            add(log, rows, build(name))
            print(f"\rbuilt {name:<70}", end="", flush=True)
    print()


def read(log: Path) -> list[Row]:
    """Read the log; a last line that was cut off is left out."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    rows: list[dict[str, Any]] = []
    for line in lines:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def add(log: Path, rows: list[Row], row: Row) -> None:
    """Keep one result, on disk at once."""
    rows.append(row)
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
