"""Learned readouts of single blocks: is the class token a good query, do its draws agree, do blocks err together?

Four blocks stand for the source's 8 to 11 of 12. Where a token is learned, a single vector is ("deterministic") unless
the claim is about drawn ones: one vector trains in a fraction of the time, and B11 is the claim that it may stand in.
"""

import math
from itertools import pairwise

from harness import (
    Arm,
    Exceeds,
    Holds,
    Largest,
    LearnedAccuracy,
    LearnedEntropy,
    LearnedTogether,
    LearnedUnanimity,
    NotApplicable,
    OfNeighbour,
    Plan,
    Probe,
    ProbeAccuracy,
    ProbeEntropy,
    Product,
    Same,
    Shape,
    TokenReadout,
    TrainingRecipe,
    claim,
    curve,
    difference,
    every,
    level,
    mean_of,
    mix,
    ratio,
    some,
)

RECIPE = TrainingRecipe(images=2000, epochs=10, rate=1e-2)  # stated and calibrated in the ledger
MANY_CLASSES = 1000  # taken for trunks, whose card does not say how many classes there are
NULL, LEARNED, DRAWN, BESIDE = "null", "deterministic", "replace", "augment"


@claim("replace-equals-augment")
def test_the_own_class_token_adds_nothing_beside_a_learned_one(card):
    blocks = _blocks(card)
    first, last = blocks[0], blocks[-1]
    arms = {f"{name}@{b}": _right(b, mode) for b in blocks for name, mode in (("drawn", DRAWN), ("beside", BESIDE))}
    arms[f"own@{first}"] = _right(first, NULL)
    return Plan(
        arms=arms,
        effect=every(*[_within(f"drawn@{b}", f"beside@{b}") for b in blocks]),
        control=_within(f"drawn@{first}", f"own@{first}", "control "),
        gate=Holds(level(f"drawn@{last}"), "gate"),
        curves={"drawn - beside": curve({b: difference(f"drawn@{b}", f"beside@{b}") for b in blocks})},
    )


@claim("learned-token-beats-own-cls-at-two-thirds-depth")
def test_a_learned_token_reads_more_than_the_own_class_token(card):
    first, second, before_last, last = _blocks(card)
    arms = {f"{name}@{b}": _right(b, mode) for b in (first, second, before_last) for name, mode in _QUERIES}
    arms |= {f"untrained@{first}": _right(first, LEARNED, "probe"), f"learned@{last}": _right(last, LEARNED)}
    lead = {b: difference(f"learned@{b}", f"own@{b}") for b in (first, second, before_last)}
    return Plan(
        arms=arms,
        effect=every(
            Holds(lead[first], "first", f"learned - own@{first}"),
            Holds(lead[second], "second", f"learned - own@{second}"),
        ),
        control=some(
            Holds(lead[before_last], "first", f"learned - own@{before_last}"),
            Holds(difference(f"untrained@{first}", f"own@{first}"), "first", f"untrained - own@{first}"),
        ),
        gate=Holds(level(f"learned@{last}"), "gate"),
        curves={"learned - own": curve(lead)},
    )


@claim("own-cls-competitive-in-last-two-blocks")
def test_the_own_class_token_is_as_good_a_query_in_the_last_two_blocks(card):
    first, _, before_last, last = _blocks(card)
    arms = {f"{name}@{b}": _right(b, mode) for b in (first, before_last, last) for name, mode in _QUERIES}
    arms[f"untrained@{last}"] = _right(last, LEARNED, "probe")
    lag = {b: difference(f"own@{b}", f"learned@{b}") for b in (first, before_last, last)}
    return Plan(
        arms=arms,
        effect=every(
            Holds(lag[before_last], "before last", f"own - learned@{before_last}"),
            _within(f"own@{last}", f"learned@{last}"),
        ),
        control=some(
            Holds(lag[first], "before last", f"own - learned@{first}"),
            _within(f"own@{last}", f"untrained@{last}"),
        ),
        gate=Holds(level(f"learned@{last}"), "gate"),
        curves={"own - learned": curve(lag)},
        report_only="" if "dinov2" in card.arch else "published for DINOv2, and not thought to carry over",
    )


@claim("mid-depth-internal-readout-is-useful")
def test_a_readout_at_two_thirds_of_the_depth_reaches_most_of_the_last_one(card):
    blocks = _blocks(card)
    first, last = blocks[0], blocks[-1]
    arms = {f"learned@{b}": _right(b, LEARNED) for b in (first, last)}
    arms[f"untrained@{first}"] = _right(first, LEARNED, "nothing")
    arms[f"ridge@{first}"] = Arm(readout=ProbeAccuracy(probe=Probe(layer=first)))

    def useful(arm):
        return every(
            Holds(ratio(arm, f"learned@{last}"), "share", f"{arm} / learned@{last}"),
            Holds(difference(arm, f"ridge@{first}"), "beyond ridge", f"{arm} - ridge@{first}"),
        )

    return Plan(
        arms=arms,
        effect=useful(f"learned@{first}"),
        control=useful(f"untrained@{first}"),
        gate=Holds(level(f"learned@{last}"), "gate"),
        curves={
            "learned": curve({b: level(f"learned@{b}") for b in (first, last)}),
            "ridge": curve({first: level(f"ridge@{first}")}),
        },
    )


@claim("one-fixed-token-nearly-suffices")
def test_one_learned_vector_does_as_well_as_drawn_tokens(card):
    blocks = _blocks(card)
    first, last = blocks[0], blocks[-1]
    arms = {f"{name}@{b}": _right(b, mode) for b in blocks for name, mode in (("drawn", DRAWN), ("learned", LEARNED))}
    arms |= {f"untrained@{b}": _right(b, LEARNED, "probe") for b in (first, last)}
    return Plan(
        arms=arms,
        effect=every(*[_within(f"drawn@{b}", f"learned@{b}") for b in blocks]),
        control=every(*[_within(f"drawn@{b}", f"untrained@{b}") for b in (first, last)]),
        gate=Holds(level(f"drawn@{last}"), "gate"),
        curves={"drawn - learned": curve({b: difference(f"drawn@{b}", f"learned@{b}") for b in blocks})},
    )


@claim("readout-draws-are-consistent")
def test_drawn_tokens_give_the_same_answer(card):
    block = _blocks(card)[2]
    trained, untrained = (_readout(block, DRAWN, learns) for learns in ("all", "nothing"))
    return Plan(
        arms={
            "unanimous": Arm(readout=LearnedUnanimity(readout=trained)),
            "untrained": Arm(readout=LearnedUnanimity(readout=untrained)),
            "drawn": Arm(readout=LearnedAccuracy(readout=trained)),
        },
        effect=Holds(level("unanimous"), "bound", f"share of pictures with one answer@{block}"),
        control=Holds(level("untrained"), "bound", f"the same, untrained@{block}"),
        gate=Holds(level("drawn"), "gate"),
        curves={"unanimity": curve({block: level("unanimous")})},
    )


@claim("readout-entropy-falls-with-depth")
def test_readouts_become_more_certain_from_block_to_block(card):
    blocks, classes = _blocks(card), card.classes or MANY_CLASSES
    first, last = blocks[0], blocks[-1]
    steps = [*pairwise(blocks)]
    arms = {f"entropy@{b}": Arm(readout=LearnedEntropy(readout=_readout(b, LEARNED), classes=classes)) for b in blocks}
    arms |= {f"ridge@{b}": Arm(readout=ProbeEntropy(probe=Probe(layer=b), classes=classes)) for b in (first, last)}
    arms[f"learned@{last}"] = _right(last, LEARNED)
    of_range = 1 / math.log(classes)
    derived = {f"falls {b}->{c}": Exceeds(f"entropy@{b}", f"entropy@{c}") for b, c in steps}
    derived |= {name: mix({f"{name}@{first}": of_range, f"{name}@{last}": -of_range}) for name in ("entropy", "ridge")}
    derived |= _concordances("entropy", blocks)
    return Plan(
        arms=arms,
        derived=derived,
        effect=every(
            *[Holds(difference(f"entropy@{b}", f"entropy@{c}"), "falls", f"entropy@{b} - @{c}") for b, c in steps],
            *[Holds(level(f"falls {b}->{c}"), "share", f"share of pictures that fall {b}->{c}") for b, c in steps],
            Holds(difference("near", "far"), "nearer", "concordance of adjacent blocks - of others"),
            Holds(level("entropy"), "size", f"entropy@{first} - @{last}, of log classes"),
        ),
        control=Holds(level("ridge"), "size", f"the same by ridge probes, entropy@{first} - @{last}"),
        gate=Holds(level(f"learned@{last}"), "gate"),
        curves={"entropy": curve({b: level(f"entropy@{b}") for b in blocks})},
    )


@claim("layer-readouts-err-together-oracle-gap")
def test_readouts_of_several_blocks_err_together_but_not_always(card):
    blocks = _blocks(card)
    first, last = blocks[0], blocks[-1]
    arms = {f"right@{b}": _right(b, LEARNED) for b in blocks}
    readouts = tuple(_readout(b, LEARNED) for b in blocks)
    arms["majority"] = Arm(readout=LearnedTogether(readouts=readouts, rule="majority"))
    derived = {
        "any": Largest(tuple(f"right@{b}" for b in blocks)),
        "last wrong": mix({f"right@{last}": -1}, 1),
        "stray": OfNeighbour(f"right@{first}"),
    }
    for name, arm in (("own", f"right@{first}"), ("stray", "stray")):
        derived[f"{name} and last"] = Product((arm, f"right@{last}"))
        derived[f"{name}, not last"] = Product((arm, "last wrong"))

    def together(name, shown):
        parts = (ratio(f"{name} and last", f"right@{last}"), ratio(f"{name}, not last", "last wrong"))
        return Shape(parts, _first_minus_second, "together", shown)

    return Plan(
        arms=arms,
        derived=derived,
        effect=every(
            together("own", f"P({first} right | {last} right) - P({first} right | {last} wrong)"),
            Holds(difference("any", f"right@{last}"), "oracle", f"any right - right@{last}"),
            Holds(difference(f"right@{last}", "majority"), "majority", f"right@{last} - majority"),
        ),
        control=together("stray", f"the same with {first} read on another picture"),
        gate=Holds(level(f"right@{last}"), "gate"),
        curves={"right": curve({b: level(f"right@{b}") for b in blocks})},
    )


_QUERIES = (("own", NULL), ("learned", LEARNED))


def _blocks(card):
    """List the blocks that stand for 8, 9, 10 and 11 of 12: two thirds, the last two, and one between."""
    first, before_last = 7 * card.depth // 10, card.depth - 2
    blocks = (first, (first + before_last) // 2, before_last, card.depth - 1)
    if len(set(blocks)) < len(blocks):
        raise NotApplicable(f"the claim is about four blocks in the last third of 11 or more; there are {card.depth}")
    return blocks


def _readout(block, mode, learns="all"):
    return TokenReadout(block=block, mode=mode, learns=learns, recipe=RECIPE)


def _right(block, mode, learns="all"):
    return Arm(readout=LearnedAccuracy(readout=_readout(block, mode, learns)))


def _within(one, other, which=""):
    apart = difference(one, other)
    return every(*[Holds(apart, f"{which}{side}", f"{one} - {other}") for side in ("at least", "at most")])


def _concordances(name, blocks):
    """Derive how often two blocks order a picture and its neighbour alike: mean over adjacent pairs, over others.

    Twice this less 1 is Kendall's rank correlation over pairs of pictures, which knows no units.
    """
    derived = {f"{name} of the neighbour@{b}": OfNeighbour(f"{name}@{b}") for b in blocks}
    derived |= {f"{name} above@{b}": Exceeds(f"{name}@{b}", f"{name} of the neighbour@{b}") for b in blocks}
    near, far = [], []
    for place, one in enumerate(blocks):
        for distance, other in enumerate(blocks[place + 1 :]):
            pair = f"{name} ordered alike {one}, {other}"
            derived[pair] = Same(f"{name} above@{one}", f"{name} above@{other}")
            (far if distance else near).append(pair)
    return derived | {"near": mean_of(near), "far": mean_of(far)}


def _first_minus_second(low, high):
    """Bound the difference of two points over a box."""
    return float(low[0] - high[1]), float(high[0] - low[1])
