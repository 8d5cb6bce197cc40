"""The experiments on the class token start where they say, and train what they say."""

import numpy as np
import pytest
import torch

from harness.fixtures import experiments, train, zoo
from harness.fixtures.class_token_look import _streams
from harness.fixtures.pictures import render
from harness.fixtures.recipes import ARCHITECTURES


@pytest.fixture(scope="module")
def inputs():
    return zoo.preprocess(render(np.arange(20), split="test").images)


@torch.no_grad()
def test_the_average_pool_twins_patch_tokens_are_unchanged_where_they_cannot_see_the_new_class_token(inputs):
    twin = zoo.build("tiny_vit_gap")
    model = experiments.from_average_pool(experiments.EXPERIMENTS["late_token"].recipe).eval()
    stream = next(_streams(model, inputs))
    first = torch.arange(stream.shape[1]) == 0
    for block in model.blocks:
        stream = block(stream, attn_mask=first[:, None] == first[None])
    answers = model.head(model.norm(stream[:, 1:].mean(dim=1)))
    torch.testing.assert_close(answers, twin(inputs), atol=1e-4, rtol=1e-4)


def test_a_frozen_model_learns_its_class_token_and_head_alone():
    experiment = experiments.EXPERIMENTS["late_token_frozen"]
    training = train.start(experiment.recipe, begin=experiment.begin)
    before = {name: value.clone() for name, value in training.model.state_dict().items()}
    train.take_step(training, experiment.recipe, None)
    changed = {name for name, value in training.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"cls_token", "head.weight", "head.bias"}


@torch.no_grad()
def test_smaller_patches_of_one_colour_embed_as_the_larger_ones_did():
    large = zoo.build("tiny_vit")
    small = experiments.from_larger_patches(experiments.EXPERIMENTS["small_patches"].recipe)
    flat = torch.tensor([0.3, -0.2, 0.6])[None, :, None, None].expand(1, 3, 32, 32)
    expected = large.patch_embed(flat)[0, 0].expand(64, -1)
    torch.testing.assert_close(small.patch_embed(flat)[0], expected, atol=1e-5, rtol=1e-4)


def test_every_experiment_is_a_class_token_transformer_of_the_defaults_size():
    for name, experiment in experiments.EXPERIMENTS.items():
        assert name == experiment.recipe.name
        model = experiment.begin(experiment.recipe)
        assert type(model) is ARCHITECTURES["VisionTransformer"]
        assert (len(model.blocks), model.embed_dim, model.num_prefix_tokens) == (12, 96, 1)
