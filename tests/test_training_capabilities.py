"""What a card says a model is and was trained on: attention or convolution, class labels or captions."""

from dataclasses import replace

import pytest
import timm
import torch

from harness.fixtures import zoo
from harness.fixtures.families import SMALL_MODELS
from harness.models.families import adapt, card_of
from harness.models.families.training_tags import TAUGHT, taught
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


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("vit_base_patch16_siglip_224.webli", "captions"),
        ("vit_base_patch14_reg1_tipsv2.webli", "captions"),
        ("vit_pe_core_base_patch16_224.fb", "captions"),
        ("vit_base_patch16_clip_224.laion2b_ft_in12k_in1k", "labels"),
        ("vit_base_patch16_224.orig_in21k", "labels"),
        ("convnext_base.clip_laion2b_augreg_ft_in12k_384", "labels"),
        ("resnet50.bamboo", "labels"),
        ("vit_huge_patch14_gap_224.in1k_ijepa", "pictures"),
        ("convnextv2_tiny.fcmae", "pictures"),
        ("convnextv2_tiny.fcmae_ft_in1k", "labels"),
        ("vit_base_patch16_sapiens2.fb", "pictures"),
        ("vit_pe_spatial_base_patch16_512.fb", "other"),
        ("vit_base_patch16_dinov3_qkvb.eupe_lvd1689m", "other"),
        ("eva02_base_patch14_224.mim_in22k", "other"),
        ("regnety_160.swag_lc_in1k", "other"),
    ],
)
def test_a_tag_is_looked_up_with_its_architecture(name, by):
    known = taught(*name.split(".", 1))
    assert known is not None
    assert known.by == by
    assert (by == "other") == bool(known.how)


def test_the_table_of_tags_is_about_tags_that_timm_has_and_hardly_leaves_one_out():
    names = [name.split(".", 1) for name in timm.list_models(pretrained=True)]
    assert {key.rpartition("/")[2] for key in TAUGHT} <= {tag for _, tag in names}
    unknown = {f"{arch}.{tag}" for arch, tag in names if taught(arch, tag) is None}
    assert len(unknown) < 0.01 * len(names), unknown


def test_what_is_not_known_of_a_training_is_no_fact_and_says_so():
    module = timm.create_model("test_vit", pretrained=False)
    module.pretrained_cfg = {**module.pretrained_cfg, "tag": "nobody_knows"}
    found = card_of(module, name="m", arch="m", pretrained=True)
    assert not found.capabilities & TRAININGS
    assert "nothing here says what taught the weights 'test_vit.nobody_knows'" in found.missing(("label_trained",))


def test_how_weights_were_trained_stands_beside_a_fact_that_is_missing():
    with torch.device("meta"):
        module = timm.create_model("vit_base_patch16_dinov3_qkvb.eupe_lvd1689m", pretrained=False)
    found = card_of(module, name="m", arch="m", pretrained=True)
    assert "to reproduce several other models at once" in found.missing(("self_supervised",))


def test_a_head_of_other_classes_than_the_tag_has_was_trained_with_labels():
    with torch.device("meta"):
        module = timm.create_model("vit_base_patch16_clip_224.openai", pretrained=False, num_classes=10)
    assert "label_trained" in card_of(module, name="m", arch="m", pretrained=True).capabilities


def test_what_a_model_is_not_is_said_with_a_reason():
    assert card("tiny_swin").missing(("attention",)).startswith("the blocks attend within windows")
    assert "MLP" in card("tiny_mixer").missing(("attention",))
    assert card("tiny_vit").missing(("convolution",)) == CAPABILITIES["convolution"]
    plain = replace(card("tiny_vit"), capabilities=frozenset(), units=())
    assert plain.missing(("label_trained",)) == CAPABILITIES["label_trained"]
