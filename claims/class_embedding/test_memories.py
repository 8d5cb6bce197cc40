"""Parameters as class memories: how the vectors that blocks write lie to the embeddings of the classes. No images.

The source counts blocks from 1; layers here are 0-based. A null is the expected largest cosine of as many random
vectors of that width (`harness.judging.chance_levels`), computed for every model.
"""

from harness import (
    KEPT,
    Arm,
    ClassPurity,
    ClassValueAgreement,
    GoldenDistance,
    GoldenVectors,
    Holds,
    Largest,
    NotApplicable,
    Plan,
    TheModel,
    claim,
    curve,
    difference,
    every,
    largest_cosine,
    level,
    mix,
    refuse_shallow,
)

PUBLISHED_WIDTHS = (768, 1024)  # where absolute bounds hold
POST_NORM = "vit_base_patch16_rpn_224"  # the published model, whatever its weights are called
TABLE_OF = "vit_base_patch16_224.augreg_in21k_ft_in1k"
TABLE_BLOCK = 10
TABLE = ((2154, 398, 2627, 226, 1198), (1198, 246, 398, 1091, 707), (1051, 2248, 2416, 408, 549))
STRENGTHS = (0.3569, 0.2758, 0.2314, 0.1857, 0.1771)  # of the first row, as printed


@claim("mlp-value-vectors-align-with-classes-late")
def test_value_vectors_of_late_mlps_point_at_classes(card):
    refuse_shallow(card, 3)
    early, late = range(card.depth // 3), range(card.depth - card.depth // 3, card.depth)
    arms = {f"mlp@{b}": _agreement(b, "mlp") for b in range(card.depth)}
    arms |= {f"untrained@{b}": _agreement(b, "mlp", weights="untrained") for b in late}
    derived = {f"{arm} / null": _over_null(card, arm) for arm in arms}
    derived |= {
        "largest": Largest(tuple(f"mlp@{b}" for b in late)),
        "largest / null": Largest(tuple(f"mlp@{b} / null" for b in late)),
        "untrained / null": Largest(tuple(f"untrained@{b} / null" for b in late)),
    }
    at_null = {bound: f"{bound} of the null" for bound in ("at least", "at most")}
    absolute = [Holds(level("largest"), "absolute", "largest of the late blocks")]
    return Plan(
        census=TheModel(),
        arms=arms,
        derived=derived,
        effect=every(
            Holds(level("largest / null"), "times null", "largest of the late blocks / null"),
            *(absolute if card.width in PUBLISHED_WIDTHS else []),
            *[Holds(level(f"mlp@{b} / null"), at_null[end], f"block {b} / null") for b in early for end in at_null],
        ),
        control=Holds(level("untrained / null"), "times null", "largest of the late blocks / null, untrained"),
        curves={"class-value agreement, MLP": curve({b: level(f"mlp@{b}") for b in range(card.depth)})},
    )


@claim("attention-value-vectors-align-only-at-the-end")
def test_value_vectors_of_attention_point_at_classes_only_in_the_end(card):
    blocks, last = range(card.depth), card.depth - 1
    arms = {f"{branch}@{b}": _agreement(b, branch) for branch in ("attention", "mlp") for b in blocks}
    arms["untrained"] = _agreement(last, "attention", weights="untrained")
    derived = {
        "last / null": _over_null(card, f"attention@{last}"),
        "untrained / null": _over_null(card, "untrained"),
        "largest mlp": Largest(tuple(f"mlp@{b}" for b in blocks)),
        "largest attention": Largest(tuple(f"attention@{b}" for b in blocks)),
    }
    return Plan(
        census=TheModel(),
        arms=arms,
        derived=derived,
        effect=every(
            Holds(level("last / null"), "times null", "attention of the last block / null"),
            Holds(difference("largest mlp", "largest attention"), "less", "largest of the MLPs - largest of attention"),
        ),
        control=Holds(level("untrained / null"), "times null", "attention of the last block / null, untrained"),
        curves={"class-value agreement, attention": curve({b: level(f"attention@{b}") for b in blocks})},
    )


@claim("res-post-norm-gap-model-has-no-class-value-vectors")
def test_the_post_norm_model_has_no_value_vectors_of_classes(card):
    pre_norm = "value_vectors" in card.capabilities
    if pre_norm and card.native != "patch mean":
        raise NotApplicable("the blocks norm what they read, not what they write (pre-norm), and no mean is pooled")
    places = {f"{branch}@{b}": (b, branch) for branch in ("attention", "mlp") for b in range(card.depth)}
    arms = {name: _agreement(*place) for name, place in places.items()}
    arms["with classes"] = _agreement(card.depth - 1, "mlp", with_classes=True)
    derived = {f"{name} - null": mix({name: 1}, -_null(card, name)) for name in places}
    derived["with classes - null"] = mix({"with classes": 1}, -_null(card, f"mlp@{card.depth - 1}"))
    return Plan(
        census=TheModel(),
        arms=arms,
        derived=derived,
        effect=every(
            *[Holds(level(f"{name} - null"), "above", f"{name} - null") for name in places],
            *[Holds(level(f"{name} - null"), "below", f"{name} - null") for name in places],
        ),
        control=Holds(level("with classes - null"), "above", "the same with the class embeddings as value vectors"),
        curves={
            f"class-value agreement, {branch}": curve({b: level(f"{branch}@{b}") for b in range(card.depth)})
            for branch in ("attention", "mlp")
        },
        report_only=_other_model(card, pre_norm),
    )


@claim("value-vectors-cluster-semantically")
def test_the_classes_of_one_value_vector_belong_together(card):
    if card.classes <= KEPT:
        raise NotApplicable(f"of {card.classes} classes no {KEPT} can be told from others")
    return Plan(
        census=TheModel(),
        arms={"purity": Arm(readout=ClassPurity()), "untrained": Arm(readout=ClassPurity(), weights="untrained")},
        effect=Holds(level("purity"), "bound", "pairs of one superclass / random sets"),
        control=Holds(level("untrained"), "bound", "pairs of one superclass / random sets, untrained"),
    )


@claim("golden-class-value-vectors")
def test_the_published_table_of_value_vectors_is_reproduced(card):
    if TABLE_OF not in (card.arch, card.name):
        raise NotApplicable(f"the table is that of {TABLE_OF}; this is {card.arch}")
    return Plan(
        census=TheModel(),
        arms={
            "table": Arm(readout=GoldenVectors(block=TABLE_BLOCK, table=TABLE)),
            "distance": Arm(readout=GoldenDistance(block=TABLE_BLOCK, values=STRENGTHS)),
            "block before": Arm(readout=GoldenVectors(block=TABLE_BLOCK - 1, table=TABLE)),
        },
        effect=every(
            Holds(level("table"), "table", "share of the table that is reproduced"),
            Holds(level("distance"), "distance", "largest distance from the printed projections of class 0"),
        ),
        control=Holds(level("block before"), "table", "share of the table that the block before reproduces"),
    )


def _agreement(block, branch, *, weights="given", with_classes=False):
    return Arm(readout=ClassValueAgreement(block=block, branch=branch, with_classes=with_classes), weights=weights)


def _null(card, arm):
    """Give the null of an arm "branch@block" (or of the last block's attention)."""
    branch, _, block = arm.partition("@")
    if branch in ("mlp", "untrained") and block:
        return largest_cosine(card.units[int(block)].units, card.width)
    return largest_cosine(card.width, card.width)


def _over_null(card, arm):
    return mix({arm: 1 / _null(card, arm)})


def _other_model(card, pre_norm):
    """Say why a model other than the published one is only reported."""
    if pre_norm:
        return "averaging without post-norm: to be compared with the published model, which has both"
    return "" if POST_NORM in card.arch + card.name else f"the bound is that of {POST_NORM}"
