"""How much of its accuracy a model keeps when fine detail is filtered out of the pictures: ViTs beside CNNs."""

from harness import (
    Accuracy,
    Arm,
    HighPass,
    Holds,
    Intervention,
    LowPass,
    PhaseNoise,
    Plan,
    Retention,
    claim,
    curve,
    difference,
    every,
    gap_kept,
    level,
    mean_of,
    ratio,
    some,
)

# Shares of the Nyquist frequency, from strong to weak filtering; curves have x = 0..4 for them and 5 for the picture.
RADII = (1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4)
JUDGED = RADII[1:4]
FILTERS = {"low-pass": LowPass, "high-pass": HighPass, "noise": PhaseNoise}
MANY_CLASSES = 1000  # the bound is about models of ImageNet's size; smaller ones are an exploration
EXPLORATORY = "at small scale the comparison is exploratory: the bound is meant for pretrained models on photographs"
OTHER_SIZES = (
    "the bound is meant for two models of one input size: radii are shares of each one's own Nyquist frequency"
)


@claim("vit-less-sensitive-to-low-pass-than-cnn")
def test_a_vit_keeps_more_than_a_cnn_without_fine_detail(vit, cnn):
    arms, derived, small = {}, {}, vit.classes < MANY_CLASSES
    other_sizes = OTHER_SIZES if vit.preprocessing.size != cnn.preprocessing.size else ""
    for role in ("vit", "cnn"):
        arms[f"{role} full"] = Arm(subject=role, readout=Accuracy())
        for name, filtered in FILTERS.items():
            for radius in RADII if name == "low-pass" else JUDGED:
                arms[f"{role} {name} {radius}"] = Arm(subject=role, intervention=Intervention(pixels=filtered(radius)))
            derived[f"{role} {name}"] = mean_of(f"{role} {name} {radius}" for radius in JUDGED)
    gaps = {n: gap_kept(n, Retention(f"vit {n}", "vit full"), Retention(f"cnn {n}", "cnn full")) for n in FILTERS}
    apart = difference("vit full", "cnn full")
    rivals = {"high-pass": "the same with coarse structure filtered out", "noise": "the same under equal noise"}
    return Plan(
        arms=arms,
        derived=derived | {name: one for gap in gaps.values() for name, one in gap.derived.items()},
        effect=Holds(gaps["low-pass"].quantity, "more", "share kept under low-pass, ViT - CNN"),
        control=some(*[Holds(gaps[name].quantity, "more", label) for name, label in rivals.items()]),
        gate=every(
            *[Holds(level(f"{role} full"), "gate") for role in ("vit", "cnn")],
            *[Holds(apart, f"match, {side}", "accuracy, ViT - CNN") for side in ("least", "most") if small],
        ),
        curves={
            f"{name}, {role}": curve(
                {x: ratio(f"{role} {name} {r}", f"{role} full") for x, r in enumerate(RADII) if r in radii}
            )
            for role in ("vit", "cnn")
            for name, radii in {"low-pass": RADII, "high-pass": JUDGED, "noise": JUDGED}.items()
        },
        report_only=EXPLORATORY if small else other_sizes,
    )
