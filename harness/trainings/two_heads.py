"""Networks with one latent and two heads, all members of a sweep stacked: a decoder, and a linear classifier."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from harness.trainings.pictures import TrainingPictures

READ = 128  # test pictures at a time
PARTS = ("encoder", "decoder", "classifier")
Layers = list[tuple[Tensor, Tensor]]


@dataclass(kw_only=True)
class Networks:
    """The stacked layers of all members: weight [member, in, out] and bias [member, out] of each, by part."""

    encoder: Layers
    decoder: Layers
    classifier: Layers

    def named(self) -> dict[str, Tensor]:
        """Name every tensor."""
        return {
            f"{part}.{number}.{kind}": tensor
            for part in PARTS
            for number, layer in enumerate(getattr(self, part))
            for kind, tensor in zip(("weight", "bias"), layer, strict=True)
        }

    def latent(self, flat: Float[Tensor, "picture pixel"]) -> Float[Tensor, "member picture unit"]:
        """Encode pictures, ReLU after every layer."""
        (weight, bias), *others = self.encoder
        members, pixels, units = weight.shape
        first = (flat @ weight.permute(1, 0, 2).reshape(pixels, members * units)).view(len(flat), members, units)
        state = torch.relu(first.transpose(0, 1) + bias[:, None])
        for layer in others:
            state = torch.relu(_layer(state, layer))
        return state

    def drawing(self, latent: Tensor) -> Float[Tensor, "member picture pixel"]:
        """Reconstruct, ReLU between layers; the picture is its tanh."""
        *inner, last = self.decoder
        for layer in inner:
            latent = torch.relu(_layer(latent, layer))
        return _layer(latent, last)

    def logits(self, latent: Tensor) -> Float[Tensor, "member picture class"]:
        """Classify, linearly."""
        return _layer(latent, self.classifier[0])


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What members reach on test pictures [member]: mean squared error per pixel, and share of right answers.

    `mean_picture` is the error of the mean training picture, `right` [member, picture] says which answers are right.
    """

    error: np.ndarray
    right: np.ndarray
    mean_picture: float
    classes: int

    @property
    def accuracy(self) -> np.ndarray:
        """Give the share of right answers [member]."""
        return self.right.mean(axis=1)


def scores(arrays: Mapping[str, np.ndarray], test: TrainingPictures, train: TrainingPictures) -> Scores:
    """Read the members of a result on test pictures."""
    networks = networks_from(arrays)
    flat = test.values.flatten(1)
    errors, right = [], []
    with torch.inference_mode():
        for start in range(0, len(flat), READ):
            some, labels = flat[start : start + READ], test.labels[start : start + READ]
            latent = networks.latent(some)
            errors.append(((networks.drawing(latent).tanh() - some) ** 2).mean(dim=2))
            right.append(networks.logits(latent).argmax(dim=2) == labels)
    mean = train.values.flatten(1).mean(dim=0)
    return Scores(
        error=torch.cat(errors, dim=1).double().mean(dim=1).numpy(),
        right=torch.cat(right, dim=1).numpy(),
        mean_picture=float(((flat - mean) ** 2).double().mean()),
        classes=test.classes,
    )


def drawn_networks(members: int, sizes: Sequence[int], classes: int, generator: torch.Generator) -> Networks:
    """Draw weights that all members start from, as PyTorch draws those of a linear layer.

    `sizes` are the widths from the picture to the latent; the decoder has them in reverse.
    """

    def layers(widths: Sequence[int]) -> Layers:
        made = []
        for entering, leaving in pairwise(widths):
            limit = 1.0 / math.sqrt(entering)
            drawn = [
                (torch.rand(shape, generator=generator) * 2 - 1) * limit for shape in ((entering, leaving), (leaving,))
            ]
            made.append(tuple(one.expand(members, *one.shape).clone() for one in drawn))
        return made  # type: ignore[return-value]

    return Networks(encoder=layers(sizes), decoder=layers(sizes[::-1]), classifier=layers([sizes[-1], classes]))


def networks_from(arrays: Mapping[str, np.ndarray]) -> Networks:
    """Lay out the arrays of a result as layers."""
    parts: dict[str, Layers] = {}
    for part in PARTS:
        count = sum(name.startswith(f"{part}.") and name.endswith(".weight") for name in arrays)
        pairs = [[torch.from_numpy(arrays[f"{part}.{n}.{kind}"]) for kind in ("weight", "bias")] for n in range(count)]
        parts[part] = [(weight, bias) for weight, bias in pairs]
    return Networks(**parts)


class TanhError(torch.autograd.Function):
    """The squared error of a tanh, summed; with its gradient in few passes, since most of a training goes here."""

    @staticmethod
    def forward(context: Any, drawn: Tensor, target: Tensor) -> Tensor:
        """Sum (tanh(drawn) - target)^2 and keep half of its derivative, (tanh - target)(1 - tanh^2)."""
        reached = torch.tanh(drawn)
        off = reached - target
        context.save_for_backward(torch.addcmul(off, off, reached.mul_(reached), value=-1.0))
        return torch.dot(off.flatten(), off.flatten())

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Give the derivative."""
        return context.saved_tensors[0] * (2.0 * gradients[0]), None


def _layer(state: Tensor, layer: tuple[Tensor, Tensor]) -> Tensor:
    weight, bias = layer
    return torch.baddbmm(bias[:, None], state, weight)
