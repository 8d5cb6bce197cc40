"""What is surprising in a run: results far from their bound and from the published value, most surprising first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.judging.ledger import ClaimSpec
from harness.report.curve_text import bound_words
from harness.report.escaping import plain
from harness.report.quantity import quantity_words
from harness.report.verdict_text import effect_text, images_used, number, short_number
from harness.results.record import IMAGES, FindingRecord, RunRecord

SHOWN = 10
# Where the paper's number is missed although the verdict agrees, or is no verdict, half as much is at stake.
WEIGHTS = {"refuted": 1.0, "supported": 0.5, "reported": 0.5}
CHANGED = 10.0  # a verdict that is not the one before stands above every distance, which are at most 2
OTHERS_SHOWN = 3  # models that a sentence names beside its own

DECIDED = ("supported", "refuted", "vacuous")

Known = Mapping[tuple[str, str], str]  # the verdict before, by claim and model


@dataclass(frozen=True, kw_only=True)
class Surprise:
    """One claim on the model on which it surprises most, and the `others` on which it came out alike."""

    claim: str
    model: str
    verdict: str
    score: float
    quantity: str
    ours: str
    published: str
    bound: str
    used: str
    before: str
    others: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Tell it in one sentence: quantity, ours with its interval, the paper's, the bound, and what was read."""
        paper = f"the paper has {self.published}, " if self.published else ""
        needs = "its own models need" if self.verdict == "reported" else "the claim needs"
        was = f" (it was {self.before} before)" if self.before else ""
        return (
            f"{self.model}: {self.quantity} is {self.ours}; {paper}{needs} {self.bound}: {self.verdict}{was}, "
            f"{self.used}{self._also()}."
        )

    def _also(self) -> str:
        if not self.others:
            return ""
        shown, more = self.others[:OTHERS_SHOWN], len(self.others) - OTHERS_SHOWN
        return f"; {self.verdict} too on {', '.join(shown)}{f' and {more} more' if more > 0 else ''}"


def surprises(
    records: Sequence[RunRecord], specs: Mapping[str, ClaimSpec], before: Known | None = None, count: int = SHOWN
) -> tuple[Surprise, ...]:
    """Rank the results of a run, one per claim: what changed first, then by the distance from bound and paper.

    A distance is counted from the nearer end of the interval, in units of the range of the quantity. `before` gives
    verdicts of an earlier run; the accepted ones that records carry count as such too.
    """
    scales = _scales(records)
    ranked = []
    for record in records:
        was = _before(record, before or {})
        score = surprise_of(record, scales.get(record.claim, 1.0)) + (CHANGED if was else 0.0)
        if record.effect is not None and score > 0.0:
            ranked.append((score, record, was))
    ranked.sort(key=lambda one: (-one[0], one[1].claim, one[1].model))
    found: dict[str, Surprise] = {}
    for score, record, was in ranked:
        if record.claim not in found:
            alike = [one.model for _, one, _ in ranked if one.claim == record.claim and one.verdict == record.verdict]
            others = tuple(dict.fromkeys(model for model in alike if model != record.model))
            found[record.claim] = _told(record, specs.get(record.claim), score, was, others)
    return tuple(found.values())[:count]


def surprise_of(record: RunRecord, scale: float = 1.0) -> float:
    """Measure how surprising a result is: how far its whole interval lies beyond the bound and from the paper's number.

    0 to 2, in units of `scale`, the range of the quantity. Where the paper gives no number it is no distance away.
    """
    effect = record.effect
    if effect is None or record.verdict not in WEIGHTS or effect.estimate is None or scale <= 0.0:
        return 0.0
    low, high = _ends(effect)
    short = 0.0
    if record.verdict == "refuted" and effect.bound is not None:
        short = max(0.0, effect.bound - high if effect.direction == ">=" else low - effect.bound)
    off = 0.0 if record.published is None else max(0.0, record.published - high, low - record.published)
    return WEIGHTS[record.verdict] * (min(short / scale, 1.0) + min(off / scale, 1.0))


def _scales(records: Iterable[RunRecord]) -> dict[str, float]:
    """Give the range of the quantity of each claim: 1 for shares and their differences, else what was seen of it."""
    seen: dict[str, list[float]] = {}
    for record in records:
        if record.effect is not None:
            values = (record.effect.estimate, record.effect.bound, record.published)
            seen.setdefault(record.claim, []).extend(value for value in values if value is not None)
    return {claim: max(1.0, max(values) - min(values)) for claim, values in seen.items() if values}


def _ends(effect: FindingRecord) -> tuple[float, float]:
    low, high = effect.interval or (None, None)
    estimate = effect.estimate or 0.0
    return (estimate if low is None else low), (estimate if high is None else high)


def _exact(effect: FindingRecord) -> bool:
    return effect.interval is not None and effect.interval[0] == effect.interval[1] == effect.estimate


def _before(record: RunRecord, before: Known) -> str:
    """Give another verdict that was accepted, or that an earlier run reached: an open one has changed nothing there."""
    if record.out_of_time or not record.asked:
        return ""
    if record.expected:
        return record.expected if record.expected != record.verdict else ""
    was = before.get((record.claim, record.model), "")
    return was if was != record.verdict and {was, record.verdict} <= set(DECIDED) else ""


def _told(record: RunRecord, spec: ClaimSpec | None, score: float, was: str, others: tuple[str, ...]) -> Surprise:
    effect = record.effect
    assert effect is not None
    used = images_used(record)
    told = "on the weights alone" if used == "weights" else f"on {used} pictures"
    if record.what != IMAGES:
        told = f"{told} ({record.images} {record.what})" if used != "weights" else told
    return Surprise(
        claim=record.claim,
        model=plain(record.model),
        verdict=record.verdict,
        score=score,
        quantity=quantity_words(record, spec),
        ours=f"exactly {number(effect.estimate)}" if _exact(effect) else effect_text(effect),
        published="" if record.published is None else short_number(record.published),
        bound=f"{bound_words(effect.direction)} {short_number(effect.bound)}",
        used=told,
        before=was,
        others=tuple(map(plain, others)),
    )
