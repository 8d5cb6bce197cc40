"""Whether patch tokens stay local until the last block gathers them, in ViTs that read a class token and in others.

The source counts blocks from 1; layers here are 0-based blocks. All numbers are about a fixed set of pictures.
"""

from harness import (
    Arm,
    Batches,
    Holds,
    ModelAccuracy,
    NotApplicable,
    PatchCosine,
    PatchHead,
    Plan,
    WithinShare,
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

MANY_CLASSES = 1000  # from here on the bounds for pretrained models hold, below those for small ones


@claim("spatial-info-preserved-until-last-block")
def test_patch_tokens_stay_local_until_the_last_block(card):
    refuse_shallow(card, 3)
    last, blocks, large = card.depth - 1, range(card.depth), card.classes >= MANY_CLASSES
    arms, derived = {"clean": Arm(readout=ModelAccuracy())}, {}
    for name, weights in (("", "given"), ("untrained ", "untrained")):
        arms |= {f"{name}within@{b}": Arm(readout=WithinShare((b,)), weights=weights) for b in blocks}
        if large:
            arms[f"{name}earlier"] = Arm(readout=WithinShare(tuple(range(last))), weights=weights)
        for kind, readout in (("cosine", PatchCosine), ("patches", PatchHead)):
            arms |= {f"{name}{kind}@{b}": Arm(readout=readout(b), weights=weights) for b in blocks}
        derived[f"{name}jump"] = mix({f"{name}patches@{last}": 1, f"{name}patches@{last - 1}": -1})

    def gathered(name):
        return every(
            Holds(ratio(f"{name}within@{last}", f"{name}earlier"), "last, median", "within share, last / median"),
            Holds(difference(f"{name}cosine@{last}", f"{name}cosine@{last - 1}"), "cosine", "cosine, last step"),
            Holds(ratio(f"{name}jump", "clean"), "jump", "patch head, last step / model"),
        )

    margins = [difference(f"within@{b}", f"untrained within@{b}") for b in blocks]
    reverse = [difference(f"untrained within@{b}", f"within@{b}") for b in blocks]
    small = every(
        Holds(ratio(f"within@{last}", "within@0"), "last, first", "within share, last / first"),
        *[Holds(margin, "margin", f"within share over untrained, block {b}") for b, margin in enumerate(margins)],
    )
    return Plan(
        census=Batches(),
        arms=arms,
        derived=derived,
        effect=gathered("") if large else small,
        control=gathered("untrained ") if large else some(*[Holds(one, "margin") for one in reverse]),
        gate=Holds(level("clean"), "gate"),
        curves={
            f"{name}{kind}": curve({b: level(f"{name}{kind}@{b}") for b in blocks})
            for name in ("", "untrained ")
            for kind in ("within", "cosine", "patches")
        },
    )


@claim("collapse-needs-class-readout")
def test_an_average_pool_twin_does_not_gather_its_patches(vit, twin):
    refuse_shallow(vit, 3)
    if (vit.depth, vit.width, vit.patches) != (twin.depth, twin.width, twin.patches):
        raise NotApplicable(
            f"the two differ in more than their readout: {vit.depth} and {twin.depth} blocks, widths {vit.width} and "
            f"{twin.width}, {vit.patches} and {twin.patches} patches"
        )
    last, before = vit.depth - 1, tuple(range(vit.depth - 1)) if vit.classes >= MANY_CLASSES else (0,)
    arms = {}
    for role in ("vit", "twin"):
        arms[f"{role} clean"] = Arm(subject=role, readout=ModelAccuracy())
        for name, weights in (("", "given"), ("untrained ", "untrained")):
            for what, blocks in (("last", (last,)), ("before", before)):
                arms[f"{role} {name}{what}"] = Arm(subject=role, readout=WithinShare(blocks), weights=weights)
        arms |= {f"{role} within@{b}": Arm(subject=role, readout=WithinShare((b,))) for b in range(vit.depth)}

    def apart(name):
        return every(
            Holds(ratio(f"vit {name}last", f"vit {name}before"), "gathers", f"{name}within share, last / before, ViT"),
            Holds(ratio(f"twin {name}last", f"twin {name}before"), "stays", f"{name}within share, last / before, twin"),
        )

    match = difference("vit clean", "twin clean")
    return Plan(
        census=Batches(),
        arms=arms,
        effect=apart(""),
        control=apart("untrained "),
        gate=every(
            *[Holds(level(f"{role} clean"), "gate") for role in ("vit", "twin")],
            *[Holds(match, f"match, {side}", "accuracy, ViT - twin") for side in ("least", "most")],
        ),
        curves={
            f"within, {role}": curve({b: level(f"{role} within@{b}") for b in range(vit.depth)})
            for role in ("vit", "twin")
        },
    )
