"""Models that no other family knows, read as a chain by their data flow: most convolutional and staged ones.

The stream is whatever single tensor leads from block to block, a feature map as a rule. Nothing of this is believed:
a chain that does not end in the model's own answer is refused when the model is loaded.
"""

import re
from dataclasses import dataclass
from typing import NoReturn
from weakref import WeakKeyDictionary

from timm.layers import SplitAttn
from timm.layers.cbam import ChannelAttn, LightChannelAttn, LightSpatialAttn, SpatialAttn
from timm.layers.selective_kernel import SelectiveKernelAttn
from torch import Tensor, nn

from harness.errors import ClaimsError, UnsupportedModel
from harness.models.dataflow import Flow, flow_of
from harness.models.families.cards import head_of, preprocessing_of
from harness.models.family import Family, Model, Naming
from harness.models.hidden_units import UnitPlace, map_of, unit_places
from harness.models.hooks import Taps
from harness.models.subject import ModelCard, Stream
from harness.models.tracing import known_sizes

GATES = (SplitAttn, SelectiveKernelAttn, ChannelAttn, LightChannelAttn, SpatialAttn, LightSpatialAttn)  # no attention
ATTENTION = re.compile(r"Attn|Attention|MHSA|SHSA|SHMA|MLA|XCA|Halo")
OTHER_MIXING = re.compile(r"Lambda|LSTM|SSD|FocalModulation|^Pooling$|BilinearAttn")
_TOKENWISE = ("class_token", "patch_tokens", "token_head", "token_subset", "patch_mean_readout", "class_readout")
_WITHIN = ("writes", "attention_keys", "mlp_keys", "qkv", "weights", "attention_pattern", "attn_mask")


@dataclass(frozen=True, eq=False)
class Reading:
    """What was found out of a model: its chain, and its units or why there are none."""

    size: tuple[int, ...]
    flow: Flow
    units: tuple[UnitPlace, ...] | str


_READINGS: WeakKeyDictionary[nn.Module, Reading] = WeakKeyDictionary()


def reading_of(model: Model, size: tuple[int, ...] | None = None) -> Reading:
    """Follow a model for pictures of this size [channel, row, column], once.

    Raises UnsupportedModel for one that cannot be followed.
    """
    known = _READINGS.get(model)
    if known is None or size not in (None, known.size):
        looks = preprocessing_of(model)
        size = size or (len(looks.mean), *looks.size)
        bare = known_sizes(model)
        flow = flow_of(bare, size)
        known = Reading(size, flow, unit_places(bare, flow, size))
        _READINGS[model] = known
    return known


def _card(model: Model, naming: Naming) -> ModelCard:
    if not hasattr(model, "num_classes"):
        raise UnsupportedModel(
            f"no family knows {type(model).__module__}.{type(model).__name__}, and to be followed by its data flow it "
            "must say how many classes it has (`num_classes`, 0 for no head); or return a "
            "`harness.models.subject.Subject`"
        )
    looks = naming.preprocessing or preprocessing_of(model)
    read = reading_of(model, (len(looks.mean), *looks.size))
    classes, headless = head_of(model)
    units = read.units if isinstance(read.units, tuple) else ()
    return ModelCard(
        name=naming.name,
        family=type(model).__module__.rpartition(".")[-1],
        arch=naming.arch,
        depth=len(read.flow.steps),
        width=_width(read.flow.steps[-1].shape),
        grid=None,
        prefix=(),
        native="token pool" if classes else "none",
        classes=classes,
        capabilities=frozenset(
            ({"head"} if classes else set())
            | ({"units"} if units else set())
            | (set() if _mixing(model) or not _convolves(model) else {"convolution"})
        ),
        preprocessing=looks,
        lacks=_reasons(model, read, headless),
        units=tuple(place.shape for place in units),
        pretrained=naming.pretrained,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _reasons(model: Model, read: Reading, headless: str | None) -> dict[str, str]:
    """Say why what a model lacks is missing, where the general reason would mislead."""
    stream, mixing = _kind_of_stream(read), _mixing(model)
    lacks = dict.fromkeys((*_TOKENWISE, *_WITHIN), stream)
    if isinstance(read.units, str):
        lacks["units"] = read.units
    if headless:
        lacks["head"] = headless
    if mixing:
        lacks["convolution"] = f"the blocks also mix places by {', '.join(mixing)}, not by convolutions alone"
    if any(ATTENTION.search(name) for name in mixing):
        lacks["attention"] = f"the blocks attend, but {stream}"
    return lacks


def _kind_of_stream(read: Reading) -> str:
    shapes = [step.shape for step in read.flow.steps]
    if len(shapes) == 1:
        return "its blocks pass on more than one tensor, so that it is read as one block whose stream is no tokens"
    if all(map_of(shape, read.size[1:]) for shape in shapes):
        changes = len({*shapes}) > 1
        told = "whose size and width change from stage to stage" if changes else "that its blocks read as a whole"
        return f"the stream is a feature map {told}"
    if len({*shapes}) > 1:
        return "the stream changes its shape from stage to stage, so that its tokens are not those of one grid"
    return "nothing is known of the order and kinds of the tokens in its stream"


def _width(shape: tuple[int, ...]) -> int:
    channels_first = len(shape) == 4 and shape[2] == shape[3]
    return shape[1] if channels_first else shape[-1]


def _mixing(model: Model) -> list[str]:
    """Name the kinds of modules, other than convolutions, by which places of a map read one another."""
    kinds = {type(part) for part in model.modules() if not isinstance(part, GATES)}
    names = {kind.__name__ for kind in kinds}
    return sorted(name for name in names if ATTENTION.search(name) or OTHER_MIXING.search(name))


def _convolves(model: Model) -> bool:
    """Say whether blocks read more than one place by convolutions that are no patch embedding."""
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    return any(max(part.kernel_size) > max(part.stride) for part in convolutions[2:])


def _step(model: Model, block: int, stream: Stream, mask: Tensor | None) -> Tensor:
    return reading_of(model).flow.steps[block].run(model, stream.tokens)


def _taps(model: Model, block: int) -> Taps:
    units = reading_of(model).units
    return {"units": units[block].tap(model)} if isinstance(units, tuple) else {}


def _refuse(model: Model, *_: object) -> NoReturn:
    raise ClaimsError(f"{type(model).__name__}: {_kind_of_stream(reading_of(model))}")


FAMILY = Family(
    name="traced",
    models=(),
    card=_card,
    embed=lambda model, images: Stream(reading_of(model).flow.embed.run(model, images)),
    step=_step,
    taps=_taps,
    answer=lambda model, tokens: reading_of(model).flow.rest.run(model, tokens),
    norm=_refuse,
    head=_refuse,
)
