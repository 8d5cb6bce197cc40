"""How many directions queries and keys read in the first block, from the weights alone."""

from harness import Arm, Holds, Plan, RankShare, TheModel, claim, curve, every, level, ranks_by_block, refuse_shallow

PUBLISHED_FOR = "vit_base_patch14_dinov2.lvd142m"
MATRICES = ("query", "key")


@claim("early-qk-rank-deficit")
def test_queries_and_keys_of_the_first_block_are_rank_deficient(card):
    refuse_shallow(card, 3)
    blocks = range(card.depth)
    later = tuple(blocks[5 * card.depth // 12 :])
    arms = {
        f"{matrix}@{b}": Arm(readout=readout)
        for matrix in (*MATRICES, "value")
        for b, readout in ranks_by_block(matrix, blocks).items()
    }
    arms |= {f"later {matrix}": Arm(readout=RankShare(matrix=matrix, blocks=later)) for matrix in MATRICES}
    arms |= {
        f"untrained {matrix}": Arm(readout=RankShare(matrix=matrix, blocks=(0,)), weights="untrained")
        for matrix in MATRICES
    }
    return Plan(
        census=TheModel(),
        arms=arms,
        effect=every(
            *[Holds(level(f"{matrix}@0"), "first", f"{matrix}@0: rank over width") for matrix in MATRICES],
            *[Holds(level(f"later {matrix}"), "later", f"{matrix}: median of later blocks") for matrix in MATRICES],
        ),
        control=every(*[Holds(level(f"untrained {m}"), "first", f"{m}@0, untrained") for m in MATRICES]),
        curves={matrix: curve({b: level(f"{matrix}@{b}") for b in blocks}) for matrix in (*MATRICES, "value")},
        report_only="" if PUBLISHED_FOR in (card.arch, card.name) else "published for DINOv2 alone",
    )
