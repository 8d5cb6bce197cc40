"""`claims judge`: what the stored measurements say under the present ledger, or under other bounds."""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache, add_choice, add_claims_folder, error_level
from harness.cli.console import show_table
from harness.errors import ClaimsError, NotApplicable, unknown
from harness.judging.catalogue import claims_below
from harness.judging.discovery import chosen
from harness.report.escaping import paragraphs, plain

if TYPE_CHECKING:
    from harness.judging.discovery import Claim
    from harness.results.history import History
    from harness.results.record import RunRecord

NAME = "judge"
HELP = "judge stored measurements again, with other bounds if given; no forward pass, nothing is recorded"
EXPLORATORY = " (exploratory)"
Bounds = dict[str, dict[str, float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    add_claims_folder(parser)
    add_cache(parser)
    add_choice(parser)
    parser.add_argument("--bound", action="append", metavar="CLAIM.NAME=VALUE", help="another bound (repeatable)")
    parser.add_argument("--delta", type=error_level, help="error level (default: that of the record)")


def run(asked: argparse.Namespace) -> int:
    """Print the recorded and the new verdict of each claim on each model."""
    from harness.results.history import open_history

    claims = claims_below(asked.claims)
    bounds = parse_bounds(asked.bound or (), claims)
    history = open_history(asked.cache)
    last = history.latest()
    models = chosen({model: model for _, model in last}, asked.model, "model", "--model")
    kept = chosen(claims, asked.claim, "claim", "--claim")
    asked_for = [record for (claim, model), record in last.items() if claim in kept and model in models]
    picked = [record for record in asked_for if record.effect is not None]  # what was not applicable has no numbers
    rows, notes, refused = [], [], []
    for record in picked:
        try:
            row, said = _judged(kept[record.claim], record, history, bounds, asked.delta)
        except ClaimsError as error:  # the others can still be judged
            refused.append(str(error))
            continue
        rows.append(row)
        notes += said
    history.close()
    show_table(("claim", "model", "recorded", "now", "effect [interval]", "bound", "images"), rows, right=("images",))
    for note in notes:
        print(plain(note))
    changed = sum(row[2] != row[3].removesuffix(EXPLORATORY) for row in rows)
    print(f"{len(rows)} judged from stored measurements, {changed} changed; nothing was recorded")
    if strangers := sorted({claim for claim, _ in last if claim not in claims}):
        print(plain(f"recorded, but not in {asked.claims}: {', '.join(strangers)}"))
    for text in refused:
        print(paragraphs(f"claims judge: {text}"), file=sys.stderr)
    return 2 if refused else 0


def parse_bounds(texts: Sequence[str], claims: Mapping[str, "Claim"]) -> Bounds:
    """Read CLAIM.NAME=VALUE; ClaimsError for anything else, for unknown claims and for unknown bounds."""
    from harness.running.rejudge import with_bounds

    bounds: Bounds = {}
    for text in texts:
        place, equals, value = text.rpartition("=")
        claim, dot, name = place.partition(".")
        if not (equals and dot and _is_number(value)):
            raise ClaimsError(f"{text!r} in --bound; allowed: CLAIM.NAME=VALUE, such as my-claim.bound=0.9")
        if claim not in claims:
            raise unknown("claim", claim, claims, f"--bound {text}")
        bounds.setdefault(claim, {})[name] = float(value)
        with_bounds(claims[claim].spec, bounds[claim])
    return bounds


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _judged(
    claim: "Claim", record: "RunRecord", history: "History", bounds: Bounds, delta: float | None
) -> tuple[tuple[str, ...], list[str]]:
    """Give one row of the table, and what its reader must know."""
    from harness.measurement.record import finding_record
    from harness.report.verdict_text import bound_text, effect_text
    from harness.running.rejudge import rejudge, with_bounds

    place = (record.claim, record.model, str(record.verdict))
    spec = with_bounds(claim.spec, bounds.get(claim.spec.id, {}))
    try:
        numbers = history.outcomes(record.run, record.model, record.claim)
        keys = {name: history.key(identifier) for name, identifier in record.arms.items()}
        found = rejudge(claim, spec, record, numbers=numbers, keys=keys, delta=delta)
    except NotApplicable as refusal:
        return (*place, "not applicable", "-", "-", "-"), [f"{claim.spec.id} on {record.model}: {refusal}"]
    effect = finding_record(found.judgement.main)
    notes, about = [], f"{claim.spec.id} on {record.model}"
    if str(found.judgement.verdict) != record.verdict:
        notes.append(f"{about}: {found.judgement.reason}")
    if found.exploratory:
        notes.append(
            f"{about}: exploratory: its bounds or its error level are not those under which it was measured, and may "
            f"have been chosen after looking; such a verdict may be wrong up to twice as often as {found.delta:g}"
        )
    if found.outdated:
        notes.append(f"{about}: the code of its {found.outdated} has changed since it was measured")
    now = f"{found.judgement.verdict}{EXPLORATORY if found.exploratory else ''}"
    return (*place, now, effect_text(effect), bound_text(effect), str(found.images)), notes
