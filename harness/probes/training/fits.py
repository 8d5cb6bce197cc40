"""Fits: everything that readouts want fitted on the training images, made once and cached.

A finished fit is a safetensors file named by everything that it depends on.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import torch

from harness.probes.fittable import Fittable, Trained
from harness.probes.learned_token import TokenFit, TokenReadout
from harness.probes.prefix_moments import PrefixFit, PrefixMoments
from harness.probes.probe import Fit, Probe
from harness.probes.training import linear, prefix, tokens
from harness.probes.training.code import code_of
from harness.probes.training.files import Arrays, FitPlace
from harness.probes.training.linear import Advance, Training


def fit_all(
    wanted: Sequence[Fittable], training: Training, place: FitPlace, advance: Advance
) -> dict[Fittable, Trained]:
    """Give every fit that is wanted, making those that are not in the cache.

    `advance` is told what is gone through, how much of it is done and how much there is. Raises ClaimsError for what
    the model cannot have and for training images that cannot teach.
    """
    found = {one: fit for one in dict.fromkeys(wanted) if (fit := _load(place, one)) is not None}
    missing = [one for one in dict.fromkeys(wanted) if one not in found]
    probes = [one for one in missing if isinstance(one, Probe)]
    readouts = [one for one in missing if isinstance(one, TokenReadout)]
    moments = [one for one in missing if isinstance(one, PrefixMoments)]
    made: Iterable[tuple[Fittable, Trained]] = chain(
        linear.fit_probes(probes, training, place, advance) if probes else (),
        tokens.fit_tokens(readouts, training, place, advance) if readouts else (),
        ((one, prefix.fit_moments(training, advance)) for one in moments),
    )
    for one, fit in made:
        _save(place, one, fit)
        found[one] = fit
    return found


def fit_id(place: FitPlace, wanted: Fittable) -> str:
    """Name a fit by everything that it depends on."""
    return place.id(wanted, code_of(wanted))


def _load(place: FitPlace, wanted: Fittable) -> Trained | None:
    if (arrays := place.read(fit_id(place, wanted))) is None:
        return None
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items() if name != "strength"}
    if isinstance(wanted, TokenReadout):
        return TokenFit(parameters=tensors)
    if isinstance(wanted, PrefixMoments):
        return PrefixFit(**tensors)
    return Fit(**tensors, strength=float(arrays["strength"][0]))


def _save(place: FitPlace, wanted: Fittable, fit: Trained) -> None:
    if isinstance(fit, TokenFit):
        arrays: Arrays = {name: tensor.numpy() for name, tensor in fit.parameters.items()}
    elif isinstance(fit, PrefixFit):
        arrays = {"mean": fit.mean.numpy(), "std": fit.std.numpy()}
    else:
        arrays = {name: getattr(fit, name).numpy() for name in ("centre", "weights", "bias")}
        arrays["strength"] = np.array([fit.strength])
    place.write(fit_id(place, wanted), arrays)
