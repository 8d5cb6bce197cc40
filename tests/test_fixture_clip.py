"""Pictures against captions: the loss against closed forms, the text tower, and the zero-shot head."""

import math

import numpy as np
import pytest
import torch

from harness.fixtures import clip, zoo
from harness.fixtures.checkpoints import write_tensors
from harness.fixtures.objectives import OBJECTIVES
from harness.fixtures.pictures import render
from harness.fixtures.recipes import Recipe, construct
from harness.fixtures.vocabulary import AN, SHAPE_WORDS, encode

MICRO = Recipe(
    name="micro",
    architecture="VisionTransformer",
    config={"img_size": 32, "patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2},
    steps=6,
    batch=8,
    rate=1e-2,
    warmup=2,
    objective="clip",
)


@pytest.fixture
def pair() -> clip.Pair:
    torch.manual_seed(0)
    return clip.Pair(construct(MICRO)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return zoo.preprocess(render(np.arange(20), split="test").images)


def test_the_loss_of_a_pair_that_knows_nothing_is_the_logarithm_of_the_batch():
    same = torch.eye(8, dtype=torch.bool)
    assert clip.contrast(torch.zeros(8, 8), same).item() == pytest.approx(math.log(8))
    assert clip.contrast(100.0 * same, same).item() == pytest.approx(0, abs=1e-6)


def test_one_caption_for_two_pictures_is_right_for_both():
    same = clip.same_captions(torch.from_numpy(encode(["a disc", "a ring", "a disc"])))
    assert same.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    assert clip.contrast(100.0 * same, same).item() == pytest.approx(2 / 3 * math.log(2), abs=1e-6)


def test_both_directions_count():
    same = torch.eye(3, dtype=torch.bool)
    drawn_to_one = torch.zeros(3, 3)
    drawn_to_one[:, 0] = 5.0  # every picture finds caption 0; every caption is undecided between the pictures
    by_picture = (math.log(1 + 2 * math.exp(-5)) + 2 * math.log(math.exp(5) + 2)) / 3
    assert clip.contrast(drawn_to_one, same).item() == pytest.approx((by_picture + math.log(3)) / 2, rel=1e-6)


def test_padding_does_not_change_an_embedding(pair):
    alone = pair.embed_captions(torch.from_numpy(encode(["a disc"])))
    beside = pair.embed_captions(torch.from_numpy(encode(["a disc", "a large square at the top left"])))[:1]
    torch.testing.assert_close(alone, beside, atol=1e-6, rtol=1e-5)


def test_the_order_of_words_counts(pair):
    one, other = pair.embed_captions(torch.from_numpy(encode(["a disc above a ring", "a ring above a disc"])))
    assert not torch.allclose(one, other, atol=1e-5)


def test_embeddings_have_length_one(pair, images):
    for embedded in (pair.embed_pictures(images), pair.embed_captions(torch.from_numpy(encode(["a disc", "a star"])))):
        torch.testing.assert_close(embedded.norm(dim=1), torch.ones(len(embedded)))


@torch.no_grad()
def test_the_zero_shot_classifier_answers_as_the_nearest_prompts_do(pair, images):
    named = [f"{'an' if word in AN else 'a'} {word}" for word in SHAPE_WORDS]
    classes = torch.stack(
        [pair.embed_captions(torch.from_numpy(encode([name, f"a picture of {name}"]))).mean(dim=0) for name in named]
    )
    cosines = torch.cosine_similarity(pair.embed_pictures(images)[:, None], classes[None], dim=2)
    answers = OBJECTIVES["clip"].classifier(pair)(images)
    assert torch.equal(answers.argsort(dim=1), cosines.argsort(dim=1))


def test_recall_counts_any_picture_of_the_same_caption():
    pictures, captions = torch.eye(3), torch.eye(3)[[1, 0, 2]]
    assert clip.recall(pictures, captions, torch.eye(3, dtype=torch.bool), 1) == pytest.approx(1 / 3)
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    assert clip.recall(pictures, captions, same, 1) == 1.0


def test_a_gradient_reaches_both_towers_and_the_temperature(pair, images):
    tokens = torch.from_numpy(encode([f"a {word}" for word in ("disc", "ring", "star", "plus")] * 5))
    clip.loss(pair.train(), images, tokens)[0].backward()
    without = {name for name, parameter in pair.named_parameters() if parameter.grad is None}
    assert without == {"picture.head.weight", "picture.head.bias"}


def test_a_pair_comes_back_from_its_classifier_and_its_companion(pair, images, tmp_path):
    write_tensors(clip.companion(pair), tmp_path / "text.safetensors")
    again = clip.load_pair(OBJECTIVES["clip"].classifier(pair), tmp_path / "text.safetensors")
    assert torch.equal(again.embed_pictures(images), pair.embed_pictures(images))
    tokens = torch.from_numpy(encode(["a disc on a dotted ground"]))
    assert torch.equal(again.embed_captions(tokens), pair.embed_captions(tokens))
