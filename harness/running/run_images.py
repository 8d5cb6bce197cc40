"""The pictures of a run: those that are measured and those that probes are fitted on, as its options name them."""

from harness.errors import ClaimsError, NotApplicable
from harness.images.open import ImageSet, open_images
from harness.images.procedural import EmbeddedImages
from harness.images.procedural_switches import is_embedded
from harness.judging.ledger import DATA_NEEDS
from harness.models.subject import ModelCard
from harness.running.options import RunOptions

EMBEDDED_CLASSES = 10
REPEATS = 20  # pictures per class, on average, that purity among as many top pictures needs
TRAIN_IMAGES_PER_CLASS = 200  # as in the source of the probe claims (lrast, lab note 2026-01-20)


def measured_images(options: RunOptions, card: ModelCard, budget: int) -> ImageSet:
    """Open as many pictures as the largest budget can use, in whole chunks.

    A statement about exactly the given set needs all of it, whatever the claims of this run may use.
    """
    limit = min(budget, options.max_images or budget)
    whole = -(-limit // options.batch_size) * options.batch_size
    opened = None if options.population else whole
    return open_images(options.data, seed=options.seed, split="test", limit=opened, card=card)


def have(images: ImageSet | None, train: bool) -> dict[str, bool]:
    """Say which needs for data (`spec.DATA_NEEDS`) are met; images that are not given are assumed to meet all."""
    if images is None:
        return {**dict.fromkeys(DATA_NEEDS, True), "train": train}
    return {
        "labels": images.labels is not None,
        "train": train,
        "masks": images.has_masks,
        "boxes": images.has_boxes or images.has_masks,
        "repeats": images.labels is not None and len(images) >= REPEATS * images.classes,
        "attributes": isinstance(images, EmbeddedImages),
        "superclasses": isinstance(images, EmbeddedImages),
    }


def training_images(options: RunOptions, card: ModelCard, measured: ImageSet) -> ImageSet | None:
    """Open the pictures for probes: those named, embedded ones of the same switches beside embedded ones, or None.

    Raises ClaimsError where the data has no training pictures, or where they are the measured ones.
    """
    if options.train_data is None and not is_embedded(options.data):
        return None
    named = options.data if options.train_data is None else options.train_data
    limit = options.train_images or TRAIN_IMAGES_PER_CLASS * (card.classes or EMBEDDED_CLASSES)
    try:
        train = open_images(named, seed=options.seed, split="train", limit=limit, card=card)
    except NotApplicable as error:
        raise ClaimsError(f"--train-data {options.train_data!r}: {error}") from error
    if train.fingerprint == measured.fingerprint:
        raise ClaimsError(
            f"--train-data {options.train_data!r} holds the very pictures that are measured; a probe must be fitted on "
            "other ones"
        )
    return train
