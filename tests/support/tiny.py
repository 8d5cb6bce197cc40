"""A small vision transformer with random weights, and random pictures for it: gradients and writes of a real model."""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer

from harness.models.families import adapt
from harness.models.subject import Preprocessing, Subject

SIZE, CLASSES, DEPTH, WIDTH, PATCHES = 16, 4, 3, 12, 4
PREPROCESSING = Preprocessing(size=(SIZE, SIZE), mean=(0.5,) * 3, std=(0.5,) * 3)


def tiny_vit(seed: int = 0, **changes) -> Subject:
    """Make a ViT of three blocks on 2 x 2 patches."""
    torch.manual_seed(seed)
    shape = {"img_size": SIZE, "patch_size": 8, "embed_dim": WIDTH, "num_classes": CLASSES, "depth": DEPTH}
    model = VisionTransformer(**{**shape, "num_heads": 2, **changes})
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return adapt(model, name="tiny", arch="tiny", pretrained=False, preprocessing=PREPROCESSING)


@dataclass(frozen=True, kw_only=True, eq=False)
class RandomImages:
    """Noise pictures with a faint brightness for each class (an ImageSet)."""

    count: int = 64
    seed: int = 0
    gain: float = 1.0

    class_names = None
    classes = CLASSES
    left_out = ()
    name = "noise"
    note = "noise"
    has_boxes = False
    has_masks = False

    def __len__(self) -> int:
        return self.count

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"picture {place}" for place in range(self.count))

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(repr((self.count, self.seed, self.gain)).encode()).hexdigest()

    @property
    def labels(self) -> np.ndarray:
        return np.random.default_rng([self.seed, 1]).permutation(np.arange(self.count) % CLASSES)

    def load(self, positions, preprocessing) -> torch.Tensor:
        words = [torch.Generator().manual_seed(1000 * self.seed + int(place)) for place in positions]
        noise = torch.stack([torch.randn(3, SIZE, SIZE, generator=word) for word in words])
        pattern = torch.randn(CLASSES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(99))
        return noise + self.gain * pattern[torch.from_numpy(self.labels[list(positions)])]
