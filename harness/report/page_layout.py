"""How a page is laid out: which columns are models and which compare several, and which findings stand together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.clustering import alike_order
from harness.report.columns import ModelColumn
from harness.report.views import SYMBOLS, Cell, ClaimView, Result, SourceView


@dataclass(frozen=True, kw_only=True)
class Head:
    """A column of a report; `number` is its place among all, `roles` says who is who where models are compared."""

    number: int
    label: str
    anchor: str
    family: str
    roles: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A claim as the matrix shows it; `ledger` is its place in the ledgers."""

    id: str
    place: str
    statement: str
    ledger: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A claim as its section shows it: its number, its view, and how often each verdict was found."""

    number: int
    view: ClaimView
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Group:
    """A source: the rows of its claims in the matrix, and their sections in the order of the ledger."""

    key: str
    text: str
    rows: tuple[Row, ...]
    claims: tuple[Section, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Everything of a page but its numbers."""

    singles: tuple[Head, ...]
    sets: tuple[Head, ...]
    sources: tuple[Group, ...]
    unasked: tuple[ClaimView, ...]
    compared: tuple[tuple[str, Head, Result], ...]


def laid_out(columns: Sequence[ModelColumn], sources: Sequence[SourceView]) -> Layout:
    """Put models of a family and claims of a source that came out alike beside one another."""
    heads = [
        Head(number=number, label=one.label, anchor=one.anchor, family=one.family, roles=_roles(one))
        for number, one in enumerate(columns)
    ]
    sets = tuple(head for head in heads if columns[head.number].context.cards)
    claims = [claim for source in sources for claim in source.claims]
    alone = [head for head in heads if head not in sets]
    singles = _together(alone, claims)
    numbers = [head.number for head in singles]
    asked = [claim for claim in claims if any(claim.cells[number].verdict in SYMBOLS for number in numbers)]
    rows = [claim for claim in asked if any(_is_asked(claim.cells[number]) for number in numbers)]
    places = {claim.id: place for place, claim in enumerate(claims)}
    groups = []
    for source in sources:
        own = [claim for claim in source.claims if claim in rows]
        order = alike_order([[claim.cells[number].verdict for number in numbers] for claim in own])
        groups.append(
            Group(
                key=source.key,
                text=source.text,
                rows=tuple(_row(own[at], places[own[at].id], numbers) for at in order),
                claims=tuple(_section(claim, places[claim.id]) for claim in source.claims),
            )
        )
    return Layout(
        singles=singles,
        sets=sets,
        sources=tuple(groups),
        unasked=tuple(claim for claim in asked if claim not in rows),
        compared=tuple(
            (claim.id, heads[result.column], result)
            for claim in claims
            for result in claim.asked
            if heads[result.column] in sets
        ),
    )


def _together(heads: Sequence[Head], claims: Sequence[ClaimView]) -> tuple[Head, ...]:
    """Order models by family, and within one by likeness."""
    found: list[Head] = []
    for family in dict.fromkeys(head.family for head in heads):
        own = [head for head in heads if head.family == family]
        order = alike_order([[claim.cells[head.number].verdict for claim in claims] for head in own])
        found += [own[at] for at in order]
    return tuple(found)


def _roles(column: ModelColumn) -> str:
    return "; ".join(f"{role}: {card.name}" for role, card in column.context.cards.items())


def _row(claim: ClaimView, ledger: int, numbers: Sequence[int]) -> Row:
    return Row(
        id=claim.id,
        place=claim.place,
        statement=claim.entry.get("statement", ""),
        ledger=ledger,
        cells=tuple(claim.cells[number] for number in numbers),
    )


def _section(claim: ClaimView, number: int) -> Section:
    found = [result.cell.verdict for result in claim.results]
    return Section(number=number, view=claim, counts={word: found.count(word) for word in SYMBOLS if word in found})


def _is_asked(cell: Cell) -> bool:
    return cell.verdict in SYMBOLS and cell.verdict != "not applicable"
