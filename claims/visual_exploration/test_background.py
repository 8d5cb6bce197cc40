"""What is seen of a picture when only its background, or only its foreground, is left: ViTs beside CNNs."""

from harness import (
    Accuracy,
    Arm,
    FillBackground,
    FillObject,
    Holds,
    Intervention,
    ModelCard,
    Plan,
    Retention,
    TopAccuracy,
    claim,
    curve,
    difference,
    every,
    gap_kept,
    level,
    ratio,
    usual_count,
)

MANY_CLASSES = 1000  # the bounds are about models of ImageNet's size; smaller ones are an exploration
EXPLORATORY = (
    "at small scale the comparison is exploratory and two-sided: the published margin belongs to pretrained models on "
    "photographs"
)


@claim("vit-better-than-cnn-on-background-only")
def test_a_vit_keeps_more_than_a_cnn_when_the_background_alone_is_left(vit, cnn):
    return _compared(vit, cnn, FillObject(region="box"), FillObject(region="box", whose="donor"))


@claim("vit-loses-less-than-cnn-without-background")
def test_a_vit_keeps_more_than_a_cnn_when_the_foreground_alone_is_left(vit, cnn):
    return _compared(vit, cnn, FillBackground(region="box"), FillBackground(region="box", whose="donor"))


@claim("background-accuracy-needs-correlated-background")
def test_an_uncorrelated_background_tells_no_class(card):
    arms = {
        "full": Arm(),
        "background": Arm(intervention=Intervention(pixels=FillObject(region="box"))),
        "foreground": Arm(intervention=Intervention(pixels=FillBackground(region="box"))),
        "silhouette": Arm(intervention=Intervention(pixels=FillObject(region="mask"))),
    }
    return Plan(
        arms=arms,
        effect=Holds(level("background"), "chance", "accuracy on the background alone"),
        control=every(
            Holds(level("foreground"), "chance", "accuracy on the foreground alone"),
            Holds(level("silhouette"), "chance", "accuracy on the outline in its background"),
        ),
        gate=Holds(level("full"), "gate"),
        # x = 0 the box of the object hidden, 1 all but the box, 2 the mask, whose outline gives the object away.
        curves={"accuracy": curve(dict(enumerate(map(level, ("background", "foreground", "silhouette")))))},
    )


def _compared(vit: ModelCard, cnn: ModelCard, own: FillObject | FillBackground, donor: FillObject | FillBackground):
    """Plan what is kept of each model's accuracy: x = 0 own boxes hide, 1 those of another picture."""
    small = vit.classes < MANY_CLASSES
    arms, edits = {}, {"kept": own, "swapped": donor}
    for role, card in (("vit", vit), ("cnn", cnn)):
        count = usual_count(card.classes)
        arms[f"{role} full"] = Arm(subject=role, readout=TopAccuracy(count=count))
        arms[f"{role} right"] = Arm(subject=role, readout=Accuracy())
        for name, edit in edits.items():
            edited = Intervention(pixels=edit)
            arms[f"{role} {name}"] = Arm(subject=role, intervention=edited, readout=TopAccuracy(count=count))
        permuted = TopAccuracy(count=count, labels="donor")
        arms[f"{role} permuted"] = Arm(subject=role, intervention=Intervention(pixels=own), readout=permuted)
    names = ("kept", "swapped", "permuted")
    gaps = {n: gap_kept(n, Retention(f"vit {n}", "vit full"), Retention(f"cnn {n}", "cnn full")) for n in names}
    return Plan(
        arms=arms,
        derived={name: one for gap in gaps.values() for name, one in gap.derived.items()},
        effect=Holds(gaps["kept"].quantity, "more", "share kept, ViT - CNN"),
        control=Holds(gaps["permuted"].quantity, "more", "the same against labels of other pictures"),
        gate=_gate(small),
        curves={
            "gap": curve({0: gaps["kept"].quantity, 1: gaps["swapped"].quantity}),
            **{
                f"kept by the {role}": curve({x: ratio(f"{role} {n}", f"{role} full") for x, n in enumerate(edits)})
                for role in ("vit", "cnn")
            },
        },
        report_only=EXPLORATORY if small else "",
    )


def _gate(small: bool):
    """Ask for two models that answer; and of small ones, where the architectures are compared, for equal accuracy."""
    answers = [Holds(level(f"{role} right"), "gate") for role in ("vit", "cnn")]
    apart = difference("vit right", "cnn right")
    match = [Holds(apart, f"match, {side}", "accuracy, ViT - CNN") for side in ("least", "most")]
    return every(*answers, *(match if small else []))
