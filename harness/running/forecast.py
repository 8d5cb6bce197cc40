"""What a run would take on a model: which claims apply, their passes counted, their images expected."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from harness.errors import ClaimsError, NotApplicable
from harness.images.open import ImageSet, open_images
from harness.images.procedural_switches import is_embedded
from harness.judging.discovery import Claim
from harness.judging.ledger import ClaimSpec, missing_data
from harness.measurement.cost import Forecast, Share, forecast, member_evaluations, plan_evaluations
from harness.measurement.expected_images import expected_images, rounded
from harness.measurement.plan import Plan, propose
from harness.measurement.schedule import LOOKS
from harness.models.zoo import ModelEntry, resolve
from harness.readouts.members import FinitePopulation
from harness.results.recorder import Opened
from harness.running.run_images import EMBEDDED_CLASSES, TRAIN_IMAGES_PER_CLASS, have

TIMED = 8  # images in the batch whose forward pass is timed
WARMED = 2
LEAST_SECONDS = 0.1  # a shorter pass is timed again on more images


@dataclass(frozen=True, kw_only=True)
class PlannedClaim:
    """One claim before it runs; `plan` None with the `reason` where it does not apply.

    `forwards` counts forward-equivalents per image when measured alone, `expected` the images that the published value
    promises (None: it promises nothing), `images` what is counted on: expected, capped by the budget.
    """

    spec: ClaimSpec
    plan: Plan | None
    reason: str = ""
    forwards: float = 0.0
    expected: float | None = None
    budget: int = 0

    @property
    def images(self) -> float:
        """Give the images to count on."""
        return self.budget if self.expected is None else min(self.expected, self.budget)

    @property
    def capped(self) -> bool:
        """Tell that the budget will not decide the claim."""
        return self.expected is not None and self.expected > self.budget


@dataclass(frozen=True, kw_only=True)
class Planner:
    """A model known by its card, beside the images it would be measured on (None: assumed to have labels)."""

    entry: ModelEntry
    images: ImageSet | None
    train: int
    delta: float | None
    max_images: int | None
    batch_size: int

    @classmethod
    def of(
        cls,
        name: str,
        *,
        data: str | None,
        train_data: str | None,
        delta: float | None,
        max_images: int | None,
        batch_size: int,
        most: int,
    ) -> "Planner":
        """Resolve the model and open the images, `most` at most; no weights are loaded."""
        for value, option in ((max_images, "--max-images"), (batch_size, "--batch-size")):
            if value is not None and value < 2:
                raise ClaimsError(f"{value} in {option}; allowed: whole numbers from 2 on")
        entry = resolve(name)
        card = entry.card
        embedded = is_embedded(data) and card.classes in (0, EMBEDDED_CLASSES)
        limit = min(most, max_images or most)
        images = open_images(data, seed=0, split="test", limit=limit, card=card) if data or embedded else None
        train = TRAIN_IMAGES_PER_CLASS * (card.classes or EMBEDDED_CLASSES) if is_embedded(data) or train_data else 0
        return cls(entry=entry, images=images, train=train, delta=delta, max_images=max_images, batch_size=batch_size)

    @property
    def data_note(self) -> str:
        """Name the images, or what is assumed of them."""
        if self.images is not None:
            return f"{self.images.name} ({len(self.images)} images)"
        return f"images not given (--data): assumed labelled, as many as the budgets, with {self.train} to train on"

    @property
    def audit(self) -> str:
        """Tell in one line what was found when the images were opened; nothing of embedded ones."""
        return "" if self.images is None else Opened.of(self.images).audit

    def plan(self, claim: Claim) -> PlannedClaim:
        """Ask one claim for its plan and count what it takes."""
        spec, card = claim.spec, self.entry.card
        if spec.subjects:
            return PlannedClaim(spec=spec, plan=None, reason=f"it compares several models: {', '.join(spec.subjects)}")
        if reason := unmet(self, spec):
            return PlannedClaim(spec=spec, plan=None, reason=reason)
        try:
            plan = propose(claim.function, spec, card)
        except NotApplicable as refusal:
            return PlannedClaim(spec=spec, plan=None, reason=str(refusal))
        if not self.train and any(arm.fits for arm in plan.arms.values()):
            return PlannedClaim(spec=spec, plan=None, reason="it needs fitted probes, and no --train-data is given")
        expected = expected_images(spec, plan, self.classes, self.delta or spec.delta)
        if plan.census is not None:
            return self._of_members(spec, plan, plan.census)
        return PlannedClaim(
            spec=spec,
            plan=plan,
            forwards=plan_evaluations({spec.id: plan}, card, self.batch_size) / card.depth,
            expected=None if expected is None else rounded(expected, self.batch_size),
            budget=self.budget(spec, plan),
        )

    def budget(self, spec: ClaimSpec, plan: Plan) -> int:
        """Give the most images that a claim may use here."""
        reported = spec.report_budget if plan.report_only else 0
        caps = (spec.budget, self.max_images, None if self.images is None else len(self.images), reported or None)
        return min(cap for cap in caps if cap is not None)

    def _of_members(self, spec: ClaimSpec, plan: Plan, census: FinitePopulation) -> PlannedClaim:
        """Count on a few chunks of members, each with its share of the passes that come before the first."""
        first, every = member_evaluations(plan, self.entry.card, spec)
        chunks = min(LOOKS, -(-spec.budget // census.chunk))
        return PlannedClaim(
            spec=spec,
            plan=plan,
            forwards=(first / chunks + every) / census.chunk / self.entry.card.depth,
            expected=float(min(chunks * census.chunk, spec.budget)),
            budget=spec.budget,
        )

    def together(self, planned: Sequence[PlannedClaim]) -> Forecast:
        """Forecast the merged run of claims that apply."""
        shares = {
            claim.spec.id: Share(plan=claim.plan, images=claim.images)
            for claim in planned
            if claim.plan is not None and claim.plan.census is None
        }
        merged = forecast(shares, self.entry.card, self.batch_size)
        census = [claim for claim in planned if claim.plan is not None and claim.plan.census is not None]
        alone = sum(claim.forwards * claim.images for claim in census) * self.entry.card.depth
        return replace(merged, total=merged.total + alone)

    def training_images(self, planned: Sequence[PlannedClaim]) -> int:
        """Count training images, once per set of weights that fits read; what training itself takes is not counted."""
        arms = [arm for claim in planned if claim.plan is not None for arm in claim.plan.arms.values()]
        return self.train * len({arm.weights for arm in arms if arm.fits})

    def time_forward(self, device: str) -> float:
        """Time a plain forward pass of the architecture with random weights, in images per second."""
        subject = random_weights(self.entry).load(device)
        _forward(subject, WARMED, device)
        images, seconds = TIMED, 0.0
        while seconds == 0.0 or (seconds < LEAST_SECONDS and images < self.batch_size):
            images = min(images * 4, self.batch_size) if seconds else min(images, self.batch_size)
            start = time.perf_counter()
            _forward(subject, images, device)
            seconds = time.perf_counter() - start
        return images / seconds

    @property
    def classes(self) -> int:
        """Count the classes of the head, or of the images where there is none."""
        return self.entry.card.classes or (self.images.classes if self.images is not None else 0)


def unmet(planner: Planner, spec: ClaimSpec) -> str | None:
    """Say which need of a claim the model, or the pictures, do not meet; roles have needs of their own."""
    card, images = planner.entry.card, planner.images
    shots = planner.train / (card.classes or EMBEDDED_CLASSES)
    lack = missing_data(spec.needs, "" if images is None else images.name, have(images, spec.looked_at, shots))
    return card.missing(spec.needs) or lack


def random_weights(entry: ModelEntry) -> ModelEntry:
    """Give the same architecture without its weights; local models, which need no download, as they are."""
    return resolve(entry.resolved, pretrained=False) if entry.kind in ("embedded", "timm") else entry


def _forward(subject, images: int, device: str) -> None:
    size = subject.card.preprocessing.size
    with torch.inference_mode():
        stream = subject.start(torch.zeros(images, len(subject.card.preprocessing.mean), *size, device=device))
        for block in range(subject.card.depth):
            stream = subject.step(block, stream)
        if device != "cpu":
            stream.tokens.flatten()[0].item()  # waits until the device is through
