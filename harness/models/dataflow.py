"""The forward pass of a model as a chain of steps, read from its data flow instead of its class.

Where a single tensor leads from what came before to what comes after, the pass can be cut and resumed. Steps end
behind the blocks of the model's lists, as far as one can cut there; what cannot be cut stays within one step. Nothing
here is believed: `self_check` compares chain and model.
"""

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from harness.errors import UnsupportedModel
from harness.models.calls import Call, Ref
from harness.models.family import Model
from harness.models.tracing import BATCHES, Trace, calls_of, trace

LISTS = (nn.Sequential, nn.ModuleList)
WEIGHTED = (nn.Conv2d, nn.Linear)
STEMS = ("stem", "conv_stem", "patch_embed")  # what begins so at the top is no part of the blocks
BETWEEN = re.compile(r"(^|\.)down_?sampl|(^|\.)patch_embed")  # belongs to the block behind it


@dataclass(frozen=True, eq=False)
class Segment:
    """What leads from one tensor to the next; `block` is the path of the module that it ends in ("" for none)."""

    source: int
    calls: tuple[tuple[int, Call], ...]
    shape: tuple[int, ...]  # of what comes out for two pictures
    block: str

    @property
    def ends_in_block(self) -> bool:
        """Say whether what comes out is what the block gives."""
        return bool(self.block) and self.calls[-1][1].path == self.block

    def run(self, model: Model, value: Tensor) -> Any:
        """Run this part of the forward pass of a model, from the tensor that enters it; it is left as it is."""
        values: dict[int, Any] = {self.source: value.clone() if self.calls else value}
        for place, call in self.calls:
            values[place] = call.run(model, values, len(value))
        return values[self.calls[-1][0] if self.calls else self.source]


@dataclass(frozen=True, eq=False)
class Flow:
    """A forward pass that can be resumed: pictures are embedded, go through the steps, and the rest ends it."""

    embed: Segment
    steps: tuple[Segment, ...]
    rest: Segment


def flow_of(known: Model, size: tuple[int, ...]) -> Flow:
    """Follow the forward pass of a model on the meta device for pictures of this size, and cut it into steps.

    Raises:
        UnsupportedModel: it cannot be followed, or nowhere within it is there one tensor to resume from.
    """
    two, stages, cuts = _cut(known, size)
    calls = calls_of(two, trace(known, size, stages, BATCHES[1]))
    first, ends = _ends(known, calls, {cut: path for cut, path in cuts.items() if len(calls[cut].shape or ()) > 2})
    marks = [0, first, *(ends or [max(cuts, default=0)]), len(calls) - 1]
    if marks[-3] >= marks[-2]:
        raise UnsupportedModel(
            f"nowhere in the forward pass of {type(known).__name__} is there one tensor to resume from"
        )
    parts = [_segment(calls, source, target) for source, target in pairwise(marks)]
    return Flow(embed=parts[0], steps=tuple(parts[1:-1]), rest=parts[-1])


def _cut(known: Model, size: tuple[int, ...]) -> tuple[Trace, set[str], dict[int, str]]:
    """Trace a model down to its blocks: what lies within the stages, where it can be cut."""
    stages = _stages(known)
    while True:
        two = trace(known, size, stages, BATCHES[0])
        cuts = _cuts(calls_of(two, two))
        uncut = _uncut(known, stages, list(cuts.values()))
        if not uncut:
            return two, stages, cuts
        stages -= uncut  # what cannot be cut within is one block


def _stages(model: nn.Module, prefix: str = "") -> set[str]:
    """Name the modules within which one may cut: lists of blocks, and stages that hold such lists."""
    found = set()
    for name, child in model.named_children():
        if (prefix or not name.startswith(STEMS)) and _is_stage(child):
            found |= {f"{prefix}{name}"} | _stages(child, f"{prefix}{name}.")
    return found


def _is_stage(module: nn.Module) -> bool:
    parts = list(module.children())
    if isinstance(module, nn.Sequential):
        return any(is_composite(part) for part in parts) or sum(isinstance(part, WEIGHTED) for part in parts) > 1
    return _are_alike(module) or any(
        isinstance(part, LISTS) and any(is_composite(one) for one in part) for part in (module, *parts)
    )


def is_composite(module: nn.Module) -> bool:
    """Say whether a module is made of others that hold weights."""
    return not isinstance(module, WEIGHTED) and any(isinstance(part, WEIGHTED) for part in module.modules())


def _are_alike(holder: nn.Module) -> bool:
    """Say whether a module holds nothing but numbered modules of one kind."""
    named = dict(holder.named_children())
    return len({type(part) for part in named.values()}) == 1 and all(re.fullmatch(r"\D*\d+", name) for name in named)


def _uncut(model: nn.Module, stages: set[str], cuts: Sequence[str]) -> set[str]:
    """Name the stages in which no block can be cut off, and what is of their kind in the same list."""
    blocks = [path for path in cuts if _in_list(model, path)]
    whole = {one for one in stages if not any(path.startswith(f"{one}.") for path in blocks)}
    whole = {one for one in whole if not isinstance(model.get_submodule(one), LISTS)}
    kinds = {(one.rpartition(".")[0], type(model.get_submodule(one))) for one in whole if _listed(model, one)}
    alike = {one for one in stages if (one.rpartition(".")[0], type(model.get_submodule(one))) in kinds}
    return whole | {one for one in alike if not isinstance(model.get_submodule(one), LISTS)}


def _listed(model: nn.Module, path: str) -> bool:
    return isinstance(model.get_submodule(path.rpartition(".")[0]), LISTS)


def _in_list(model: nn.Module, path: str) -> bool:
    """Say whether a module is composite and one of a list of modules, or of numbered modules of one kind."""
    if not path or BETWEEN.search(path) or not is_composite(model.get_submodule(path)):
        return False
    holder = model.get_submodule(path.rpartition(".")[0])
    return isinstance(holder, LISTS) or (holder is not model and _are_alike(holder))


def _cuts(calls: Sequence[Call]) -> dict[int, str]:
    """List the calls through whose one tensor all that depends on the pictures passes, in order, with their modules."""
    last: dict[int, int] = {}  # of what depends on the pictures: where it is used last
    for place, call in enumerate(calls):
        used = [one for one in call.inputs if one in last]
        if call.op == "placeholder" or used:
            last |= dict.fromkeys([place, *used], place)
    cuts: dict[int, str] = {}
    reach = 0
    for place in last:
        shape = calls[place].shape
        if reach <= place and calls[place].op not in ("placeholder", "output") and shape and shape[0] == BATCHES[0]:
            cuts[place] = _path(calls, place)
        reach = max(reach, last[place])
    return cuts


def _path(calls: Sequence[Call], cut: int) -> str:
    """Name the module that a result comes from, alone or as the first of several; "" for none."""
    call = calls[cut]
    if call.target is operator.getitem and call.args[1] == 0 and isinstance(call.args[0], Ref):
        return calls[call.args[0].place].path
    return call.path


def _ends(model: nn.Module, calls: Sequence[Call], paths: Mapping[int, str]) -> tuple[int, list[int]]:
    """Choose where the embedding ends and where the steps end, of cuts by the modules that they lie behind.

    Blocks are the composite modules of lists, and a step ends at the first cut from there on. Where there are none,
    every composite module of the forward pass is one, and in plain chains of convolutions every activation ends one.
    Without any, the steps begin with the pictures.
    """
    blocks = [place for place, call in enumerate(calls) if _in_list(model, call.path)]
    blocks = [place for place in blocks if not calls[place].path.startswith(STEMS)]
    ends = sorted({cut for place in blocks for cut in [next((cut for cut in paths if cut >= place), None)] if cut})
    if ends:
        top = calls[blocks[0]].path.partition(".")[0]
        earlier = [cut for cut in paths if cut < blocks[0]]
        before = [cut for cut in earlier if paths[cut].partition(".")[0] != top] or earlier
        return (before[-1], ends) if before else (ends[0], ends[1:])
    ends = [cut for cut, path in paths.items() if path and is_composite(model.get_submodule(path))]
    if len(ends) < 2:
        ends = [cut for cut, path in paths.items() if path and is_activation(model.get_submodule(path))] or ends
    return (ends[0], ends[1:]) if len(ends) > 1 else (0, ends)


def is_activation(module: nn.Module) -> bool:
    """Say whether a module is a nonlinearity of single entries."""
    kind = type(module)
    known = kind.__module__.startswith(("torch.nn.modules.activation", "timm.layers.activations"))
    return (known or kind.__name__ in ("GammaAct", "StarReLU")) and not isinstance(
        module, nn.Softmax | nn.MultiheadAttention
    )


def _segment(calls: Sequence[Call], source: int, target: int) -> Segment:
    needed, queue = {target}, [target]
    while queue:
        for place in calls[queue.pop()].inputs - needed - {source}:
            needed.add(place)
            queue.append(place)
    needed -= {source}
    within = tuple((place, calls[place]) for place in sorted(needed))
    return Segment(source, within, calls[target].shape or (), _path(calls, target))
