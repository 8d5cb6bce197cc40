"""Whether registers hold something about the picture, or only what is typical of them."""

from harness import (
    Arm,
    Holds,
    Plan,
    claim,
    curve,
    difference,
    every,
    final_readout,
    level,
    replace_tokens,
    some,
    zero_patches,
)

WAYS = ("zero", "mean", "noise", "donor")


@claim("register-content-is-fungible")
def test_registers_may_hold_what_is_typical_and_not_nothing(card):
    edits = {by: replace_tokens(card, "register", by) for by in WAYS}
    edits |= {f"class {by}": replace_tokens(card, "class", by) for by in ("mean", "donor")}
    edits["patches"] = zero_patches(card, card.prefix.count("register"))
    read = final_readout(card)
    lost = {name: difference(name, "clean") for name in edits}
    return Plan(
        arms={
            "clean": Arm(readout=read),
            **{name: Arm(intervention=edit, readout=read) for name, edit in edits.items()},
        },
        effect=every(
            Holds(lost["mean"], "kept", "accuracy, registers by their means, less as it is"),
            Holds(lost["donor"], "kept", "accuracy, registers of another picture, less as it is"),
            Holds(lost["zero"], "lost", "accuracy, registers by zeros, less as it is"),
        ),
        control=some(
            Holds(lost["class mean"], "kept", "accuracy, class token by its mean, less as it is"),
            Holds(lost["class donor"], "kept", "accuracy, class token of another picture, less as it is"),
            Holds(lost["patches"], "lost", "accuracy, as many patches by zeros, less as it is"),
        ),
        gate=Holds(level("clean"), "gate"),
        curves={"accuracy": curve({x: level(name) for x, name in enumerate(("clean", *WAYS))})},
    )
