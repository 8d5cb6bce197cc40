"""`claims plan`: what a run would take on a model, before it runs."""

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache, add_claims_folder, error_level, positive
from harness.cli.console import show_table
from harness.errors import ClaimsError
from harness.judging.catalogue import claims_below
from harness.judging.discovery import chosen
from harness.report.escaping import plain

if TYPE_CHECKING:
    from harness.judging.discovery import Claim
    from harness.running.forecast import PlannedClaim, Planner
    from harness.running.forecast_groups import PlannedComparison

NAME = "plan"
HELP = "tell images, forward-equivalents and minutes per claim for a model, before running"
WIDTH = 80
FITS_LEGEND = (
    "min: minutes alone, from a few steps of each training on this machine; last: minutes in the last run; fits: until "
    "the verdict if all agree, at the narrowest width where one is searched."
)
Seconds = Mapping[tuple[str, str], float]  # by claim and model
LEGEND = (
    "min: minutes alone, from the speed above; last: minutes in the last run, of what was shared its share; images: "
    "until the effect is decided if the published value is true of this model, in whole chunks, assuming {clean:.0%} "
    "right without edits below a ratio and {discordance:.0%} of the images won and lost beside the net effect (gate "
    "and control may take more), or the budget where no published value tells; !: beyond the budget, expect "
    "inconclusive; r: reported, not judged; fwd: forward passes per image, alone."
)


@dataclass(frozen=True, kw_only=True)
class _Row:
    """One claim of a table: `seconds` alone, `last` in the last run (None: not known)."""

    claim: str
    seconds: float
    last: float | None
    images: float
    forwards: float
    mark: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument(
        "--model", action="append", required=True, help="any name that --model of a run takes (repeatable)"
    )
    parser.add_argument("--claim", action="append", metavar="ID", help="claim id (repeatable; default: all)")
    add_claims_folder(parser)
    add_cache(parser)
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
    """Print one table per model, and one of what compares them where there are several."""
    from harness.measurement.expected_images import CLEAN_ACCURACY, DISCORDANCE
    from harness.running.forecast import Planner
    from harness.running.forecast_groups import plan_comparisons
    from harness.running.preflight import check_device
    from harness.trainings.families import FAMILIES

    check_device(asked.device)
    claims = chosen(claims_below(asked.claims), asked.claim, "claim", "--claim")
    several = len(asked.model) > 1
    alone = [claim for claim in claims.values() if not (several and claim.spec.subjects)]
    planners, speeds, took = {}, {}, _seconds_before(asked.cache)
    families = [name for name in dict.fromkeys(asked.model) if name in FAMILIES]
    alone = [claim for claim in alone if not claim.spec.family]
    for name in families:
        _show_family(name, [claim for claim in claims.values() if claim.spec.family == name], asked, took)
    for name in asked.model:
        if name in families:
            continue
        planner = Planner.of(
            name,
            data=asked.data,
            train_data=asked.train_data,
            delta=asked.delta,
            max_images=asked.max_images,
            batch_size=asked.batch_size,
            most=max(claim.spec.budget for claim in claims.values()),
        )
        planners[planner.entry.name] = planner
        speeds[planner.entry.name] = speed = asked.images_per_second or planner.time_forward(asked.device)
        _show(planner, [planner.plan(claim) for claim in alone], speed, asked.images_per_second is None, took)
    if not planners:
        return 0
    together = [claim for claim in claims.values() if several and claim.spec.subjects]
    _show_compared([one for claim in together for one in plan_comparisons(claim, planners, speeds)], took)
    print(_wrapped(LEGEND.format(clean=CLEAN_ACCURACY, discordance=DISCORDANCE)))
    return 0


def _seconds_before(cache: Path) -> Seconds:
    """Read what claims took when they were last measured; nothing where there is no history."""
    from harness.results.history import open_history

    try:
        history = open_history(cache)
    except ClaimsError:
        return {}
    with closing(history):
        return {place: record.seconds for place, record in history.latest().items() if record.measured_images}


def _show(planner: "Planner", planned: "Sequence[PlannedClaim]", speed: float, timed: bool, took: Seconds) -> None:
    card, name = planner.entry.card, planner.entry.name
    how = "timed here on a small batch with random weights" if timed else "as given"
    print(_wrapped(f"{name} ({planner.entry.resolved}), {card.depth} blocks, on {planner.data_note}"))
    if planner.audit:
        print(_wrapped(planner.audit))
    print(f"plain forward pass: {speed:.4g} images/s, {how}\n")
    applicable = [claim for claim in planned if claim.plan is not None]
    _show_rows([_row(claim, claim.forwards / speed, took.get((claim.spec.id, name))) for claim in applicable])
    _show_refused(planned)
    if not applicable:
        return
    one_by_one, total = sum(claim.forwards for claim in applicable), planner.together(applicable)
    forwards = total.total / card.depth
    merged = (
        f"all {len(applicable)} claims merged: {total.per_image / card.depth:.2f} forward-equivalents per image while "
        f"all run (one by one {one_by_one:.2f}), {forwards:,.0f} in all, {_minutes(forwards / speed)} min"
    )
    print(_wrapped(merged))
    if fits := planner.training_images(applicable):
        passes = f"and one pass over {fits} training images for what is fitted, {_minutes(fits / speed)} min"
        print(_wrapped(f"{passes}; what fitting itself takes is not counted"))
    print()


def _show_family(name: str, claims: "Sequence[Claim]", asked: argparse.Namespace, took: Seconds) -> None:
    """Print what trainings take, of which claims share some, and for how many fits."""
    from harness.running.forecast_fits import plan_fits, seconds_by_recipe, training_pictures

    train = training_pictures(name, asked.data, asked.train_data)
    planned = list(plan_fits(name, claims, train))
    print(_wrapped(f"{name}, trained on {'no pictures' if train is None else f'{len(train)} of {train.name}'}"))
    seconds = {} if train is None else seconds_by_recipe(planned, train)
    cells = []
    for one in planned:
        if not one.reason:
            last, own = took.get((one.spec.id, name)), one.fits * sum(seconds[recipe] for recipe in one.recipes)
            cells.append([_minutes(own), "" if last is None else _minutes(last), f"{one.fits}", one.spec.id])
    if cells:
        show_table(("min", "last", "fits", "claim"), cells, ("min", "last", "fits"))
    for one in planned:
        if one.reason:
            print(_wrapped(f"not applicable, {one.reason}: {one.spec.id}"))
    fits = {recipe: max(one.fits for one in planned if recipe in one.recipes) for recipe in seconds}
    total = sum(seconds[recipe] * count for recipe, count in fits.items())
    print(_wrapped(f"all together, what they share trained once: {_minutes(total)} min. {FITS_LEGEND}"))


def _show_compared(compared: "Sequence[PlannedComparison]", took: Seconds) -> None:
    for label in dict.fromkeys(one.label for one in compared):
        own = [one for one in compared if one.label == label]
        print(_wrapped(label))
        asked = [one for one in own if one.claim.plan is not None]
        _show_rows([_row(one.claim, one.seconds, took.get((one.claim.spec.id, label))) for one in asked])
        _show_refused([one.claim for one in own])
        print()


def _row(claim: "PlannedClaim", seconds: float, last: float | None) -> _Row:
    """Lay out one claim; `seconds` per image, or member."""
    return _Row(
        claim=claim.spec.id,
        seconds=seconds * claim.images,
        last=last,
        images=claim.images,
        forwards=claim.forwards,
        mark=_mark("" if claim.plan is None else claim.plan.report_only, claim.capped),
    )


def _show_rows(rows: Sequence[_Row]) -> None:
    """Print a table; where nothing is known of a last run it has no column, so that long names fit."""
    known = any(row.last is not None for row in rows)
    numbers = ("min", *(("last",) if known else ()), "images", "fwd")
    cells = []
    for row in rows:
        last = [] if not known else ["" if row.last is None else _minutes(row.last)]
        cells.append([_minutes(row.seconds), *last, f"{row.images:.0f}{row.mark}", f"{row.forwards:.1f}", row.claim])
    if cells:
        show_table((*numbers, "claim"), cells, numbers)


def _show_refused(planned: "Sequence[PlannedClaim]") -> None:
    refused = [claim for claim in planned if claim.plan is None]
    for reason in dict.fromkeys(claim.reason for claim in refused):
        named = [claim.spec.id for claim in refused if claim.reason == reason]
        print(_wrapped(f"not applicable ({len(named)}), {reason}: {', '.join(named)}"))


def _mark(reported: str, capped: bool) -> str:
    return "r" if reported else "!" if capped else " "


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.2f}"


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(plain(text), WIDTH, break_on_hyphens=False, break_long_words=False))
