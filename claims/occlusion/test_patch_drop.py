"""What is left of accuracies and features when squares of the picture are blacked out: ViTs beside CNNs."""

from harness import (
    Arm,
    BlackSquares,
    FeatureCorrelation,
    Holds,
    Intervention,
    Plan,
    Retention,
    claim,
    curve,
    difference,
    every,
    gap_kept,
    level,
    ratio,
    shared_grid,
    some,
)

MANY_CLASSES = 1000  # the bounds are about models of ImageNet's size; of smaller ones the pilot refutes them
CELLS = 14  # along a side
TENTHS, QUARTERS = (10, 20, 30, 40, 50, 60, 70, 80, 90), (25, 50, 75)  # per cent of the squares
SMALL = "at small scale the finding is reported: the bounds belong to pretrained models on photographs"
OTHER_CNN = "the finding is about ResNets: CNNs with large kernels match ViTs on occluded pictures"


@claim("vit-survives-random-patch-drop")
def test_a_vit_keeps_more_than_a_cnn_of_half_a_picture(vit, cnn):
    grid, small = shared_grid(vit, cnn, CELLS), vit.classes < MANY_CLASSES
    black = {x: Intervention(pixels=BlackSquares(grid=grid, share=x / 100)) for x in (*TENTHS, *QUARTERS, 100)}
    arms = {"vit right 100": Arm(subject="vit", intervention=black[100])}
    for role in ("vit", "cnn"):
        arms[f"{role} full"] = Arm(subject=role)
        arms |= {f"{role} right {x}": Arm(subject=role, intervention=black[x]) for x in TENTHS}
        for x in QUARTERS:
            arms[f"{role} alike {x}"] = Arm(subject=role, intervention=black[x], readout=FeatureCorrelation())
    kept = {role: Retention(f"{role} right 50", f"{role} full") for role in ("vit", "cnn")}
    gaps = {"vit": gap_kept("vit", kept["vit"], kept["cnn"]), "cnn": gap_kept("cnn", kept["cnn"], kept["vit"])}

    def survives(first, second):
        alike = difference(f"{first} alike 50", f"{second} alike 50")
        return every(
            Holds(ratio(f"{first} right 50", f"{first} full"), "kept", f"share kept, {first}"),
            Holds(gaps[first].quantity, "more kept", f"share kept, {first} - {second}"),
            Holds(level(f"{first} alike 50"), "alike", f"feature correlation, {first}"),
            Holds(alike, "more alike", f"feature correlation, {first} - {second}"),
        )

    curves = {}
    for role in ("vit", "cnn"):
        curves[f"retention, {role}"] = curve({x: ratio(f"{role} right {x}", f"{role} full") for x in TENTHS})
        curves[f"correlation, {role}"] = curve({x: level(f"{role} alike {x}") for x in QUARTERS})
    return Plan(
        arms=arms,
        derived={name: one for gap in gaps.values() for name, one in gap.derived.items()},
        effect=survives("vit", "cnn"),
        control=some(
            survives("cnn", "vit"), Holds(ratio("vit right 100", "vit full"), "kept", "share kept of a black picture")
        ),
        gate=every(*[Holds(level(f"{role} full"), "gate", f"accuracy, {role}") for role in ("vit", "cnn")]),
        curves=curves,
        report_only=SMALL if small else "" if cnn.family == "resnet" else OTHER_CNN,
    )
