"""The pictures of a run: those that are measured and those that probes are fitted on, as its options name them."""

from collections.abc import Mapping

from harness.errors import ClaimsError, NotApplicable
from harness.images.cues import cues_of
from harness.images.open import ImageSet, open_images
from harness.images.procedural import EmbeddedImages
from harness.images.procedural_switches import has_training_pictures
from harness.images.stored import StoredImages
from harness.judging.ledger import DATA_NEEDS
from harness.models.subject import ModelCard
from harness.results.record import CLASSES, IMAGES
from harness.results.recorder import Opened
from harness.running.options import RunOptions

EMBEDDED_CLASSES = 10
REPEATS = 20  # pictures per class, on average, that purity among as many top pictures needs
TRAIN_IMAGES_PER_CLASS = 200  # as in the source of the probe claims (lrast, lab note 2026-01-20)
NEARLY = 0.95  # of so many per class: some may be left out, being copies or measured too


def measured_images(options: RunOptions, card: ModelCard, budget: int) -> ImageSet:
    """Open as many pictures as the largest budget can use, in whole chunks.

    A statement about exactly the given set needs all of it, whatever the claims of this run may use.
    """
    limit = min(budget, options.max_images or budget)
    whole = -(-limit // options.batch_size) * options.batch_size
    opened = None if options.target == IMAGES else whole
    by_class = options.target == CLASSES
    return open_images(options.data, seed=options.seed, split="test", limit=opened, card=card, by_class=by_class)


def have(images: ImageSet | None, looked_at: int, shots: float) -> dict[str, bool]:
    """Say which needs for data (`spec.DATA_NEEDS`) are met; images that are not given are assumed to meet all.

    `looked_at` is how many images the claim itself would see, since a run may have opened more for others; `shots`
    counts the training images per class.
    """
    fits = {"train": shots > 0, "shots_50": shots >= NEARLY * 50, "shots_200": shots >= NEARLY * 200}
    if images is None:
        return {**dict.fromkeys(DATA_NEEDS, True), **fits}
    seen = min(len(images), looked_at)
    return {
        "labels": images.labels is not None,
        **fits,
        "masks": images.has_masks,
        "boxes": images.has_boxes or images.has_masks,
        "cues": images.labels is None and cues_of(images.names[:1]) is not None,
        "repeats": images.labels is not None and seen >= REPEATS * images.classes,
        "attributes": isinstance(images, EmbeddedImages),
        "superclasses": isinstance(images, EmbeddedImages),
    }


def shots_of(train: ImageSet | None) -> float:
    """Count the training images per class that there are pictures of."""
    return 0.0 if train is None else len(train) / max(classes_present(train), 1)


def training_images(
    options: RunOptions, card: ModelCard, measured: ImageSet, most: int | None = None
) -> ImageSet | None:
    """Open the pictures for probes: those named, embedded ones of the same switches beside embedded ones, or None.

    At `most` so many are taken (None: as many as probes need), unless the run says how many. Those that are measured
    too are left out. Raises ClaimsError where no training pictures remain.
    """
    if options.train_data is None and not has_training_pictures(options.data):
        return None
    named = options.data if options.train_data is None else options.train_data
    limit = options.train_images or most or TRAIN_IMAGES_PER_CLASS * (card.classes or EMBEDDED_CLASSES)
    try:
        return open_images(named, seed=options.seed, split="train", limit=limit, card=card, apart=measured)
    except NotApplicable as error:
        raise ClaimsError(f"--train-data {options.train_data!r}: {error}") from error


def classes_present(images: ImageSet) -> int:
    """Count the classes that a set has pictures of; a verdict is about these."""
    return images.classes_present if isinstance(images, StoredImages) else images.classes


def picture_notes(opened: Mapping[str, Opened], train: Mapping[str, Opened]) -> list[str]:
    """Tell what was found when the pictures of a run were opened, and what was left out; embedded ones need no note."""
    notes = []
    for use, sets in (("", opened), (", to fit on", train)):
        for images in sets.values():
            if images.audit:
                notes.append(f"{images.name}{use}: {images.audit}")
            if images.left_out:
                count, shown = len(images.left_out), "; ".join(images.left_out[:5])
                notes.append(f"{images.name}{use}: {count} left out: {shown}{' ...' if count > 5 else ''}")
    return notes


def unmatched_notes(unmatched: Mapping[str, str]) -> list[str]:
    """Tell which claims about several models no models of the run fit, by claim id, once for every reason."""
    reasons: dict[str, list[str]] = {}
    for claim, why in unmatched.items():
        reasons.setdefault(why, []).append(claim)
    return [
        f"{', '.join(claims)} {'was' if len(claims) == 1 else 'were'} asked of no models: {why}"
        for why, claims in reasons.items()
    ]
