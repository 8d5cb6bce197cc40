"""How models differ, by their records: verdicts that flip, what only some could be asked, curves by relative depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.judging.ledger import ClaimSpec
from harness.report.escaping import plain, prose
from harness.report.quantity import quantity_words
from harness.report.verdict_text import bound_text, effect_text, short_number
from harness.results.record import RunRecord

DECIDED = ("supported", "refuted", "vacuous")
DEPTHS = np.linspace(0.0, 1.0, 11)  # relative depths at which curves are read: 0 the first block, 1 the last


@dataclass(frozen=True, kw_only=True)
class Side:
    """One model of a comparison: its label, and its records by claim."""

    label: str
    records: Mapping[str, RunRecord]


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One claim that the models decide differently: in words, and what each of them has."""

    claim: str
    quantity: str
    bound: str
    published: str
    found: tuple[tuple[str, str, str], ...]  # label, verdict, effect with its interval


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """Curves of one name over relative depth: label and values at DEPTHS, the published ones last."""

    claim: str
    name: str
    lines: tuple[tuple[str, tuple[float, ...]], ...]


def flips(sides: Sequence[Side], specs: Mapping[str, ClaimSpec]) -> tuple[Flip, ...]:
    """List the claims that two of the models decide differently, in the order of the first's records."""
    found = []
    for claim in _claims(sides):
        records = [(side.label, side.records[claim]) for side in sides if claim in side.records]
        if len({record.verdict for _, record in records if record.verdict in DECIDED}) < 2:
            continue
        record = next(record for _, record in records if record.verdict in DECIDED)
        found.append(
            Flip(
                claim=claim,
                quantity=quantity_words(record, specs.get(claim)),
                bound=bound_text(record.effect),
                published=short_number(record.published),
                found=tuple((label, one.verdict, effect_text(one.effect)) for label, one in records),
            )
        )
    return tuple(found)


def alike(sides: Sequence[Side]) -> int:
    """Count the claims on which all models have one and the same verdict, of those that all were asked."""
    shared = [claim for claim in _claims(sides) if all(claim in side.records for side in sides)]
    verdicts = [{side.records[claim].verdict for side in sides} for claim in shared]
    return sum(len(one) == 1 and one <= set(DECIDED) for one in verdicts)


def asked_of_some(sides: Sequence[Side]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """List label, reason and claims of what one model could not be asked and another could."""
    found: dict[tuple[str, str], list[str]] = {}
    for claim in _claims(sides):
        if not any(side.records[claim].asked for side in sides if claim in side.records):
            continue
        for side in sides:
            record = side.records.get(claim)
            if record is None or not record.asked:
                reason = "it was not run" if record is None else prose(record.reason)
                found.setdefault((side.label, reason), []).append(claim)
    return tuple((label, reason, tuple(claims)) for (label, reason), claims in found.items())


def asked_of_none(sides: Sequence[Side]) -> tuple[str, ...]:
    """List the claims that none of the models could be asked."""
    return tuple(
        claim
        for claim in _claims(sides)
        if not any(side.records[claim].asked for side in sides if claim in side.records)
    )


def overlays(sides: Sequence[Side], specs: Mapping[str, ClaimSpec], most_published: int = 1) -> tuple[Overlay, ...]:
    """Lay the curves that two models share over one another, with the first published one of the same name.

    Curves that several claims draw alike are laid out once.
    """
    found: dict[tuple[str, tuple[float, ...]], Overlay] = {}
    for claim in _claims(sides):
        names = [list(side.records[claim].curves) for side in sides if claim in side.records]
        every = dict.fromkeys(name for own in names for name in own)
        shared = [name for name in every if sum(name in own for own in names) > 1]
        for name in shared:
            lines = [
                (side.label, values)
                for side in sides
                if claim in side.records and (values := _measured(side.records[claim], name))
            ]
            if len(lines) > 1:
                printed = specs[claim].published.curves.get(name, ())[:most_published] if claim in specs else ()
                lines += [(f"published: {plain(one.model)}", over_depth(one.layers, one.values)) for one in printed]
                made = Overlay(claim=claim, name=plain(name), lines=tuple(lines))
                found.setdefault((name, lines[0][1]), made)
    return tuple(found.values())


def over_depth(layers: Sequence[int], values: Sequence[float]) -> tuple[float, ...]:
    """Read a curve at DEPTHS of its own first to last block, linearly between blocks."""
    order = np.argsort(layers)
    at, heights = np.asarray(layers, float)[order], np.asarray(values, float)[order]
    span = at[-1] - at[0]
    return tuple(float(one) for one in np.interp(DEPTHS, (at - at[0]) / (span or 1.0), heights))


def _measured(record: RunRecord, name: str) -> tuple[float, ...]:
    known = [(layer, value) for layer, value, *_ in record.curves.get(name, ()) if value is not None and layer >= 0]
    return over_depth(*zip(*known, strict=True)) if len(known) > 1 else ()


def _claims(sides: Sequence[Side]) -> list[str]:
    return list(dict.fromkeys(claim for side in sides for claim in side.records))
