"""Whether a few MLP units make outlier tokens, and whether these may stand anywhere else as well."""

from harness import (
    Arm,
    Holds,
    OutlierShare,
    OutliersLeft,
    Plan,
    RegisterUnits,
    WithUnits,
    claim,
    difference,
    every,
    final_readout,
    level,
    ratio,
)

# The last block that is searched and how many units are taken; outliers are those after the last block but so many.
SEARCHED = {
    "vit_base_patch16_clip_224.laion2b": (5, 10, 0),
    "vit_large_patch14_dinov2.lvd142m": (17, 50, 1),
}


@claim("few-units-make-the-outliers")
def test_few_units_make_the_outliers(card):
    known = SEARCHED.get(card.arch, SEARCHED.get(card.name))
    if known is None:
        return Plan(
            arms={"before": Arm(readout=OutlierShare())},
            effect=Holds(level("before"), "outliers", "share of patch tokens beyond 3 times the median norm"),
            report_only="published for OpenCLIP B/16 and DINOv2-L, of which this model is neither",
        )
    top, count, earlier = known
    read = final_readout(card)
    units = RegisterUnits(top=top, count=count, after=card.depth - 1 - earlier)
    return Plan(
        arms={
            "clean": Arm(readout=read),
            "before": Arm(readout=OutliersLeft(units=units)),
            "left": Arm(readout=OutliersLeft(units=units, how="moved")),
            "left, others": Arm(readout=OutliersLeft(units=units, how="others moved")),
            "moved": Arm(readout=WithUnits(units=units, how="moved", readout=read)),
            "zeroed": Arm(readout=WithUnits(units=units, how="zeroed", readout=read)),
        },
        effect=every(
            Holds(ratio("left", "before"), "left", "outlier patches left when the units are moved"),
            Holds(ratio("moved", "clean"), "kept", "accuracy kept when the units are moved"),
            Holds(difference("zeroed", "clean"), "lost", "accuracy with the units at zero, less as it is"),
        ),
        control=Holds(ratio("left, others", "before"), "left", "outlier patches left when drawn units are moved"),
        gate=every(
            Holds(level("clean"), "gate"),
            Holds(level("before"), "outliers", "share of patch tokens beyond 3 times the median norm"),
        ),
    )
