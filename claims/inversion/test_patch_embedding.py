"""Whether the pixels of a patch come back from its embedding by the inverse of one matrix."""

from harness import Arm, Holds, Plan, ProjectionError, TheModel, claim, every, level, some


@claim("patch-embedding-analytically-invertible")
def test_pixels_come_back_from_the_patch_embedding(card):
    wrong = ["other matrix"] + ["other position"] * ("position_embedding" in card.capabilities)
    arms = {number: Arm(readout=ProjectionError(number=number)) for number in ("pixels", "energy")}
    arms |= {by: Arm(readout=ProjectionError(number="pixels", by=by)) for by in wrong}
    return Plan(
        census=TheModel(),
        arms=arms,
        effect=every(
            Holds(level("pixels"), "pixels", "largest error of a pixel that the projection captures"),
            Holds(level("energy"), "energy", "energy that is lost against that of the discarded subspace"),
        ),
        control=some(*[Holds(level(by), "wrong", f"largest error of a pixel, {by}") for by in wrong]),
    )
