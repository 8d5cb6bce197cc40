"""Folders of Hugging Face models against the transformers library itself, on random weights."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import ClaimsError, UnsupportedModel
from harness.images.preprocessing import geometry, normalized
from harness.models.hugging_face import read_model
from harness.models.hugging_face.looks import preprocessing
from harness.models.zoo import resolve

hub = pytest.importorskip("transformers", reason="the transformers library is in the dev extra")

TOKENS = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
TOKENS |= {"image_size": 16, "patch_size": 8}
STAGES = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 2, 1], "num_labels": 5, "image_size": 64}
BOTTLENECK = {"depths": [1, 2, 1, 1], "num_labels": 5}
BASIC = {**BOTTLENECK, "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
SWIN = {"image_size": 64, "patch_size": 4, "embed_dim": 8, "depths": [1, 2], "num_heads": [1, 2], "window_size": 4}
CLASSIFIERS = {
    "vit": lambda: hub.ViTForImageClassification(hub.ViTConfig(**TOKENS, num_labels=5)),
    "vit without biases": lambda: hub.ViTForImageClassification(hub.ViTConfig(**TOKENS, num_labels=5, qkv_bias=False)),
    "deit": lambda: hub.DeiTForImageClassificationWithTeacher(hub.DeiTConfig(**TOKENS, num_labels=5)),
    "convnext": lambda: hub.ConvNextForImageClassification(hub.ConvNextConfig(**STAGES)),
    "resnet": lambda: hub.ResNetForImageClassification(hub.ResNetConfig(**BOTTLENECK)),
    "resnet of basic blocks": lambda: hub.ResNetForImageClassification(hub.ResNetConfig(**BASIC)),
    "swin": lambda: hub.SwinForImageClassification(hub.SwinConfig(**SWIN, num_labels=5)),
}
TRUNKS = {
    "vit": lambda: hub.ViTModel(hub.ViTConfig(**TOKENS), add_pooling_layer=False),
    "dinov2": lambda: hub.Dinov2Model(hub.Dinov2Config(**{**TOKENS, "mlp_ratio": 2})),
    "clip": lambda: hub.CLIPVisionModel(hub.CLIPVisionConfig(**TOKENS)),
}


def saved(model, path, **looks):
    """Move every weight off its start, so that none is without effect, and write the folder."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    model.eval().save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps(looks))
    return model


def pictures(subject) -> torch.Tensor:
    return torch.randn(2, 3, *subject.card.preprocessing.size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def through(subject, images):
    stream = subject.start(images)
    for block in range(subject.card.depth):
        stream = subject.step(block, stream)
    return stream


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_as_transformers_does(tmp_path, name):
    model = saved(CLASSIFIERS[name](), tmp_path)
    subject = resolve(f"hf:{tmp_path}").load()
    assert subject.card.classes == 5
    images = pictures(subject)
    with torch.no_grad():
        expected = model(images).logits
    assert torch.allclose(subject.logits(through(subject, images)), expected, atol=1e-5)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_trunk_gives_the_tokens_that_transformers_gives(tmp_path, name):
    model = saved(TRUNKS[name](), tmp_path)
    subject = resolve(f"hf:{tmp_path}").load()
    assert (subject.card.native, subject.card.classes) == ("none", 0)
    images = pictures(subject)
    with torch.no_grad():
        expected = model(images).last_hidden_state
    found = through(subject, images)
    normed = subject.normed(found)
    if name == "clip":  # which norms the class token alone
        normed, expected = normed[:, 0], model(images).pooler_output
    assert torch.allclose(normed, expected, atol=1e-5)


def test_a_clip_of_two_towers_is_read_by_its_picture_tower(tmp_path):
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = hub.CLIPConfig(vision_config=TOKENS, text_config={**text, "vocab_size": 99}, projection_dim=6)
    model = saved(hub.CLIPModel(config), tmp_path)
    subject = resolve(f"hf:{tmp_path}").load()
    assert subject.card.native == "none"
    assert "caption_trained" in subject.card.capabilities
    images = pictures(subject)
    with torch.no_grad():
        expected = model.vision_model(images).pooler_output
    assert torch.allclose(subject.normed(through(subject, images))[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("looks", "crop", "mode", "interpolation"),
    [
        ({"size": {"height": 16, "width": 16}, "resample": 2}, 1.0, "squash", "bilinear"),
        (
            {"size": {"shortest_edge": 20}, "do_center_crop": True, "crop_size": {"height": 16, "width": 16}},
            0.8,
            "center",
            "bicubic",
        ),
        ({"size": {"shortest_edge": 16}, "crop_pct": 0.875, "resample": 3}, 0.875, "center", "bicubic"),
    ],
)
def test_preprocessing_is_that_of_the_folder(tmp_path, looks, crop, mode, interpolation):
    saved(CLASSIFIERS["vit"](), tmp_path, **looks, image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 1])
    found = read_model(f"hf:{tmp_path}").preprocessing
    assert (found.crop, found.crop_mode, found.interpolation) == (crop, mode, interpolation)
    assert (found.size, found.mean, found.std) == ((16, 16), (0.1, 0.2, 0.3), (0.4, 0.5, 1.0))


@pytest.mark.parametrize(
    ("kind", "looks"),
    [
        ("ViT", {"size": 24}),
        ("ViT", {"size": {"height": 24, "width": 24}, "do_center_crop": True, "crop_size": 16}),
        ("DeiT", {"size": 20, "do_center_crop": True, "crop_size": 16}),
        ("CLIP", {"size": 20, "crop_size": 16, "do_normalize": False}),
        ("Bit", {"size": 20, "crop_size": {"height": 16, "width": 16}}),
        ("ConvNext", {"size": 16, "crop_pct": 0.8}),
        ("ConvNext", {"size": {"shortest_edge": 384}, "crop_pct": 0.8}),
    ],
)
def test_a_picture_becomes_what_the_processor_of_its_library_makes_of_it(tmp_path, kind, looks):
    looks = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 1.0], "resample": 2, **looks}
    looks["image_processor_type"] = f"{kind}ImageProcessor"
    picture = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    )
    expected = getattr(hub, f"{kind}ImageProcessorPil")(**looks)(picture, return_tensors="np")["pixel_values"][0]
    found = preprocessing(tmp_path, looks, "", expected.shape[-1])
    pixels = geometry(found)(picture).numpy().astype(np.float32) / 255
    assert np.abs(normalized(pixels, found) - expected).mean() < 0.02


def test_what_no_picture_can_become_is_refused(tmp_path):
    for looks, told in (
        ({"size": "16"}, "size '16' in"),
        ({"size": {"shortest_edge": 0}}, "allowed: a positive number"),
        ({"size": {"longest_edge": 16}}, "allowed: a positive number"),
        ({"image_mean": [0.5]}, r"image_mean \[0\.5\] in .*three numbers"),
        ({"image_std": [0, 0, 0]}, "none of them 0"),
        ({"size": {"shortest_edge": 8}, "do_center_crop": True, "crop_size": 16}, "cuts 16 pixels out of 8"),
    ):
        with pytest.raises(ClaimsError, match=told):
            preprocessing(tmp_path / "preprocessor_config.json", looks, "vit", 16)


def test_weights_in_several_files_are_read_together_and_what_is_assumed_is_noted(tmp_path):
    model = CLASSIFIERS["vit"]()
    model.save_pretrained(tmp_path, max_shard_size="3KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    entry = resolve(f"hf:{tmp_path}")
    assert "no preprocessor_config.json" in entry.note
    images = pictures(entry.load())
    with torch.no_grad():
        expected = model.eval()(images).logits
    assert torch.allclose(entry.load().logits(through(entry.load(), images)), expected, atol=1e-5)
    next(tmp_path.glob("model-*.safetensors")).unlink()
    with pytest.raises(ClaimsError, match=r"index\.json names model-.*, which is not there \(1 in all\)"):
        resolve(f"hf:{tmp_path}")


def changed(path, **values):
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | values))


def test_what_cannot_be_read_is_refused_with_the_place(tmp_path):
    with pytest.raises(ClaimsError, match=r"is no folder; allowed: hf:FOLDER"):
        resolve("hf:google/vit-base-patch16-224")
    with pytest.raises(ClaimsError, match=r"config\.json cannot be read"):
        resolve(f"hf:{tmp_path}")
    saved(CLASSIFIERS["vit"](), tmp_path)
    changed(tmp_path, model_type="vti")
    with pytest.raises(UnsupportedModel, match=r"unknown model_type 'vti' in .*Did you mean 'vit'"):
        resolve(f"hf:{tmp_path}")
    changed(tmp_path, model_type="vit", hidden_act="mish")
    with pytest.raises(ClaimsError, match=r"hidden_act 'mish' in config\.json; allowed: gelu"):
        resolve(f"hf:{tmp_path}")
    changed(tmp_path, hidden_act="gelu", num_hidden_layers=3)
    with pytest.raises(ClaimsError, match=r"does not fit its own configuration: missing \['blocks\.2"):
        resolve(f"hf:{tmp_path}").load()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ClaimsError, match=r"has no model\.safetensors and no .*; pickles are not read"):
        resolve(f"hf:{tmp_path}")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"hidden_size": 24}, r"does not fit its own configuration: head\.weight is \(5, 12\) in the file"),
        ({"image_size": 32}, "pos_embed is .* in the file"),
        ({"num_attention_heads": 5}, r"no vit can be built as .*config\.json says"),
        ({"image_size": "16"}, "image_size '16' in .*allowed: a number"),
        ({"model_type": ["vit"]}, "unknown model_type"),
    ],
)
def test_a_configuration_that_is_not_that_of_the_weights_is_refused(tmp_path, values, told):
    saved(CLASSIFIERS["vit"](), tmp_path)
    changed(tmp_path, **values)
    with pytest.raises(ClaimsError, match=told):
        resolve(f"hf:{tmp_path}").load()


def test_a_configuration_without_a_key_is_refused_by_the_key(tmp_path):
    saved(CLASSIFIERS["vit"](), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["num_attention_heads"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ClaimsError, match=r"config\.json has no 'num_attention_heads'"):
        resolve(f"hf:{tmp_path}").load()


def test_a_swin_of_another_nonlinearity_is_refused(tmp_path):
    saved(hub.SwinForImageClassification(hub.SwinConfig(**SWIN, num_labels=5, hidden_act="relu")), tmp_path)
    with pytest.raises(ClaimsError, match=r"hidden_act 'relu' in config\.json; allowed: gelu"):
        resolve(f"hf:{tmp_path}").load()


def test_heads_that_read_something_else_are_refused(tmp_path):
    saved(hub.DeiTForImageClassification(hub.DeiTConfig(**TOKENS, num_labels=5)), tmp_path)
    with pytest.raises(ClaimsError, match="timm's averages two heads"):
        resolve(f"hf:{tmp_path}")
    saved(hub.Dinov2ForImageClassification(hub.Dinov2Config(**TOKENS, num_labels=5)), tmp_path)
    with pytest.raises(ClaimsError, match="class token and mean patch side by side"):
        resolve(f"hf:{tmp_path}")
