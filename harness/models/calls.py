"""The calls that a forward pass is made of, to be made again with other tensors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

INNER = "model."  # the model within the module that is traced


@dataclass(frozen=True)
class Ref:
    """The result of the call at this place."""

    place: int


@dataclass(frozen=True)
class Count:
    """A number that grows with the pictures: `base + slope * pictures`."""

    base: float
    slope: float


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a forward pass; `shape` is that of its result for two pictures, None where that is no tensor."""

    op: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] | None

    @property
    def path(self) -> str:
        """Name the module that is called; "" for what is no module."""
        return str(self.target).removeprefix(INNER) if self.op == "call_module" else ""

    @property
    def inputs(self) -> set[int]:
        """List the places of the calls whose results this one takes."""
        found: set[int] = set()
        mapped((self.args, self.kwargs), lambda one: found.add(one.place) if isinstance(one, Ref) else None)
        return found

    def run(self, model: Any, values: dict[int, Any], pictures: int) -> Any:
        """Make the call, with the modules and tensors of this model."""

        def fill(one: Any) -> Any:
            if isinstance(one, Ref):
                return values[one.place]
            return round(one.base + one.slope * pictures) if isinstance(one, Count) else one

        args, kwargs = mapped(self.args, fill), mapped(self.kwargs, fill)
        if self.op == "call_module":
            return model.get_submodule(self.path)(*args, **kwargs)
        if self.op == "call_function":
            return self.target(*args, **kwargs)
        if self.op == "call_method":
            return getattr(args[0], self.target)(*args[1:], **kwargs)
        if self.op == "get_attr":
            found = model
            for name in self.target.removeprefix(INNER).split("."):
                found = getattr(found, name)
            return found
        return args[0]  # the output


def mapped(found: Any, change: Callable[[Any], Any]) -> Any:
    """Change everything within tuples, lists, dictionaries and slices."""
    if isinstance(found, tuple) and type(found) is not torch.Size:
        return tuple(mapped(one, change) for one in found)
    if isinstance(found, list):
        return [mapped(one, change) for one in found]
    if isinstance(found, dict):
        return {key: mapped(one, change) for key, one in found.items()}
    if isinstance(found, slice):
        return slice(*(mapped(one, change) for one in (found.start, found.stop, found.step)))
    return change(found)
