"""The ledger itself: what it promises to tell apart must be affordable with the pictures that it allows."""

from pathlib import Path

from harness import (
    Arm,
    BudgetShare,
    CheckedShare,
    ClaimsFolder,
    Holds,
    LeastShare,
    NotApplicable,
    Plan,
    TheModel,
    claim,
    every,
    level,
)

ROOT = Path(__file__).parents[1]
IDENTIFIER = "declared-epsilon-delta-sample-size"
FEW = 100  # pictures of the control
MARGIN = 2 / 100  # of the control


@claim(IDENTIFIER)
def test_every_claim_can_afford_its_margin(card):
    folder = ClaimsFolder.of(ROOT)
    asked = folder.candidates(card, but=IDENTIFIER)
    if not asked:
        raise NotApplicable("no claim of the ledger that ends in a verdict is about a model like this one")
    arms = {f"need {name}": Arm(readout=BudgetShare(folder=folder, claim=name)) for name in asked}
    arms["checked"] = Arm(readout=CheckedShare(folder=folder))
    arms["least"] = Arm(readout=LeastShare(folder=folder, allowed=FEW, margin=MARGIN))
    return Plan(
        census=TheModel(),
        arms=arms,
        effect=every(*[Holds(level(f"need {name}"), "budget", f"pictures of {name}, in budgets") for name in asked]),
        control=Holds(level("least"), "budget", f"least of any claim with {FEW} pictures and a margin of {MARGIN}"),
        gate=Holds(level("checked"), "checked", "share of claims whose need is known"),
    )
