"""Fits: everything that readouts want fitted on the training images, made once and cached.

A finished fit is a safetensors file named by everything that it depends on.
"""

from collections.abc import Sequence

import numpy as np
import torch

from harness import probe_fits
from harness.fit_files import Arrays, FitPlace
from harness.fittable import Fittable, Fitted
from harness.probe_fits import Advance, Training
from harness.probes import Fit


def fit_all(
    wanted: Sequence[Fittable], training: Training, place: FitPlace, advance: Advance
) -> dict[Fittable, Fitted]:
    """Give every fit that is wanted, making those that are not in the cache.

    Raises ClaimsError for what the model cannot have and for training images that cannot teach.
    """
    found = {one: fit for one in wanted if (fit := _load(place, one)) is not None}
    missing = [one for one in dict.fromkeys(wanted) if one not in found]
    if not missing:
        return found
    made = probe_fits.fit_probes(missing, training, place, advance)
    for probe, fit in zip(missing, made, strict=True):
        _save(place, probe, fit)
        found[probe] = fit
    return found


def fit_id(place: FitPlace, wanted: Fittable) -> str:
    """Name a fit by everything that it depends on."""
    return place.id(wanted, probe_fits.CODE)


def _load(place: FitPlace, probe: Fittable) -> Fit | None:
    if (arrays := place.read(fit_id(place, probe))) is None:
        return None
    tensors = {name: torch.from_numpy(arrays[name]) for name in ("centre", "weights", "bias")}
    return Fit(**tensors, strength=float(arrays["strength"][0]))


def _save(place: FitPlace, probe: Fittable, fit: Fit) -> None:
    arrays: Arrays = {name: getattr(fit, name).numpy() for name in ("centre", "weights", "bias")}
    place.write(fit_id(place, probe), {**arrays, "strength": np.array([fit.strength])})
