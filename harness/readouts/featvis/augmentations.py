"""The views under which a picture is optimized: rolled, shifted in colour, noisy; drawn by a seed per picture."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Pixels = Float[Tensor, "picture channel row column"]


@dataclass(frozen=True, kw_only=True)
class ViewRecipe:
    """How views are drawn: numbers are those of arXiv 2212.06727 and its code, by way of the catalogue of claims.

    `copies` per picture and step (8, augmentation ensembling); `jitter` is the largest cyclic roll on both axes as a
    share of the side (32 of 224 px); `colour` scales ColorShift, y = exp(c u) x + c v with u, v ~ U(-1, 1) per channel;
    `noise` is the standard deviation of Gaussian noise, at first 0.5 and falling linearly to 0 over the steps, per
    channel as in the code (the paper says N(0, 1) per pixel: `per_pixel`).
    """

    copies: int = 8
    jitter: float = 32 / 224
    colour: float = 1.0
    noise: float = 0.5
    per_pixel: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """The draws of one step: `roll` [picture, copy, axis] pixels, `gain`, `lift` [picture, copy, channel, 1, 1]."""

    roll: Int[Tensor, "picture copy axis"]
    gain: Tensor
    lift: Tensor

    def of(self, pictures: Pixels) -> Float[Tensor, "view channel row column"]:
        """Show every picture in its copies, picture by picture; differentiable, values may leave [0, 1]."""
        count, copies = self.roll.shape[:2]
        channels, rows, columns = pictures.shape[1:]
        down = (torch.arange(rows, device=pictures.device) - self.roll[..., 0, None]) % rows
        right = (torch.arange(columns, device=pictures.device) - self.roll[..., 1, None]) % columns
        index = (down[..., :, None] * columns + right[..., None, :]).flatten(2)
        flat = pictures.flatten(2)[:, None].expand(-1, copies, -1, -1)
        rolled = flat.gather(3, index[:, :, None].expand(-1, -1, channels, -1))
        shown = self.gain * rolled.view(count, copies, channels, rows, columns) + self.lift
        return shown.flatten(0, 1)


class ViewSource:
    """Draws the views of several pictures, each from a generator of its own, so that none depends on the others."""

    def __init__(
        self, recipe: ViewRecipe, generators: list[torch.Generator], size: tuple[int, int], steps: int
    ) -> None:
        self.recipe, self._generators, self._size, self._steps = recipe, generators, size, steps
        shape = (steps, recipe.copies)
        reach = torch.tensor([round(recipe.jitter * side) for side in size])
        self._roll = self._draw(lambda g: (torch.rand(*shape, 2, generator=g) * (2 * reach + 1)).long() - reach)
        colour = self._draw(lambda g: torch.rand(*shape, 2, 3, 1, 1, generator=g) * 2 - 1) * recipe.colour
        self._gain, self._lift = colour[:, :, :, 0].exp(), colour[:, :, :, 1]
        if not recipe.per_pixel:
            noise = self._draw(lambda g: torch.randn(*shape, 3, 1, 1, generator=g))
            self._lift = self._lift + self._spread(torch.arange(steps))[None, :, None, None, None, None] * noise

    def step(self, number: int, device: torch.device | str = "cpu") -> Views:
        """Give the views of one step; must be called step by step where noise is drawn per pixel."""
        lift = self._lift[:, number]
        if self.recipe.per_pixel:
            shape = (self.recipe.copies, 3, *self._size)
            spread = self._spread(torch.tensor(number))
            lift = lift + spread * self._draw(lambda g: torch.randn(shape, generator=g))
        return Views(roll=self._roll[:, number].to(device), gain=self._gain[:, number].to(device), lift=lift.to(device))

    def _spread(self, number: Tensor) -> Tensor:
        """Let the noise fall linearly to 0."""
        return self.recipe.noise * (1 - number.float() / self._steps)

    def _draw(self, one) -> Tensor:
        return torch.stack([one(generator) for generator in self._generators])
