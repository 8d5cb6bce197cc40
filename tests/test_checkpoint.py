"""Local checkpoints come back bit for bit, or are refused with what is wrong and the cure."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from harness.errors import ClaimsError
from harness.fixtures.recipes import RECIPES, construct
from harness.models.zoo import resolve

SMALL = "test_vit.r160_in1k"  # the smallest transformer in timm, 0.4 M parameters


@pytest.fixture
def checkpoint(tmp_path):
    """Give the path of a whole checkpoint of SMALL with 7 classes."""
    torch.manual_seed(0)
    path = tmp_path / "tuned.safetensors"
    save_file(timm.create_model(SMALL, num_classes=7).state_dict(), path)
    return path


def test_a_checkpoint_comes_back_bit_for_bit(checkpoint):
    entry = resolve(f"{checkpoint},arch={SMALL},num_classes=7,name=mine")
    subject = entry.load()
    assert entry.name == subject.card.name == "mine"
    assert subject.card.classes == 7
    assert subject.card.pretrained
    for name, value in load_file(checkpoint).items():
        assert torch.equal(subject.model.state_dict()[name], value)


def test_the_head_size_comes_from_the_file(checkpoint):
    entry = resolve(f"{checkpoint},arch=test_vit")
    assert entry.card.classes == 7
    assert entry.name == "tuned"
    assert entry.data is None
    with pytest.raises(ClaimsError, match=r"num_classes=10 .* has 7 classes: another number would replace it"):
        resolve(f"{checkpoint},arch=test_vit,num_classes=10")


def test_a_checkpoint_without_classifier_becomes_a_model_without_head(checkpoint):
    bare = {name: value for name, value in load_file(checkpoint).items() if not name.startswith("head.")}
    save_file(bare, checkpoint)
    assert resolve(f"{checkpoint},arch=test_vit").card.classes == 0
    with pytest.raises(ClaimsError, match=r"num_classes=7 .* has 0 classes"):
        resolve(f"{checkpoint},arch=test_vit,num_classes=7")


def test_embedded_architectures_take_checkpoints_too(tmp_path):
    path = tmp_path / "again.safetensors"
    save_file(construct(RECIPES["tiny_vit"]).state_dict(), path)
    entry = resolve(f"{path},arch=tiny_vit")
    assert entry.data == "embedded"
    assert entry.card.preprocessing == resolve("tiny_vit").card.preprocessing
    assert entry.load().card == entry.card


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".pth.tar"])
def test_pickles_are_refused_with_the_cure(tmp_path, suffix):
    path = tmp_path / f"tuned{suffix}"
    path.touch()
    with pytest.raises(ClaimsError, match=r"is a pickle, which can run any code.*safetensors.torch.save_file"):
        resolve(f"{path},arch=test_vit")


def test_other_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ClaimsError, match=r"must end in .safetensors"):
        resolve(f"{tmp_path},arch=test_vit")


def test_a_missing_file_is_refused_with_the_nearest_one_in_its_folder(checkpoint):
    with pytest.raises(
        ClaimsError, match=r"unknown checkpoint file 'tunde.safetensors'.*Did you mean 'tuned.safetensors'"
    ):
        resolve(f"{checkpoint.with_name('tunde.safetensors')},arch=test_vit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "does not say what it is: write .*,arch=NAME"),
        (",arch=", "does not say what it is"),
        (",arch=test_vitt", "unknown architecture 'test_vitt'.*Did you mean 'test_vit"),
        (",arch=test_vit,classes=7", "unknown checkpoint option 'classes'.*Did you mean 'num_classes'"),
        (",arch=test_vit,num_classes=seven", "num_classes='seven' .* is no number of classes"),
    ],
)
def test_a_checkpoint_is_described_in_full_or_refused(checkpoint, options, message):
    with pytest.raises(ClaimsError, match=message):
        resolve(f"{checkpoint}{options}")


def test_weights_that_do_not_fit_are_named_with_their_shapes(checkpoint):
    tensors = load_file(checkpoint)
    tensors["extra.weight"] = tensors.pop("norm.bias")
    tensors["norm.weight"] = tensors["norm.weight"][:3]
    save_file(tensors, checkpoint)
    with pytest.raises(ClaimsError) as refusal:
        resolve(f"{checkpoint},arch=test_vit")
    for part in (
        "1 missing: norm.bias",
        "1 unexpected: extra.weight",
        "norm.weight [3] instead of [64]",
        "arch=test_vit",
    ):
        assert part in str(refusal.value)


def test_a_torn_file_is_refused(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ClaimsError, match="is no whole safetensors file"):
        resolve(f"{checkpoint},arch=test_vit")


def test_random_weights_in_place_of_a_checkpoint_are_refused(checkpoint):
    with pytest.raises(ClaimsError, match="ask for the architecture by its own name"):
        resolve(f"{checkpoint},arch=test_vit", pretrained=False)


def held(path, prefix: str, others=()):
    """Save the weights again under names that begin with a prefix, beside others."""
    weights = load_file(path)
    save_file({f"{prefix}{name}": value for name, value in weights.items()} | dict(others), path)
    return weights


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module.model.", "state_dict.", "ema."])
def test_what_a_training_puts_before_the_names_comes_off(checkpoint, prefix):
    weights = held(checkpoint, prefix)
    found = resolve(f"{checkpoint},arch=test_vit").load().model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in weights.items())


def test_of_two_sets_of_weights_one_has_to_be_said(checkpoint):
    averaged = {f"model_ema.{name}": value + 1 for name, value in load_file(checkpoint).items()}
    weights = held(checkpoint, "model.", averaged)
    with pytest.raises(ClaimsError, match=r"several sets of weights, model\.\.\.\. and model_ema\.\.\.\.: say which"):
        resolve(f"{checkpoint},arch=test_vit")
    for prefix, more in (("model.", 0), ("model_ema.", 1)):
        found = resolve(f"{checkpoint},arch=test_vit,prefix={prefix}").load().model.state_dict()
        assert all(torch.equal(found[name], value + more) for name, value in weights.items())


def test_another_size_is_resampled_as_timm_does_when_asked_for(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "larger.safetensors"
    larger = timm.create_model("test_vit", img_size=224)
    save_file(larger.state_dict(), path)
    with pytest.raises(ClaimsError, match=r"of another shape: pos_embed"):
        resolve(f"{path},arch=test_vit")
    with pytest.raises(ClaimsError, match=r"resample='maybe' .* allowed: yes, no"):
        resolve(f"{path},arch=test_vit,resample=maybe")
    found = resolve(f"{path},arch=test_vit,resample=yes").load().model
    larger.set_input_size((160, 160))
    assert torch.allclose(found.pos_embed, larger.pos_embed, atol=1e-5)
    assert torch.equal(found.head.weight, larger.head.weight)


def folder(tmp_path, **config):
    """Write a folder as timm does for its hub."""
    torch.manual_seed(0)
    path = tmp_path / "pushed"
    path.mkdir()
    model = timm.create_model("test_vit", num_classes=7)
    save_file(model.state_dict(), path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"architecture": "test_vit", "num_classes": 7, **config}))
    return path, model


def test_a_folder_of_timms_hub_is_read_with_its_preprocessing(tmp_path):
    looks = {"input_size": [3, 160, 160], "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3], "crop_pct": 0.8}
    path, model = folder(tmp_path, pretrained_cfg=looks)
    subject = resolve(f"local-dir:{path}").load()
    assert (subject.card.name, subject.card.classes) == ("pushed", 7)
    assert (subject.card.preprocessing.mean, subject.card.preprocessing.crop) == ((0.1, 0.2, 0.3), 0.8)
    assert torch.equal(subject.model.head.weight, model.head.weight)


def test_folders_that_lack_something_are_refused(tmp_path):
    with pytest.raises(ClaimsError, match=r"needs config\.json and model\.safetensors"):
        resolve(f"local-dir:{tmp_path}")
    path, _ = folder(tmp_path, architecture=None)
    with pytest.raises(ClaimsError, match="names no architecture"):
        resolve(f"local-dir:{path}")
    (path / "config.json").write_text('{"architecture": "test_vit"}')
    (path / "model.safetensors").unlink()
    with pytest.raises(ClaimsError, match=r"has no model\.safetensors"):
        resolve(f"local-dir:{path}")
