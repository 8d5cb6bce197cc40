"""Who writes the class: attention more than the MLPs, the last MLP hardly, and what a token's first class comes from.

The source counts blocks from 1 and has no change before its first one, so curves begin at layer 1 (0-based).
"""

from harness import (
    Arm,
    Composition,
    Holds,
    Plan,
    WriteRaises,
    claim,
    curve,
    difference,
    every,
    level,
    mean_of,
    published_as,
    refuse_shallow,
)

AUGREG_BASE = tuple(f"vit_base_patch{side}_224.augreg_in21k_ft_in1k" for side in (16, 32))
CLOSE_TO_THE_BOUND = ("vit_base_patch16_224_miil.in21k_ft_in1k", "vit_large_patch16_224.augreg_in21k_ft_in1k")


@claim("attention-builds-class-more-than-mlp")
def test_attention_writes_the_class_more_than_mlps_do(card):
    refuse_shallow(card, 3)
    arms = {"clean": Arm(), **_raises(card, "attention"), **_raises(card, "mlp"), **_beside(card, "attention", "mlp")}
    arms |= _raises(card, "attention", weights="untrained") | _raises(card, "mlp", weights="untrained")
    names = ("attention", "mlp", "untrained attention", "untrained mlp")
    parts = [Holds(difference("attention", "mlp"), "margin", "attention - MLP, patches, mean over blocks")]
    if "_base_" in card.arch:
        parts.append(Holds(level("attention"), "attention, base size", "attention, patches, mean over blocks"))
    return Plan(
        arms=arms,
        derived={name: mean_of(_named(card, name)) for name in names},
        effect=every(*parts),
        control=Holds(difference("untrained attention", "untrained mlp"), "margin", "attention - MLP, untrained"),
        gate=Holds(level("clean"), "gate"),
        curves=_curves(card, arms),
    )


@claim("last-mlp-stops-writing-class")
def test_the_last_mlp_lowers_the_class(card):
    refuse_shallow(card, 3)
    last = card.depth - 1
    arms = {"clean": Arm(), **_raises(card, "mlp"), **_raises(card, "mlp", weights="untrained")}
    arms |= _beside(card, "mlp")
    fall = "fall, MIIL and L/16" if published_as(card, CLOSE_TO_THE_BOUND) else "fall"

    def stops(mlp, words):
        return every(
            Holds(level(f"{mlp}@{last}"), "last", f"MLP, patches@{last}{words}"),
            Holds(difference(f"{mlp} before", f"{mlp}@{last}"), fall, f"mean of earlier blocks - last{words}"),
        )

    return Plan(
        arms=arms,
        derived={f"{mlp} before": mean_of(_named(card, mlp)[:-1]) for mlp in ("mlp", "untrained mlp")},
        effect=stops("mlp", ""),
        control=stops("untrained mlp", ", untrained"),
        gate=Holds(level("clean"), "gate"),
        curves=_curves(card, arms),
    )


@claim("penultimate-mlp-spike")
def test_the_mlp_before_the_last_writes_the_class(card):
    refuse_shallow(card, 3)
    before, at, after = card.depth - 3, card.depth - 2, card.depth - 1
    arms = {"clean": Arm(), **_raises(card, "mlp")}
    for b in (before, at, after):
        arms[f"mlp@{b}"] = Arm(readout=WriteRaises(layer=b, branch="mlp"))
        arms[f"untrained mlp@{b}"] = Arm(readout=WriteRaises(layer=b, branch="mlp"), weights="untrained")

    def spikes(mlp, words):
        beside = [difference(f"{mlp}@{at}", f"{mlp}@{b}") for b in (before, after)]
        return every(
            Holds(level(f"{mlp}@{at}"), "spike", f"MLP, patches@{at}{words}"),
            *[
                Holds(one, "over neighbours", f"MLP@{at} - @{b}{words}")
                for one, b in zip(beside, (before, after), strict=True)
            ],
        )

    return Plan(
        arms=arms,
        effect=spikes("mlp", ""),
        control=spikes("untrained mlp", ", untrained"),
        gate=Holds(level("clean"), "gate"),
        curves=_curves(card, arms),
        report_only=""
        if published_as(card, AUGREG_BASE)
        else "published as a property of the augreg base models alone",
    )


@claim("residual-top1-is-mostly-composed-early-inherited-late")
def test_first_classes_are_composed_early_and_inherited_late(card):
    refuse_shallow(card, 3)
    layers, last = range(1, card.depth), card.depth - 1
    early = range(1, 2 * card.depth // 3)  # the source's blocks 2 to 8 of 12
    parts = ("before", "attention", "mlp", "none")
    arms = {f"{part}@{b}": Arm(readout=Composition(layer=b, part=part)) for part in parts for b in layers}
    arms |= {f"untrained@{b}": _untrained(Composition(layer=b, part="none")) for b in (*early, last)}
    inherits = [Holds(level(f"before@{last}"), "inherited", f"first class of the block before@{last}")]
    if published_as(card, AUGREG_BASE):
        inherits.append(Holds(level(f"mlp@{last}"), "mlp, augreg base", f"first class of the MLP@{last}"))
    return Plan(
        arms=arms,
        derived={
            "composed": mean_of(f"none@{b}" for b in early),
            "untrained composed": mean_of(f"untrained@{b}" for b in early),
        },
        effect=every(
            Holds(difference("composed", f"none@{last}"), "fall", "composed, early blocks - last"),
            *inherits,
        ),
        control=Holds(difference("untrained composed", f"untrained@{last}"), "fall", "early - last, untrained"),
        curves={part: curve({b: level(f"{part}@{b}") for b in layers}) for part in parts},
    )


def _raises(card, branch, weights="given"):
    """Make the arms of one branch on patch tokens, one per layer from 1 on."""
    prefix = "untrained " if weights == "untrained" else ""
    layers = range(1, card.depth)
    return {f"{prefix}{branch}@{b}": Arm(readout=WriteRaises(layer=b, branch=branch), weights=weights) for b in layers}


def _beside(card, *branches):
    """Make the arms that are shown and not judged: class tokens, and the MLP held against its own input."""
    layers = range(1, card.depth)
    arms = {f"mlp own input@{b}": Arm(readout=WriteRaises(layer=b, branch="mlp", own_input=True)) for b in layers}
    if "class" in card.prefix:
        for branch in branches:
            readouts = {b: WriteRaises(layer=b, branch=branch, tokens="class") for b in layers}
            arms |= {f"{branch} class@{b}": Arm(readout=readout) for b, readout in readouts.items()}
    return arms


def _curves(card, arms):
    """Draw every sort of arm by layer."""
    sorts = dict.fromkeys(name.partition("@")[0] for name in arms if "@" in name)
    layers = {sort: [b for b in range(card.depth) if f"{sort}@{b}" in arms] for sort in sorts}
    return {sort: curve({b: level(f"{sort}@{b}") for b in layers[sort]}) for sort in sorts}


def _named(card, sort):
    return [f"{sort}@{b}" for b in range(1, card.depth)]


def _untrained(readout):
    return Arm(readout=readout, weights="untrained")
