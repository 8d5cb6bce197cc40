"""Whether a change of an object's colour fades from what linear inverses bring back, block by block."""

from harness import (
    Arm,
    ColourShifted,
    Holds,
    Intervention,
    Plan,
    Rises,
    ShiftKept,
    TurnHue,
    claim,
    curve,
    every,
    final_readout,
    ratio,
    refuse_untiled,
)

TURNED = TurnHue(120)


@claim("tvm-colour-perturbation-robustness")
def test_a_turned_hue_fades_with_depth(card):
    refuse_untiled(card)
    layers, last = range(-1, card.depth), card.depth - 1
    arms = {"shifted": Arm(readout=ColourShifted(layer=-1, edit=TURNED))}
    arms |= {f"kept@{b}": Arm(readout=ShiftKept(layer=b, edit=TURNED)) for b in layers}
    arms |= {f"untrained@{b}": Arm(readout=ShiftKept(layer=b, edit=TURNED), weights="untrained") for b in layers}
    read = final_readout(card)
    arms |= {"clean": Arm(readout=read), "turned": Arm(readout=read, intervention=Intervention(pixels=TURNED))}
    curves = {
        "kept": curve({b: ratio(f"kept@{b}", "shifted") for b in layers}),
        "kept, untrained": curve({b: ratio(f"untrained@{b}", "shifted") for b in layers}),
        "accuracy kept": curve({last: ratio("turned", "clean")}),
    }
    return Plan(
        arms=arms,
        effect=every(
            Holds(ratio("kept@-1", "shifted"), "start", "change of colour kept, embedding"),
            Holds(ratio(f"kept@{last}", "kept@-1"), "fades", "change of colour kept, last block / embedding"),
            Holds(ratio(f"kept@{last}", f"untrained@{last}"), "excess", "change of colour kept, trained / untrained"),
            Rises(tuple(f"kept@{b}" for b in reversed(layers)), "order", "Spearman of height and change kept"),
        ),
        control=Holds(ratio("kept@-1", "untrained@-1"), "excess", "the same at the embedding"),
        curves=curves,
    )
