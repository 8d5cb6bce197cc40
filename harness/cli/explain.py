"""`claims explain ID`: one claim in full, with what it last came out as."""

import argparse
import string
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.arguments import add_cache, add_claims_folder
from harness.cli.console import show_field, show_table
from harness.judging.catalogue import specs_below
from harness.judging.discovery import chosen
from harness.judging.ledger import Bound, ClaimSpec, PublishedCurve
from harness.report.escaping import plain

if TYPE_CHECKING:
    from harness.results.record import RunRecord

NAME = "explain"
HELP = "explain one claim: statement, source, protocol, bounds, published values, last results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument("id", metavar="ID", help="claim id, as `claims list` shows it")
    add_claims_folder(parser)
    add_cache(parser)


def run(asked: argparse.Namespace) -> int:
    """Print the claim; only its ledger and the recorded results are read."""
    specs = specs_below(asked.claims)
    spec = chosen(specs, [asked.id], "claim", f"the ledgers below {str(asked.claims)!r}")[asked.id]
    print(plain(f"{spec.id} ({spec.code}, {spec.tier}, version {spec.version})") + "\n")
    for name, text in _fields(spec).items():
        show_field(name, text)
    print("\nbounds")
    show_table(
        ("name", "bound", "published", "where it comes from"), [_bound(name, b) for name, b in spec.bounds.items()]
    )
    for name, curves in spec.published.curves.items():
        print("\n" + plain(f"published {name} by layer"))
        _show_curves(curves)
    print("\nlast results")
    if records := _last(asked.cache, spec.id):
        _show_results(records)
    else:
        told = "a run with --claims-no-history leaves none"
        print(plain(f"none in {asked.cache} ({told}); run: pytest {asked.claims} --claims-claim {spec.id}"))
    return 0


def _last(cache: Path, claim: str) -> "list[RunRecord]":
    """Read the last result of a claim on each model from the history of runs, where there is one."""
    from harness.results.history import FILE_NAME, History

    if not (cache / FILE_NAME).exists():
        return []
    history = History(cache)
    try:
        return list(history.latest(claim=claim).values())
    finally:
        history.close()


def _fields(spec: ClaimSpec) -> dict[str, str]:
    source = spec.source
    found = {"arXiv": source.arxiv, "page": source.url, "code": source.code, "note:": source.note}
    where = "; ".join(f"{kind} {place}" for kind, place in found.items() if place)
    fields = {
        "claim": spec.statement,
        **_quantities(spec),
        "source": f"{source.authors} ({source.year}): {source.title}; {where}",
        "place": spec.place,
        "protocol": spec.protocol,
        "control": spec.control,
        "needs": ", ".join(spec.needs) or "nothing beyond pictures",
        **_asked_of(spec),
        "budget": f"at most {spec.budget} images or members; the verdict errs with probability at most {spec.delta}",
        "published": spec.published.text,
    }
    if spec.published.value is not None:
        fields["value"] = f"{spec.published.value:g}"
    if spec.note:
        fields["note"] = spec.note
    return fields


def _quantities(spec: ClaimSpec) -> dict[str, str]:
    """Give the words for its numbers, by bound where these differ."""
    if isinstance(spec.quantity, str):
        return {"number": spec.quantity} if spec.quantity else {}
    return {"numbers": "; ".join(f"{bound}: {words}" for bound, words in spec.quantity.items())}


def _asked_of(spec: ClaimSpec) -> dict[str, str]:
    """Tell the roles of a claim about several models, and the pictures that a census looks at."""
    roles = "; ".join(f"{role} ({', '.join(needs) or 'any model'})" for role, needs in spec.subjects.items())
    fields = {"compares": roles} if roles else {}
    return {**fields, "looks at": f"{spec.pictures} pictures"} if spec.pictures else fields


def _bound(name: str, bound: Bound) -> tuple[str, ...]:
    floors = [f"{bound.value:g}"]
    if bound.chance_times:
        floors.append(f"{bound.chance_times:g} x chance")
    if bound.above_chance:
        floors.append(f"chance + {bound.above_chance:g} x (1 - chance)")
    shown = floors[0] if len(floors) == 1 else f"the larger of {', '.join(floors)}"
    published = "-" if bound.published is None else f"{bound.published:g}"
    return name, f"{bound.direction} {shown}", published, " ".join(bound.origin.split())


def _show_curves(curves: tuple[PublishedCurve, ...]) -> None:
    letters = string.ascii_lowercase[: len(curves)]
    layers = sorted({layer for curve in curves for layer in curve.layers})
    series = [dict(zip(curve.layers, curve.values, strict=True)) for curve in curves]
    cells = [[f"{values[layer]:g}" if layer in values else "-" for values in series] for layer in layers]
    columns = ("layer", *letters)
    show_table(columns, [(str(layer), *row) for layer, row in zip(layers, cells, strict=True)], right=columns)
    for letter, curve in zip(letters, curves, strict=True):
        show_field(f"    {letter}", f"{curve.model}; {curve.origin}")


def _show_results(records: "list[RunRecord]") -> None:
    from harness.report.verdict_text import bound_text, effect_text

    show_table(
        ("model", "verdict", "effect [interval]", "bound", "images", "when"),
        [
            (one.model, one.verdict, effect_text(one.effect), bound_text(one.effect), str(one.images), one.time)
            for one in records
        ],
        right=("images",),
    )
