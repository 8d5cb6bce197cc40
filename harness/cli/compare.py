"""`claims compare A B`: how two models (or more) differ, from the last results or from files of runs."""

import argparse
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache, add_claims_folder
from harness.cli.console import show_table
from harness.errors import ClaimsError
from harness.judging.catalogue import specs_below
from harness.report.escaping import plain

if TYPE_CHECKING:
    from harness.regression.models_apart import ArmsApart
    from harness.report.model_pairs import Side

NAME = "compare"
HELP = "say how models differ: verdicts that flip, differences picture by picture, curves, what could not be asked"
ARMS_SHOWN = 12
CURVES_SHOWN = 4
CLAIMS_SHOWN = 6
WIDEST = 110  # columns of running text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    words = "model as recorded (its last results), or a file that --claims-json wrote; FILE:MODEL picks one of several"
    parser.add_argument("models", nargs="+", metavar="MODEL", help=words)
    parser.add_argument("--all", action="store_true", help="all arms and curves (default: the most evident)")
    add_claims_folder(parser)
    add_cache(parser)


def run(asked: argparse.Namespace) -> int:
    """Print the comparison."""
    from harness.regression.models_apart import sides_of
    from harness.report.quantity import with_words
    from harness.report.verdict_text import verdict_line

    if len(asked.models) < 2:
        raise ClaimsError(f"{asked.models[0]!r} alone: name two models or more, or files of runs")
    specs = specs_below(asked.claims) if asked.claims.is_dir() else {}
    sides, entries, apart, together, notes = sides_of(asked.models, asked.cache)
    specs = {**specs, **with_words(entries, specs)}
    _show_cards(sides)
    _show_flips(sides, specs)
    for record in together:
        _say(verdict_line(record))
        print()
    _show_arms(sides, apart, asked.all)
    _show_curves(sides, specs, asked.all)
    _show_refusals(sides, asked.all)
    for note in notes:
        _say(note)
    return 0


def _show_cards(sides: "Sequence[Side]") -> None:
    from harness.report.terminal import counts

    for side in sides:
        records = [*side.records.values()]
        context, card = records[0].context, records[0].context.card
        about = [context.resolved, context.family, f"{context.depth} blocks" if context.depth else ""]
        about += [f"reads {context.native}" if context.native else "", f"on {context.images}"]
        about += [f"{card.parameters:,} parameters" if card and card.parameters else ""]
        seconds = sum(record.seconds for record in records)
        _say(f"{side.label}: {', '.join(filter(None, about))}; {counts(records)}; {seconds:.0f} s of measuring")
    print()


def _show_flips(sides: "Sequence[Side]", specs: dict) -> None:
    from harness.report.model_pairs import alike, flips

    found = flips(sides, specs)
    print(f"verdicts: {alike(sides)} alike, {len(found)} flip")
    for one in found:
        paper = "" if one.published == "-" else f"; the paper has {one.published}"
        _say(f"{one.claim}: {one.quantity} (bound {one.bound}{paper})", "  ")
        for label, verdict, effect in one.found:
            _say(f"{label}: {verdict} {effect}", "    ")
    print()


def _show_arms(sides: "Sequence[Side]", apart: "Sequence[ArmsApart]", everything: bool) -> None:
    from harness.judging.paired_models import LEVEL

    if not apart:
        _say(
            "no difference picture by picture: that needs claims that both were asked, on the same pictures in the "
            "same order, and outcomes, which are in the history of runs and not in files of runs"
        )
        return
    evident = [one for one in apart if one.pair.evident]
    _say(
        f"on the same pictures: {len(evident)} of {len(apart)} arms differ (intervals hold wherever the runs stopped; "
        f"error of all together at most {LEVEL:g})"
    )
    shown = apart if everything else apart[:ARMS_SHOWN]
    rows = [
        (
            one.arm,
            one.claim,
            f"{one.pair.means[0]:.3f}",
            f"{one.pair.means[1]:.3f}",
            f"{one.pair.difference:+.3f} [{one.pair.interval[0]:.3f}, {one.pair.interval[1]:.3f}]",
            str(one.pair.images),
        )
        for one in shown
    ]
    for other in sides[1:]:
        own = [row for row, one in zip(rows, shown, strict=True) if one.other == other.label]
        if own:
            heads = ("arm", "claim", sides[0].label, other.label, "difference", "images")
            show_table(heads, own, right=heads[2:])
    print()


def _show_curves(sides: "Sequence[Side]", specs: dict, everything: bool) -> None:
    from harness.report.curve_text import sparkline
    from harness.report.model_pairs import overlays

    found = sorted(overlays(sides, specs), key=lambda one: -_spread(one.lines[: len(sides)]))
    if not found:
        return
    print("curves over relative depth, first block to last" + ("" if everything else "; those farthest apart"))
    for one in found if everything else found[:CURVES_SHOWN]:
        _say(f"{one.name} ({one.claim})", "  ")
        wide = max(len(label) for label, _ in one.lines)
        low = min(0.0, *(min(values) for _, values in one.lines))
        high = max(1.0, *(max(values) for _, values in one.lines))
        for label, values in one.lines:
            scaled = [(value - low) / (high - low) for value in values]
            print(plain(f"    {label:<{wide}} {sparkline(scaled)} {values[0]:.3f} to {values[-1]:.3f}"))
    print()


def _spread(lines: Sequence[tuple[str, tuple[float, ...]]]) -> float:
    """Give the largest distance between two curves at one depth."""
    return max((max(at) - min(at) for at in zip(*(values for _, values in lines), strict=True)), default=0.0)


def _show_refusals(sides: "Sequence[Side]", everything: bool) -> None:
    from harness.report.model_pairs import asked_of_none, asked_of_some

    for label, reason, claims in asked_of_some(sides):
        _say(f"not asked of {label} alone ({len(claims)}), {reason}: {_named(claims, everything)}")
    if none := asked_of_none(sides):
        _say(f"asked of none of them ({len(none)}): {_named(none, everything)}")


def _named(claims: Sequence[str], everything: bool) -> str:
    shown = claims if everything else claims[:CLAIMS_SHOWN]
    more = len(claims) - len(shown)
    return ", ".join(shown) + (f" and {more} more (--all)" if more else "")


def _say(text: str, indent: str = "") -> None:
    lines = textwrap.wrap(
        plain(text),
        min(shutil.get_terminal_size((WIDEST, 40)).columns, WIDEST),
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
    )
    print("\n".join(lines))
