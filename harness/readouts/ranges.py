"""The range of the numbers of a stored measurement, by the name of its readout."""

import importlib
import pkgutil
from typing import Any

import harness.readouts
from harness.readouts.readout import StreamReadout


def ranges() -> dict[str, tuple[float, float]]:
    """Give low and high of every readout of the package whose numbers have the same range wherever it reads."""
    for module in pkgutil.walk_packages(harness.readouts.__path__, "harness.readouts."):
        importlib.import_module(module.name)
    found = {one.__name__: (getattr(one, "low", None), getattr(one, "high", None)) for one in _below(StreamReadout)}
    return {
        name: (float(low), float(high))
        for name, (low, high) in found.items()
        if isinstance(low, int | float) and isinstance(high, int | float)
    }


def _below(kind: type[Any]) -> list[type[Any]]:
    own: list[type[Any]] = kind.__subclasses__()
    return [each for one in own for each in (one, *_below(one))]
