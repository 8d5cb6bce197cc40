"""Whether few, huge entries of the stream act as constants: their mean serves as well, and nothing does not."""

from harness import (
    Arm,
    HasFirstMassive,
    HasMassive,
    Holds,
    LargestEntry,
    Plan,
    ShareInChannel,
    WithMassive,
    claim,
    curve,
    every,
    final_readout,
    level,
    mix,
    ratio,
    some,
)

SHOW_MASSIVE = (
    "vit_base_patch16_clip_224.openai",
    "vit_large_patch14_clip_224.openai",
    "vit_large_patch14_dinov2.lvd142m",
    "vit_giant_patch14_dinov2.lvd142m",
    "vit_large_patch14_reg4_dinov2.lvd142m",
    "vit_giant_patch14_reg4_dinov2.lvd142m",
)


@claim("massive-activations-are-constant")
def test_massive_entries_may_be_their_mean_and_not_nothing(card):
    layers = range(card.depth)
    arms = {f"has@{b}": Arm(readout=HasMassive(layer=b)) for b in layers}
    arms |= {f"largest@{b}": Arm(readout=LargestEntry(layer=b)) for b in layers}
    curves = {
        "share of pictures": curve({b: level(f"has@{b}") for b in layers}),
        "largest over median": curve({b: level(f"largest@{b}") for b in layers}),
    }
    if not {card.arch, card.name} & {*SHOW_MASSIVE}:
        return Plan(
            arms=arms,
            effect=some(*(Holds(level(f"has@{b}"), "found", f"share of pictures, block {b}") for b in layers)),
            curves=curves,
            report_only="published for CLIP and for large DINOv2, of which this model is none",
        )
    read = final_readout(card)
    edited = {by: WithMassive(by=by, readout=read) for by in ("mean", "zero", "ordinary zero")}
    arms |= {
        "clean": Arm(readout=read),
        "has": Arm(readout=HasFirstMassive()),
        "twin has": Arm(weights="untrained", readout=HasFirstMassive()),
        "in one": Arm(readout=ShareInChannel()),
        **{by: Arm(readout=readout) for by, readout in edited.items()},
    }
    return Plan(
        arms=arms,
        derived={
            "more": mix({"mean": 1, "zero": -1}),
            "more, ordinary": mix({"mean": 1, "ordinary zero": -1}),
        },
        effect=every(
            Holds(level("has"), "found", "share of pictures with massive entries after the first such block"),
            Holds(ratio("in one", "has"), "one channel", "share of these entries in one channel"),
            Holds(ratio("mean", "clean"), "kept", "accuracy kept, massive entries by their mean"),
            Holds(ratio("more", "clean"), "more", "accuracy kept by means less accuracy kept by zeros"),
        ),
        control=some(
            Holds(ratio("more, ordinary", "clean"), "more", "the same with as many ordinary entries at zero"),
            Holds(level("twin has"), "found", "share of pictures with massive entries, untrained twin"),
        ),
        gate=Holds(level("clean"), "gate"),
        curves=curves,
    )
