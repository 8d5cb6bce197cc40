"""Feature visualization: pictures that drive single units, found by gradient ascent on pixels, many units at once.

Protocol and constants are those of arXiv 2212.06727 as the catalogue of claims gives them (A1), with the settings of
its code where the two differ.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from harness.models.sites import Site
from harness.models.subject import Subject
from harness.readouts.featvis.augmentations import ViewRecipe, ViewSource
from harness.readouts.units.activations import patch_part

Pixels = Float[Tensor, "unit channel row column"]
HELD = 1 << 13  # places (tokens, cells) that are run together, copies included
SMALL = 64  # pixels a side up to which a tenth of the work has to do: tests on a processor
FRESH = 32  # views under which a finished picture is tried (catalogue, A3)
FRESH_SEED = 1 << 20  # keeps their draws apart from those of the optimization
BOTH_WAYS = 2.0  # cost of a forward and a backward pass to the pixels, in forward passes


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a picture is optimized: Adam on pixels in [0, 1], its rate falling to 0 by a half cosine.

    Maximized is the mean over copies of the patch-averaged activation, over the number of copies, minus `variation`
    times the total variation (0.0005 v with v = 1; the code divides by the copies twice, which makes the variation
    heavier by their number than the paper's formula). The paper: 400 steps, rate 0.1, betas (0.5, 0.99), 8 copies.
    """

    steps: int = 400
    rate: float = 0.1
    betas: tuple[float, float] = (0.5, 0.99)
    epsilon: float = 1e-8
    variation: float = 0.0005
    views: ViewRecipe = field(default_factory=ViewRecipe)

    @property
    def ablated(self) -> "Recipe":
        """Take every regularizer away: one copy, no augmentation, no total variation."""
        plain = ViewRecipe(copies=1, jitter=0.0, colour=0.0, noise=0.0)
        return replace(self, variation=0.0, views=plain)

    def evaluations(self, block: float, pictures: int) -> float:
        """Count the block evaluations x images of optimizing so many pictures for units of a block."""
        return BOTH_WAYS * pictures * self.views.copies * self.steps * (block + 1)

    @classmethod
    def fit_for(cls, size: tuple[int, int]) -> "Recipe":
        """Give the paper's recipe, or for pictures of at most SMALL pixels a side one of 100 steps and 4 copies."""
        return cls() if max(size) > SMALL else cls(steps=100, views=ViewRecipe(copies=4))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which features are to be driven: units of one site of one block."""

    block: int
    site: Site
    units: tuple[int, ...]

    def seeds(self, seed: int) -> list[int]:
        """Give a seed per unit that depends on nothing but block, site, unit and the seed of the run."""
        words = (f"{seed}/{self.block}/{self.site}/{unit}" for unit in self.units)
        return [int.from_bytes(hashlib.sha256(word.encode()).digest()[:7], "big") for word in words]


def optimize(
    subject: Subject, wanted: Wanted, recipe: Recipe, seed: int, charge: Callable[[float], None] = lambda blocks: None
) -> Pixels:
    """Give one picture per unit on the [0, 1] scale.

    Units share their passes and nothing else: noise, start and optimizer are those of each unit alone.
    """
    shape = subject.unit_shape(wanted.block)
    per_run = max(1, HELD // (recipe.views.copies * shape.places))
    parts = []
    for start in range(0, len(wanted.units), per_run):
        part = replace(wanted, units=wanted.units[start : start + per_run])
        parts.append(_ascend(subject, part, recipe, seed))
        charge(recipe.evaluations(wanted.block, len(part.units)))
    return torch.cat(parts)


@torch.no_grad()
def activations(subject: Subject, pixels: Pixels, block: int, site: Site) -> Float[Tensor, "unit feature"]:
    """Give the patch-averaged activation of every feature of a site on pictures on the [0, 1] scale."""
    stream = subject.start(normalized(pixels, subject))
    for earlier in range(block):
        stream = subject.step(earlier, stream)
    values = subject.watch(block, stream, (site,))[1][site]
    return patch_part(values, subject.unit_shape(block)).mean(dim=1)


@torch.no_grad()
def transfer(subject: Subject, pixels: Pixels, wanted: Wanted, recipe: Recipe, seed: int) -> Float[Tensor, "unit"]:
    """Give the mean activation of each unit on its picture under fresh views of a recipe, at full noise."""
    views = replace(recipe.views, copies=FRESH)
    found = []
    for number, picture_seed in enumerate(wanted.seeds(seed + FRESH_SEED)):
        generator = torch.Generator().manual_seed(picture_seed)
        source = ViewSource(views, [generator], subject.card.preprocessing.size, steps=1)
        shown = source.step(0, pixels.device).of(pixels[number : number + 1])
        found.append(activations(subject, shown, wanted.block, wanted.site)[:, wanted.units[number]].mean())
    return torch.stack(found)


def normalized(pixels: Pixels, subject: Subject) -> Pixels:
    """Turn pixels on the [0, 1] scale into input of the model."""
    looks = subject.card.preprocessing
    mean, std = (torch.tensor(part).to(pixels)[:, None, None] for part in (looks.mean, looks.std))
    return (pixels - mean) / std


def total_variation(pixels: Pixels) -> Float[Tensor, "unit"]:
    """Sum, over four directions, the L2 norm of the differences of neighbouring pixels; mean over channels."""
    differences = (
        pixels[..., :, 1:] - pixels[..., :, :-1],
        pixels[..., 1:, :] - pixels[..., :-1, :],
        pixels[..., 1:, 1:] - pixels[..., :-1, :-1],
        pixels[..., 1:, :-1] - pixels[..., :-1, 1:],
    )
    return sum(torch.linalg.vector_norm(part, dim=(-2, -1)).mean(dim=1) for part in differences)  # type: ignore[return-value]


def high_frequency_share(pixels: Pixels) -> Float[Tensor, "unit"]:
    """Give the share of spectral power, mean removed, beyond half the Nyquist radius; 0 for a flat picture."""
    centred = pixels.double() - pixels.double().mean(dim=(-2, -1), keepdim=True)
    power = torch.fft.fft2(centred).abs().square().sum(dim=1)
    rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64, device=pixels.device) for side in pixels.shape[-2:])
    high = (rows[:, None] ** 2 + columns[None, :] ** 2).sqrt() > 0.25  # the Nyquist radius is 0.5 per pixel
    total = power.sum(dim=(-2, -1))
    share = (power * high).sum(dim=(-2, -1)) / total
    return torch.where(total > 1e-12, share, torch.zeros_like(share))


def _ascend(subject: Subject, wanted: Wanted, recipe: Recipe, seed: int) -> Pixels:
    size = subject.card.preprocessing.size
    generators = [torch.Generator().manual_seed(one) for one in wanted.seeds(seed)]
    device = subject.start(torch.zeros(1, 3, *size)).tokens.device
    start = torch.stack([torch.rand(3, *size, generator=generator) for generator in generators]).to(device)
    source = ViewSource(recipe.views, generators, size, recipe.steps)
    chosen = torch.tensor(wanted.units, device=device).repeat_interleave(recipe.views.copies)
    with torch.inference_mode(False), torch.enable_grad():
        pixels = start.clone().requires_grad_()
        adam = torch.optim.Adam([pixels], lr=recipe.rate, betas=recipe.betas, eps=recipe.epsilon)
        for step in range(recipe.steps):
            adam.param_groups[0]["lr"] = recipe.rate * (1 + math.cos(math.pi * step / recipe.steps)) / 2
            shown = normalized(source.step(step, device).of(pixels), subject)
            values = patch_part(subject.respond(shown, wanted.block, wanted.site), subject.unit_shape(wanted.block))
            driven = values.mean(dim=1).gather(1, chosen[:, None]).sum() / recipe.views.copies**2
            loss = recipe.variation * total_variation(pixels).sum() - driven
            (pixels.grad,) = torch.autograd.grad(loss, pixels)
            adam.step()
            with torch.no_grad():
                pixels.clamp_(0.0, 1.0)
    return pixels.detach()
