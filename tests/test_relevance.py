"""Relevance in closed form is that of autograd, patch by patch; Chefer's rule and rollout are those of their papers."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.relevance import CheferRelevance, ClassRelevance, RolloutRelevance
from harness.interventions.token_removal import keep_patches_by
from harness.measurement.forward import measure_chunk
from harness.measurement.prefix_tree import Bill, Request
from harness.models.families import adapt
from harness.readouts.own_answer import Accuracy
from support.planted import Counting

IMAGES, DEPTH, HEADS = 4, 3, 2
LABELS = torch.tensor([0, 3, 5, 1])
CHUNK = Batch(positions=range(IMAGES), donors=torch.tensor([1, 0, 3, 2]), labels=LABELS, seed=1)


@cache
def subject():
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = VisionTransformer(
            img_size=16, patch_size=4, embed_dim=24, depth=DEPTH, num_heads=HEADS, num_classes=6, init_values=0.3
        )
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return adapt(model, name="vit", arch="vit", pretrained=False)


@cache
def pictures() -> torch.Tensor:
    return torch.randn(IMAGES, 3, 16, 16, generator=torch.Generator().manual_seed(4))


def attention_by_hand(block: int, normed: torch.Tensor, weights: torch.Tensor | None):
    """Run attention of one picture in plain tensor operations: pattern [head, query, key] and output [token, width]."""
    layer = subject().model.blocks[block].attn
    query, key, value = layer.qkv(normed).unflatten(-1, (3, HEADS, -1)).permute(1, 2, 0, 3)
    pattern = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(-1) if weights is None else weights
    return pattern, layer.proj((pattern @ value).transpose(0, 1).flatten(1))


def by_autograd(image: int, label: int, *, double: bool) -> np.ndarray:
    """Differentiate the loss of the lens with respect to every attention weight of the class token, one by one."""
    model, total = subject().model, np.zeros(16)
    tokens = subject().start(pictures()[image : image + 1]).tokens[0]
    for block in range(DEPTH):
        normed = model.blocks[block].norm1(tokens).detach()
        pattern, _ = attention_by_hand(block, normed, None)
        asked = pattern.detach().requires_grad_()
        _, written = attention_by_hand(block, normed, asked)
        chances = model.head(model.norm(written[0])).softmax(-1)
        loss = -(chances.softmax(-1) if double else chances)[label].log()
        (gradient,) = torch.autograd.grad(loss, asked)
        total -= gradient[:, 0, 1:].sum(dim=0).numpy()
        with torch.no_grad():
            tokens = model.blocks[block](tokens[None])[0]
    return total


@pytest.mark.parametrize("double", [True, False])
def test_relevance_in_closed_form_is_that_of_autograd_for_every_patch(double):
    model, images = subject(), pictures()
    with torch.inference_mode():
        given = ClassRelevance(double_softmax=double).compute(model, images, CHUNK, {})
    for image in range(IMAGES):
        expected = by_autograd(image, int(LABELS[image]), double=double)
        np.testing.assert_allclose(given[image].numpy(), expected, atol=1e-5)
        assert np.abs(expected).max() > 1e-3, "or this shows nothing"


def test_negated_relevance_ranks_the_other_way_round_and_predicted_labels_need_none():
    own = ClassRelevance().compute(subject(), pictures(), CHUNK, {})
    assert torch.equal(ClassRelevance(negated=True).compute(subject(), pictures(), CHUNK, {}), -own)
    predicted = subject().model.eval()(pictures()).argmax(-1)
    unlabelled = ClassRelevance(labels="predicted")
    assert not unlabelled.needs_labels
    given = unlabelled.compute(subject(), pictures(), replace(CHUNK, labels=None), {})
    expected = ClassRelevance().compute(subject(), pictures(), replace(CHUNK, labels=predicted), {})
    torch.testing.assert_close(given, expected)
    with pytest.raises(ClaimsError, match="needs labels"):
        ClassRelevance().compute(subject(), pictures(), replace(CHUNK, labels=None), {})


@pytest.mark.parametrize(
    "score", [ClassRelevance(), ClassRelevance(labels="predicted"), RolloutRelevance(), CheferRelevance()]
)
def test_relevance_runs_as_many_blocks_as_it_is_billed_for(score):
    counted, bill = Counting(inner=subject()), Bill()
    arm = keep_patches_by(score, 5, first="least")
    wanted = [Request(intervention=arm, readout=Accuracy(), claimants=frozenset({"a"}))]
    measure_chunk(counted, pictures(), CHUNK, wanted, {}, bill)
    scoring = sum(images for _, images in counted.stepped) - DEPTH * IMAGES
    backward = 2 * DEPTH * IMAGES if isinstance(score, CheferRelevance) else 0
    assert scoring + backward == score.passes * DEPTH * IMAGES
    if isinstance(score, ClassRelevance):
        assert scoring <= 2 * DEPTH * IMAGES
    assert bill.total == pytest.approx(score.passes * DEPTH * IMAGES + DEPTH * IMAGES * 6 / 17)


def by_chefer(image: int, label: int) -> np.ndarray:
    """Follow the published loop for one picture, with patterns that are kept by hand."""
    model, patterns = subject().model, []
    tokens = subject().start(pictures()[image : image + 1]).tokens[0]
    for block in model.blocks:
        pattern, written = attention_by_hand(len(patterns), block.norm1(tokens), None)
        pattern.retain_grad()
        patterns.append(pattern)
        tokens = tokens + block.ls1(written)
        tokens = tokens + block.ls2(block.mlp(block.norm2(tokens)))
    model.head(model.norm(tokens[0]))[label].backward()
    relevance = np.eye(17)
    for pattern in patterns:
        relevance = relevance + (pattern.grad * pattern).clamp(min=0).mean(dim=0).detach().numpy() @ relevance
    model.zero_grad()
    return relevance[0, 1:]


def test_chefers_relevance_is_that_of_the_published_loop():
    model, images = subject(), pictures()
    with torch.inference_mode():
        given = CheferRelevance().compute(model, images, CHUNK, {})
    for image in range(IMAGES):
        np.testing.assert_allclose(given[image].numpy(), by_chefer(image, int(LABELS[image])), atol=1e-5)


def test_rollout_multiplies_the_mean_patterns_with_half_of_each_the_identity():
    given = RolloutRelevance().compute(subject(), pictures(), CHUNK, {})
    for image in range(IMAGES):
        tokens, rollout = subject().start(pictures()[image : image + 1]).tokens[0], np.eye(17)
        for block in range(DEPTH):
            layer = subject().model.blocks[block]
            pattern, _ = attention_by_hand(block, layer.norm1(tokens), None)
            rollout = (pattern.mean(dim=0).detach().numpy() + np.eye(17)) / 2 @ rollout
            tokens = layer(tokens[None])[0]
        np.testing.assert_allclose(given[image].numpy(), rollout[0, 1:], atol=1e-5)


def test_relevance_to_a_class_token_that_is_not_there_is_refused():
    model = VisionTransformer(
        img_size=16,
        patch_size=4,
        embed_dim=24,
        depth=1,
        num_heads=2,
        num_classes=6,
        class_token=False,
        global_pool="avg",
    )
    without = adapt(model, name="gap", arch="gap", pretrained=False)
    for score in (ClassRelevance(), CheferRelevance(), RolloutRelevance()):
        with pytest.raises(ClaimsError, match="has no class token"):
            score.compute(without, pictures(), CHUNK, {})
