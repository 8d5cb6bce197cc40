"""Statistics of units that grow chunk by chunk: the largest activations with their pictures, sums, sums per class."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

TOP = 20  # pictures that are kept per unit, as in the catalogue of claims


class Growth:
    """What is known so far of the features of one site of one block; with `keeps_maps` also the maps of the largest."""

    def __init__(self, features: int, classes: int, keeps_maps: bool = False) -> None:
        self.top = np.zeros((0, features))
        self.where = np.zeros((0, features), dtype=np.int64)
        self.maps: np.ndarray | None = None
        self._keeps_maps = keeps_maps
        self.by_class = np.zeros((classes, features))
        self.class_counts = np.zeros(classes)
        self.images = self.places = 0
        self._sums = np.zeros((4, features))  # of patch means, of their squares, of activations, of their squares

    def take(self, patches: Float[Tensor, "image place feature"], start: int, labels: np.ndarray | None) -> None:
        """Add a chunk that starts at this place of the measuring order; labels [image]."""
        means = patches.mean(dim=1).double().cpu().numpy()
        squares = patches.square().sum(dim=1).double().sum(dim=0).cpu().numpy()
        self._sums += np.stack([means.sum(0), (means**2).sum(0), means.sum(0) * patches.shape[1], squares])
        self.images += len(means)
        self.places += means.shape[0] * patches.shape[1]
        if labels is not None:
            np.add.at(self.by_class, labels, means)
            np.add.at(self.class_counts, labels, 1)
        self._keep_largest(means, start, patches)

    @property
    def mean(self) -> np.ndarray:
        """Give the mean over pictures of the patch mean [feature]."""
        return self._sums[0] / self.images

    @property
    def std(self) -> np.ndarray:
        """Give its standard deviation over pictures [feature]; 0 where it is below what rounding leaves."""
        second = self._sums[1] / self.images
        variance = second - self.mean**2
        return np.sqrt(np.where(variance > 1e-12 * second, variance, 0.0))

    @property
    def within(self) -> np.ndarray:
        """Give the share of the variance over pictures and places that lies within pictures [feature]; 0 for none."""
        per_image = self.places / self.images
        inner = self._sums[3] - per_image * self._sums[1]
        total = self._sums[3] - self._sums[2] ** 2 / self.places
        known = total > 1e-12 * self._sums[3]
        return np.clip(np.divide(inner, total, out=np.zeros_like(total), where=known), 0.0, 1.0)

    def _keep_largest(self, means: np.ndarray, start: int, patches: Tensor) -> None:
        """Merge with what was kept; of equal activations the earlier picture stays."""
        where = np.broadcast_to(np.arange(start, start + len(means))[:, None], means.shape)
        values, places = np.concatenate([self.top, means]), np.concatenate([self.where, where])
        order = np.argsort(-values, axis=0, kind="stable")[:TOP]
        self.top, self.where = np.take_along_axis(values, order, 0), np.take_along_axis(places, order, 0)
        if self._keeps_maps:
            fresh = patches.transpose(1, 2).cpu().numpy()
            maps = fresh if self.maps is None else np.concatenate([self.maps, fresh])
            self.maps = np.take_along_axis(maps, order[:, :, None], 0)


def rotation(size: int, seed: int, block: int) -> Float[Tensor, "size size"]:
    """Draw an orthogonal matrix, uniform over all of them (QR of a normal matrix, signs of R moved into Q)."""
    generator = torch.Generator().manual_seed(1_000_003 * seed + block)
    basis, triangle = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return basis * triangle.diagonal().sign()
