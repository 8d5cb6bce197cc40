"""How many images a claim would need if the published value were true of this model."""

import math
from dataclasses import dataclass

from harness.judging.ledger import ClaimSpec
from harness.judging.quantities import Difference, Level, Quantity, Ratio
from harness.judging.sample_size import bernoulli_pair, images_needed, paired_images_needed
from harness.judging.statements import Every, Holds, Some, Statement
from harness.judging.verdict import Levels, shares
from harness.measurement.plan import Plan

CLEAN_ACCURACY = 0.8  # assumed below a ratio: ImageNet models of the papers answer 0.75 to 0.85 right
DISCORDANCE = 0.01  # share of images that an edit gains and loses beside its net effect


@dataclass(frozen=True)
class _Outlook:
    """How a statement would come out, and after how many images."""

    holds: bool
    images: float


def expected_images(spec: ClaimSpec, plan: Plan, classes: int, delta: float) -> float | None:
    """Expect the images until the effect is decided if what the source reports is true of this model.

    None where no published value, or the kind of the effect, tells; inf where a published value is the bound itself.
    Gate and control are not counted: what is published is the effect. Where images exchange class tokens, pairs are
    counted, and the images of pairs of one class, which do not count, are added (for balanced classes).
    """
    question = plan.question
    if question.report_only:
        return None
    outlook = _outlook(question.effect, spec, plan, classes, shares(question, delta).effect)
    if outlook is None:
        return None
    return outlook.images * classes / (classes - 1) if plan.exchanges_classes and classes > 1 else outlook.images


def rounded(images: float, batch: int) -> float:
    """Round up to whole chunks: a claim looks only after a chunk."""
    return images if math.isinf(images) else math.ceil(images / batch) * batch


def _outlook(part: Statement, spec: ClaimSpec, plan: Plan, classes: int, levels: Levels) -> _Outlook | None:
    """Expect how a statement comes out: parts that nothing is published for are left out."""
    if isinstance(part, Holds):
        bound = spec.bounds[part.bound]
        value = bound.published
        if value is None and len(plan.question.effect.bound_names()) == 1:
            value = spec.published.value
        if value is None:
            return None
        threshold = bound.at(classes)
        holds = value >= threshold if bound.direction == ">=" else value <= threshold
        images = _comparison(part.quantity, plan, value, threshold, levels.true if holds else levels.false)
        return None if images is None else _Outlook(holds, images)
    if not isinstance(part, (Every, Some)):
        return None
    known = [found for one in part.parts if (found := _outlook(one, spec, plan, classes, levels)) is not None]
    held, failed = ([one.images for one in known if one.holds is which] for which in (True, False))
    if isinstance(part, Every):
        return _Outlook(False, min(failed)) if failed else _Outlook(True, max(held)) if held else None
    return _Outlook(True, min(held)) if held else _Outlook(False, max(failed)) if failed else None


def _comparison(quantity: Quantity, plan: Plan, value: float, bound: float, alpha: float) -> float | None:
    """Expect the images of one comparison, for numbers at the ends of their ranges (the widest spread there is)."""
    needed = paired_images_needed if plan.exchanges else images_needed
    if not set(quantity.arms()) <= set(plan.arms):
        return None  # a derived arm: how it spreads follows from no published number
    ranges = [(plan.arms[arm].readout.low, plan.arms[arm].readout.high) for arm in quantity.arms()]
    if isinstance(quantity, Level):
        low, high = ranges[0]
        share = (value - low) / (high - low)
        if not 0.0 <= share <= 1.0 or not low <= bound <= high:
            return None
        return needed([low, high], [1.0 - share, share], bound, low, high, alpha)
    if any(ends != (0.0, 1.0) for ends in ranges):
        return None
    if isinstance(quantity, Ratio) and 0.0 <= value <= 1.0 / CLEAN_ACCURACY:
        values, shares = bernoulli_pair(CLEAN_ACCURACY, value, _spare(value), bound)
        return needed(values, shares, 0.0, -bound, 1.0, alpha) if bound > 0 else None
    if isinstance(quantity, Difference) and -1.0 < value < 1.0 and -1.0 < bound < 1.0:
        spare = min(DISCORDANCE, (1.0 - abs(value)) / 2)
        spread = [max(-value, 0.0) + spare, 1.0 - abs(value) - 2 * spare, max(value, 0.0) + spare]
        return needed([-1.0, 0.0, 1.0], spread, bound, -1.0, 1.0, alpha)
    return None


def _spare(retention: float) -> float:
    """Give the assumed discordance, or as much of it as the accuracies leave room for."""
    net = CLEAN_ACCURACY * (1.0 - retention)
    room = (CLEAN_ACCURACY - max(net, 0.0), 1.0 - CLEAN_ACCURACY - max(-net, 0.0))
    return max(0.0, min(DISCORDANCE, *room))
