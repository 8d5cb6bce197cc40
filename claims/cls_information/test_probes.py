"""What linear probes read from the class token, and whether the model uses it."""

import numpy as np

from harness import (
    Accuracy,
    Arm,
    Holds,
    NotApplicable,
    Plan,
    Probe,
    ProbeAccuracy,
    Rises,
    Shape,
    claim,
    class_readout,
    curve,
    difference,
    every,
    final_readout,
    level,
    ratio,
    refuse_shallow,
    shuffle_cls,
    some,
)

MANY_CLASSES = 1000  # from here on the source's own bounds hold
FEWEST_CLASSES = 6  # below, no accuracy lies five times chance above any other


@claim("cls-probe-accuracy-rises-with-depth")
def test_label_information_in_the_class_token_rises_with_depth(card):
    refuse_shallow(card, 2)
    last = card.depth - 1
    arms = {f"probe@{b}": _probe(b) for b in range(card.depth)}
    arms |= {f"permuted@{b}": _probe(b, labels="permuted") for b in (0, last)}
    arms["clean"] = Arm(readout=final_readout(card))
    # The number of classes of a trunk without a head is not on its card: there the stricter bounds hold.
    few = 0 < card.classes < MANY_CLASSES
    if few and card.classes < FEWEST_CLASSES:
        raise NotApplicable(f"the bound is a gain of several times chance, which {card.classes} classes do not allow")
    gain = "gain, few classes" if few else "gain"
    steps = [difference(f"probe@{b + 1}", f"probe@{b}") for b in range(last)]
    return Plan(
        arms=arms,
        effect=every(
            Rises(tuple(f"probe@{b}" for b in range(card.depth)), "rises"),
            Holds(difference(f"probe@{last}", "probe@0"), gain, "gain from first to last block"),
            *[Holds(step, "step", f"step {b}->{b + 1}") for b, step in enumerate(steps) if not few],
        ),
        control=Holds(difference(f"permuted@{last}", "permuted@0"), gain, "gain with permuted training labels"),
        gate=Holds(level("clean"), "gate"),
        curves={"probe": _curve("probe", card)},
    )


@claim("cls-decodable-but-unused-gap")
def test_some_decodable_class_token_information_is_unused(card):
    refuse_shallow(card, 3)
    last, alone = card.depth - 1, class_readout(card)
    middle = range(-(-card.depth // 3), -(-2 * card.depth // 3))
    arms = {f"probe@{b}": _probe(b) for b in range(card.depth)}
    arms |= {f"shuffled@{b}": Arm(intervention=shuffle_cls(b), readout=alone) for b in range(card.depth)}
    arms["clean"] = Arm(readout=alone)
    share = {b: ratio(f"probe@{b}", f"probe@{last}") for b in middle}
    kept = {b: ratio(f"shuffled@{b}", "clean") for b in range(card.depth)}

    def unused(b):
        return every(
            Holds(level(f"probe@{b}"), "decodable", f"probe@{b}"),
            Holds(difference("clean", f"shuffled@{b}"), "unused", f"accuracy lost by shuffling@{b}"),
        )

    return Plan(
        arms=arms,
        effect=every(
            some(*[unused(b) for b in middle]),
            Shape((*[share[b] for b in middle], *[kept[b] for b in middle]), _largest_gap, "gap", "largest gap"),
        ),
        control=unused(last),
        gate=Holds(level("clean"), "gate"),
        curves={
            "probe": _curve("probe", card),
            "retention": curve(kept),
        },
    )


@claim("clip-cls-probe-beats-mean-probe")
def test_a_probe_on_the_class_token_beats_one_on_the_mean_patch(card):
    if card.native != "none":
        raise NotApplicable("the claim is about trunks without a classification head; this model has one")
    named = "clip" in card.arch or "clip" in card.name
    last = card.depth - 1
    return Plan(
        arms={"class": _probe(last), "patch mean": _probe(last, kind="patch mean")},
        effect=Holds(difference("class", "patch mean"), "bound", "class probe - mean probe"),
        control=Holds(difference("patch mean", "class"), "bound", "mean probe - class probe"),
        gate=Holds(level("patch mean"), "gate"),
        curves={"class probe": curve({last: level("class")}), "mean probe": curve({last: level("patch mean")})},
        report_only="" if named else "published for CLIP alone; this trunk is another one",
    )


@claim("ridge-probe-recovers-head")
def test_a_ridge_probe_matches_the_models_own_head(card):
    if card.native not in ("class", "class+distillation"):
        raise NotApplicable(f"the model has no head of its own on the class token (its readout: {card.native})")
    last = card.depth - 1
    return Plan(
        arms={
            "head": Arm(readout=Accuracy(head="class")),
            "ridge": _probe(last),
            "permuted": _probe(last, labels="permuted"),
        },
        effect=_matches("ridge"),
        control=_matches("permuted"),
        gate=Holds(level("head"), "gate"),
        curves={"probe": curve({last: level("ridge")}), "accuracy": curve({last: level("head")})},
    )


def _matches(arm):
    apart = difference(arm, "head")
    return every(Holds(apart, "at least", f"{arm} - head"), Holds(apart, "at most", f"{arm} - head"))


def _probe(layer, **recipe):
    return Arm(readout=ProbeAccuracy(probe=Probe(layer=layer, **recipe)))


def _curve(arm, card):
    return curve({b: level(f"{arm}@{b}") for b in range(card.depth)})


def _largest_gap(low, high):
    """Bound max over blocks of probe/last probe - (1 - retention) over a box; exact, since it rises in every point.

    Points in order: the probe of each middle block over that of the last, then the retention of each.
    """
    ends = [np.max(np.sum(np.split(end, 2), axis=0) - 1.0) for end in (low, high)]
    return float(ends[0]), float(ends[1])
