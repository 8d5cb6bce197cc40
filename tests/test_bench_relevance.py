"""How long relevance takes in closed form at the size of ViT-Tiny, beside a gradient per token and block.

Run with `pytest tests/test_bench_relevance.py --benchmark-only`; nothing asserts a time.
"""

import time

import pytest
import timm
import torch

from harness.images.batch import Batch
from harness.interventions.relevance import ClassRelevance
from harness.models.families import adapt

IMAGES, TOKENS_TIMED = 8, 2  # of 197 tokens per block, whose gradients are taken one by one; the others are counted
CHUNK = Batch(positions=range(IMAGES), donors=torch.arange(IMAGES) ^ 1, labels=torch.arange(IMAGES) * 100, seed=0)


def gradient_per_token(model, tokens: torch.Tensor, label: int) -> float:
    """Time autograd of the lens loss of a few tokens per block with respect to that block's attention, one picture."""
    start = time.perf_counter()
    for block in model.blocks:
        layer, normed = block.attn, block.norm1(tokens)
        query, key, value = layer.qkv(normed)[0].unflatten(-1, (3, layer.num_heads, -1)).permute(1, 2, 0, 3)
        pattern = (query @ key.transpose(1, 2) * layer.scale).softmax(-1).detach().requires_grad_()
        written = layer.proj((pattern @ value).transpose(0, 1).flatten(1))
        for token in range(TOKENS_TIMED):
            chances = model.head(model.norm(written[token])).softmax(-1)
            torch.autograd.grad(-chances.softmax(-1)[label].log(), pattern, retain_graph=True)
        with torch.no_grad():
            tokens = block(tokens)
    return (time.perf_counter() - start) / TOKENS_TIMED * tokens.shape[1]


@pytest.mark.benchmark(group="relevance")
def test_relevance_of_all_patches_of_a_chunk(benchmark):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
    subject = adapt(model, name="vit", arch="vit_tiny_patch16_224", pretrained=False)
    images = torch.randn(IMAGES, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    found = benchmark.pedantic(lambda: ClassRelevance().compute(subject, images, CHUNK, {}), rounds=1, iterations=1)
    assert found.shape == (IMAGES, 196)
    if benchmark.disabled:
        return
    start = time.perf_counter()
    with torch.no_grad():
        model(images)
    forward = time.perf_counter() - start
    tokens = subject.start(images[:1]).tokens
    direct = gradient_per_token(model, tokens, 0) * IMAGES
    benchmark.extra_info["forward passes' worth of time"] = benchmark.stats["mean"] / forward
    benchmark.extra_info["a gradient per token, over closed form (extrapolated)"] = direct / benchmark.stats["mean"]
