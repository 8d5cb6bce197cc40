"""Autoencoders with two heads: one latent that a decoder reconstructs from and a classifier reads (arXiv 2401.09237).

All members of one recipe differ in the trade-off alone and are trained side by side, from the same initial weights, on
the same pictures in the same order. The loss is trade_off x MSE + (1 - trade_off) x cross-entropy, but for the encoder
only: the decoder learns from the whole MSE and the classifier from the whole cross-entropy at every trade-off, so that
at its ends the head that does not teach the encoder is a probe of what the latent holds.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from harness.probes.training.files import Arrays
from harness.trainings.pictures import TrainingPictures
from harness.trainings.recipe import Recipe
from harness.trainings.routing import refuse_crossing, scaled_back
from harness.trainings.two_heads import Networks, TanhError, drawn_networks

Untrained = Literal["nothing", "encoder", "extra layers"]


@dataclass(frozen=True, kw_only=True)
class Autoencoder(Recipe):
    """Fully connected autoencoders with a shared latent of `width` ReLU units, one for each trade-off.

    `hidden` are the widths of layers between picture and latent, in the decoder in reverse order. `untrained` keeps the
    encoder, or all hidden layers, at their initial weights. `draw` counts other initial weights for the same order of
    pictures. The last step's weights are kept, whatever the test loss.

    Raises ValueError for a trade-off outside [0, 1] and for widths below 1.
    """

    steps: int = 700  # of 128 pictures: 15 epochs of 6,000
    batch: int = 128
    rate: float = 1e-3
    width: int = 4
    trade_offs: tuple[float, ...] = (0.0, 1.0)
    hidden: tuple[int, ...] = ()
    untrained: Untrained = "nothing"
    draw: int = 0

    def __post_init__(self) -> None:
        if wrong := [one for one in self.trade_offs if not 0.0 <= one <= 1.0]:
            raise ValueError(f"a trade-off of {wrong[0]!r}; allowed: 0 (classification alone) to 1 (reconstruction)")
        if wrong_width := [one for one in (self.width, *self.hidden) if one < 1]:
            raise ValueError(f"a layer of {wrong_width[0]!r} units; allowed: 1 or more")

    @property
    def what(self) -> str:
        """Name the training."""
        return f"autoencoders of latent width {self.width}"

    def begin(self, pictures: TrainingPictures) -> "AutoencoderRun":
        """Draw the initial weights, and prove the routing of gradients on the first pictures."""
        run = AutoencoderRun(recipe=self, pictures=pictures)
        first = run.batch(0)
        refuse_crossing(run.networks, lambda shares: run.losses(first, shares), run.trade_offs, self.what)
        return run

    @property
    def untrained_parts(self) -> tuple[str, ...]:
        """Name the tensors that stay as they were drawn."""
        count = len(self.hidden) + 1
        kept = {"nothing": 0, "encoder": count, "extra layers": count - 1}[self.untrained]
        parts = ("encoder",) if self.untrained == "encoder" else ("encoder", "decoder")
        return tuple(f"{part}.{n}.{kind}" for part in parts for n in range(kept) for kind in ("weight", "bias"))


@dataclass(kw_only=True)
class AutoencoderRun:
    """A training of autoencoders on its way (a `Run`)."""

    recipe: Autoencoder
    pictures: TrainingPictures
    done: int = 0
    networks: Networks = field(init=False)

    def __post_init__(self) -> None:
        self._flat = self.pictures.values.flatten(1)
        self.trade_offs = torch.tensor(self.recipe.trade_offs)[:, None, None]
        self.networks = self._initial()
        kept = self.recipe.untrained_parts
        self.learning = {name: one for name, one in self.networks.named().items() if name not in kept}
        for tensor in self.learning.values():
            tensor.requires_grad_()
        # One Adam for all parts: it scales every weight by itself, so it is the source's three optimizers at once.
        self._adam = torch.optim.Adam(self.learning.values(), lr=self.recipe.rate)

    def batch(self, step: int) -> Tensor:
        """List the pictures of a step: each once per epoch, in an order drawn anew for every epoch."""
        size = self.recipe.batch
        epoch, place = divmod(step, math.ceil(len(self.pictures) / size))
        order = np.random.Generator(np.random.PCG64([self.recipe.seed, epoch, 1])).permutation(len(self.pictures))
        return torch.from_numpy(order[place * size : (place + 1) * size])

    def losses(self, chosen: Tensor, trade_offs: Tensor) -> tuple[Tensor, Tensor]:
        """Compute MSE and cross-entropy, each summed over members; backwards the encoder sees their weighted sum."""
        flat, labels = self._flat[chosen], self.pictures.labels[chosen]
        latent = self.networks.latent(flat)
        drawn = self.networks.drawing(scaled_back(latent, trade_offs))
        logits = self.networks.logits(scaled_back(latent, 1.0 - trade_offs))
        mse = TanhError.apply(drawn, flat) / flat.numel()
        members = len(self.recipe.trade_offs)
        return mse, members * cross_entropy(logits.flatten(0, 1), labels.repeat(members))

    def step(self) -> None:
        """Take one step of Adam on one batch."""
        mse, entropy = self.losses(self.batch(self.done), self.trade_offs)
        self._adam.zero_grad(set_to_none=True)
        (mse + entropy).backward()
        self._adam.step()
        self.done += 1

    def _initial(self) -> Networks:
        seed = np.random.SeedSequence([self.recipe.seed, self.recipe.draw]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(seed >> 1))
        sizes = [self._flat.shape[1], *self.recipe.hidden, self.recipe.width]
        return drawn_networks(len(self.recipe.trade_offs), sizes, self.pictures.classes, generator)

    def state(self) -> Arrays:
        """Lay down weights, what Adam remembers of each, and the step."""
        arrays = self.result() | {"done": np.array([self.done])}
        for name, tensor in self.learning.items():
            held = self._adam.state[tensor]
            arrays |= {f"{name}#{kind}": held[kind].numpy().copy() for kind in ("exp_avg", "exp_avg_sq")}
        return arrays

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take up what `state` laid down."""
        self.done = int(arrays["done"][0])
        with torch.no_grad():
            for name, tensor in self.networks.named().items():
                tensor.copy_(torch.from_numpy(arrays[name]))
        for name, tensor in self.learning.items():
            held = {kind: torch.from_numpy(arrays[f"{name}#{kind}"].copy()) for kind in ("exp_avg", "exp_avg_sq")}
            self._adam.state[tensor] = {"step": torch.tensor(float(self.done)), **held}

    def result(self) -> Arrays:
        """Give the weights by name."""
        return {name: tensor.detach().numpy().copy() for name, tensor in self.networks.named().items()}
