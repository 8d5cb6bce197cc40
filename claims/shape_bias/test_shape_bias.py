"""Whether ViTs decide for the shape, where shape and texture disagree, more often than CNNs."""

from harness import (
    Arm,
    DecidesFor,
    Holds,
    NotApplicable,
    Plan,
    Retention,
    claim,
    curve,
    every,
    gap_kept,
    level,
    mix,
    published_as,
    ratio,
)

CLASSES = 1000
CUES = ("shape", "texture")
TEXTURED = ("resnet50.tv_in1k",)


@claim("shape-bias-vit-over-cnn")
def test_vits_decide_for_the_shape_more_often_than_cnns(vit, cnn):
    for card in (vit, cnn):
        if card.classes != CLASSES:
            raise NotApplicable(f"categories are sets of ImageNet-1k's classes; {card.name} answers {card.classes}")
    arms = {f"{role} {cue}": Arm(subject=role, readout=DecidesFor(cue=cue)) for role in ("vit", "cnn") for cue in CUES}
    derived = {f"{role} either": mix({f"{role} shape": 1, f"{role} texture": 1}) for role in ("vit", "cnn")}
    gaps = {
        cue: gap_kept(cue, Retention(f"vit {cue}", "vit either"), Retention(f"cnn {cue}", "cnn either")) for cue in CUES
    }
    more = Holds(gaps["shape"].quantity, "more", "share of decisions for the shape, ViT - CNN")
    textured = Holds(ratio("cnn shape", "cnn either"), "textured", "share of decisions for the shape, CNN")
    return Plan(
        arms=arms,
        derived={name: one for gap in gaps.values() for name, one in gap.derived.items()} | derived,
        effect=every(more, textured) if published_as(cnn, TEXTURED) else more,
        control=Holds(gaps["texture"].quantity, "more", "the same for the texture"),
        # x = 0 the share of decisions for the shape, 1 how many decisions are for either cue.
        curves={
            role: curve({0: ratio(f"{role} shape", f"{role} either"), 1: level(f"{role} either")})
            for role in ("vit", "cnn")
        },
    )
