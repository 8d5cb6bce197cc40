"""Whether training with captions makes single units for what captions say and class labels do not."""

from harness import Arm, Batches, BestUnits, Holds, NotApplicable, Plan, claim, difference, some


@claim("clip-vit-units-are-conceptual")
def test_units_of_a_caption_model_tell_more_that_is_in_no_label(captions, labels):
    sizes = [[(one.units, one.rows, one.columns) for one in card.units] for card in (captions, labels)]
    if sizes[0] != sizes[1]:
        raise NotApplicable(
            f"the two have units of other numbers or places: {captions.depth} blocks of {captions.units[0].units} at "
            f"{captions.patches} patches, and {labels.depth} of {labels.units[0].units} at {labels.patches}"
        )
    arms = {}
    for role in ("captions", "labels"):
        arms |= {
            f"{role}": Arm(subject=role, readout=BestUnits()),
            f"{role} shuffled": Arm(subject=role, readout=BestUnits(shuffled=True)),
            f"{role} untrained": Arm(subject=role, readout=BestUnits(), weights="untrained"),
        }
    rivals = {"shuffled": "attributes shuffled between pictures", "untrained": "untrained twins of both"}
    return Plan(
        census=Batches(),
        arms=arms,
        effect=Holds(difference("captions", "labels"), "more", "AUC of the best unit, captions - labels"),
        control=some(
            *[Holds(difference(f"captions {n}", f"labels {n}"), "more", label) for n, label in rivals.items()]
        ),
    )
