"""Gradients agree with finite differences in double precision."""

from functools import cache

import pytest
import torch

from fixtures.families import SMALL_MODELS
from harness.adapters import adapt
from harness.subject import Subject


@cache
def double(name: str) -> Subject:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = SMALL_MODELS[name]()
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return adapt(model.double(), name=name, arch=name, pretrained=False)


def pictures_of(name: str, count: int = 2) -> torch.Tensor:
    size = double(name).card.preprocessing.size
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("name", ["vit", "beit with a shared bias", "eva mixed rotary"])
@pytest.mark.parametrize("double_softmax", [False, True])
def test_the_lens_gradient_is_the_slope_of_the_cross_entropy(name, double_softmax):
    subject = double(name)
    states, labels = draw(3, subject.card.width), torch.tensor([0, 3, 6])
    gradient = subject.lens_gradient(states, labels, double_softmax)

    def loss(at: torch.Tensor) -> torch.Tensor:
        logits = subject.family.head(subject.model, subject.family.norm(subject.model, at)).detach()
        logits = logits.softmax(-1) if double_softmax else logits
        return torch.nn.functional.cross_entropy(logits, labels, reduction="none")

    direction = draw(3, subject.card.width).flip(0)
    slope = (loss(states + 1e-5 * direction) - loss(states - 1e-5 * direction)) / 2e-5
    torch.testing.assert_close((gradient * direction).sum(-1), slope, atol=1e-7, rtol=1e-5)
