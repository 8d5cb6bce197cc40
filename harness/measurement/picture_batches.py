"""One batch of pictures as if it were the whole set: what a reading of many pictures looks at, with its own twin."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from harness.images.loading import chunk_of, load_pictures
from harness.images.open import ImageSet
from harness.images.sampling import batch_ranges
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.plan import Weights
from harness.models.subject import Preprocessing, Subject
from harness.readouts.members import MemberContext


class BatchOfPictures:
    """The pictures of an image set at consecutive places, counted from 0 on, with their marks and attributes."""

    def __init__(self, images: Any, places: range) -> None:
        self._images, self._places = images, places
        self.classes, self.has_masks = images.classes, getattr(images, "has_masks", False)
        self.fingerprint = f"{images.fingerprint}/{places.start}-{places.stop}"
        self.names = tuple(images.names[place] for place in places)
        self.labels = None if images.labels is None else images.labels[places.start : places.stop]
        if hasattr(images, "attributes"):
            cut = {name: values[places.start : places.stop] for name, values in images.attributes.items()}
            self.attributes = cut

    def __len__(self) -> int:
        return len(self._places)

    def __getattr__(self, name: str) -> Any:
        """Give what does not depend on the place."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._images, name)

    def load(self, positions: Sequence[int], preprocessing: Preprocessing) -> Tensor:
        """Give pictures of the batch."""
        return self._images.load(self._of_set(positions), preprocessing)

    def masks(self, positions: Sequence[int], preprocessing: Preprocessing) -> Tensor:
        """Give masks of pictures of the batch."""
        return self._images.masks(self._of_set(positions), preprocessing)

    def boxes(self, positions: Sequence[int], preprocessing: Preprocessing) -> tuple[Tensor, ...]:
        """Give boxes of pictures of the batch."""
        return self._images.boxes(self._of_set(positions), preprocessing)

    def _of_set(self, positions: Sequence[int]) -> list[int]:
        return [self._places[int(position)] for position in positions]


class Replicate:
    """One batch under the models of a claim: the twin and what readings share are made once, and dropped with it."""

    def __init__(self, number: int, size: int, seed: int) -> None:
        self.number = number
        self.places = range(number * size, (number + 1) * size)
        self.seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        self._twins: dict[LoadedModel, Subject] = {}
        self._shared: dict[tuple[LoadedModel, Weights], dict[Hashable, object]] = {}

    def place(
        self, model: LoadedModel, images: ImageSet, which: Weights, charge: Callable[[float], None]
    ) -> MemberContext:
        """Give what a reading of this batch of the images, the measured or the training ones, looks at."""
        start = self.places.start
        if which == "untrained" and model not in self._twins:
            self._twins[model] = model.subject.untrained(self.seed)
        fits, looks, settings = model.fit_place(which), model.subject.card.preprocessing, model.settings

        def of_set(positions: range) -> range:
            return range(positions.start + start, positions.stop + start)

        return MemberContext(
            subject=model.subject if which == "given" else self._twins[model],
            images=BatchOfPictures(images, self.places),
            train=model.train,
            grid=batch_ranges(len(self.places), settings.batch_size),
            load=lambda positions: load_pictures(images, of_set(positions), looks, settings),
            chunk_of=lambda positions: chunk_of(images, of_set(positions), looks, settings),
            seed=self.seed,
            folder=fits.folder,
            context=f"{fits.context}/{images.fingerprint}/{self.places}/{self.seed}",
            charge=charge,
            shared=self._shared.setdefault((model, which), {}),
        )
