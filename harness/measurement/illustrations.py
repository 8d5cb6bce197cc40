"""Illustrations of a claim: what its arms do to pictures, and what its readouts found in a model."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from harness.images.thumbnails import Picture, pixels_of, strip
from harness.interventions.intervention import PixelEdit
from harness.interventions.pixels import edit_pictures
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Plan, Weights
from harness.probes.fittable import Fittable, Fitted
from harness.readouts.members import MemberContext

MOST_PICTURES = 12  # of one outcome
SHOWN = 3  # of the pictures that an arm edits
MOST_EDITS = 12  # shown beside a picture


@runtime_checkable
class Shows(Protocol):
    """A readout that leaves pictures of what it found, drawn once its numbers are there."""

    def pictures(self, place: MemberContext) -> Sequence[Picture]:
        """Draw them; what is costly should come from `place.once` or its folder."""


@runtime_checkable
class ShowsFits(Protocol):
    """A readout that leaves contact sheets of what it reads by its fits."""

    def sheets(self, place: MemberContext, fits: Mapping[Fittable, Fitted]) -> Sequence[Picture]:
        """Draw them of the first pictures, or none."""


def pictures_of(plan: Plan, images: OnImages, pictures: int) -> tuple[Picture, ...]:
    """Collect what the arms of a plan do to pictures, and what its readouts show, each once per model and weights.

    `pictures` is how many a census looks at, as in the ledger.
    """
    found: list[Picture] = _edited(plan, images)
    asked: list[tuple[object, LoadedModel, Weights]] = []
    for arm in plan.arms.values():
        one = (arm.readout, images.model_of(arm), arm.weights)
        if one in asked:
            continue
        asked.append(one)
        if isinstance(arm.readout, Shows):
            most = min(pictures, images.usable, images.settings.max_images or pictures)
            found += arm.readout.pictures(one[1].place(arm.weights, most, _free))
        elif isinstance(arm.readout, ShowsFits):
            fits = {fit: one[1].fits[arm.weights, fit] for fit in arm.fits}
            found += arm.readout.sheets(one[1].place(arm.weights, min(SHOWN, images.usable), _free), fits)
    return tuple(found[:MOST_PICTURES])


def _edited(plan: Plan, images: OnImages) -> list[Picture]:
    """Show the first pictures as they are beside what every arm makes of their pixels, as the first model sees them."""
    found: dict[PixelEdit, str] = {}
    for name, arm in plan.arms.items():
        one = images.model_of(arm)
        if arm.intervention.pixels is not None and one is images.models[0] and len(found) < MOST_EDITS:
            found.setdefault(arm.intervention.pixels, name)
    if not found:
        return []
    one, places = images.models[0], range(min(2 * SHOWN, images.usable))
    chunk, looks = one.chunk(places), one.subject.card.preprocessing
    loaded = one.load(places)
    rows = [pixels_of(loaded, looks)]
    rows += [pixels_of(edit_pictures(loaded, edit, chunk, looks)[0], looks) for edit in found]
    caption = f"As it is, then as in the arms {'; '.join(found.values())}."
    return [
        strip(f"Picture {one.images.names[place]}", caption, [row[place] for row in rows]) for place in places[:SHOWN]
    ]


def _free(blocks: float) -> None:
    """Charge nobody: the numbers were there before."""
