"""The forward pass of a module as a list of calls, with sizes known and values not.

`torch.fx` records what is called; tensors on the meta device go along, so that sizes are plain numbers and a forward
pass may decide by them. Two traces, of 2 and of 3 pictures, tell which numbers count pictures.
"""

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

import torch
from timm.models._features_fx import get_notrace_functions
from torch import Tensor, fx, nn

from harness.errors import UnsupportedModel
from harness.models.calls import INNER, Call, Count, Ref, mapped

BATCHES = (2, 3)
PLAIN = ("shape", "ndim", "dtype", "is_cuda", "requires_grad")  # what is told of a tensor at once


@dataclass(frozen=True, eq=False)
class Trace:
    """What a forward pass called for so many pictures, and what came of every call on the meta device."""

    kind: str
    nodes: list[fx.Node]
    values: Mapping[fx.Node, Any]


def trace(known: nn.Module, size: tuple[int, ...], within: Set[str], pictures: int) -> Trace:
    """Trace the forward pass for pictures of a size [channel, row, column], also `within` the modules of these paths.

    `known` is what `known_sizes` gives.

    Raises:
        UnsupportedModel: the forward pass depends on what is in the pictures.
    """
    tracer = _Tracer(torch.empty(pictures, *size, device="meta"), within)
    try:
        with torch.no_grad():
            graph = tracer.trace(_Outer(known))
    except Exception as error:
        told = str(error).partition("\n")[0]
        raise UnsupportedModel(
            f"the forward pass of {type(known).__name__} cannot be followed by sizes alone "
            f"({type(error).__name__}: {told:.160})"
        ) from error
    return Trace(type(known).__name__, list(graph.nodes), tracer.values)


def calls_of(two: Trace, three: Trace) -> list[Call]:
    """Read the calls from traces of 2 and of 3 pictures; from one trace alone they are good for its number only.

    Raises:
        UnsupportedModel: the course of the two differs, or the forward pass makes tensors of its own.
    """
    nodes, others = two.nodes, three.nodes
    if [(node.op, str(node.target)) for node in nodes] != [(node.op, str(node.target)) for node in others]:
        raise UnsupportedModel(f"{two.kind} takes another course for {BATCHES[1]} pictures than for two")
    places = {node: place for place, node in enumerate(nodes)} | {node: place for place, node in enumerate(others)}
    merge = _merger(two.kind, places)
    calls = []
    for node, other in zip(nodes, others, strict=True):
        if node.op == "get_attr" and not str(node.target).startswith(INNER):
            raise UnsupportedModel(f"the forward pass of {two.kind} makes tensors of its own on the way")
        value = two.values.get(node)
        shape = tuple(value.shape) if isinstance(value, Tensor) else None
        calls.append(Call(node.op, node.target, merge(node.args, other.args), merge(node.kwargs, other.kwargs), shape))
    return calls


def known_sizes(model: nn.Module) -> nn.Module:
    """Return a copy of a model on the meta device, in evaluation mode; its weights are not copied."""
    memo: dict[int, Any] = {}
    for one in itertools.chain(model.parameters(), model.buffers()):
        bare = one.detach().to("meta")
        memo[id(one)] = nn.Parameter(bare, requires_grad=False) if isinstance(one, nn.Parameter) else bare
    return copy.deepcopy(model, memo).eval()


class _Outer(nn.Module):
    """A module around the model, so that its own call is one too."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Any:
        return self.model(images)


class _Known(fx.Proxy):
    """A result of which the size is known."""

    def __getattr__(self, k: str) -> Any:
        value = self.tracer.values[self.node]  # type: ignore[attr-defined]
        return getattr(value, k) if k in PLAIN else super().__getattr__(k)

    def __len__(self) -> int:
        return len(self.tracer.values[self.node])  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        return (self[place] for place in range(len(self)))  # type: ignore[index]


class _Tracer(fx.Tracer):
    """Evaluate every call on the meta device; what is no tensor is a plain value at once."""

    def __init__(self, pictures: Tensor, within: Set[str]) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))
        self.pictures, self.within = pictures, {INNER + path for path in within} | {INNER[:-1]}
        self.values: dict[fx.Node, Any] = {}
        self.proxy_buffer_attributes = True
        self.evaluating = False
        self.alike: dict[Any, Tensor] = {}  # what modules of one build gave for tensors of one shape

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name not in self.within

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        return forward(*args, **kwargs) if self.evaluating else super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self.evaluating else super().getattr(attr, attr_val, parameter_proxy_cache)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Known(node, self)

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any, **options: Any) -> Any:
        proxy = super().create_proxy(kind, target, args, kwargs, *more, **options)
        value = self._evaluated(kind, target, args, kwargs)
        self.values[proxy.node] = value
        return _told(proxy, value)

    def _evaluated(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        known = lambda one: self.values[one.node] if isinstance(one, fx.Proxy) else one  # noqa: E731
        self.evaluating = True
        try:
            if kind == "placeholder":
                return self.pictures
            if kind == "output":
                return None
            call = Call(kind, target, mapped(args, known), mapped(kwargs, known), None)
            return self._run(call) if call.path else call.run(self.root.model, {}, 0)  # type: ignore[union-attr]
        finally:
            self.evaluating = False

    def _run(self, call: Call) -> Any:
        """Run a module, or tell of one that is built alike what that gave: stages repeat their blocks."""
        model: Any = self.root.model  # type: ignore[union-attr]
        shapes = tuple((tuple(one.shape), one.stride()) if isinstance(one, Tensor) else one for one in call.args)
        if call.kwargs or not all(isinstance(one, Tensor | int) for one in call.args):
            return call.run(model, {}, 0)
        key = (str(model.get_submodule(call.path)), shapes)
        if (known := self.alike.get(key)) is not None:
            return torch.empty_strided(known.shape, known.stride(), dtype=known.dtype, device="meta")
        value = call.run(model, {}, 0)
        if isinstance(value, Tensor):
            self.alike[key] = value
        return value


def _told(proxy: Any, value: Any) -> Any:
    """Give a proxy for a tensor, a collection of them for a collection, and anything else as it is."""
    if isinstance(value, Tensor | torch.device):  # the device is that of the run, not that of the trace
        return proxy
    if isinstance(value, tuple | list) and not isinstance(value, torch.Size):
        parts = [_told(proxy[place], one) if _has_tensor(one) else one for place, one in enumerate(value)]
        return type(value)(parts) if type(value) in (tuple, list) else tuple(parts)
    if isinstance(value, dict):
        return {key: proxy[key] if _has_tensor(one) else one for key, one in value.items()}
    return value


def _has_tensor(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(_has_tensor(one) for one in value)
    return isinstance(value, Tensor)


def _merger(kind: str, places: dict[fx.Node, int]) -> Callable[[Any, Any], Any]:
    """Merge what two traces were called with: numbers that differ count pictures."""

    def merge(one: Any, other: Any) -> Any:
        if isinstance(one, fx.Node) and isinstance(other, fx.Node) and places[one] == places[other]:
            return Ref(places[one])
        if isinstance(one, tuple | list) and len(one) == len(other):
            parts = [merge(*pair) for pair in zip(one, other, strict=True)]
            return tuple(parts) if isinstance(one, tuple) else parts
        if isinstance(one, dict) and set(one) == set(other):
            return {key: merge(one[key], other[key]) for key in one}
        if isinstance(one, slice):
            return slice(merge(one.start, other.start), merge(one.stop, other.stop), merge(one.step, other.step))
        if one is other or (type(one) is type(other) and one == other):
            return one
        if isinstance(one, int | float) and isinstance(other, int | float):
            slope = (other - one) / (BATCHES[1] - BATCHES[0])
            return Count(one - slope * BATCHES[0], slope)
        raise UnsupportedModel(f"{kind} calls its parts otherwise for {BATCHES[1]} pictures than for two")

    return merge
