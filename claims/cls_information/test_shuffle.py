"""Exchanging class tokens between images: harmless early, fatal late, and what one block can mend."""

from harness import (
    Accuracy,
    Agreement,
    Arm,
    Holds,
    NotApplicable,
    Plan,
    Probe,
    ProbeAccuracy,
    Same,
    SameLogits,
    appends_patch_mean,
    claim,
    class_readout,
    curve,
    every,
    final_readout,
    level,
    published_as,
    ratio,
    refuse_pooled,
    refuse_shallow,
    shuffle_cls,
    some,
)


@claim("cls-early-shuffle-harmless")
def test_exchanging_early_class_tokens_keeps_accuracy(card):
    refuse_pooled(card)
    refuse_shallow(card, 2)
    early, secondary, last = _early(card)
    answer, alone = final_readout(card), class_readout(card)
    arms = {f"shuffled@{b}": Arm(intervention=shuffle_cls(b), readout=answer) for b in range(card.depth)}
    arms |= {
        "clean": Arm(readout=answer),
        "class clean": Arm(readout=alone),
        "class shuffled": Arm(intervention=shuffle_cls(last), readout=alone),
    }
    retention = {b: ratio(f"shuffled@{b}", "clean") for b in range(card.depth)}
    return Plan(
        arms=arms,
        effect=every(
            *[Holds(retention[b], "early", f"retention@{b}") for b in early],
            *[Holds(retention[b], "secondary", f"retention@{b}") for b in secondary],
        ),
        control=Holds(ratio("class shuffled", "class clean"), "early", f"class-only retention@{last}"),
        gate=Holds(level("clean"), "gate"),
        curves={"retention": curve(retention), "accuracy": curve({b: level(f"shuffled@{b}") for b in retention})},
    )


@claim("cls-early-shuffle-keeps-prediction")
def test_exchanging_early_class_tokens_keeps_the_prediction(card):
    refuse_pooled(card)
    refuse_shallow(card, 2)
    early, secondary, last = _early(card)
    arms = {f"shuffled@{b}": Arm(intervention=shuffle_cls(b), readout=Agreement()) for b in range(card.depth)}
    arms["untrained@0"] = Arm(intervention=shuffle_cls(0), readout=Agreement(), weights="untrained")
    rivals = [Holds(level("untrained@0"), "agreement", "agreement@0 untrained")]
    if card.native == "class":
        rivals.append(Holds(level(f"shuffled@{last}"), "agreement", f"agreement@{last}"))
    judged = [*early, *secondary]
    return Plan(
        arms=arms,
        effect=every(*[Holds(level(f"shuffled@{b}"), "agreement", f"agreement@{b}") for b in judged]),
        control=some(*rivals),
        curves={"agreement": curve({b: level(f"shuffled@{b}") for b in range(card.depth)})},
    )


@claim("cls-last-shuffle-hits-floor")
def test_exchanging_the_last_class_token_removes_the_label(card):
    last, alone = card.depth - 1, class_readout(card)
    auxiliary = card.native == "class+distillation" or appends_patch_mean(card)
    rival = "whole shuffled" if auxiliary else "clean"
    arms = {
        "clean": Arm(readout=alone),
        "shuffled": Arm(intervention=shuffle_cls(last), readout=alone),
    }
    if auxiliary:
        arms[rival] = Arm(intervention=shuffle_cls(last), readout=final_readout(card))
    return Plan(
        arms=arms,
        effect=Holds(level("shuffled"), "floor", f"class-only accuracy after a shuffle@{last}"),
        control=Holds(level(rival), "floor", rival),
        gate=Holds(level("clean"), "gate"),
        curves={"accuracy": curve({last: level("shuffled")})},
    )


@claim("one-block-rebuilds-cls")
def test_the_last_block_rebuilds_an_exchanged_class_token(card):
    refuse_shallow(card, 2)
    checkpoint, before, last = _checkpoint(card), card.depth - 2, card.depth - 1
    # BEiT's own head averages patches; the source reads its class token through a fitted head.
    probe = Probe(layer=last, normed=True)
    alone = ProbeAccuracy(probe=probe) if checkpoint == "beit" else class_readout(card)
    arms = {f"shuffled@{b}": Arm(intervention=shuffle_cls(b), readout=alone) for b in (before, last)}
    arms["clean"] = Arm(readout=alone)
    retention = {b: ratio(f"shuffled@{b}", "clean") for b in (before, last)}
    if checkpoint == "deit distilled":
        # Its retention lies below the bound, so the rival is the readout that the exchange does not hurt.
        arms["averaged clean"] = Arm()
        arms["averaged shuffled"] = Arm(intervention=shuffle_cls(before))
        rival = ratio("averaged shuffled", "averaged clean")
    else:
        rival = retention[last]
    bounds = {"dinov2": ("dinov2 least", "dinov2 most")}.get(checkpoint, (checkpoint or "vit orig",))
    return Plan(
        arms=arms,
        effect=every(*[Holds(retention[before], bound, f"retention@{before}") for bound in bounds]),
        control=every(*[Holds(rival, bound) for bound in bounds]),
        gate=Holds(level("clean"), "gate"),
        curves={"retention": curve(retention)},
        report_only="" if checkpoint else "published as a property of named checkpoints; this is another one",
    )


@claim("gap-readout-ignores-cls")
def test_a_patch_mean_head_ignores_the_class_token(card):
    last, layers = card.depth - 1, range(card.depth)
    mean, alone = _by_patch_mean(card), _by_class_token(card)
    arms = {f"shuffled@{b}": Arm(intervention=shuffle_cls(b), readout=mean) for b in layers}
    arms |= {
        "clean": Arm(readout=mean),
        "class clean": Arm(readout=alone),
        "class shuffled": Arm(intervention=shuffle_cls(last), readout=alone),
    }
    same, class_same, derived = "same logits", "class same logits", {}
    if card.native == "none":  # of a probe, which is no part of the model, the outcomes
        derived = {same: Same(f"shuffled@{last}", "clean"), class_same: Same("class shuffled", "class clean")}
    else:
        arms |= {same: _same("native", last), class_same: _same("class", last)}
    retention = {b: ratio(f"shuffled@{b}", "clean") for b in layers}
    return Plan(
        arms=arms,
        derived=derived,
        effect=every(
            *[Holds(retention[b], "retention", f"retention@{b}") for b in layers],
            Holds(level(same), "identical", f"share of identical logits@{last}"),
        ),
        control=every(
            Holds(ratio("class shuffled", "class clean"), "retention", f"class-only retention@{last}"),
            Holds(level(class_same), "identical", f"share of identical class-only logits@{last}"),
        ),
        gate=Holds(level("clean"), "gate"),
        curves={"retention": curve(retention), "accuracy": curve({b: level(f"shuffled@{b}") for b in layers})},
    )


def _by_patch_mean(card):
    """Read what averages patch tokens: the model's own head, or on a CLIP trunk a probe, as in the source."""
    if "patch_mean_readout" in card.capabilities and "token_head" in card.capabilities:
        return Accuracy()
    if card.native == "none" and "clip" in card.arch + card.name:
        return ProbeAccuracy(probe=Probe(layer=card.depth - 1, kind="patch mean"))
    raise NotApplicable(f"the model is not read by its mean patch token (its readout: {card.native})")


def _by_class_token(card):
    return ProbeAccuracy(probe=Probe(layer=card.depth - 1)) if card.native == "none" else Accuracy(head="class")


def _early(card):
    """List the layers of the first 60 %, the one that ends the first two thirds (if not among them), and the last."""
    early = range(3 * card.depth // 5)
    secondary = 2 * card.depth // 3 - 1
    return early, [] if secondary in early else [secondary], card.depth - 1


def _same(head, layer):
    return Arm(intervention=shuffle_cls(layer), readout=SameLogits(head=head))


def _checkpoint(card):
    """Name the published checkpoint that a card is, or give ''."""
    published = {
        "vit_base_patch16_224.orig_in21k_ft_in1k": "vit orig",
        "beit_base_patch16_224.in22k_ft_in22k": "beit",
        "beit_base_patch16_224.in22k_ft_in22k_in1k": "beit",
        "deit_base_distilled_patch16_224.fb_in1k": "deit distilled",
        "vit_base_patch14_dinov2.lvd142m": "dinov2",
    }
    return published.get(published_as(card, published), "")
