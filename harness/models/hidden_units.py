"""Where the hidden units of a block are that nothing is known of but how it runs.

They are the channels that leave its last nonlinearity, as in a ResNet, or with a gate behind it what enters the layer
that reads them, as in an MLP.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from timm.layers.activations import HardSigmoid, Sigmoid
from torch import Tensor, nn

from harness.models.dataflow import WEIGHTED, Flow, Segment, is_activation
from harness.models.family import Model
from harness.models.hooks import Tap, cells, cells_of_channels
from harness.models.sites import UnitShape
from harness.models.tracing import BATCHES

SATURATING = (nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, Sigmoid, HardSigmoid)  # gates
PADDING = 4  # rows that a map may differ by from its share of the picture


@dataclass(frozen=True, kw_only=True)
class UnitPlace:
    """Where units pass: the path of a module, its input or output, and whether features come last there."""

    path: str
    at: Literal["input", "output"]
    last: bool
    shape: UnitShape

    def tap(self, model: Model) -> Tap:
        """Give the tap of these units in a model."""
        read = cells if self.last else cells_of_channels
        return Tap(modules=(model.get_submodule(self.path),), at=self.at, read=read, width=self.shape.units)


@dataclass(frozen=True, eq=False)
class _Passed:
    path: str
    module: nn.Module
    entered: Tensor
    left: Tensor


@torch.no_grad()
def unit_places(known: Model, flow: Flow, size: tuple[int, ...]) -> tuple[UnitPlace, ...] | str:
    """Find the units of every step of a model on the meta device, or say in which block there are none to be found.

    `size` is that of its pictures [channel, row, column].
    """
    stream = flow.embed.run(known, torch.empty(BATCHES[0], *size, device="meta"))
    found: list[UnitPlace] = []
    alike: dict[tuple[str, torch.Size], tuple[str, UnitPlace | None, Tensor]] = {}
    for number, step in enumerate(flow.steps):
        build = (str(known.get_submodule(step.block)) if len(step.calls) == 1 and step.block else "", stream.shape)
        if build[0] and build in alike:  # stages repeat their blocks
            path, place, stream = alike[build]
            place = place and replace(place, path=step.block + place.path.removeprefix(path))
        else:
            with _recording(known, step) as passed:
                stream = step.run(known, stream)
            place = _place(step, stream, passed, size[1:])
            alike[build] = (step.block, place, stream)
        if place is None:
            kind = type(known.get_submodule(step.block)).__name__ if step.block else "a part without a name"
            return f"in block {number} ({kind}) no nonlinearity was found whose units are at places of a map"
        found.append(place)
    return tuple(found)


def _place(step: Segment, out: Tensor, passed: list[_Passed], picture: tuple[int, ...]) -> UnitPlace | None:
    """Go back to the last nonlinearity with a map of the picture, and from there to a layer that reads nothing else."""
    calls = [one.path for one in passed]
    coarsest = map_of(out.shape, picture) or (1, 1)
    for number in reversed(range(len(passed))):
        one = passed[number]
        if not is_activation(one.module) or isinstance(one.module, SATURATING):
            continue
        path = step.block if one.left is out and step.ends_in_block else one.path
        if path != step.block and calls.count(path) != 1:
            continue
        layers = [before.module for before in passed[:number] if isinstance(before.module, WEIGHTED)]
        last = bool(layers) and isinstance(layers[-1], nn.Linear)
        if _shape(one.left, last, coarsest, picture) is None:
            last = not last
        shape = _shape(one.left, last, coarsest, picture)
        if shape is None:
            continue
        for reader in passed[number + 1 :]:
            whole = isinstance(reader.module, WEIGHTED) and reader.entered.shape == one.left.shape
            if whole and calls.count(reader.path) == 1 and isinstance(reader.module, nn.Linear) == last:
                return UnitPlace(path=reader.path, at="input", last=last, shape=shape)
        return UnitPlace(path=path, at="output", last=last, shape=shape)
    return None


def _shape(values: Tensor, last: bool, coarsest: tuple[int, int], picture: tuple[int, ...]) -> UnitShape | None:
    """Read the map of values and how many there are at a place; None where they are no map of the whole picture."""
    if len(values) != BATCHES[0]:
        return None
    places, units = (
        (tuple(values.shape[1:-1]), values.shape[-1]) if last else (tuple(values.shape[2:]), values.shape[1])
    )
    if places == (coarsest[0] * coarsest[1],) and places != (1,):
        places = coarsest  # a map in rows, as attention and MLPs take it
    if len(places) != 2 or not _fits(places, picture) or places[0] < coarsest[0]:
        return None
    return UnitShape(rows=places[0], columns=places[1], prefix=0, units=units)


def map_of(shape: tuple[int, ...], picture: tuple[int, ...]) -> tuple[int, int] | None:
    """Read rows and columns of a feature map [image, channel, row, column] or [image, row, column, channel]."""
    if len(shape) != 4:
        return None
    sides = ((shape[2], shape[3]), (shape[1], shape[2]))
    return next((one for one in sides if _fits(one, picture)), None)


def _fits(places: tuple[int, ...], picture: tuple[int, ...]) -> bool:
    """Say whether these are the sides of the picture by one stride, up to padding."""
    stride = max(1, round(picture[0] / places[0]))
    near = all(abs(side / stride - found) <= PADDING for side, found in zip(picture, places, strict=True))
    return near and (places[0] == places[1]) == (picture[0] == picture[1])


@contextmanager
def _recording(known: Model, step: Segment) -> Iterator[list[_Passed]]:
    """Note what passes the innermost modules of a step."""
    passed: list[_Passed] = []
    handles = []
    paths = {call.path for _, call in step.calls if call.path}
    inner = {
        ".".join(filter(None, (path, name))): module
        for path in sorted(paths)
        for name, module in known.get_submodule(path).named_modules()
    }

    def hook(path: str):
        def note(module: nn.Module, entered: tuple, left: object) -> None:
            if entered and isinstance(entered[0], Tensor) and isinstance(left, Tensor):
                passed.append(_Passed(path, module, entered[0], left))

        return note

    try:
        for path, module in inner.items():
            if isinstance(module, WEIGHTED) or not list(module.children()):
                handles.append(module.register_forward_hook(hook(path)))
        yield passed
    finally:
        for handle in handles:
            handle.remove()
