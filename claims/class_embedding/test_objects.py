"""Tokens on the object against tokens beside it: which know more, whether they need one another, which attention feeds.

Pictures whose mask covers all patches or none are left out: means are ratios to the share of pictures that have both.
"""

from harness import (
    Arm,
    AttentionLead,
    HasBoth,
    Holds,
    Plan,
    Product,
    RegionAccuracy,
    RegionIdentifiability,
    claim,
    curve,
    difference,
    every,
    keep_patches,
    level,
    mix,
    published_as,
    ratio,
    refuse_shallow,
)

B32 = "vit_base_patch32_224.augreg_in21k_ft_in1k"
MASKS = ("own", "donor")


@claim("class-tokens-lead-context-tokens")
def test_tokens_on_the_object_know_more_than_those_beside_it(card):
    refuse_shallow(card, 2)
    last, layers = card.depth - 1, range(card.depth)
    judged = layers[-(-7 * card.depth // 10) - 1 :]  # blocks from 0.7 of the depth on, counted from 1 as in the source
    arms, derived = {"clean": Arm()}, {}
    for whose in MASKS:
        arms[f"{whose} both"] = Arm(readout=HasBoth(whose=whose))
        for region in ("object", "context"):
            for b in layers if whose == "own" else judged:
                readout = RegionIdentifiability(layer=b, region=region, whose=whose)
                arms[f"{whose} {region}@{b}"] = Arm(readout=readout)
            arms[f"{whose} {region} right"] = Arm(readout=RegionAccuracy(layer=last, region=region, whose=whose))
        for b in layers if whose == "own" else judged:
            derived[f"{whose} lead@{b}"] = mix({f"{whose} object@{b}": 1, f"{whose} context@{b}": -1})
        derived[f"{whose} lead right"] = mix({f"{whose} object right": 1, f"{whose} context right": -1})

    def leads(whose, words):
        both = f"{whose} both"
        return every(
            *[Holds(ratio(f"{whose} lead@{b}", both), "lead", f"object - context{words}@{b}") for b in judged],
            Holds(ratio(f"{whose} lead right", both), "rate", f"share of rank 0, object - context{words}"),
        )

    return Plan(
        arms=arms,
        derived=derived,
        effect=leads("own", ""),
        control=leads("donor", " of the neighbour"),
        gate=Holds(level("clean"), "gate"),
        curves={
            part: curve({b: ratio(f"own {part}@{b}", "own both") for b in layers})
            for part in ("object", "context", "lead")
        },
    )


@claim("removing-context-or-object-tokens")
def test_object_tokens_need_context_and_context_alone_carries_the_class(card):
    last = card.depth - 1
    on_object = RegionAccuracy(layer=last, region="object")
    beside = RegionAccuracy(layer=last, region="context")
    drawn = RegionAccuracy(layer=last, region="object", drawn=True)
    arms = {
        "clean": Arm(),
        "both": Arm(readout=HasBoth()),
        "both, drawn": Arm(readout=HasBoth(drawn=True)),
        "object": Arm(readout=on_object),
        "context": Arm(readout=beside),
        "object alone": Arm(intervention=keep_patches(card, "object"), readout=on_object),
        "context alone": Arm(intervention=keep_patches(card, "context"), readout=beside),
        "object drawn": Arm(intervention=keep_patches(card, "object", random=True), readout=drawn),
    }
    drop, words = ratio("drop", "both"), "object tokens, drop without context"
    return Plan(
        arms=arms,
        derived={
            "drop": mix({"object": 1, "object alone": -1}),
            "alone where drawn": Product(("object alone", "both, drawn")),
        },
        effect=every(
            Holds(drop, "drop at least", words),
            Holds(drop, "drop at most", words),
            Holds(ratio("context alone", "both"), "context alone", "context tokens without object"),
        ),
        control=Holds(difference("object drawn", "alone where drawn"), "no better", "random removal - context removal"),
        gate=Holds(level("clean"), "gate"),
        curves={
            name: curve({last: ratio(name, "both")}) for name in ("object", "context", "object alone", "context alone")
        }
        | {"object, random removal": curve({last: ratio("object drawn", "both, drawn")})},
    )


@claim("attention-update-class-vs-context")
def test_attention_feeds_objects_early_and_context_late(card):
    refuse_shallow(card, 3)
    last, layers = card.depth - 1, range(1, card.depth)
    early = range(card.depth // 4, 2 * card.depth // 3)  # the source's blocks 4 to 8 of 12
    arms = {"clean": Arm(), "both": Arm(readout=HasBoth())}
    arms |= {f"own@{b}": Arm(readout=AttentionLead(layer=b)) for b in {*layers, *early}}
    arms |= {f"neighbour@{b}": Arm(readout=AttentionLead(layer=b, whose="donor")) for b in (*early, last)}
    lead = {b: ratio(f"own@{b}", "both") for b in sorted({*layers, *early})}
    return Plan(
        arms=arms,
        effect=every(
            *[Holds(lead[b], "early", f"change on object - context@{b}") for b in early],
            Holds(lead[last], "last", f"change on object - context@{last}"),
        ),
        control=every(
            *[Holds(difference(f"neighbour@{b}", f"own@{b}"), "as much", f"neighbour's - own@{b}") for b in early],
            Holds(difference(f"own@{last}", f"neighbour@{last}"), "as much", f"own - neighbour's@{last}"),
        ),
        gate=Holds(level("clean"), "gate"),
        curves={"change": curve(lead)},
        report_only="" if published_as(card, (B32,)) else "published for ViT-B/32 alone",
    )
