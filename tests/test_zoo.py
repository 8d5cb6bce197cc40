"""Names lead to exact weights, or to a refusal with the nearest match before anything is loaded."""

import socket

import pytest
import torch
import yaml
from torch import nn

from harness.errors import ClaimsError, UnsupportedModel
from harness.models import zoo as models
from harness.models.subject import Subject
from harness.models.zoo import EMBEDDED, missing_weights, resolve, zoo
from harness.running.options import parse
from harness.running.preflight import check_models

SMALL = "test_vit.r160_in1k"  # the smallest transformer in timm, 0.4 M parameters
UNREADABLE = "gemma4_vit_167m_enc"  # takes and gives more than one tensor
FACTORY_MODULE = """
import timm, torch
from timm.models.vision_transformer import VisionTransformer
from harness.models.families import adapt
number = 3
def tiny():
    return VisionTransformer(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=2, num_classes=5)
def subject():
    return adapt(tiny(), name="mine", arch="mine", pretrained=True)
def text():
    return "no model"
def broken():
    return torch.nn.Linear(2, 2)
"""


@pytest.fixture
def factories(monkeypatch, tmp_path):
    (tmp_path / "my_models.py").write_text(FACTORY_MODULE)
    (tmp_path / "half_models.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def test_an_alias_means_one_full_tag():
    entry = resolve("vit_b16")
    assert (entry.name, entry.resolved) == ("vit_b16", "vit_base_patch16_224.orig_in21k_ft_in1k")
    assert (entry.kind, entry.data, entry.note) == ("timm", "imagenet-1k", "")
    assert entry.card.preprocessing.crop == 0.9
    assert entry.card.arch == entry.resolved


def test_a_bare_name_is_taken_at_its_default_tag_and_says_so():
    entry = resolve("vit_base_patch16_224")
    assert entry.name == entry.resolved == entry.card.name == "vit_base_patch16_224.augreg2_in21k_ft_in1k"
    assert "has no tag" in entry.note
    assert entry.resolved in entry.note
    assert resolve(entry.resolved).note == ""


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("vit_b61", "vit_b16"),
        ("tinyvit", "tiny_vit"),
        ("vit_base_patch16_224.orig_in21k_ft_in1", "vit_base_patch16_224.orig_in21k_ft_in1k"),
        ("resnet500", "resnet50"),
        ("deit_small_patch16_224.fb_in22k", "deit_small_patch16_224.fb_in1k"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_match(text, nearest):
    with pytest.raises(ClaimsError, match=rf"unknown model '{text}' in --model.*Did you mean.*'{nearest}'"):
        resolve(text)


def test_resolving_reads_no_weight_file_and_asks_no_network(monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("resolve() must not load")

    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", forbidden)
    for text in ("vit_b16", SMALL, "tiny_vit"):
        assert resolve(text).card.parameters > 0


def test_the_zoo_lists_the_embedded_models_and_every_alias():
    names = [entry.name for entry in zoo()]
    assert names == [*EMBEDDED, *yaml.safe_load(models.ZOO_FILE.read_text())]
    assert {"tiny_vit", "tiny_resnet"} <= set(EMBEDDED)
    assert len(names) == len(set(names)) > 15
    assert {entry.data for entry in zoo()[: len(EMBEDDED)]} == {"embedded"}


def test_random_weights_are_the_same_every_time_and_take_any_number_of_classes():
    entry = resolve(SMALL, pretrained=False, classes=10)
    first, second = entry.load(), entry.load()
    assert first.weights_hash() == second.weights_hash()
    assert first.card == entry.card
    assert not entry.card.pretrained
    assert entry.card.classes == 10
    assert (entry.name, entry.data, missing_weights(entry)) == (f"{SMALL}@untrained-0", None, None)
    assert "random weights of seed 0" in entry.note
    assert resolve("tiny_vit", pretrained=False, classes=3).load().card.classes == 3


def test_pretrained_weights_keep_their_own_labels():
    with pytest.raises(ClaimsError, match=r"classes=10 for 'vit_b16'.*labels of their own"):
        resolve("vit_b16", classes=10)


def test_an_entry_loads_in_the_asked_dtype():
    subject = resolve("tiny_vit", pretrained=False).load("cpu", torch.bfloat16)
    stream = subject.start(torch.zeros(1, 3, 32, 32))
    assert stream.tokens.dtype == torch.bfloat16


def test_embedded_models_without_weights_say_how_to_train_them(monkeypatch, tmp_path):
    monkeypatch.setattr(models.fixture_zoo, "WEIGHTS", tmp_path)
    entry = resolve("tiny_vit")
    assert "python -m harness.fixtures.train tiny_vit" in missing_weights(entry)
    with pytest.raises(ClaimsError, match=r"tiny_vit.*has no weights"):
        entry.load()


def test_factories_may_return_modules_and_subjects(factories):
    entry = resolve("my_models:tiny")
    assert entry.load().card == entry.card
    assert entry.card.classes == 5
    assert entry.kind == "factory"
    assert resolve("my_models:subject").card.name == "mine"
    assert isinstance(resolve("my_models:subject").load(), Subject)
    assert not resolve("my_models:tiny", pretrained=False).load().card.pretrained


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("my_model:tiny", "no module 'my_model'"),
        ("my_models:tini", "unknown factory 'tini' in my_models.*Did you mean 'tiny'"),
        ("my_models:number", "unknown factory 'number'"),
        ("my_models:text", "returned str, neither an nn.Module nor a Subject"),
        ("my_models:broken", "no family knows torch.nn.modules.linear.Linear"),
    ],
)
def test_factories_that_cannot_be_used_are_refused(factories, text, message):
    with pytest.raises(ClaimsError, match=message):
        resolve(text)


def test_a_missing_dependency_of_a_factory_is_named_and_what_python_says_stays_its_cause(factories):
    with pytest.raises(ClaimsError, match=r"raised ModuleNotFoundError: .*not_installed_anywhere") as told:
        resolve("half_models:tiny")
    assert isinstance(told.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize("text", ["json:loads", "sys:exit", "os:abs", ".:x", "..a:b", "a:b:c", "json:", ":x"])
def test_what_is_no_factory_is_told_in_one_line(text):
    with pytest.raises(ClaimsError) as told:
        resolve(text)
    assert len(str(told.value).splitlines()) == 1
    assert text.partition(":")[0] in str(told.value)


def test_a_model_that_no_family_reads_is_refused_before_its_weights():
    with pytest.raises(UnsupportedModel, match="nowhere in the forward pass of Gemma4VitEncoder is there one tensor"):
        resolve(UNREADABLE)


def test_modules_come_in_evaluation_mode():
    assert not any(module.training for module in resolve("tiny_vit", pretrained=False).load().model.modules())
    assert isinstance(resolve("tiny_vit", pretrained=False).build(), nn.Module)


@pytest.mark.parametrize("before", ["timm/", "hf-hub:timm/", "hf_hub:timm/"])
def test_names_of_timms_hub_mean_its_models(before):
    name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    assert resolve(f"{before}{name}").resolved == name
    assert resolve(f"{before}vit_tiny_patch16_224").resolved == resolve("vit_tiny_patch16_224").resolved


def test_a_model_that_cannot_be_read_takes_no_other_down():
    entries, left_out = check_models(parse({"model": ["tiny_vit", UNREADABLE]}, {}))
    assert [*entries] == ["tiny_vit"]
    assert len(left_out) == 1
    assert f"{UNREADABLE} is left out: nowhere in the forward pass" in left_out[0]
    with pytest.raises(ClaimsError, match="nowhere in the forward pass"):
        check_models(parse({"model": [UNREADABLE]}, {}))
    with pytest.raises(ClaimsError, match="unknown model 'tiny_vti'"):
        check_models(parse({"model": ["tiny_vit", "tiny_vti"]}, {}))
