"""What a card says a model is and was trained on: attention or convolution, class labels or captions."""

from dataclasses import replace

import pytest
import timm
import torch

from harness.fixtures import zoo
from harness.fixtures.families import SMALL_MODELS
from harness.models.families import adapt, card_of
from harness.models.families.training_data import caption_tower
from harness.models.subject import CAPABILITIES

KINDS = {"attention", "convolution"}
TRAININGS = {"label_trained", "caption_trained", "self_supervised"}
EMBEDDED = {
    "tiny_vit": {"attention", "label_trained"},
    "tiny_vit_gap": {"attention", "label_trained"},
    "tiny_deit": {"attention", "label_trained"},
    "tiny_dino": {"attention", "self_supervised"},
    "tiny_clip": {"attention", "caption_trained"},
    "tiny_resnet": {"convolution", "label_trained"},
    "tiny_convnext": {"convolution", "label_trained"},
    "tiny_mixer": {"label_trained"},
    "tiny_swin": {"label_trained"},
}


def card(name, pretrained=True):
    return adapt(zoo.build(name), name=name, arch=name, pretrained=pretrained).card


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_model_says_what_it_is_and_what_its_recipe_trained_it_on(name):
    assert card(name).capabilities & (KINDS | TRAININGS) == EMBEDDED[name]


def test_the_table_is_about_the_whole_embedded_zoo():
    assert set(EMBEDDED) == set(zoo.NAMES)


@pytest.mark.parametrize("name", SMALL_MODELS)
def test_no_model_is_of_two_kinds(name):
    found = card_of(SMALL_MODELS[name](), name=name, arch=name, pretrained=True).capabilities
    assert len(found & KINDS) <= 1
    assert len(found & TRAININGS) <= 1


def test_random_weights_were_trained_on_nothing():
    assert not card("tiny_vit", pretrained=False).capabilities & TRAININGS


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("test_vit.r160_in1k", {"label_trained"}),
        ("test_resnet.r160_in1k", {"label_trained"}),
        ("vit_base_patch32_clip_224.openai", {"caption_trained"}),
        ("vit_base_patch32_clip_224.openai_ft_in1k", {"label_trained"}),
        ("vit_small_patch14_dinov2.lvd142m", {"self_supervised"}),
        ("vit_base_patch16_224.dino", {"self_supervised"}),
        ("vit_base_patch16_224.mae", {"self_supervised"}),
    ],
)
def test_timm_names_tell_what_a_model_was_trained_on(name, trained):
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    found = card_of(model, name=name, arch=name, pretrained=True).capabilities
    assert found & TRAININGS == trained


def test_a_tower_beside_text_is_told_by_its_full_name():
    assert caption_tower("vit_base_patch16_siglip_224.webli")
    assert caption_tower("vit_pe_core_base_patch16_224.fb")
    assert not caption_tower("vit_base_patch16_clip_224.laion2b_ft_in12k_in1k")
    assert not caption_tower("vit_base_patch16_224.orig_in21k_ft_in1k")


def test_what_a_model_is_not_is_said_with_a_reason():
    assert card("tiny_swin").missing(("attention",)).startswith("the blocks attend within windows")
    assert "MLP" in card("tiny_mixer").missing(("attention",))
    assert card("tiny_vit").missing(("convolution",)) == CAPABILITIES["convolution"]
    plain = replace(card("tiny_vit"), capabilities=frozenset(), units=())
    assert plain.missing(("label_trained",)) == CAPABILITIES["label_trained"]
