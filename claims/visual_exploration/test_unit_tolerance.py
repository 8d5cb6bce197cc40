"""What single units tolerate: small shifts of their top picture, and turns of it."""

from harness import Arm, Elsewhere, Holds, Kept, Plan, UnitsOfEachBlock, claim, curve, difference, every, level, ratio


@claim("unit-translation-tolerance")
def test_units_tolerate_small_shifts_of_their_top_picture(card):
    blocks = range(card.depth)
    arms = {f"shifted@{b}": Arm(readout=Kept(block=b, move="shift")) for b in blocks}
    arms |= {f"still@{b}": Arm(readout=Kept(block=b, move="none")) for b in blocks}
    arms |= {f"elsewhere@{b}": Arm(readout=Elsewhere(block=b)) for b in blocks}
    kept = {b: ratio(f"shifted@{b}", f"still@{b}") for b in blocks}
    rival = {b: ratio(f"elsewhere@{b}", f"still@{b}") for b in blocks}
    return Plan(
        arms=arms,
        census=UnitsOfEachBlock(),
        effect=every(*[Holds(kept[b], "kept", f"shifted / still, block {b}") for b in blocks]),
        control=every(*[Holds(rival[b], "kept", f"other pictures / still, block {b}") for b in blocks]),
        curves={"shifted": curve(kept), "other pictures": curve(rival)},
    )


@claim("unit-rotation-sensitivity")
def test_units_tolerate_turns_much_less_than_shifts(card):
    blocks = range(card.depth)
    arms = {f"{name}@{b}": Arm(readout=Kept(block=b, move=move)) for b in blocks for name, move in _MOVES.items()}
    arms |= {
        f"{name} swapped@{b}": Arm(readout=Kept(block=b, move=move, picture="swapped"))
        for b in blocks
        for name, move in _MOVES.items()
    }
    return Plan(
        arms=arms,
        census=UnitsOfEachBlock(),
        effect=every(
            *[Holds(difference(f"turned@{b}", f"shifted@{b}"), "loss", f"turned - shifted, block {b}") for b in blocks]
        ),
        control=every(
            *[
                Holds(
                    difference(f"turned swapped@{b}", f"shifted swapped@{b}"),
                    "loss",
                    f"turned - shifted of another unit's picture, block {b}",
                )
                for b in blocks
            ]
        ),
        curves={
            "turned": curve({b: level(f"turned@{b}") for b in blocks}),
            "shifted": curve({b: level(f"shifted@{b}") for b in blocks}),
            "turned, swapped": curve({b: level(f"turned swapped@{b}") for b in blocks}),
        },
    )


_MOVES = {"shifted": "shift", "turned": "turn"}
