"""Keys that select class memories: what the strongest keys of tokens pick, and whether the branch then writes that.

The source counts blocks from 1; layers here are 0-based. A null is the chance that the strongest of so many random keys
meet the best of so many value vectors (`harness.judging.chance_levels`), computed for every model.
"""

from harness import (
    Arm,
    Covaries,
    Holds,
    KeyValueAgreement,
    MemoryMatch,
    NotApplicable,
    Plan,
    chance_of_meeting,
    claim,
    curve,
    difference,
    every,
    level,
    mix,
    most,
    ratio,
    refuse_shallow,
    some,
)

PUBLISHED_WIDTHS = (768, 1024)  # where absolute bounds hold
CLASSES = 1000  # for which the bounds on compositions are given
# A multiple of a null is judged where it asks for half of the tokens at most: rates saturate, their nulls do not.
HIGHEST_NULL = {"attention": 0.1, "mlp": 0.02}
COLLAPSING = ("vit_base_patch32_224.augreg_in21k_ft_in1k", "vit_base_patch16_224.augreg_in21k_ft_in1k")
TELLING = (
    "vit_base_patch32_224.augreg_in21k_ft_in1k",
    "vit_large_patch16_224.augreg_in21k_ft_in1k",
    "vit_base_patch16_224_miil.in21k_ft_in1k",
)


@claim("attention-keys-select-class-values-in-last-block")
def test_attention_keys_select_values_of_the_class_in_the_last_block(card):
    _refuse_pooled(card)
    refuse_shallow(card, 3)
    last, wide = card.depth - 1, card.width in PUBLISHED_WIDTHS
    middle = range(-(-card.depth // 4) - 1, 2 * card.depth // 3)
    null = _null(card, "attention")
    over = {b: f"attention@{b} / null" for b in (*middle, last)}
    early = "middle" if wide else "middle, times null"
    quantity = {b: level(f"attention@{b}" if wide else over[b]) for b in middle}
    return Plan(
        arms={
            **{f"attention@{b}": _agreement(b, "attention") for b in range(card.depth)},
            "another class": _agreement(last, "attention", of="another class"),
        },
        derived={
            **{name: mix({f"attention@{b}": 1 / null}) for b, name in over.items()},
            "another class / null": mix({"another class": 1 / null}),
        },
        effect=every(
            *([Holds(level(f"attention@{last}"), "last", "share of tokens, last block")] if wide else []),
            Holds(level(over[last]), "times null", "share of tokens / null, last block"),
            *[Holds(quantity[b], early, f"share of tokens{'' if wide else ' / null'}, block {b}") for b in middle],
        ),
        control=Holds(level("another class / null"), "times null", "the same for another class than the true one"),
        curves={"key-value agreement, attention": _curve("attention", card)},
        report_only=_saturated("attention", null),
    )


@claim("mlp-keys-select-class-values-in-penultimate-block")
def test_mlp_keys_select_values_of_the_class_late(card):
    _refuse_pooled(card)
    refuse_shallow(card, 3)
    depth, wide = card.depth, card.width in PUBLISHED_WIDTHS
    quarter, peak = _last_quarter(card), range(max(1, depth - 3), depth)
    rivals = [f"another class@{b}" for b in quarter]
    null = _null(card, "mlp")
    over = {name: f"{name} / null" for name in (*(f"mlp@{b}" for b in quarter), *rivals)}
    bound = "share" if wide else "times null"
    judged = [Holds(level(f"mlp@{b}" if wide else over[f"mlp@{b}"]), bound, _agreeing(b, wide)) for b in quarter]
    known = {card.arch, card.name} & {*COLLAPSING}
    return Plan(
        arms={
            **{f"mlp@{b}": _agreement(b, "mlp") for b in range(depth)},
            **{name: _agreement(b, "mlp", of="another class") for name, b in zip(rivals, quarter, strict=True)},
        },
        derived={} if wide else {derived: mix({name: 1 / null}) for name, derived in over.items()},
        effect=every(
            some(*judged),
            some(*[_nowhere_larger(b, set(range(depth)) - set(peak)) for b in peak]),
            *([Holds(level(f"mlp@{depth - 1}"), "collapse", "share of tokens, last block")] if known else []),
        ),
        control=some(
            *[Holds(level(name if wide else over[name]), bound, f"{name}, share of tokens") for name in rivals]
        ),
        curves={"key-value agreement, MLP": _curve("mlp", card)},
        report_only="" if wide else _saturated("mlp", null),
    )


@claim("agreement-higher-on-correct-images")
def test_keys_agree_more_on_pictures_that_are_classified_rightly(card):
    _refuse_pooled(card)
    quarter = _last_quarter(card)
    arms = {"right": Arm()}
    arms |= {f"mlp@{b}": _agreement(b, "mlp", tokens="class") for b in quarter}
    arms |= {f"another class@{b}": _agreement(b, "mlp", tokens="class", of="another class") for b in quarter}
    derived = {"one right, one wrong": Covaries("right", "right")}
    derived |= {f"lead of {arm}": Covaries(arm, "right") for arm in arms if arm != "right"}

    def leads(branch):
        lead = {b: ratio(f"lead of {branch}@{b}", "one right, one wrong") for b in quarter}
        return [Holds(lead[b], "lead", f"agreement on right - on wrong pictures, {branch}, block {b}") for b in quarter]

    told = {card.arch, card.name} & {*TELLING}
    return Plan(
        arms=arms,
        derived=derived,
        effect=some(*leads("mlp")),
        control=some(*leads("another class")),
        report_only="" if told else "the source finds leads from 4 to 66 points and bounds are for named checkpoints",
    )


@claim("mlp-output-matches-its-top-memories-only-late")
def test_an_mlp_names_one_of_its_strongest_memories_only_late(card):
    _refuse_pooled(card)
    refuse_shallow(card, 3)
    quarter, blocks = _last_quarter(card), range(card.depth)
    arms = {
        f"{branch}@{b}": Arm(readout=MemoryMatch(layer=b, branch=branch))
        for branch in ("mlp", "attention")
        for b in blocks
    }
    arms |= {f"untrained@{b}": Arm(readout=MemoryMatch(layer=b, branch="mlp"), weights="untrained") for b in quarter}
    few = f"the bounds are for {CLASSES} classes, where a match by chance is rare; this model has {card.classes}"
    return Plan(
        arms=arms,
        effect=every(
            most(*[Holds(level(f"mlp@{b}"), "median", f"MLP of block {b}, share of tokens") for b in blocks]),
            some(*[Holds(level(f"mlp@{b}"), "largest", f"MLP of block {b}, share of tokens") for b in quarter]),
        ),
        control=some(*[Holds(level(f"untrained@{b}"), "largest", f"untrained MLP of block {b}") for b in quarter]),
        curves={f"memory composition, {branch}": _curve(branch, card) for branch in ("mlp", "attention")},
        report_only="" if card.classes >= CLASSES else few,
    )


def _agreement(block, branch, **what):
    return Arm(readout=KeyValueAgreement(layer=block, branch=branch, **what))


def _null(card, branch):
    vectors = card.width if branch == "attention" else min(shape.units for shape in card.units)
    return chance_of_meeting(vectors)


def _saturated(branch, null):
    """Say why a multiple of a null that is large already is not judged."""
    if null <= HIGHEST_NULL[branch]:
        return ""
    return f"by chance {null:.0%} of tokens agree here: a multiple that rates can reach is no longer that of the source"


def _last_quarter(card):
    return range(3 * card.depth // 4, card.depth)


def _agreeing(block, wide):
    return f"share of tokens{'' if wide else ' / null'}, block {block}"


def _nowhere_larger(block, others):
    """State that no other block's MLP agrees more than this one."""
    return every(*[Holds(difference(f"mlp@{block}", f"mlp@{o}"), "peak", f"block {block} - block {o}") for o in others])


def _curve(branch, card):
    return curve({b: level(f"{branch}@{b}") for b in range(card.depth)})


def _refuse_pooled(card):
    if card.native not in ("class", "class+distillation"):
        raise NotApplicable(f"the model's own head does not read a class token (its readout: {card.native})")
