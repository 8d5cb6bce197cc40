"""Whether the attention of a self-supervised ViT marks the object better than that of a supervised one."""

from harness import (
    Arm,
    AttentionOverlap,
    Holds,
    Plan,
    claim,
    curve,
    difference,
    every,
    level,
    mix,
    published_as,
)

SELF_SUPERVISED = ("vit_small_patch16_224.dino", "vit_small_patch8_224.dino")
SUPERVISED = ("deit_small_patch16_224.fb_in1k",)


@claim("dino-attention-segments")
def test_attention_of_a_self_supervised_model_marks_the_object(ssl, sup):
    arms = {
        f"{role} {whose}": Arm(subject=role, readout=AttentionOverlap(whose=whose))
        for role in ("ssl", "sup")
        for whose in ("own", "donor")
    }
    gap, by_others = difference("ssl own", "sup own"), difference("ssl donor", "sup donor")
    lifts = {f"{role} lift": mix({f"{role} own": 1, f"{role} donor": -1}) for role in ("ssl", "sup")}
    published = published_as(ssl, SELF_SUPERVISED) and published_as(sup, SUPERVISED)
    return Plan(
        arms=arms,
        derived=lifts,
        effect=every(
            Holds(gap, "gap", "Jaccard index, self-supervised - supervised"),
            Holds(difference("ssl lift", "sup lift"), "lift", "the same, each less that of other pictures' objects"),
        ),
        control=Holds(by_others, "gap", "the same with the objects of other pictures"),
        # x = 0 the picture's own object, 1 that of another picture.
        curves={
            role: curve({x: level(f"{role} {whose}") for x, whose in enumerate(("own", "donor"))})
            for role in ("ssl", "sup")
        },
        report_only="" if published else "published for DINO's ViT-S/16 and S/8 against supervised ones of their size",
    )
