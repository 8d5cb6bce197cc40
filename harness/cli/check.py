"""`claims check PATH`: a folder of claims validated before any model is loaded."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.console import show_table
from harness.errors import ClaimsError, NotApplicable
from harness.judging.catalogue import checked_ledger, claims_below, specs_below
from harness.judging.discovery import Claim
from harness.judging.ledger import LEDGER_NAME
from harness.report.escaping import paragraphs

if TYPE_CHECKING:
    from harness.models.subject import ModelCard

NAME = "check"
HELP = "validate a folder of claims before any model is loaded: ledgers, functions, and their plans for embedded models"
WRONG = 1
# What a function with a slip raises.
MISTAKES = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, TypeError, ValueError)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of this command."""
    parser.add_argument("path", type=Path, metavar="PATH", help="folder of claims")


def run(asked: argparse.Namespace) -> int:
    """Print whom each claim can be asked of and what is wrong with it; 1 where anything is."""
    from harness.models.subject import CAPABILITIES
    from harness.running.options import parse
    from harness.running.session import Session

    if not any(asked.path.rglob(LEDGER_NAME)):  # a file has none below it
        raise ClaimsError(f"{str(asked.path)!r} is no folder with a {LEDGER_NAME}; allowed: a folder of claims")
    specs = specs_below(asked.path)
    for ledger in sorted(asked.path.rglob(LEDGER_NAME)):
        checked_ledger(ledger, frozenset(CAPABILITIES))
    claims = claims_below(asked.path)
    wrong = [f"{name}: no function below {asked.path} is marked @claim({name!r})" for name in specs.keys() - claims]
    session = Session(parse({"claims_no_cache": True, "claims_no_history": True}, {}))
    rows = []
    for name, claim in claims.items():
        groups, why = session.cards_for(claim.spec, told=False)
        refused, bad = _proposed(claim, groups)
        wrong += bad
        count = len(groups) - len(refused)
        first = next(iter(refused.values()), why)
        rows.append((name, f"{count} of {len(groups)}", "" if count else first, "; ".join(_advice(claim))))
    session.close()
    show_table(("claim", "embedded models", "why none", "to be written"), rows)
    for line in sorted(wrong):
        print(paragraphs(f"wrong: {line}"))
    print(f"{_counted(len(specs), 'claim')}, {_counted(len(wrong), 'mistake')}")
    return WRONG if wrong else 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _proposed(claim: Claim, groups: "Mapping[str, tuple[ModelCard, ...]]") -> tuple[dict[str, str], list[str]]:
    """Ask a claim for its plan on every card: the reasons of those it cannot be asked of, and what is wrong."""
    refused: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for label, cards in groups.items():
        for is_wrong, reason in _objections(claim, cards):
            refused[label] = reason
            if is_wrong:
                wrong.setdefault(reason, label)
    return refused, [f"{claim.spec.id} on {label}: {reason}" for reason, label in wrong.items()]


def _objections(claim: Claim, cards: "tuple[ModelCard, ...]") -> Iterator[tuple[bool, str]]:
    """Say why a claim has no plan for models, if it has none, and whether that is a mistake."""
    from harness.measurement.plan import propose

    spec = claim.spec
    if reason := next(filter(None, (card.missing(spec.needs) for card in cards)), None):
        yield False, reason
        return
    try:
        asked = dict(zip(spec.subjects, cards, strict=True)) if spec.subjects else cards[0]
        plan = propose(claim.function, spec, asked)
        if plan.control is None and not plan.report_only:
            yield True, "its plan has no control, which the ledger describes: Plan(..., control=...)"
    except NotApplicable as refusal:
        yield False, str(refusal)
    except ClaimsError as error:
        yield True, str(error)
    except MISTAKES as error:
        yield True, f"{claim.path.name} raised {type(error).__name__}: {error}"


def _advice(claim: Claim) -> Iterator[str]:
    spec = claim.spec
    if not spec.quantity:
        yield "quantity (words for its number)"
    if not (spec.source.arxiv or spec.source.url):
        yield "link of the source, once it is published"
    if spec.published.value is None and all(bound.published is None for bound in spec.bounds.values()):
        yield "the published number, if there is one"
