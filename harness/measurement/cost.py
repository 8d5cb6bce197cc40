"""What measuring would cost, counted and not run: block evaluations from the same merged tree that a pass walks."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

from harness.images.batch import Batch
from harness.interventions.intervention import Edit
from harness.interventions.patch_scores import score_of
from harness.interventions.slots import BlockEdit
from harness.judging.ledger import ClaimSpec
from harness.measurement.forward import PROBED
from harness.measurement.plan import Plan
from harness.measurement.prefix_tree import Bill, Node, Request, claimants_of, program_tree, scores_in
from harness.models.sites import EMBEDDING
from harness.models.subject import ModelCard
from harness.probes.prefix_moments import PrefixFit, PrefixMoments
from harness.readouts.members import Batches

_IMAGES = 2  # an edit that exchanges things needs a partner


@runtime_checkable
class TellsEvaluations(Protocol):
    """A reading of members that runs more than the pictures themselves."""

    def evaluations(self, card: ModelCard, members: int) -> Mapping[Hashable, float]:
        """Count block evaluations x images for so many members, by a name that readings which share them share too."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """One claim in a forecast: its plan, and the images that it is expected to use."""

    plan: Plan
    images: float


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Expected block evaluations of several claims: per image while all of them run, and until the last one ends."""

    per_image: float
    total: float


def expected_bill(wanted: Sequence[Request], card: ModelCard, images: int) -> Bill:
    """Count what `measure_chunk` bills for a chunk of this many images: full blocks times images, nothing is run."""
    bill = Bill()
    walk = _Walk(card, images, bill)
    for children in program_tree(wanted, card).branches.values():  # one for each way in which pictures enter
        for score, claimants in scores_in(children).items():
            bill.charge(claimants, score.passes * card.depth * images)
        walk.edits(children, card.patches + len(card.prefix), EMBEDDING)
    return bill


def block_evaluations(wanted: Sequence[Request], card: ModelCard, images: int = 64) -> float:
    """Give the block evaluations per image of a merged pass over a chunk of `images`, checks of masks included."""
    return expected_bill(wanted, card, images).total / images


def plan_evaluations(plans: Mapping[str, Plan], card: ModelCard, images: int = 64) -> float:
    """Give the block evaluations per image of several plans measured together, over all their sets of weights."""
    merged: dict[tuple, Request] = {}
    for claimant, plan in plans.items():
        if plan.census is not None:
            continue  # its readings look at pictures by themselves
        for arm in plan.arms.values():
            key = (arm.weights, arm.intervention, arm.readout)
            before = merged[key].claimants if key in merged else frozenset()
            merged[key] = Request(intervention=arm.intervention, readout=arm.per_image, claimants=before | {claimant})
    lanes: dict[str, list[Request]] = {}
    for (weights, *_), wanted in merged.items():
        lanes.setdefault(weights, []).append(wanted)
    return sum(block_evaluations(lane, card, images) for lane in lanes.values())


def member_evaluations(plan: Plan, card: ModelCard, spec: ClaimSpec) -> tuple[float, float]:
    """Give the block evaluations x images of a census: at first, and again for every chunk of its members."""
    assert plan.census is not None, "an image is no member"
    passes = len({arm.weights for arm in plan.arms.values()}) * card.depth * (spec.batch or spec.pictures)
    extra: dict[Hashable, float] = {}
    for arm in plan.arms.values():
        if isinstance(arm.readout, TellsEvaluations):
            for name, count in arm.readout.evaluations(card, plan.census.chunk).items():
                extra[arm.weights, name] = max(count, extra.get((arm.weights, name), 0.0))
    every = sum(extra.values())
    return (0.0, passes + every) if isinstance(plan.census, Batches) else (float(passes), every)


def forecast(shares: Mapping[str, Share], card: ModelCard, batch: int) -> Forecast:
    """Add up the merged passes while claims drop out one after the other, each after its expected images."""
    everything = plan_evaluations({name: share.plan for name, share in shares.items()}, card, batch) if shares else 0.0
    total, reached = 0.0, 0.0
    for stop in sorted({share.images for share in shares.values()}):
        active = {name: share.plan for name, share in shares.items() if share.images >= stop}
        total += (stop - reached) * plan_evaluations(active, card, batch)
        reached = stop
    return Forecast(per_image=everything, total=total)


@dataclass
class _Walk:
    """The walk of a pass with the tokens counted and not computed."""

    card: ModelCard
    images: int
    bill: Bill
    counts: dict[tuple[Edit, int], int] = field(default_factory=dict)

    def blocks(self, node: Node, tokens: int, block: int) -> None:
        """Charge the next block for each of its slots, and walk on."""
        for slot, children in node.branches.items():
            share, left = self._share(tokens), tokens
            if isinstance(slot, BlockEdit):
                runs, left = slot.runs * self.images + PROBED, slot.left(self.card, block + 1, tokens)
            else:
                runs = float(self.images + (0 if slot is None else 2 * PROBED))
            self.bill.charge(claimants_of(children), runs * share)
            self.edits(children, left, block + 1)

    def edits(self, children: Mapping[Edit | None, Node], tokens: int, block: int) -> None:
        """Follow every edit after `block` with the tokens that it leaves."""
        for edit, child in children.items():
            self.blocks(child, tokens if edit is None else self._left_by(edit, tokens), block)

    def _share(self, tokens: int) -> float:
        full = self.card.patches + len(self.card.prefix)
        return tokens / full if self.card.grid is not None else 1.0

    def _left_by(self, edit: Edit, tokens: int) -> int:
        """Ask the edit itself, on a stream of zeros, how many tokens it leaves."""
        if self.card.grid is None:
            return tokens
        if (edit, tokens) not in self.counts:
            stream = torch.zeros(_IMAGES, tokens, self.card.width)
            chunk = Batch(
                positions=range(_IMAGES),
                donors=torch.arange(_IMAGES).roll(1),
                labels=torch.arange(_IMAGES),
                seed=0,
                scores={score_of(edit): torch.zeros(_IMAGES, self.card.patches)},
                fits={PrefixMoments(): self._no_moments()},
            )
            self.counts[edit, tokens] = edit.apply(stream, self.card, chunk).shape[1]
        return self.counts[edit, tokens]

    def _no_moments(self) -> PrefixFit:
        blank = torch.zeros(self.card.depth, len(self.card.prefix), self.card.width)
        return PrefixFit(mean=blank, std=blank)
