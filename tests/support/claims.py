"""Ledger entries, plans and benches for the tests of the harness."""

from collections.abc import Mapping
from typing import Any

from harness.images.batch import Batch
from harness.interventions.intervention import isolate_cls, shuffle_cls
from harness.judging.ledger import Bound, ClaimSpec, Published, Source
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.observed import Job
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Arm, Plan, level, ratio
from harness.measurement.sequential import Outcome
from harness.measurement.settings import Settings
from harness.results.measurements import Store
from support.planted import DEPTH, Planted, PlantedImages

SOURCE = Source(key="planted", title="Planted findings", authors="Nobody", year=2026, url="https://example.org")


def bound(value: float, direction: str = ">=", **scaled: Any) -> Bound:
    """Make a bound with an origin."""
    return Bound(value=value, direction=direction, origin="planted", **scaled)


def spec(identifier: str = "planted-claim", bounds: Mapping[str, Bound] | None = None, **changes: Any) -> ClaimSpec:
    """Make a valid ledger entry; `changes` replace its fields."""
    fields = {
        "id": identifier,
        "code": "X1",
        "statement": "Something is so.",
        "place": "section 1",
        "protocol": "Look.",
        "tier": "core",
        "published": Published(value=0.99, text="so it is"),
        "bounds": bounds or {"bound": bound(0.9)},
        "control": "A rival that must fail.",
        "needs": (),
        "budget": 256,
        "delta": 0.05,
        "version": 1,
        "source": SOURCE,
    }
    return ClaimSpec(**{**fields, **changes})


def retention(last: int, control: int | None = None) -> Plan:
    """Plan the ratio of accuracies after a shuffle, with the shuffle after `control` as the rival."""
    arms = {"clean": Arm(), "shuffled": Arm(intervention=shuffle_cls(last))}
    if control is not None:
        arms["rival"] = Arm(intervention=shuffle_cls(control))
    return Plan(
        arms=arms,
        effect=ratio("shuffled", "clean"),
        control=None if control is None else ratio("rival", "clean"),
    )


def isolation(depth: int = DEPTH) -> Plan:
    """Plan the claim "the class token is not needed before the last block"."""
    arms = {
        "clean": Arm(),
        "isolated": Arm(intervention=isolate_cls(range(depth - 1))),
        "never": Arm(intervention=isolate_cls(range(depth))),
    }
    return Plan(arms=arms, effect=ratio("isolated", "clean"), control=ratio("never", "clean"))


def accuracy() -> Plan:
    """Plan the plainest claim: accuracy beyond a bound."""
    return Plan(arms={"clean": Arm()}, effect=level("clean"))


def job(
    plan: Plan, identifier: str = "planted-claim", bounds: Mapping[str, Bound] | None = None, **changes: Any
) -> Job:
    """Pair a plan with a ledger entry."""
    return Job(spec=spec(identifier, bounds, **changes), plan=plan)


def loaded(subject=None, images=None, store: Store | None = None, train=None, **settings: Any) -> LoadedModel:
    """Load a planted model beside its images, in memory, with chunks of 32."""
    return LoadedModel(
        subject or Planted(),
        images or PlantedImages(),
        store or Store(None),
        Settings(**{"batch_size": 32, **settings}),
        train,
    )


def bench(subject=None, images=None, store: Store | None = None, train=None, **settings: Any) -> OnImages:
    """Ask that one model."""
    return OnImages.of(loaded(subject, images, store, train, **settings))


def chunk(images: PlantedImages, positions: range, seed: int = 0) -> Batch:
    """Describe a chunk of planted pictures."""
    return loaded(images=images, batch_size=len(positions), seed=seed).chunk(positions)


def told(outcome: Outcome) -> tuple:
    """Give everything that a verdict says, without what it cost this time."""
    return (
        outcome.judgement,
        outcome.images,
        outcome.delta,
        outcome.curves,
        outcome.trace,
        outcome.arms,
        outcome.arm_means,
    )
