"""Where an auxiliary readout lets label information past the class token."""

from harness import (
    Accuracy,
    Arm,
    Holds,
    NotApplicable,
    Plan,
    appends_patch_mean,
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


@claim("distill-token-bypasses-cls")
def test_the_distillation_head_bypasses_the_class_token(card):
    last, alone = card.depth - 1, Accuracy(head="class")
    averaged, single = ratio("shuffled", "clean"), ratio("class shuffled", "class clean")
    return Plan(
        arms=_both(last, Accuracy(), alone),
        effect=every(
            Holds(averaged, "averaged", f"retention@{last}, averaged heads"),
            Holds(level("class shuffled"), "floor", f"class-head accuracy after a shuffle@{last}"),
        ),
        control=some(
            Holds(single, "averaged", f"retention@{last}, class head"),
            Holds(level("shuffled"), "floor", f"averaged accuracy after a shuffle@{last}"),
        ),
        gate=Holds(level("clean"), "gate"),
        curves={"retention": curve({last: averaged}), "class-only retention": curve({last: single})},
    )


@claim("dinov2-mean-pool-is-partial-bypass")
def test_the_appended_patch_mean_is_a_partial_bypass(card):
    if not appends_patch_mean(card):
        raise NotApplicable("the model is not read from class token and mean patch token side by side")
    last = card.depth - 1
    whole, single = ratio("shuffled", "clean"), ratio("class shuffled", "class clean")
    loss = difference("clean", "class clean")
    return Plan(
        arms=_both(last, final_readout(card), class_readout(card)),
        effect=every(
            Holds(whole, "bypass at least", f"retention@{last}"),
            Holds(whole, "bypass at most", f"retention@{last}"),
            Holds(level("class shuffled"), "floor", f"class-half accuracy after a shuffle@{last}"),
            Holds(loss, "loss at least", "accuracy lost without the mean half"),
            Holds(loss, "loss at most", "accuracy lost without the mean half"),
        ),
        control=Holds(single, "bypass at least", f"class-half retention@{last}"),
        gate=Holds(level("clean"), "gate"),
        curves={"retention": curve({last: whole}), "class-only retention": curve({last: single})},
    )


@claim("auxiliary-readout-shape-append-vs-average")
def test_an_averaged_auxiliary_readout_shows_only_late(card):
    refuse_shallow(card, 3)
    averaged, before = card.native == "class+distillation", card.depth - 2
    if not (averaged or appends_patch_mean(card)):
        raise NotApplicable("the model has no auxiliary readout beside the class token: the difference is 0")
    layers, early = range(card.depth), range(min(card.depth // 2, before))
    whole, alone = final_readout(card), class_readout(card)
    arms = {f"whole@{b}": Arm(intervention=shuffle_cls(b), readout=whole) for b in layers}
    arms |= {f"class@{b}": Arm(intervention=shuffle_cls(b), readout=alone) for b in layers}
    gap = {b: difference(f"whole@{b}", f"class@{b}") for b in layers}
    curves = {
        "difference": curve(gap),
        "accuracy": curve({b: level(f"whole@{b}") for b in layers}),
        "class-only accuracy": curve({b: level(f"class@{b}") for b in layers}),
    }
    if not averaged:
        why = "bounds are published for averaged heads; an appended readout differs from the first block on"
        return Plan(arms=arms, effect=Holds(gap[0], "early", "whole - class-only@0"), curves=curves, report_only=why)
    arms["clean"] = Arm(readout=whole)
    for name, readout in (("untrained whole", whole), ("untrained class", alone)):
        arms[name] = Arm(intervention=shuffle_cls(before), readout=readout, weights="untrained")
    return Plan(
        arms=arms,
        effect=every(
            *[Holds(gap[b], "early", f"whole - class-only@{b}") for b in early],
            Holds(gap[before], "late", f"whole - class-only@{before}"),
        ),
        control=Holds(difference("untrained whole", "untrained class"), "late", "whole - class-only, untrained"),
        gate=Holds(level("clean"), "gate"),
        curves=curves,
    )


def _both(layer, whole, alone):
    """Lay out both readouts, with and without a shuffle after this block."""
    return {
        "clean": Arm(readout=whole),
        "shuffled": Arm(intervention=shuffle_cls(layer), readout=whole),
        "class clean": Arm(readout=alone),
        "class shuffled": Arm(intervention=shuffle_cls(layer), readout=alone),
    }
