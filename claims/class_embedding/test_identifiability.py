"""How early and on how many tokens the label ranks first when the model's own head reads every single token.

Identifiability is 1 - rank/classes. Its null depends on the number of classes; where a level of it is judged it is
first stretched so that chance is 1/2 and the best is 1 (1 - rank/(classes - 1)), which for 1,000 classes moves it by
less than .0006.
"""

from harness import (
    AnyPatchRight,
    Arm,
    Holds,
    Identifiability,
    NotApplicable,
    PatchAccuracy,
    PatchIdentifiability,
    PatchRise,
    Plan,
    Rises,
    Shape,
    affordable_patches,
    claim,
    curve,
    difference,
    every,
    level,
    mean_of,
    mix,
    published_as,
    ratio,
    refuse_shallow,
    some,
)

MANY_CLASSES = 1000
MOST_BY_GUESSING = 0.9  # the ledger's bound on pictures with an identifiable token; a test holds the two together
CHECKPOINTS = {
    "vit_base_patch32_224.augreg_in21k_ft_in1k": "B/32",
    "vit_base_patch16_224.augreg_in21k_ft_in1k": "B/16",
    "vit_large_patch16_224.augreg_in21k_ft_in1k": "L/16",
    "vit_base_patch16_224_miil.in21k_ft_in1k": "MIIL",
    "vit_base_patch16_rpn_224.sw_in1k": "GAP",
}


@claim("image-tokens-class-identifiable-final")
def test_the_last_block_leaves_the_class_in_many_single_patch_tokens(card):
    last, bound = card.depth - 1, CHECKPOINTS.get(published_as(card, CHECKPOINTS), "generic")
    named = bound != "generic"
    right, rival = (level(arm) if named else ratio(arm, "clean") for arm in ("right", "untrained"))
    over = "" if named else " / model's accuracy"
    return Plan(
        arms={
            "clean": Arm(),
            "right": Arm(readout=PatchAccuracy(layer=last)),
            "untrained": Arm(readout=PatchAccuracy(layer=last), weights="untrained"),
        },
        effect=Holds(right, bound, f"share of patch tokens with rank 0{over}"),
        control=Holds(rival, bound, f"the same, untrained{over}"),
        gate=Holds(level("clean"), "gate"),
        curves={"rate": curve({last: level("right")}), "untrained rate": curve({last: level("untrained")})},
    )


@claim("almost-every-image-has-an-identifiable-token")
def test_almost_every_picture_has_a_patch_token_that_ranks_its_class_first(card):
    last, any_right = card.depth - 1, AnyPatchRight(layer=card.depth - 1)
    guessed = 1 - (1 - card.chance) ** card.patches
    return Plan(
        arms={"clean": Arm(), "any": Arm(readout=any_right), "untrained": Arm(readout=any_right, weights="untrained")},
        effect=every(
            Holds(level("any"), "any", "share of pictures with a patch token of rank 0"),
            Holds(difference("any", "clean"), "beyond accuracy", "that share - model's accuracy"),
        ),
        control=Holds(level("untrained"), "any", "the same share, untrained"),
        gate=Holds(level("clean"), "gate"),
        curves={"image rate": curve({last: level("any")}), "untrained image rate": curve({last: level("untrained")})},
        report_only=f"{card.patches} tokens that guess apart among {card.classes} classes would reach it too"
        if guessed >= MOST_BY_GUESSING
        else "",
    )


@claim("random-init-tokens-at-chance")
def test_without_training_every_token_sits_at_chance(card):
    last, tokens = card.depth - 1, ("class", "patches") if _reads_class(card) else ("patches",)
    arms, derived = {}, {}
    for which, weights in (("untrained", "untrained"), ("trained", "given")):
        for token in tokens:
            arms |= {f"{which} {token}@{b}": _rank(token, b, card, weights) for b in range(card.depth)}
        arms[f"{which} right"] = Arm(readout=PatchAccuracy(layer=last), weights=weights)
        arms[f"{which} any"] = Arm(readout=AnyPatchRight(layer=last), weights=weights)
    for name in [name for name in arms if "@" in name]:
        derived[f"{name} of the range"] = _stretched(name, card)

    def at_chance(which):
        levels = [f"{which} {token}@{b}" for token in tokens for b in range(card.depth)]
        sides = [Holds(level(f"{name} of the range"), side, name) for name in levels for side in ("least", "most")]
        rates = [Holds(level(f"{which} right"), "rate", f"{which}, share of patch tokens with rank 0")]
        if card.classes >= MANY_CLASSES:
            rates.append(Holds(level(f"{which} any"), "image rate", f"{which}, share of pictures with such a token"))
        return every(*sides, *rates)

    return Plan(
        arms=arms,
        derived=derived,
        effect=at_chance("untrained"),
        control=at_chance("trained"),
        curves={
            **{
                f"{which} {token}": _curve(f"{which} {token}", card)
                for which in ("untrained", "trained")
                for token in tokens
            },
            "untrained image rate": curve({last: level("untrained any")}),
            "trained image rate": curve({last: level("trained any")}),
        },
    )


@claim("cls-identifiability-rises")
def test_the_class_token_goes_from_chance_to_certainty(card):
    if not _reads_class(card):
        raise NotApplicable(f"the model's own head does not read a class token (its readout: {card.native})")
    return _rising("class", card)


@claim("image-token-identifiability-rises")
def test_patch_tokens_go_from_chance_to_near_certainty(card):
    return _rising("patches", card)


@claim("cls-leads-image-tokens")
def test_the_class_token_is_ahead_of_the_patch_tokens(card):
    if not _reads_class(card):
        raise NotApplicable(f"the model's own head does not read a class token (its readout: {card.native})")
    layers, arms, derived = range(card.depth), {"clean": Arm()}, {}
    for prefix, weights in (("", "given"), ("untrained ", "untrained")):
        for b in layers:
            arms[f"{prefix}class@{b}"] = _rank("class", b, card, weights)
            arms[f"{prefix}patches@{b}"] = _rank("patches", b, card, weights)
            derived[f"{prefix}lead@{b}"] = mix({f"{prefix}class@{b}": 1, f"{prefix}patches@{b}": -1})
        derived[f"{prefix}lead"] = mean_of(f"{prefix}lead@{b}" for b in layers)
    lead = {b: difference(f"class@{b}", f"patches@{b}") for b in layers}
    return Plan(
        arms=arms,
        derived=derived,
        effect=every(
            Holds(level("lead"), "lead", "mean over blocks of class - patches"),
            Shape(tuple(lead.values()), _share_not_behind, "ahead", "share of blocks with class >= patches"),
        ),
        control=Holds(level("untrained lead"), "lead", "mean over blocks of class - patches, untrained"),
        gate=Holds(level("clean"), "gate"),
        curves={"lead": curve(lead), "class": _curve("class", card), "patches": _curve("patches", card)},
        report_only="" if _of_published_size(card) else "published as a property of base-size models; this is no such",
    )


@claim("each-block-raises-correct-class-logit-of-most-image-tokens")
def test_every_block_lifts_the_label_on_most_patch_tokens(card):
    refuse_shallow(card, 2)
    layers = range(1, card.depth)
    arms = {f"rise@{b}": Arm(readout=PatchRise(layer=b)) for b in layers}
    arms |= {f"untrained@{b}": Arm(readout=PatchRise(layer=b), weights="untrained") for b in layers}
    arms["clean"] = Arm()
    return Plan(
        arms=arms,
        derived={"rise": mean_of(f"rise@{b}" for b in layers), "untrained": mean_of(f"untrained@{b}" for b in layers)},
        effect=every(
            *[Holds(level(f"rise@{b}"), "each", f"change rate@{b}") for b in layers],
            Holds(level("rise"), "mean", "mean change rate"),
            some(*[Holds(level(f"rise@{b}"), "largest", f"change rate@{b}, the largest") for b in layers]),
        ),
        control=Holds(level("untrained"), "mean", "mean change rate, untrained"),
        gate=Holds(level("clean"), "gate"),
        curves={
            "change rate": curve({b: level(f"rise@{b}") for b in layers}),
            "untrained change rate": curve({b: level(f"untrained@{b}") for b in layers}),
        },
    )


def _rising(token, card):
    """Plan a curve that rises from chance to near 1: its order, its first, middle and last level, and its range."""
    refuse_shallow(card, 3)
    first, middle, last = 0, -(-card.depth // 2) - 1, card.depth - 1
    arms = {f"{token}@{b}": _rank(token, b, card) for b in range(card.depth)}
    arms |= {f"untrained@{b}": _rank(token, b, card, "untrained") for b in (first, last)}
    arms["clean"] = Arm()
    level_of = {b: f"{token}@{b} of the range" for b in (first, middle, last)}
    derived = {level_of[b]: _stretched(f"{token}@{b}", card) for b in level_of}
    derived |= {f"untrained@{b} of the range": _stretched(f"untrained@{b}", card) for b in (first, last)}
    return Plan(
        arms=arms,
        derived=derived,
        effect=every(
            Rises(tuple(f"{token}@{b}" for b in range(card.depth)), "rises"),
            Holds(level(level_of[first]), "first least", f"{token}@{first}"),
            Holds(level(level_of[first]), "first most", f"{token}@{first}"),
            Holds(level(level_of[middle]), "middle", f"{token}@{middle}"),
            Holds(level(level_of[last]), "last", f"{token}@{last}"),
            Holds(difference(level_of[last], level_of[first]), "range", f"{token}@{last} - @{first}"),
        ),
        control=Holds(
            difference(f"untrained@{last} of the range", f"untrained@{first} of the range"),
            "range",
            f"untrained@{last} - @{first}",
        ),
        gate=Holds(level("clean"), "gate"),
        curves={token: _curve(token, card), "untrained": curve({b: level(f"untrained@{b}") for b in (first, last)})},
    )


def _rank(token, layer, card, weights="given"):
    """Read identifiability: of all patches after the last block, of as many as are cheap enough before it."""
    if token == "class":
        return Arm(readout=Identifiability(layer=layer), weights=weights)
    patches = None if layer == card.depth - 1 else affordable_patches(card)
    return Arm(readout=PatchIdentifiability(layer=layer, patches=patches), weights=weights)


def _stretched(arm, card):
    """Derive 1 - rank/(classes - 1), whose null is 1/2 for any number of classes."""
    return mix({arm: card.classes / (card.classes - 1)}, -1 / (card.classes - 1))


def _curve(arm, card):
    return curve({b: level(f"{arm}@{b}") for b in range(card.depth)})


def _reads_class(card):
    return card.native in ("class", "class+distillation")


def _of_published_size(card):
    return "base" in card.arch or published_as(card, CHECKPOINTS) != ""


def _share_not_behind(low, high):
    """Bound the share of points that are not negative over a box."""
    return float((low >= 0).mean()), float((high >= 0).mean())
