"""All fits of a model: probes and the like, and statistics, which collect their numbers themselves."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from harness.probes.fittable import Fittable, Fitted
from harness.probes.statistic import Collected, Statistic
from harness.probes.training.files import FitPlace
from harness.probes.training.fits import fit_all, fit_id
from harness.probes.training.linear import Advance, Training


def fit_everything(
    wanted: Sequence[Fittable], training: Training, place: FitPlace, advance: Advance
) -> dict[Fittable, Fitted]:
    """Give every fit that is wanted, making those that are not in the cache; errors and `advance` as in `fit_all`."""
    others: list[Fittable] = [one for one in wanted if not isinstance(one, Statistic)]
    found: dict[Fittable, Fitted] = dict(fit_all(others, training, place, advance)) if others else {}
    for one in dict.fromkeys(wanted):
        if isinstance(one, Statistic):
            found[one] = _collected(one, training, place, advance)
    return found


@torch.inference_mode()
def _collected(wanted: Statistic, training: Training, place: FitPlace, advance: Advance) -> Collected:
    name = fit_id(place, wanted)
    if (arrays := place.read(name)) is not None:
        return Collected(numbers={key: torch.from_numpy(array) for key, array in arrays.items()})
    numbers = wanted.collect(training.subject, _pictures(training, advance))
    place.write(name, {key: tensor.numpy() for key, tensor in numbers.items()})
    return Collected(numbers=numbers)


def _pictures(training: Training, advance: Advance) -> Iterator[Tensor]:
    for positions in training.chunks:
        yield training.images.load(positions, training.subject.card.preprocessing)
        advance("training images", positions.stop, len(training.images))
