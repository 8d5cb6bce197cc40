"""Models from a function of one's own: taken out of what wraps them where that changes nothing, else refused."""

import sys
from types import SimpleNamespace

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from harness.errors import ClaimsError, UnsupportedModel
from harness.models.factories import unwrapped
from harness.models.zoo import resolve

SHAPE = {"img_size": 16, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 2, "num_classes": 5}


def plain() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_vit", num_classes=7).eval()


class Holder(nn.Module):
    def __init__(self, inner: nn.Module, name: str = "model", scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        setattr(self, name, inner)
        self.held = name

    def forward(self, images):
        return self.scale * getattr(self, self.held)(images)


class Softmax(Holder):
    def forward(self, images):
        return super().forward(images).softmax(dim=1)


class Tuple(Holder):
    def forward(self, images):
        return super().forward(images), None


class Same(VisionTransformer):
    """A subclass that overrides nothing that matters in evaluation."""


class Doubled(VisionTransformer):
    def forward_head(self, x, pre_logits=False):
        return 2 * super().forward_head(x, pre_logits)


class Optimized(Holder):
    """As torch.compile wraps a module: compiling one takes a minute."""

    def __init__(self, inner):
        super().__init__(inner, "_orig_mod")


@pytest.mark.parametrize(
    "wrap",
    [lambda one: one, nn.DataParallel, Holder, Optimized, lambda one: Holder(Optimized(one), "net")],
    ids=["itself", "data parallel", "held", "compiled", "held compiled"],
)
def test_wrappers_that_change_nothing_come_off(wrap):
    inner = plain()
    assert unwrapped(wrap(inner)) is inner


def test_a_subclass_that_answers_the_same_is_read_as_what_it_is_a_subclass_of():
    model = Same(**SHAPE)
    found = unwrapped(model)
    assert type(found) is VisionTransformer
    assert type(model) is Same, "the model itself is left as it was"
    assert found.blocks[0].attn.qkv.weight is model.blocks[0].attn.qkv.weight


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (lambda: Softmax(plain()), r"Softmax holds as \.model a VisionTransformer but its answers differ by up to"),
        (lambda: Tuple(plain()), r"Tuple holds .* answers tuple where that answers \[2, 7\]"),
        (lambda: Holder(plain(), scale=1.001), "its answers differ"),
        (lambda: Doubled(**SHAPE), "Doubled is a subclass of VisionTransformer but its answers differ"),
    ],
)
def test_wrappers_that_change_the_answer_are_refused_with_what_to_give_instead(model, told):
    with pytest.raises(UnsupportedModel, match=f"{told}.*; allowed: that model itself, or a"):
        unwrapped(model())


def test_what_holds_no_model_that_can_be_read_is_left_to_the_adapters():
    model = Holder(nn.Linear(2, 2))
    assert unwrapped(model) is model


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda needed: None, "raised TypeError: .*missing 1 required positional argument: 'needed'"),
        (lambda: None, "returned NoneType, neither an nn.Module nor a Subject"),
        (lambda: sys.exit(3), "raised SystemExit: 3"),
    ],
)
def test_a_factory_that_fails_is_told_in_one_line(monkeypatch, function, told):
    monkeypatch.setitem(sys.modules, "someones_models", SimpleNamespace(make=function))
    with pytest.raises(ClaimsError, match=told) as raised:
        resolve("someones_models:make")
    assert "\n" not in str(raised.value)


class Adapted(nn.Module):
    """A layer beside which another one was put, as LoRA does."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, stream):
        return self.layer(stream)


def test_a_model_whose_layers_were_replaced_is_not_blamed_on_its_factory(monkeypatch):
    model = plain()
    model.blocks[0].attn.qkv = Adapted(model.blocks[0].attn.qkv)
    monkeypatch.setitem(sys.modules, "someones_models", SimpleNamespace(make=lambda: model))
    with pytest.raises(
        UnsupportedModel, match=r"VisionTransformer that .* returned cannot be read: .*merge them first"
    ):
        resolve("someones_models:make")


def test_a_wrapped_model_of_a_factory_is_asked_as_the_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "someones_models", SimpleNamespace(make=lambda: nn.DataParallel(plain())))
    card = resolve("someones_models:make").load().card
    assert (card.arch, card.classes) == ("VisionTransformer", 7)
