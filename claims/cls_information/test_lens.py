"""The model's own head applied to inner class tokens: it reads less than a probe, and ranks before it decides."""

import numpy as np

from harness import (
    Accuracy,
    Arm,
    Holds,
    Identifiability,
    Plan,
    Probe,
    ProbeAccuracy,
    Rises,
    Shape,
    claim,
    curve,
    difference,
    every,
    level,
    refuse_shallow,
    some,
)

MANY_CLASSES = 1000


@claim("final-head-underreads-intermediate-cls")
def test_the_final_head_reads_less_than_a_probe_of_the_middle_blocks(card):
    refuse_shallow(card, 3)
    last = card.depth - 1
    middle = range(-(-card.depth // 4), min(3 * card.depth // 4 + 1, last))
    arms = {f"lens@{b}": _lens(b) for b in range(card.depth)}
    arms |= {f"probe@{b}": Arm(readout=ProbeAccuracy(probe=Probe(layer=b))) for b in range(card.depth)}
    gap = {b: difference(f"probe@{b}", f"lens@{b}") for b in range(card.depth)}
    return Plan(
        arms=arms,
        effect=every(
            *[Holds(gap[b], "gap", f"probe - lens@{b}") for b in middle],
            Holds(gap[last], "end at least", f"probe - lens@{last}"),
            Holds(gap[last], "end at most", f"probe - lens@{last}"),
        ),
        control=Holds(gap[last], "gap", f"probe - lens@{last}"),
        gate=Holds(level(f"lens@{last}"), "gate"),
        curves={"lens": _curve("lens", card), "probe": _curve("probe", card), "gap": curve(gap)},
    )


@claim("identifiability-rises-before-accuracy")
def test_the_correct_class_ranks_high_before_it_ranks_first(card):
    refuse_shallow(card, 2)
    layers, high = range(card.depth), _high(card)
    arms = {f"rank@{b}": _rank(b) for b in layers}
    arms |= {f"lens@{b}": _lens(b) for b in layers}
    arms |= {f"untrained@{b}": _rank(b, weights="untrained") for b in layers}
    ahead = [
        every(
            Holds(level(f"rank@{b}"), high, f"identifiability@{b}"),
            Holds(level(f"lens@{b}"), "low", f"lens accuracy@{b}"),
        )
        for b in layers
    ]
    return Plan(
        arms=arms,
        effect=every(
            some(*ahead),
            Rises(tuple(f"rank@{b}" for b in layers), "rises"),
            Holds(level(f"rank@{card.depth - 1}"), "end", f"identifiability@{card.depth - 1}"),
        ),
        control=some(*[Holds(level(f"untrained@{b}"), high, f"untrained identifiability@{b}") for b in layers]),
        gate=Holds(level(f"lens@{card.depth - 1}"), "gate"),
        curves={
            "identifiability": _curve("rank", card),
            "lens": _curve("lens", card),
            "untrained identifiability": _curve("untrained", card),
        },
    )


@claim("lens-curves-agree-across-labs")
def test_identifiability_curves_of_two_labs_agree_in_shape(card):
    refuse_shallow(card, 2)
    layers = range(card.depth)
    arms = {f"rank@{b}": _rank(b) for b in layers}
    arms |= {f"untrained@{b}": _rank(b, weights="untrained") for b in layers}
    return Plan(
        arms=arms,
        effect=Shape(tuple(f"rank@{b}" for b in layers), _kendall, "tau", "Kendall tau with depth"),
        control=Shape(tuple(f"untrained@{b}" for b in layers), _kendall, "tau", "Kendall tau, untrained"),
        curves={"identifiability": _curve("rank", card), "untrained identifiability": _curve("untrained", card)},
        report_only="the two sources agree in shape only, on different checkpoints and with different norms",
    )


def _lens(layer):
    return Arm(readout=Accuracy(head="class", layer=layer))


def _rank(layer, weights="given"):
    return Arm(readout=Identifiability(layer=layer), weights=weights)


def _curve(arm, card):
    return curve({b: level(f"{arm}@{b}") for b in range(card.depth)})


def _high(card):
    """Choose the bound of the ledger: heads for few classes and augreg checkpoints rank later."""
    if card.classes < MANY_CLASSES:
        return "high, few classes"
    return "high, augreg" if "augreg" in card.arch + card.name else "high"


def _kendall(low, high):
    """Bound Kendall's tau with the index over a box, pair by pair (valid, not tight).

    Both published curves rise strictly, so this is also the tau with either of them.
    """
    first, second = np.triu_indices(len(low), k=1)
    least = np.sign(low[second] - high[first])
    most = np.sign(high[second] - low[first])
    return float(least.mean()), float(most.mean())
