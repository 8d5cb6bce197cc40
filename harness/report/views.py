"""What a report shows, as records: a cell of the matrix, a result in full, a claim, a source."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.report.panels import CurvePanel, EvidencePanel
from harness.results.record import PictureRecord

# A symbol and a word: a verdict is read without its colour.
SYMBOLS = {
    "supported": "✓",
    "refuted": "✗",
    "vacuous": "∅",
    "inconclusive": "?",
    "reported": "○",
    "not applicable": "–",
}
MEANINGS = {
    "supported": "the effect is beyond the bound and the control evidently is not",
    "refuted": "the effect evidently misses the bound",
    "vacuous": "the control clears the bound too, or the baseline gate is not passed",
    "inconclusive": "undecided within the image budget",
    "reported": "measured without a verdict",
    "not applicable": "the claim cannot be asked of this model or these pictures",
}


GLOSSARY = {
    "effect": "the number that a claim is about, and that is compared with its bound",
    "bound": "the value from which on the claim holds; each says where it comes from",
    "control": "a rival condition in which the effect must not appear; where it does, the claim says nothing",
    "gate": "what must hold before the question means anything: that the model is right often enough, for instance",
    "interval": "where the effect lies at the declared error level, wherever the run stopped (anytime-valid)",
    "forward-equivalent": "the work of one plain forward pass of the whole model on one image",
    "block evaluation": "one block of the model on one image; a forward pass takes as many as there are blocks",
    "relative depth": "0 at the first block and 1 at the last, so that models of several depths can be compared",
    "the catalogue": "the list of findings from which bounds were taken before any model was measured; where a bound "
    "cites it, the published number and the margin stand beside",
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One claim on one model, as the matrix shows it; `place` is where its section tells more."""

    column: int
    verdict: str
    effect: str = ""
    interval: str = ""
    reason: str = ""
    place: str = ""
    changed_from: str = ""

    @property
    def symbol(self) -> str:
        """Give the symbol of the verdict, or a dot where the claim was not run."""
        return SYMBOLS.get(self.verdict, "·")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One claim on one model in full; `more` are the columns of the table of results that show numbers."""

    column: int
    label: str
    model_place: str
    place: str
    cell: Cell
    quantity: str
    more: tuple[str, ...]
    panels: tuple[CurvePanel, ...]
    points: tuple[str, ...]
    evidence: EvidencePanel | None
    pictures: tuple[PictureRecord, ...]


@dataclass(frozen=True, kw_only=True)
class BoundRow:
    """One bound of the ledger with where it comes from."""

    name: str
    text: str
    published: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class ClaimView:
    """One claim: its entry in words, its results, and the published curves without one of ours beside them."""

    id: str
    place: str
    source: int
    entry: Mapping[str, str]
    links: tuple[tuple[str, str], ...]
    bounds: tuple[BoundRow, ...]
    origins: tuple[tuple[str, str], ...]
    cells: tuple[Cell, ...]
    results: tuple[Result, ...]
    unmatched: tuple[CurvePanel, ...]
    note: str = ""

    @property
    def asked(self) -> tuple[Result, ...]:
        """List the models that it was asked of."""
        return tuple(result for result in self.results if result.cell.verdict != "not applicable")


@dataclass(frozen=True, kw_only=True)
class SourceView:
    """A source with its claims."""

    key: str
    text: str
    claims: tuple[ClaimView, ...]
