"""What lies within a block: the sites that can be read, the shape of its units, its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor

Branch = Literal["attention", "mlp"]
Site = Literal["attention write", "mlp write", "attention keys", "mlp keys", "units", "query", "key", "value"]

# What can be read within a block beside the stream, [image, place, feature] each. A place is a token in the order of
# the stream, in staged models a cell of the feature map, row by row.
SITES: Mapping[Site, str] = {
    "attention write": "what attention adds to the stream, LayerScale and post-norm applied",
    "mlp write": "what the MLP adds to the stream, LayerScale and post-norm applied",
    "attention keys": "the values mixed by attention, heads side by side: the input of attention's output projection",
    "mlp keys": "the first layer of the MLP before the nonlinearity",
    "units": "the hidden units of the MLP after the nonlinearity (gated: the product), the input of its last layer; "
    "in a ResNet the channels of the block's output, in models followed by their data flow those that leave its last "
    "nonlinearity",
    "query": "the queries of all heads side by side, before any norm or rotation",
    "key": "the keys of all heads side by side, before any norm or rotation",
    "value": "the values of all heads side by side",
}
SITE_NEEDS: Mapping[Site, str] = {
    "attention write": "writes",
    "mlp write": "writes",
    "attention keys": "attention_keys",
    "mlp keys": "mlp_keys",
    "units": "units",
    "query": "qkv",
    "key": "qkv",
    "value": "qkv",
}
EMBEDDING = -1


@dataclass(frozen=True, kw_only=True)
class UnitShape:
    """Where the units of one block are: `prefix` tokens, then `rows` x `columns` places; `units` at each of them."""

    rows: int
    columns: int
    prefix: int
    units: int

    @property
    def places(self) -> int:
        """Count the places, prefix tokens included."""
        return self.prefix + self.rows * self.columns


@dataclass(frozen=True)
class Writes:
    """What a block adds to the stream, LayerScale and post-norms applied: [image, token, width] each."""

    attention: Tensor
    mlp: Tensor


@dataclass(frozen=True, kw_only=True)
class BlockWeights:
    """The matrices of one block: attention reads by three of them and writes by `attention_out`, as the MLP does.

    Columns of `attention_out` and of `mlp_out` are the value vectors that the block adds to the stream; `normed` says
    that a norm comes between (post-norm), so that they are no directions in it. A bias is that of the writing matrix;
    a scale is the LayerScale behind it, None where there is none.
    """

    query: Float[Tensor, "feature width"]
    key: Float[Tensor, "feature width"]
    value: Float[Tensor, "feature width"]
    attention_out: Float[Tensor, "width feature"]
    attention_bias: Float[Tensor, "width"] | None
    mlp_in: Float[Tensor, "unit width"]
    mlp_out: Float[Tensor, "width unit"]
    mlp_bias: Float[Tensor, "width"] | None
    attention_scale: Float[Tensor, "width"] | None
    mlp_scale: Float[Tensor, "width"] | None
    normed: bool = False

    def value_vectors(self, branch: Branch) -> Float[Tensor, "width vector"]:
        """Give what one branch writes per unit of each of its keys, LayerScale applied, in fp32."""
        out = self.attention_out if branch == "attention" else self.mlp_out
        scale = self.attention_scale if branch == "attention" else self.mlp_scale
        return out.float() if scale is None else scale.float()[:, None] * out.float()


@dataclass(frozen=True, kw_only=True)
class HeadWeights:
    """The class head: logits = features @ weight.T + bias."""

    weight: Float[Tensor, "class width"]
    bias: Float[Tensor, "class"] | None
