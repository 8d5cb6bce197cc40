"""Pictures to measure on: in a random order fixed by a seed, with a fingerprint of their content.

An image set is opened before any weight is loaded, and refuses then what can be known then.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from tarfile import TarError
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from harness.errors import ClaimsError
from harness.images import digits
from harness.images.archives import list_archive
from harness.images.checked import fault
from harness.images.datasets import PREFIXES, list_dataset
from harness.images.folders import SPLIT_FOLDERS, list_folder, visible
from harness.images.listing import Listing
from harness.images.procedural import EmbeddedImages, Split
from harness.images.procedural_switches import NO_OTHER_CLASSES, is_digits, is_embedded, read_world
from harness.images.stored import StoredImages, store_in_order
from harness.models.subject import ModelCard, Preprocessing

PROBED = 32  # pictures that are decoded at most to see whether any can be


@runtime_checkable
class ImageSet(Protocol):
    """Pictures in measuring order: a random permutation fixed by the seed, of which a budget uses the beginning.

    `labels` int64 [picture], below `classes`, or None (then `classes` is 0); `names` one per picture; `left_out` the
    pictures that cannot be decoded, each with the reason; `note` how labels were found; `has_boxes` and `has_masks`
    what lies beside the pictures; `fingerprint` identifies the content and the seed of the order, not the limit.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...
    @property
    def labels(self) -> np.ndarray | None: ...
    @property
    def classes(self) -> int: ...
    @property
    def class_names(self) -> tuple[str, ...] | None: ...
    @property
    def left_out(self) -> tuple[str, ...]: ...
    @property
    def note(self) -> str: ...
    @property
    def has_boxes(self) -> bool: ...
    @property
    def has_masks(self) -> bool: ...

    def __len__(self) -> int:
        """Count the pictures that can be measured."""

    def load(self, positions: Sequence[int], preprocessing: Preprocessing) -> Float[Tensor, "image channel row column"]:
        """Give the pictures at these places of the measuring order, preprocessed, float32 on the CPU."""


@runtime_checkable
class ObjectImages(ImageSet, Protocol):
    """Pictures whose object may be marked; `has_masks` and `has_boxes` tell whether it is."""

    def masks(self, positions: Sequence[int], preprocessing: Preprocessing) -> Bool[Tensor, "image row column"]:
        """Give the object's pixels, in the geometry of `load`."""

    def boxes(self, positions: Sequence[int], preprocessing: Preprocessing) -> tuple[Float[Tensor, "box corner"], ...]:
        """Give the object's boxes per image, in the geometry of `load`: x0 y0 x1 y1 in pixels, the ends exclusive."""


def open_images(
    data: str | None,
    *,
    seed: int,
    split: Split,
    limit: int | None,
    card: ModelCard,
    apart: ImageSet | None = None,
    by_class: bool = False,
) -> ImageSet:
    """Open pictures for a model known by its card.

    `data` is None or `embedded[:switch=value,...]`, `digits`, a folder, a tar, or a dataset (`hfds/NAME`).

    `limit` is the largest number of pictures that the run can use; only so many are decoded for the check. Pictures
    that are in `apart` too, whatever they are called there, are left out. `by_class` orders them by class, a few of
    each (`harness.images.class_order`).

    Raises:
        ClaimsError: there is nothing to read, or the labels do not fit the model.
        NotApplicable: train pictures are asked for and the data has none.
    """
    if limit is not None and limit < 1:
        raise ClaimsError(f"a budget of {limit} pictures; allowed: 1 and above")
    if len(card.preprocessing.mean) != 3:
        raise ClaimsError(f"{card.name!r} takes {len(card.preprocessing.mean)} channels; pictures are read as RGB")
    if data is None or is_embedded(data):
        if by_class:
            raise ClaimsError(NO_OTHER_CLASSES)
        return _embedded(data, seed, split, limit, card)
    if is_digits(data):
        digits.check_digits(card)
        return digits.DigitImages(split=split, seed=seed, limit=limit)
    if data.partition("/")[0].lower() in PREFIXES and not Path(data).exists():
        listing = list_dataset(data, split, card, seed=seed, limit=limit)
    else:
        listing = _list_path(data, split, card)
    return store_in_order(listing, seed, limit, apart if isinstance(apart, StoredImages) else None, by_class)


def check_pictures(data: str, split: Split, card: ModelCard) -> None:
    """Prove what can be known of pictures before anything is loaded: that they are there and have the model's labels.

    Datasets by name are left to `open_images`, which may have to fetch them.
    Raises ClaimsError; NotApplicable where pictures to train on are asked for and there are none.
    """
    if len(card.preprocessing.mean) != 3:
        raise ClaimsError(f"{card.name!r} takes {len(card.preprocessing.mean)} channels; pictures are read as RGB")
    if is_digits(data):
        return digits.check_digits(card)
    if data.partition("/")[0].lower() in PREFIXES and not Path(data).exists():
        return None
    try:
        listing = _list_path(data, split, card)
    except (OSError, ValueError, TarError) as error:
        raise ClaimsError(f"--data {data!r} cannot be read: {' '.join(str(error).split()):.200}") from error
    faults = []
    for entry in range(len(listing)):
        if not isinstance(found := fault(listing.open, entry), Exception):
            return None
        faults.append(f"{listing.names[entry]}: {type(found).__name__}: {found}")
        if len(faults) == PROBED:
            return None  # others may be fine: the set is opened later, and tells what it leaves out
    raise ClaimsError(f"none of the {len(listing)} pictures of {listing.name!r} can be decoded ({faults[0]:.160}, ...)")


def _embedded(data: str | None, seed: int, split: Split, limit: int | None, card: ModelCard) -> EmbeddedImages:
    images = EmbeddedImages(split=split, seed=seed, limit=limit, world=read_world(data))
    if card.classes not in (0, images.classes):
        raise ClaimsError(
            f"the embedded pictures have {images.classes} classes, the model {card.name!r} answers {card.classes}: "
            f"give pictures with --data"
        )
    return images


def _list_path(data: str, split: Split, card: ModelCard) -> Listing:
    path = Path(data).expanduser()
    if not path.exists():
        raise _missing(data, path)
    name, divided = path.resolve().name, _split_folder(path, split)
    if divided:
        path, name = divided, f"{name}/{divided.name}"
    if not (path.is_file() or path.is_dir()):
        raise ClaimsError(f"--data {data!r} is neither file nor folder; allowed: a folder, a .tar, or {_datasets()}")
    if path.is_file() and path.suffix.lower() != ".tar":
        raise ClaimsError(f"--data {data!r} is a file; allowed: a folder, a .tar, or {_datasets()}")
    if path.is_file() or any(entry.suffix.lower() == ".tar" and entry.is_file() for entry in visible(path)):
        return list_archive(path, name, None if divided else split, card)
    return list_folder(path, name, card)


def _split_folder(folder: Path, split: Split) -> Path | None:
    """Find val/ or train/ where a folder is divided; an undivided one holds the pictures that it is named for."""
    for choice in SPLIT_FOLDERS[split]:
        if (folder / choice).is_dir():
            return folder / choice
    if split == "test" and (folder / "train").is_dir() and not (folder / "labels.csv").exists():
        raise ClaimsError(f"{folder} has train/ but none of {', '.join(SPLIT_FOLDERS['test'])} to measure on")
    return None


def _missing(data: str, path: Path) -> ClaimsError:
    beside = path.parent
    while not beside.is_dir():
        path, beside = beside, beside.parent
    siblings = [entry.name for entry in visible(beside)]
    near = get_close_matches(path.name, [*siblings, *PREFIXES], n=1, cutoff=0.5)
    hint = f" Did you mean {str(beside / near[0]) if near[0] in siblings else near[0] + '/...'!r}?" if near else ""
    return ClaimsError(
        f"--data {data!r} does not exist ({path.name!r} is not in {beside}).{hint} Allowed: a folder of pictures, a "
        f".tar, or {_datasets()}"
    )


def _datasets() -> str:
    return ", ".join(f"{prefix}/NAME" for prefix in PREFIXES)
