"""How fast probes learn from a few pictures per class, and whether it matters which kind of probe it is."""

from harness import (
    Arm,
    Holds,
    Plan,
    Probe,
    ProbeAccuracy,
    claim,
    curve,
    difference,
    every,
    level,
    mix,
    ratio,
    refuse_shallow,
    some,
)

SHOTS = (1, 2, 5, 10, 20, 50, 100, 200)  # pictures per class
ENDS = (5, 50)  # between which the slope is taken
ENOUGH = 20  # pictures per class from which on curves shall not cross


@claim("probe-sample-complexity-scaling")
def test_the_error_of_probes_falls_with_the_number_of_shots(card):
    refuse_shallow(card, 3)
    half, last = card.depth // 2, card.depth - 1
    pairs = sorted({(half - 1, half), (last - 1, last)})
    layers = sorted({layer for pair in pairs for layer in pair})
    arms = {f"shots {k}@{b}": _probe(b, shots=k) for k in SHOTS for b in layers}
    arms |= {f"permuted {k}@{last}": _probe(last, shots=k, labels="permuted") for k in ENDS}
    errors = {f"error {k}@{b}": mix({f"shots {k}@{b}": -1}, 1) for k in ENDS for b in layers}
    errors |= {f"permuted error {k}@{last}": mix({f"permuted {k}@{last}": -1}, 1) for k in ENDS}
    return Plan(
        arms=arms,
        derived=errors,
        effect=every(
            *[_falls("error", b, f"error with {ENDS[1]} over {ENDS[0]} shots@{b}") for b in layers],
            *[_keeps_order(*pair) for pair in pairs],
        ),
        control=_falls("permuted error", last, f"error with {ENDS[1]} over {ENDS[0]} shots@{last}, permuted labels"),
        gate=Holds(level(f"shots {SHOTS[-1]}@{last}"), "gate"),
        curves={f"{k} shots": curve({b: level(f"shots {k}@{b}") for b in layers}) for k in SHOTS},
    )


@claim("algorithm-independent-floor")
def test_probes_of_different_families_read_the_same(card):
    layers, last = range(card.depth), card.depth - 1
    arms = {f"{family}@{b}": _family(b, family) for family in ("ridge", "lda") for b in layers}
    arms |= {f"{family}@{last}": _family(last, family) for family in ("logistic", "sgd")}
    return Plan(
        arms=arms,
        effect=every(
            *[_agree("lda", b) for b in layers],
            _agree("logistic", last),
        ),
        control=_agree("sgd", last),
        gate=Holds(level(f"lda@{last}"), "gate"),
        curves={name: curve({b: level(f"{name}@{b}") for b in layers}) for name in ("ridge", "lda")},
    )


def _probe(layer, **recipe):
    return Arm(readout=ProbeAccuracy(probe=Probe(layer=layer, **recipe)))


def _family(layer, family):
    return _probe(layer, family=family, standardized=True)


def _agree(family, layer):
    apart, name = difference(f"{family}@{layer}", f"ridge@{layer}"), f"{family} - ridge@{layer}"
    return every(Holds(apart, "at least", name), Holds(apart, "at most", name))


def _falls(error, layer, name):
    """State the slope between its ends, as one paired ratio: the error with many shots over that with few."""
    few, many = ENDS
    return Holds(ratio(f"{error} {many}@{layer}", f"{error} {few}@{layer}"), "fall", name)


def _keeps_order(before, after):
    """State that one of two curves is nowhere evidently below the other, whichever it is."""
    gaps = {k: difference(f"shots {k}@{after}", f"shots {k}@{before}") for k in SHOTS if k >= ENOUGH}
    return some(
        *[
            every(*[Holds(gap, side, f"block {after} - {before}, {k} shots") for k, gap in gaps.items()])
            for side in ("above", "below")
        ]
    )
