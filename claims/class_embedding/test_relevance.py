"""Which patches matter: removing them in the order of class-space relevance, and what probes make of single tokens.

The curve index is the level of removal: level k removes k tenths of the patches. Areas are means over levels 0 to 9 of
the accuracy, over that of the whole picture.
"""

from harness import (
    Arm,
    CheferRelevance,
    ClassRelevance,
    Holds,
    NotApplicable,
    PatchAccuracy,
    PatchSampleAccuracy,
    Plan,
    Probe,
    ProbePatchAccuracy,
    ProbeTokenScore,
    RandomOrder,
    WriteAccuracy,
    claim,
    curve,
    difference,
    every,
    keep_patches_by,
    level,
    mix,
    ratio,
    refuse_shallow,
    some,
)

LEVELS = 10
FEWEST_PATCHES = 10  # below, two levels would remove the same patches
QUARTERS = 4  # of the rows and of the columns of patches: one probe per block and cell


@claim("relevance-negative-perturbation")
def test_removing_the_least_relevant_patches_first_keeps_accuracy(card):
    orders = {
        "least relevant": _removal(card, ClassRelevance(), "least"),
        "most relevant": _removal(card, ClassRelevance(), "most"),
        "random": _removal(card, RandomOrder(), "least"),
        "predicted label": _removal(card, ClassRelevance(labels="predicted"), "least"),
    }
    return _plan(
        orders,
        derived={
            "gain": _apart("least relevant", "random"),
            "gain of negated relevance": _apart("most relevant", "random"),
        },
        effect=Holds(ratio("gain", "clean"), "bound", "area, least relevant first - random"),
        control=Holds(ratio("gain of negated relevance", "clean"), "bound", "area, negated relevance - random"),
    )


@claim("relevance-denoising-bump")
def test_removing_the_least_relevant_patches_raises_accuracy(card):
    orders = {
        "least relevant": _removal(card, ClassRelevance(), "least"),
        "random": _removal(card, RandomOrder(), "least"),
    }
    few = range(1, 5)  # one to four tenths removed; published at 30 to 35 %

    def raised(order):
        return some(*[Holds(difference(f"{order}@{k}", "clean"), "bound", f"{order}, {k}0 % removed") for k in few])

    return _plan(
        orders,
        effect=raised("least relevant"),
        control=raised("random"),
    )


@claim("relevance-positive-perturbation")
def test_removing_the_most_relevant_patches_first_destroys_accuracy(card):
    orders = {
        "most relevant": _removal(card, ClassRelevance(), "most"),
        "least relevant": _removal(card, ClassRelevance(), "least"),
        "random": _removal(card, RandomOrder(), "least"),
    }
    return _plan(
        orders,
        derived={
            "loss": _apart("random", "most relevant"),
            "loss of negated relevance": _apart("random", "least relevant"),
        },
        effect=Holds(ratio("loss", "clean"), "bound", "area, random - most relevant first"),
        control=Holds(ratio("loss of negated relevance", "clean"), "bound", "area, random - negated relevance"),
    )


@claim("probe-ranking-is-less-causal-than-class-projection")
def test_a_ranking_by_probes_is_less_causal_than_one_by_class_projection(card):
    probes = _token_score(card)
    orders = {
        "least relevant": _removal(card, ClassRelevance(), "least"),
        "most relevant": _removal(card, ClassRelevance(), "most"),
        "least by probes": _removal(card, probes, "least"),
        "most by probes": _removal(card, probes, "most"),
        "least by permuted probes": _removal(card, _token_score(card, "permuted"), "least"),
    }
    return _plan(
        orders,
        derived={
            "keeps more": _apart("least relevant", "least by probes"),
            "destroys more": _apart("most by probes", "most relevant"),
            "probes keep more": _apart("least by probes", "least by permuted probes"),
            "probes destroy more": _apart("most relevant", "most by probes"),
        },
        effect=every(
            Holds(ratio("keeps more", "clean"), "negative", "area, least first, relevance - probes"),
            Holds(ratio("destroys more", "clean"), "positive", "area, most first, probes - relevance"),
        ),
        control=Holds(ratio("probes destroy more", "clean"), "positive", "area, most first, relevance - probes"),
        curves={"probes over permuted probes": curve({0: ratio("probes keep more", "clean")})},
    )


@claim("class-embedding-relevance-on-par-with-chefer")
def test_class_space_relevance_is_about_as_good_as_chefers(card):
    orders = {
        "least relevant": _removal(card, ClassRelevance(), "least"),
        "most relevant": _removal(card, ClassRelevance(), "most"),
        "least by Chefer": _removal(card, CheferRelevance(), "least"),
        "most by Chefer": _removal(card, CheferRelevance(), "most"),
        "random": _removal(card, RandomOrder(), "least"),
    }
    keeps, destroys, chance = (ratio(name, "clean") for name in ("keeps", "destroys", "random destroys"))
    return _plan(
        orders,
        derived={
            "keeps": _apart("least relevant", "least by Chefer"),
            "destroys": _apart("most relevant", "most by Chefer"),
            "random destroys": _apart("random", "most by Chefer"),
        },
        effect=every(
            *_within(keeps, "area, least first, ours - Chefer"), *_within(destroys, "area, most first, ours - Chefer")
        ),
        control=every(*_within(chance, "area, random - most by Chefer")),
    )


@claim("probe-vs-projection-accuracy-crossover")
def test_probes_read_more_than_the_projection_early_and_less_in_the_last_block(card):
    refuse_shallow(card, 3)
    last, early = card.depth - 1, range(2 * card.depth // 3)
    arms = {"clean": Arm()}
    for block in range(card.depth):
        arms[f"probe@{block}"] = _probed(card, block)
        arms[f"projection@{block}"] = _projected(card, block)
    arms["probe of the MLP"] = _probed(card, last, stream="mlp write")
    arms["projection of the MLP"] = Arm(readout=WriteAccuracy(layer=last, write="mlp write"))
    arms["permuted probe"] = _probed(card, last, labels="permuted")
    return Plan(
        arms=arms,
        effect=every(
            *[Holds(difference(f"probe@{b}", f"projection@{b}"), "early", f"probe - projection@{b}") for b in early],
            Holds(difference(f"projection@{last}", f"probe@{last}"), "late", f"projection - probe@{last}"),
            Holds(level("projection of the MLP"), "MLP projected", "projection of the last MLP write"),
            Holds(level("probe of the MLP"), "MLP probed", "probe of the last MLP write"),
        ),
        control=Holds(difference("permuted probe", f"projection@{last}"), "early", "permuted probe - projection"),
        gate=Holds(level("clean"), "gate"),
        curves={
            "probe": curve({b: level(f"probe@{b}") for b in range(card.depth)}),
            "projection": curve({b: level(f"projection@{b}") for b in range(card.depth)}),
            "MLP write": curve({0: level("probe of the MLP"), 1: level("projection of the MLP")}),
        },
    )


def _removal(card, score, first):
    """List the interventions that remove one to nine tenths of the patches in an order."""
    if card.patches < FEWEST_PATCHES:
        raise NotApplicable(f"{card.patches} patches are too few to remove them by tenths")
    kept = {k: round(card.patches * (1 - k / LEVELS)) for k in range(1, LEVELS)}
    return {k: keep_patches_by(score, keep, first=first) for k, keep in kept.items()}


def _plan(orders, *, curves=None, **statements):
    """Plan the removal of patches in several orders, with the curve of each; the model must be right on whole ones."""
    arms = {f"{order}@{k}": Arm(intervention=cut) for order, cuts in orders.items() for k, cut in cuts.items()}
    removal = {
        order: curve({0: level("clean"), **{k: level(f"{order}@{k}") for k in cuts}}) for order, cuts in orders.items()
    }
    return Plan(
        arms={"clean": Arm(), **arms},
        gate=Holds(level("clean"), "gate"),
        curves={**removal, **(curves or {})},
        **statements,
    )


def _apart(first, second):
    """Derive the difference between the areas under two removal curves; level 0 is the same in both."""
    share = 1.0 / LEVELS
    return mix({f"{order}@{k}": sign for order, sign in ((first, share), (second, -share)) for k in range(1, LEVELS)})


def _within(quantity, name):
    return Holds(quantity, "at least", name), Holds(quantity, "at most", name)


def _token_score(card, labels="own"):
    return ProbeTokenScore(
        probe=Probe(layer=0, kind="patch", position=0, labels=labels),
        layers=tuple(range(card.depth)),
        patches=card.patches,
        read_by=_read_by(card) if _sampled(card) else (),
    )


def _probed(card, block, **recipe):
    probe = Probe(layer=block, kind="patch", position=0, **recipe)
    return Arm(readout=ProbePatchAccuracy(probe=probe, patches=card.patches, places=_sampled(card)))


def _projected(card, block):
    sampled = _sampled(card)
    return Arm(readout=PatchSampleAccuracy(layer=block, places=sampled) if sampled else PatchAccuracy(layer=block))


def _sampled(card):
    """List the patches that have a probe of their own, () where all have."""
    places = tuple(sorted({*_read_by(card)}))
    return places if len(places) < card.patches else ()


def _read_by(card):
    """Say of every patch which one's probe reads it: the middle of its cell."""
    rows, columns = card.grid
    return tuple(row * columns + column for row in _middles(rows) for column in _middles(columns))


def _middles(side):
    """Say of every row (or column) which one stands in the middle of its quarter."""
    quarters = [place * QUARTERS // side for place in range(side)]
    return [quarters.index(quarter) + quarters.count(quarter) // 2 for quarter in quarters]
