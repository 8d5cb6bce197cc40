"""What patch tokens need to see to become class-identifiable: one another, not the class token.

Letting patches attend to themselves alone is one intervention before and after the softmax: a single allowed key has
weight 1 either way. Hiding the class token is two: renormalized (masked before the softmax) or not (its weight set to
0 afterwards, as in the source); both are judged where the model's attention can be edited after the softmax.
"""

from harness import (
    Accuracy,
    Arm,
    Holds,
    PatchAccuracy,
    Plan,
    blind_to_cls,
    claim,
    curve,
    difference,
    every,
    level,
    mix,
    ratio,
    self_only,
    some,
)


@claim("self-only-attention-destroys-image-token-classes")
def test_patch_tokens_that_see_themselves_alone_never_show_the_class(card):
    blocks, last = range(card.depth), card.depth - 1
    arms = {
        "clean": _right(card),
        "self only": _right(card, self_only(blocks)),
        "model": Arm(),
    }
    if "class_token" in card.capabilities:
        arms["blind"] = _right(card, blind_to_cls(blocks, renormalized=_renormalized(card)[0]))
    above = {name: f"{name} above chance" for name in arms if name != "model"}

    def destroyed(name):
        return every(
            Holds(level(above[name]), "rate", f"rate above chance, {name}"),
            Holds(ratio(above[name], above["clean"]), "ratio", f"rate above chance, {name} / clean"),
        )

    rivals = [Holds(level(above[name]), "rate", f"rate above chance, {name}") for name in above if name != "self only"]
    return Plan(
        arms=arms,
        derived={above[name]: mix({name: 1}, -card.chance) for name in above},
        effect=destroyed("self only"),
        control=some(*rivals),
        gate=Holds(level("model"), "gate"),
        curves={name: curve({last: level(name)}) for name in above},
    )


@claim("image-tokens-do-not-need-cls")
def test_patch_tokens_do_not_need_the_class_token(card):
    blocks, last = range(card.depth), card.depth - 1
    arms = {"clean": _right(card), "self only": _right(card, self_only(blocks)), "model": Arm()}
    parts, curves = [], {"clean": curve({last: level("clean")})}
    for renormalized in _renormalized(card):
        name = "renormalized" if renormalized else "weight removed"
        blind = blind_to_cls(blocks, renormalized=renormalized)
        arms |= {name: _right(card, blind), f"{name}, model": Arm(intervention=blind, readout=Accuracy())}
        lost = difference(name, "clean")
        parts += [
            Holds(lost, "loss", f"rate, {name} - clean"),
            Holds(lost, "gain", f"rate, {name} - clean"),
            Holds(ratio(f"{name}, model", "model"), "retention", f"accuracy, {name} / clean"),
        ]
        curves[name] = curve({last: level(name)})
    rival = difference("self only", "clean")
    return Plan(
        arms=arms,
        effect=every(*parts),
        control=every(*[Holds(rival, side, "rate, self only - clean") for side in ("loss", "gain")]),
        gate=Holds(level("model"), "gate"),
        curves=curves,
    )


def _right(card, *intervention):
    """Read the share of patch tokens with rank 0 after the last block."""
    readout = PatchAccuracy(layer=card.depth - 1)
    return Arm(intervention=intervention[0], readout=readout) if intervention else Arm(readout=readout)


def _renormalized(card):
    """List which ways of hiding a token the model allows: with and without renormalized weights."""
    return (False, True) if "attention_pattern" in card.capabilities else (True,)
