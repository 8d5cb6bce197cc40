"""Whether reconstruction and classification get into each other's way in one latent: a family of fits, no model."""

from harness import AUTOENCODER_SWEEP as SWEEP
from harness import (
    Arm,
    AutoencoderNumber,
    Fits,
    Holds,
    Plan,
    Rises,
    claim,
    curve,
    difference,
    every,
    level,
    ratio,
    some,
)

CLASSES_ALONE, *INNER, PICTURES_ALONE = SWEEP
FEW, MOST = INNER[0], INNER[-2]
GRID = "at trade-offs " + " ".join(map(str, SWEEP))


@claim("cre-reconstruction-and-classification-antagonistic")
def test_reconstruction_and_classification_displace_each_other(card):
    arms = {f"{number}@{at}": _arm(number, at) for number in ("error", "accuracy") for at in SWEEP}
    arms |= {
        "lost reconstruction": _arm("lost reconstruction", CLASSES_ALONE),
        "lost classification": _arm("lost classification", PICTURES_ALONE),
        "apart, reconstruction": _arm("lost reconstruction", PICTURES_ALONE, draw=1),
        "apart, classification": _arm("lost classification", CLASSES_ALONE, draw=1),
    }
    toward_classes = SWEEP[::-1]
    return Plan(
        census=Fits(),
        arms=arms,
        gate=_learned(),
        effect=every(
            Holds(level("lost reconstruction"), "lost_reconstruction", "lost reconstruction"),
            Holds(level("lost classification"), "lost_classification", "lost classification"),
            Rises(tuple(f"error@{at}" for at in toward_classes), "error_rises", "error rises with classification"),
            Rises(tuple(f"accuracy@{at}" for at in toward_classes), "accuracy_rises", "accuracy rises with it"),
        ),
        control=some(
            Holds(level("apart, reconstruction"), "lost_reconstruction", "lost reconstruction, nothing shared"),
            Holds(level("apart, classification"), "lost_classification", "lost classification, nothing shared"),
        ),
        curves={
            f"{number} {GRID}": curve({place: level(f"{number}@{at}") for place, at in enumerate(SWEEP)})
            for number in ("error", "accuracy")
        },
    )


@claim("cre-no-synergy")
def test_neither_objective_gains_from_the_other(card):
    arms = {f"accuracy@{at}": _arm("accuracy", at) for at in (CLASSES_ALONE, *INNER)}
    arms |= {f"error@{at}": _arm("error", at) for at in SWEEP}
    arms |= {f"drawn {number}": _arm(number, CLASSES_ALONE, untrained="encoder") for number in ("accuracy", "error")}
    return Plan(
        census=Fits(),
        arms=arms,
        gate=_learned(),
        effect=every(
            *[
                Holds(difference(f"accuracy@{at}", f"accuracy@{CLASSES_ALONE}"), "gain_of_accuracy", f"gain at {at}")
                for at in INNER
            ],
            *[
                Holds(ratio(f"error@{at}", f"error@{PICTURES_ALONE}"), "kept_error", f"error at {at}")
                for at in SWEEP[:-1]
            ],
        ),
        control=some(
            Holds(difference(f"accuracy@{FEW}", "drawn accuracy"), "gain_of_accuracy", "gain over an encoder as drawn"),
            Holds(ratio(f"error@{MOST}", "drawn error"), "kept_error", "error over that of an encoder as drawn"),
        ),
    )


@claim("cre-larger-latent-alleviates")
def test_a_wider_latent_loses_less(card):
    return Plan(
        census=Fits(),
        arms={
            "narrow": _arm("lost reconstruction", CLASSES_ALONE),
            "wide": _arm("lost reconstruction", CLASSES_ALONE, times=4),
            "narrow again": _arm("lost reconstruction", CLASSES_ALONE, draw=1),
        },
        gate=Holds(level("narrow"), "narrow_loses", "lost reconstruction, narrow"),
        effect=Holds(ratio("wide", "narrow"), "bound", "wide over narrow"),
        control=Holds(ratio("narrow again", "narrow"), "bound", "other weights, same width"),
    )


@claim("cre-more-complex-network-alleviates")
def test_a_deeper_network_classifies_better_at_the_same_error(card):
    shape = {"plain": {}, "deep": {"hidden": (128,)}, "drawn": {"hidden": (128,), "untrained": "extra layers"}}
    arms = {f"{name} accuracy": _arm("accuracy", MOST, width=16, **of) for name, of in shape.items()}
    arms |= {f"{name} error": _arm("error", MOST, width=16, **shape[name]) for name in ("plain", "deep")}
    return Plan(
        census=Fits(),
        arms=arms,
        effect=every(
            Holds(difference("deep accuracy", "plain accuracy"), "bound", "gain of accuracy"),
            Holds(ratio("deep error", "plain error"), "error", "error over the plain one's"),
        ),
        control=Holds(difference("drawn accuracy", "plain accuracy"), "bound", "gain, extra layers as drawn"),
    )


def _arm(number, trade_off, **of):
    return Arm(readout=AutoencoderNumber(number=number, trade_off=trade_off, **of))


def _learned():
    return Holds(level(f"error@{PICTURES_ALONE}"), "learned", "error of reconstruction alone")
