"""Feature visualization: optimized pictures drive their units, and what the regularizers are good for.

Units are drawn at random from all units of some blocks; of small models that is the block at a third of the depth, of
others all but the last.
"""

from harness import (
    SMALL,
    Arm,
    DrivesUnit,
    HighFrequency,
    Holds,
    IsSpecific,
    OptimizationRecipe,
    Plan,
    Transfers,
    UnitsOf,
    claim,
    every,
    level,
    ratio,
    refuse_shallow,
    some,
)


def _census(card):
    refuse_shallow(card, 2)
    small = max(card.preprocessing.size) <= SMALL
    return UnitsOf(blocks=(card.depth // 3,) if small else tuple(range(card.depth - 1)))


@claim("featvis-ffn-activation-maximization")
def test_an_optimized_picture_drives_its_unit_strongly_and_alone(card):
    small = max(card.preprocessing.size) <= SMALL
    strong = "strong, small" if small else "strong"
    asked = {"census": _census(card), "recipe": OptimizationRecipe.fit_for(card.preprocessing.size)}
    return Plan(
        arms={
            "optimized": Arm(readout=DrivesUnit(**asked)),
            "grey": Arm(readout=DrivesUnit(**asked, picture="grey")),
            "specific": Arm(readout=IsSpecific(**asked)),
            "swapped": Arm(readout=IsSpecific(**asked, scored="swapped")),
        },
        census=asked["census"],
        effect=every(
            Holds(level("optimized"), strong, "units driven beyond every picture"),
            Holds(level("specific"), "specific", "units among the first of their block"),
        ),
        control=some(
            Holds(level("grey"), strong, "units that a grey picture drives beyond every picture"),
            Holds(level("swapped"), "specific", "units among the first on the picture of another"),
        ),
    )


@claim("featvis-regularizers-help")
def test_regularizers_remove_high_frequencies_and_make_pictures_transfer(card):
    census, full = _census(card), OptimizationRecipe.fit_for(card.preprocessing.size)
    plain = full.ablated
    return Plan(
        arms={
            "high, regularized": Arm(readout=HighFrequency(census=census, recipe=full)),
            "high, ablated": Arm(readout=HighFrequency(census=census, recipe=plain)),
            "regularized": Arm(readout=Transfers(census=census, recipe=full, rival=plain, views=full)),
            "ablated": Arm(readout=Transfers(census=census, recipe=plain, rival=full, views=full)),
            "itself": Arm(readout=Transfers(census=census, recipe=plain, rival=plain, views=full)),
        },
        census=census,
        effect=every(
            Holds(ratio("high, regularized", "high, ablated"), "frequencies", "high-frequency share, with / without"),
            Holds(ratio("regularized", "ablated"), "transfer", "activation under fresh views, with / without"),
        ),
        control=some(
            Holds(ratio("high, ablated", "high, ablated"), "frequencies", "ablated / itself"),
            Holds(ratio("itself", "itself"), "transfer", "ablated / itself, fresh views"),
        ),
    )
