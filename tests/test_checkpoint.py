"""Local checkpoints come back bit for bit, or are refused with what is wrong and the cure."""

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
