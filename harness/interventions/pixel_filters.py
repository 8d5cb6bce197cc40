"""Edits of whole pictures: frequencies left out or drowned, patches shuffled, pictures moved and turned.

All work on pixels [image, channel, row, column] on the [0, 1] scale, at the size of the model's input.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from harness.errors import ClaimsError
from harness.images.batch import Batch

SHUFFLES, PHASES = 11, 12  # purposes of the chunk's random generators

Pixels = Float[Tensor, "image channel row column"]


@dataclass(frozen=True)
class LowPass:
    """Keep the spatial frequencies within a circle, per channel; `radius` is a share of the Nyquist frequency."""

    radius: float
    exchanges = False
    needs_masks = False

    def __post_init__(self) -> None:
        _check_radius(self)

    def apply(self, pixels: Pixels, chunk: Batch) -> Pixels:
        """Return the smoothed pictures, clamped to [0, 1]."""
        inside = _within(pixels, self.radius)
        return torch.fft.irfft2(torch.fft.rfft2(pixels) * inside, s=pixels.shape[-2:]).clamp(0, 1)


@dataclass(frozen=True)
class HighPass:
    """Keep the spatial frequencies outside a circle, per channel, and the mean colour; `radius` as in `LowPass`."""

    radius: float
    exchanges = False
    needs_masks = False

    def __post_init__(self) -> None:
        _check_radius(self)

    def apply(self, pixels: Pixels, chunk: Batch) -> Pixels:
        """Return the pictures of the details alone, clamped to [0, 1]."""
        mean = pixels.mean(dim=(-2, -1), keepdim=True)
        outside = ~_within(pixels, self.radius)
        return (torch.fft.irfft2(torch.fft.rfft2(pixels) * outside, s=pixels.shape[-2:]) + mean).clamp(0, 1)


@dataclass(frozen=True)
class PhaseNoise:
    """Add noise with the power that `LowPass` of this radius removes, frequency by frequency, at random phases."""

    radius: float
    exchanges = False
    needs_masks = False

    def __post_init__(self) -> None:
        _check_radius(self)

    def apply(self, pixels: Pixels, chunk: Batch) -> Pixels:
        """Return the noisy pictures, clamped to [0, 1]; nothing of the picture is removed."""
        return (pixels + phase_noise(pixels, self.radius, chunk.generator(PHASES))).clamp(0, 1)


@dataclass(frozen=True)
class ShufflePatches:
    """Put the square patches of `size` pixels of each picture into a random order."""

    size: int
    exchanges = False
    needs_masks = False

    def apply(self, pixels: Pixels, chunk: Batch) -> Pixels:
        """Return the shuffled pictures; raises ClaimsError where patches of this size do not tile them."""
        count, _, rows, columns = pixels.shape
        if self.size < 1 or rows % self.size or columns % self.size:
            raise ClaimsError(f"{self!r}: patches of {self.size} pixels do not tile pictures of {rows} x {columns}")
        cut = functional.unfold(pixels, self.size, stride=self.size)
        order = torch.rand(count, cut.shape[-1], generator=chunk.generator(SHUFFLES)).argsort(dim=1).to(pixels.device)
        shuffled = cut.gather(2, order[:, None].expand_as(cut))
        return functional.fold(shuffled, (rows, columns), self.size, stride=self.size)


@dataclass(frozen=True)
class Roll:
    """Move the pictures down and to the right, what leaves at one side entering at the other."""

    rows: int
    columns: int
    exchanges = False
    needs_masks = False

    def apply(self, pixels: Pixels, chunk: Batch) -> Pixels:
        """Return the moved pictures."""
        return pixels.roll((self.rows, self.columns), dims=(-2, -1))


@dataclass(frozen=True)
class Rotate:
    """Turn the pictures about their centre, counterclockwise; bilinear, black where nothing comes to lie."""

    degrees: float
    exchanges = False
    needs_masks = False

    def apply(self, pixels: Pixels, chunk: Batch) -> Pixels:
        """Return the turned pictures; quarter turns of square pictures are exact."""
        if self.degrees % 90 == 0 and (pixels.shape[-1] == pixels.shape[-2] or self.degrees % 180 == 0):
            return torch.rot90(pixels, int(self.degrees // 90), dims=(-2, -1))
        angle, (rows, columns) = math.radians(self.degrees), pixels.shape[-2:]
        cos, sin = math.cos(angle), math.sin(angle)
        turn = torch.tensor([[cos, -sin * rows / columns, 0.0], [sin * columns / rows, cos, 0.0]])
        places = functional.affine_grid(turn.expand(len(pixels), 2, 3).to(pixels), list(pixels.shape), False)
        return functional.grid_sample(pixels, places, align_corners=False).clamp(0, 1)


def phase_noise(pixels: Pixels, radius: float, generator: torch.Generator) -> Pixels:
    """Draw noise whose spectrum has, outside the circle, the magnitudes of the pictures, and nothing within it."""
    white = torch.fft.rfft2(torch.randn(pixels.shape, generator=generator).to(pixels))
    spectrum = torch.fft.rfft2(pixels).abs() * ~_within(pixels, radius) * (white / white.abs().clamp(min=1e-12))
    return torch.fft.irfft2(spectrum, s=pixels.shape[-2:])


def _check_radius(edit: LowPass | HighPass | PhaseNoise) -> None:
    if not 0 < edit.radius < 1:
        raise ValueError(f"{edit!r}: allowed: radii between 0 and 1, exclusive; for the full picture use the clean arm")


def _within(pixels: Tensor, radius: float) -> Tensor:
    """Say which frequencies of `rfft2` lie within the circle: bool [row, column]."""
    rows, columns = pixels.shape[-2:]
    down, right = torch.fft.fftfreq(rows, device=pixels.device), torch.fft.rfftfreq(columns, device=pixels.device)
    return (down[:, None] ** 2 + right[None] ** 2).sqrt() <= radius / 2
