"""Tokens with outlying norms in large ViTs: how many, on which patches, and what they hold."""

from harness import (
    Arm,
    HasOutliers,
    Holds,
    LargestNorm,
    OutlierShare,
    Plan,
    Probe,
    ProbeAccuracy,
    RedundancyOfOutliers,
    claim,
    curve,
    difference,
    every,
    level,
    ratio,
)

SHOW_OUTLIERS = (
    "vit_large_patch14_dinov2.lvd142m",
    "vit_giant_patch14_dinov2.lvd142m",
    "vit_base_patch16_clip_224.laion2b",
    "vit_large_patch14_clip_224.laion2b",
    "deit3_base_patch16_224.fb_in1k",
    "deit3_large_patch16_224.fb_in1k",
)


@claim("high-norm-tokens-sit-on-redundant-patches")
def test_tokens_with_outlying_norms_sit_on_redundant_patches(card):
    last, layers = card.depth - 1, range(card.depth)
    share = Holds(level("share"), "share, least", "share of patch tokens beyond 3 times the median norm")
    arms = {"share": Arm(readout=OutlierShare())} | {f"largest@{b}": Arm(readout=LargestNorm(layer=b)) for b in layers}
    curves = {"largest norm over median": curve({b: level(f"largest@{b}") for b in layers})}
    if not {card.arch, card.name} & {*SHOW_OUTLIERS}:
        return Plan(
            arms=arms, effect=share, curves=curves, report_only="published for large ViTs, of which this one is none"
        )
    arms |= {
        "has": Arm(readout=HasOutliers()),
        "redundant": Arm(readout=RedundancyOfOutliers()),
        "permuted": Arm(readout=RedundancyOfOutliers(permuted=True)),
    }
    for kind in ("largest patch", "median patch"):
        probe = Probe(layer=last, kind=kind, normed=True, standardized=True)
        arms[kind] = Arm(readout=ProbeAccuracy(probe=probe))
    return Plan(
        arms=arms,
        effect=every(
            share,
            Holds(level("share"), "share, most", "share of patch tokens beyond 3 times the median norm"),
            Holds(ratio("redundant", "has"), "redundant", "outliers by likeness to neighbours, area under the curve"),
            Holds(difference("largest patch", "median patch"), "global", "probe on an outlier - on an ordinary token"),
        ),
        control=Holds(ratio("permuted", "has"), "redundant", "the same with norms permuted among patches"),
        curves=curves,
    )
