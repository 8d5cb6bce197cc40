"""`claims plan`: what a run would take on a model, before it runs."""

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.arguments import add_claims_folder, error_level, positive
from harness.cli.console import show_table
from harness.judging.catalogue import claims_below
from harness.judging.discovery import chosen
from harness.report.escaping import plain

if TYPE_CHECKING:
    from harness.running.forecast import PlannedClaim, Planner

NAME = "plan"
HELP = "tell images, forward-equivalents and minutes per claim for a model, before running"
COLUMNS = ("claim", "arms", "forwards/image", "expected", "budget", "minutes", "note")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument(
        "--model", action="append", required=True, help="any name that --model of a run takes (repeatable)"
    )
    parser.add_argument("--claim", action="append", metavar="ID", help="claim id (repeatable; default: all)")
    add_claims_folder(parser)
    parser.add_argument("--data", help="pictures of the run (default: embedded, where they fit the model)")
    parser.add_argument("--train-data", help="pictures on which probes are fitted")
    parser.add_argument("--delta", type=error_level, help="error level (default: the ledger's)")
    parser.add_argument("--max-images", type=int, help="cap on the image budget of every claim")
    parser.add_argument("--batch-size", type=int, default=64, help="images measured together (default 64)")
    parser.add_argument("--device", default="cpu", help="torch device that is timed (default cpu)")
    parser.add_argument(
        "--images-per-second", type=positive, metavar="X", help="speed of a plain forward pass (default: timed here)"
    )


def run(asked: argparse.Namespace) -> int:
    """Print one table per model."""
    from harness.running.forecast import Planner
    from harness.running.preflight import check_device

    check_device(asked.device)
    claims = chosen(claims_below(asked.claims), asked.claim, "claim", "--claim")
    for name in asked.model:
        planner = Planner.of(
            name,
            data=asked.data,
            train_data=asked.train_data,
            delta=asked.delta,
            max_images=asked.max_images,
            batch_size=asked.batch_size,
            most=max(claim.spec.budget for claim in claims.values()),
        )
        speed = asked.images_per_second or planner.time_forward(asked.device)
        _show(planner, [planner.plan(claim) for claim in claims.values()], speed, timed=asked.images_per_second is None)
    return 0


def _show(planner: "Planner", planned: "Sequence[PlannedClaim]", speed: float, timed: bool) -> None:
    from harness.measurement.expected_images import CLEAN_ACCURACY, DISCORDANCE

    card = planner.entry.card
    how = "timed here on a small batch with random weights" if timed else "as given"
    print(plain(f"{planner.entry.name} ({planner.entry.resolved}), {card.depth} blocks, on {planner.data_note}"))
    if planner.audit:
        print(plain(planner.audit))
    print(f"plain forward pass: {speed:.4g} images/s, {how}\n")
    applicable = [claim for claim in planned if claim.plan is not None]
    show_table(COLUMNS, [_row(claim, speed) for claim in applicable], right=COLUMNS[1:6])
    for reason in dict.fromkeys(claim.reason for claim in planned if claim.plan is None):
        named = [claim.spec.id for claim in planned if claim.reason == reason]
        print(plain(f"not applicable ({len(named)}), {reason}: {', '.join(named)}"))
    if not applicable:
        return
    alone = sum(claim.forwards for claim in applicable)
    total = planner.together(applicable)
    forwards = total.total / card.depth
    print(
        f"\nall {len(applicable)} claims merged: {total.per_image / card.depth:.2f} forward-equivalents per image "
        f"while all run (one by one {alone:.2f}), {forwards:,.0f} in all, {_minutes(forwards, speed)} min"
    )
    if fits := planner.training_images(applicable):
        print(f"and one pass over {fits} training images for the probes: {_minutes(fits, speed)} min")
    print(
        "expected: images until the effect is decided if the published value is true of this model, in whole chunks, "
        f"assuming {CLEAN_ACCURACY:.0%} right without edits below a ratio, and {DISCORDANCE:.0%} of the images won and "
        "lost beside the net effect;\ngate and control may take more. A blank: no published value tells, the budget is "
        "counted."
    )


def _row(claim: "PlannedClaim", speed: float) -> tuple[str, ...]:
    expected = claim.expected
    shown = "" if expected is None else "inf" if math.isinf(expected) else f"{expected:.0f}"
    return (
        claim.spec.id,
        str(len(claim.plan.arms) if claim.plan else 0),
        f"{claim.forwards:.2f}",
        shown,
        str(claim.budget),
        _minutes(claim.forwards * claim.images, speed),
        claim.note,
    )


def _minutes(forwards: float, speed: float) -> str:
    return f"{forwards / speed / 60:.2f}"
