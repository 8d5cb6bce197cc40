"""Gradients agree with finite differences in double precision."""

from functools import cache

import pytest
import torch

from harness.errors import ClaimsError
from harness.fixtures.families import SMALL_MODELS
from harness.models.families import adapt
from harness.models.subject import Subject


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


SITES = {
    "vit": ("attention write", "mlp write", "attention keys", "mlp keys", "units", "query", "key", "value"),
    "beit with a shared bias": ("units", "key"),
    "eva02": ("units", "value"),
    "cait": ("units",),
    "mixer": ("units",),
    "swin": ("units",),
    "convnext": ("units",),
    "resnet": ("units",),
}


@pytest.mark.parametrize(("name", "site"), [(name, site) for name, sites in SITES.items() for site in sites])
def test_what_passes_a_site_is_a_differentiable_function_of_the_pictures(name, site):
    subject, images, block = double(name), pictures_of(name, 1), 1
    with torch.inference_mode():
        stream = subject.start(images)
        for earlier in range(block):
            stream = subject.step(earlier, stream)
        watched = subject.watch(block, stream, (site,))[1][site]
    asked = images.clone().requires_grad_()
    values = subject.respond(asked, block, site)
    torch.testing.assert_close(values.detach(), watched.clone(), atol=1e-10, rtol=1e-8)
    probe, direction = draw(*values.shape), draw(*images.shape)
    (gradient,) = torch.autograd.grad((values * probe).sum(), asked)
    step = 1e-6
    ends = [(subject.respond(images + sign * step * direction, block, site) * probe).sum().detach() for sign in (1, -1)]
    torch.testing.assert_close((gradient * direction).sum(), (ends[0] - ends[1]) / (2 * step), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["vit", "deit distilled", "beit with a shared bias", "eva02", "relative positions"])
def test_gradients_at_attention_weights_are_the_slope_of_the_labels_logit(name):
    subject, images, labels = double(name), pictures_of(name), torch.tensor([2, 5])
    fused = [module.fused_attn for module in subject.model.modules() if hasattr(module, "fused_attn")]
    with torch.inference_mode():
        found = subject.attention_gradients(images.clone(), labels.clone())
    assert len(found) == subject.card.depth
    assert fused == [module.fused_attn for module in subject.model.modules() if hasattr(module, "fused_attn")]
    stream = subject.start(images)
    for block, (pattern, gradient) in enumerate(found):
        torch.testing.assert_close(pattern, subject.attention_pattern(block, stream), atol=1e-10, rtol=1e-8)
        assert not pattern.requires_grad
        direction = draw(*pattern.shape)
        slope = _logit(subject, stream, block, direction, labels) - _logit(subject, stream, block, -direction, labels)
        expected = (gradient * direction).flatten(1).sum(dim=1)
        torch.testing.assert_close(slope / 2e-6, expected, atol=1e-6, rtol=1e-4)
        stream = subject.step(block, stream)


def _logit(subject, stream, block: int, direction: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Move the pattern of one block a little, and read the label's logit."""
    drop = subject.family.attention(subject.model, block).attn_drop
    attention = subject.family.attention(subject.model, block)
    handle = drop.register_forward_hook(lambda _, inputs, pattern: pattern + 1e-6 * direction)
    kept, attention.fused_attn = attention.fused_attn, False
    stream = subject.step(block, stream)
    attention.fused_attn = kept
    handle.remove()
    for later in range(block + 1, subject.card.depth):
        stream = subject.step(later, stream)
    return subject.logits(stream).gather(1, labels[:, None])[:, 0]


def test_what_has_no_gradient_is_refused():
    mixer = double("mixer")
    with pytest.raises(ClaimsError, match="attention_pattern"):
        mixer.attention_gradients(pictures_of("mixer"), torch.tensor([0, 1]))
    with pytest.raises(ClaimsError, match="qkv"):
        mixer.respond(pictures_of("mixer"), 0, "query")
    with pytest.raises(ClaimsError, match="has blocks 0 to"):
        mixer.respond(pictures_of("mixer"), 9, "units")
    for use in (
        lambda images: mixer.respond(images, 0, "units"),
        lambda images: double("vit").attention_gradients(images, torch.tensor([0])),
    ):
        with pytest.raises(ClaimsError, match="pictures of"):
            use(torch.zeros(1, 3, 40, 40, dtype=torch.float64))
