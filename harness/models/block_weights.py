"""The weights of a block as plain matrices, for claims about parameters."""

from timm.layers import Mlp
from torch import Tensor, nn

from harness.models.hooks import Module, is_plain
from harness.models.sites import BlockWeights


def block_weights(
    attention: Module, mlp: Module, scales: tuple[Tensor | None, Tensor | None], *, normed: bool = False
) -> BlockWeights | None:
    """Read the matrices of plain attention and a plain MLP; None where there is a gate, a norm or a convolution.

    `scales` are the LayerScales behind attention and MLP, None where there are none; `normed` says that the block norms
    what it writes (post-norm).
    """
    query_key_value = _projections(attention)
    if query_key_value is None or type(mlp) is not Mlp or not isinstance(mlp.norm, nn.Identity):
        return None
    query, key, value = (_plain(weight) for weight in query_key_value)
    return BlockWeights(
        query=query,
        key=key,
        value=value,
        attention_out=_plain(attention.proj.weight),
        attention_bias=_maybe(attention.proj.bias),
        mlp_in=_plain(mlp.fc1.weight),
        mlp_out=_plain(mlp.fc2.weight),
        mlp_bias=_maybe(mlp.fc2.bias),
        attention_scale=_maybe(scales[0]),
        mlp_scale=_maybe(scales[1]),
        normed=normed,
    )


def adds_value_vectors(weights: BlockWeights) -> bool:
    """Say whether a block adds multiples of its value vectors to the stream, as many in attention as it is wide."""
    return not weights.normed and weights.attention_out.shape[0] == weights.attention_out.shape[1]


def scale_of(layer: Module, name: str) -> Tensor | None:
    """Give the factors of a LayerScale module, None where the block has none of this name."""
    return getattr(getattr(layer, name, None), "gamma", None)


def _projections(attention: Module) -> tuple[Tensor, ...] | None:
    if not is_plain(attention):
        return None
    if attention.qkv is not None:
        return attention.qkv.weight.chunk(3)
    if attention.k_proj.out_features != attention.q_proj.out_features:
        return None
    return attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight


def _plain(weight: Tensor) -> Tensor:
    return weight.detach()


def _maybe(weight: Tensor | None) -> Tensor | None:
    return None if weight is None else weight.detach()
