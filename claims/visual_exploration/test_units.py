"""What single units respond to: classes, more and more different pictures, objects and backgrounds.

Every number is exact for the given pictures: all units of a block are read, and the model is the one member.
"""

from harness import (
    Arm,
    BackgroundUnits,
    Batches,
    DistinctTop,
    Holds,
    NotApplicable,
    ObjectArea,
    Plan,
    Purity,
    Rises,
    claim,
    curve,
    difference,
    every,
    level,
    mean_of,
    ratio,
    refuse_shallow,
    some,
)

FEWEST_PLACES = 16  # of an activation map that is compared with a mask


@claim("patch-activation-is-saliency")
def test_activation_maps_follow_the_object_or_the_background(card):
    inner = [
        block
        for block in range(1, card.depth - 1)
        if card.units[block].rows * card.units[block].columns >= FEWEST_PLACES
    ]
    if not inner:
        raise NotApplicable(f"no block between the first and the last has maps of {FEWEST_PLACES} places or more")
    arms = {f"{mask}@{b}": Arm(readout=ObjectArea(block=b, mask=mask)) for b in inner for mask in ("own", "other")}
    arms |= {f"permuted@{b}": Arm(readout=ObjectArea(block=b, mask="permuted")) for b in inner}
    arms |= {f"untrained@{b}": Arm(readout=ObjectArea(block=b), weights="untrained") for b in inner}
    arms |= {f"background@{b}": Arm(readout=BackgroundUnits(block=b)) for b in inner}
    means = {mask: mean_of(f"{mask}@{b}" for b in inner) for mask in ("own", "other", "permuted")}
    return Plan(
        arms=arms,
        derived=means,
        census=Batches(),
        effect=every(
            Holds(difference("own", "other"), "object", "area, own mask - other mask"),
            some(*[Holds(level(f"background@{b}"), "background", f"background units, block {b}") for b in inner]),
            some(
                *[
                    Holds(difference(f"own@{b}", f"untrained@{b}"), "trained", f"area, trained - untrained, block {b}")
                    for b in inner
                ]
            ),
        ),
        control=Holds(difference("permuted", "other"), "object", "area, permuted maps - other mask"),
        curves={
            "area": curve({b: level(f"own@{b}") for b in inner}),
            "area, other mask": curve({b: level(f"other@{b}") for b in inner}),
            "area, untrained": curve({b: level(f"untrained@{b}") for b in inner}),
            "background units": curve({b: level(f"background@{b}") for b in inner}),
        },
    )


@claim("progressive-specialization-early-texture-late-object")
def test_units_become_class_selective_with_depth(card):
    refuse_shallow(card, 3)
    blocks, last = range(card.depth), card.depth - 1
    arms = {f"purity@{b}": Arm(readout=Purity(block=b)) for b in blocks}
    arms |= {f"untrained@{b}": Arm(readout=Purity(block=b), weights="untrained") for b in (0, last)}
    arms |= {f"permuted@{b}": Arm(readout=Purity(block=b, labels="permuted")) for b in (0, last)}
    return Plan(
        arms=arms,
        census=Batches(),
        effect=every(
            Rises(tuple(f"purity@{b}" for b in blocks), "order", "Spearman of block and purity"),
            Holds(ratio(f"purity@{last}", "purity@0"), "gain", "purity, last block / first"),
        ),
        control=some(
            *[
                Holds(difference(f"{rival}@{last}", f"{rival}@0"), "flat", f"purity, {rival}, last block - first")
                for rival in ("untrained", "permuted")
            ]
        ),
        curves={
            "purity": curve({b: level(f"purity@{b}") for b in blocks}),
            "purity, untrained": curve({b: level(f"untrained@{b}") for b in (0, last)}),
            "purity, permuted labels": curve({b: level(f"permuted@{b}") for b in (0, last)}),
        },
    )


@claim("top-images-diversify-with-depth")
def test_units_have_more_distinct_top_pictures_in_later_blocks(card):
    refuse_shallow(card, 2)
    blocks, last = range(card.depth), card.depth - 1
    arms = {f"distinct@{b}": Arm(readout=DistinctTop(block=b)) for b in blocks}
    arms |= {f"untrained@{b}": Arm(readout=DistinctTop(block=b), weights="untrained") for b in blocks}
    return Plan(
        arms=arms,
        census=Batches(),
        effect=Holds(ratio(f"distinct@{last}", "distinct@0"), "gain", "distinct top pictures, last block / first"),
        control=Holds(ratio(f"untrained@{last}", "untrained@0"), "gain", "distinct top pictures, untrained"),
        curves={
            "distinct": curve({b: level(f"distinct@{b}") for b in blocks}),
            "distinct, untrained": curve({b: level(f"untrained@{b}") for b in blocks}),
        },
    )


@claim("featvis-ffn-vs-qkv")
def test_hidden_units_are_purer_than_queries_keys_and_values(card):
    blocks, narrow = range(card.depth), ("query", "key", "value")
    arms = {f"{site}@{b}": Arm(readout=Purity(block=b, site=site)) for b in blocks for site in ("units", *narrow)}
    arms |= {f"rotated@{b}": Arm(readout=Purity(block=b, site="rotated units")) for b in blocks}
    arms |= {
        f"untrained {site}@{b}": Arm(readout=Purity(block=b, site=site), weights="untrained")
        for b in blocks
        for site in ("units", *narrow)
    }
    derived = {
        "units": mean_of(f"units@{b}" for b in blocks),
        "rotated": mean_of(f"rotated@{b}" for b in blocks),
        "narrow": mean_of(f"{site}@{b}" for b in blocks for site in narrow),
        "untrained units": mean_of(f"untrained units@{b}" for b in blocks),
        "untrained narrow": mean_of(f"untrained {site}@{b}" for b in blocks for site in narrow),
    }
    return Plan(
        arms=arms,
        derived=derived,
        census=Batches(),
        effect=Holds(difference("units", "narrow"), "gap", "purity, units - mean of query, key, value"),
        control=some(
            Holds(difference("rotated", "narrow"), "gap", "purity, rotated units - mean of query, key, value"),
            Holds(difference("untrained units", "untrained narrow"), "untrained", "the same of an untrained twin"),
        ),
        curves={
            "purity": curve({b: level(f"units@{b}") for b in blocks}),
            "purity, rotated units": curve({b: level(f"rotated@{b}") for b in blocks}),
            **{f"purity, {site}": curve({b: level(f"{site}@{b}") for b in blocks}) for site in narrow},
        },
    )
