"""What the head reads, as one feature vector per picture, compared with that of the unedited picture."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from harness.readouts.own_answer import clean_of
from harness.readouts.reading import Reading
from harness.readouts.readout import StreamReadout


@dataclass(frozen=True, kw_only=True)
class FeatureCorrelation(StreamReadout):
    """Correlation, over features, of a picture's features after the last block with those of the unedited picture.

    Features are the class token where there is one, else the mean over all places: in a ResNet the input of its head.
    """

    low = -1.0
    high = 1.0
    needs_clean = True
    layer = None

    def read(self, reading: Reading) -> Float[Tensor, "image"]:
        return correlation(features_of(reading), features_of(clean_of(reading)))


def features_of(reading: Reading) -> Float[Tensor, "image feature"]:
    """Give the features of each picture."""
    tokens, card = reading.stream.tokens, reading.card
    if "class" in card.prefix:
        return tokens[:, card.prefix.index("class")]
    if tokens.ndim == 3:
        return tokens[:, len(card.prefix) :].mean(dim=1)
    return tokens.mean(dim=(2, 3) if "convolution" in card.capabilities else (1, 2))


def correlation(
    first: Float[Tensor, "image feature"], second: Float[Tensor, "image feature"]
) -> Float[Tensor, "image"]:
    """Correlate row by row, in double precision; 0 where a row is constant."""
    apart = [part.double() - part.double().mean(dim=1, keepdim=True) for part in (first, second)]
    size = apart[0].norm(dim=1) * apart[1].norm(dim=1)
    product = (apart[0] * apart[1]).sum(dim=1)
    return torch.where(size > 0, product / size.clamp(min=torch.finfo(size.dtype).tiny), size).clamp(-1, 1)
