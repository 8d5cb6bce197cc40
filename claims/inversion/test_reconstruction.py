"""What linear inverses bring back of a picture, block by block: how much, by whose code, and of what kind."""

from math import ceil

from harness import (
    Arm,
    AtLeast,
    DetailError,
    ErrorRise,
    Holds,
    PictureError,
    Plan,
    Rises,
    ShapeOverlap,
    SwappedError,
    claim,
    curve,
    every,
    level,
    mean_of,
    ratio,
    refuse_shallow,
    refuse_untiled,
    some,
)

RIVALS = ("shuffled", "turned")


@claim("tvm-reconstruction-error-grows-with-depth")
def test_pictures_come_back_worse_from_later_blocks(card):
    refuse_untiled(card)
    layers, last = range(-1, card.depth), card.depth - 1
    arms = {f"rise@{b}": Arm(readout=ErrorRise(layer=b)) for b in range(card.depth)}
    arms |= {f"error@{b}": Arm(readout=PictureError(layer=b)) for b in layers}
    arms |= {f"untrained@{b}": Arm(readout=PictureError(layer=b), weights="untrained") for b in layers}
    arms |= {f"turned@{b}": Arm(readout=PictureError(layer=b, of="turned")) for b in (-1, last)}
    arms |= {"untrained, turned": Arm(readout=PictureError(layer=last, of="turned"), weights="untrained")}
    return Plan(
        arms=arms,
        effect=every(
            *[Holds(level(f"rise@{b}"), "rise", f"relative rise of the error, block {b}") for b in range(card.depth)],
            Holds(ratio(f"error@{last}", "error@-1"), "gain", "error, last block / embedding"),
            Holds(
                ratio(f"error@{last}", f"untrained@{last}"), "excess", "error after the last block, trained / untrained"
            ),
        ),
        control=every(
            Holds(ratio(f"turned@{last}", "turned@-1"), "gain", "code turned at random, last block / embedding"),
            Holds(ratio(f"turned@{last}", "untrained, turned"), "excess", "code turned at random, trained / untrained"),
        ),
        curves={
            "error": curve({b: level(f"error@{b}") for b in layers}),
            "error, untrained": curve({b: level(f"untrained@{b}") for b in layers}),
            "error, code turned at random": curve({b: level(f"turned@{b}") for b in (-1, last)}),
        },
    )


@claim("tvm-interlayer-correlation-shared-inverse")
def test_neighbouring_blocks_share_an_inverse(card):
    refuse_untiled(card)
    refuse_shallow(card, 3)
    blocks = range(card.depth)
    pairs = [(by, b) for by in blocks for b in blocks]
    near = [(by, b) for by, b in pairs if abs(by - b) == 1]
    arms = {f"own {by} on {b}": Arm(readout=SwappedError(layer=b, by=by)) for by, b in pairs}
    arms |= {f"{of} {by} on {b}": Arm(readout=SwappedError(layer=b, by=by, of=of)) for by, b in near for of in RIVALS}
    derived = {f"apart {d}": mean_of(f"own {by} on {b}" for by, b in pairs if abs(by - b) == d) for d in blocks}

    def shared(of):
        return AtLeast(
            ceil(2 * len(near) / 3),
            tuple(
                Holds(level(f"{of} {by} on {b}"), "near", f"error, inverse {by} on block {b}, {of}") for by, b in near
            ),
        )

    return Plan(
        arms=arms,
        derived=derived,
        effect=every(
            Rises(tuple(f"apart {d}" for d in blocks), "order", "Spearman of distance and error"),
            shared("own"),
            *[
                Holds(
                    ratio(f"own {by} on {b}", f"own {by} on {by}"), "own", f"error of inverse {by}, block {b} / its own"
                )
                for by, b in pairs
                if by != b
            ],
        ),
        control=some(*[shared(of) for of in RIVALS]),
        curves={
            "own": curve({b: level(f"own {b} on {b}") for b in blocks}),
            "from the block before": curve({b: level(f"own {b - 1} on {b}") for b in blocks[1:]}),
            "from the block after": curve({b: level(f"own {b + 1} on {b}") for b in blocks[:-1]}),
            "from the last block": curve({b: level(f"own {card.depth - 1} on {b}") for b in blocks}),
        },
    )


@claim("tvm-contextual-shape-in-deep-layers")
def test_deep_blocks_keep_shape_and_lose_detail(card):
    refuse_untiled(card)
    layers, last = range(-1, card.depth), card.depth - 1
    arms = {f"shape@{b}": Arm(readout=ShapeOverlap(layer=b)) for b in layers}
    arms |= {f"detail@{b}": Arm(readout=DetailError(layer=b)) for b in layers}
    arms |= {
        "mean picture": Arm(readout=ShapeOverlap(layer=last, of="mean picture")),
        "other mask": Arm(readout=ShapeOverlap(layer=last, whose="donor")),
        "picture": Arm(readout=ShapeOverlap(layer=last, of="picture")),
    }
    return Plan(
        arms=arms,
        effect=every(
            Holds(level(f"shape@{last}"), "shape", "overlap of what stands out with the object, last block"),
            Holds(level(f"detail@{last}"), "detail", "error of what is finer than a patch, last block"),
        ),
        control=some(
            Holds(level("mean picture"), "shape", "overlap, mean picture"),
            Holds(level("other mask"), "shape", "overlap with another picture's object"),
        ),
        curves={
            "overlap": curve({b: level(f"shape@{b}") for b in layers}),
            "overlap, picture itself": curve({last: level("picture")}),
            "error of detail": curve({b: level(f"detail@{b}") for b in layers}),
        },
    )
