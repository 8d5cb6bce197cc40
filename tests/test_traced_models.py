"""Models that no family knows are read by their data flow: where they are cut, what units are, what is refused."""

from functools import cache, partial

import pytest
import timm
import torch
from timm.models.crossvit import CrossVit
from timm.models.densenet import DenseNet
from timm.models.metaformer import MetaFormer
from timm.models.regnet import RegNet, RegNetCfg
from timm.models.resnest import ResNestBottleneck
from timm.models.resnet import ResNet
from timm.models.swin_transformer_v2 import SwinTransformerV2
from timm.models.vgg import VGG
from torch import Tensor, nn

from harness.errors import ClaimsError, UnsupportedModel
from harness.models.calls import Count
from harness.models.contract import subject_checks
from harness.models.factories import unwrapped
from harness.models.families import adapt, card_of, traced
from harness.models.self_check import check_subject
from harness.models.tracing import calls_of, known_sizes, trace

SIZE = 64


def sized(make, **changes) -> nn.Module:
    """Build a small model for pictures of 64 x 64 pixels."""
    model = make(num_classes=7, **changes)
    model.pretrained_cfg = {"input_size": (3, SIZE, SIZE), "num_classes": 7}
    return model


class Plain(nn.Module):
    """A network of one's own: two blocks in a list, one of them with a branch, and a shape that counts pictures."""

    def __init__(self, num_classes: int = 7) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(inplace=True)) for _ in "ab")
        self.fc = nn.Linear(8, num_classes)

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            count, channels = x.shape[:2]
            x = x + block(x).view(count, channels, *x.shape[2:])
        return self.fc(x.reshape(x.shape[0], 8, -1).mean(2))


class InPlace(Plain):
    """The same, but its blocks begin by writing into what enters them."""

    def __init__(self, num_classes: int = 7) -> None:
        super().__init__(num_classes)
        self.blocks = nn.ModuleList(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(8, 8, 1)) for _ in "ab")

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks[1](self.blocks[0](self.stem(x))).mean((2, 3)))


class Forking(Plain):
    """The same, but what leaves the stem is needed at the end too: nowhere does one tensor say it all."""

    def forward(self, x: Tensor) -> Tensor:
        first = self.stem(x)
        x = self.blocks[1](self.blocks[0](first))
        return self.fc((x + first).mean((2, 3)))


class Deciding(Plain):
    """The same, but its course depends on what is in the pictures."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.mean() > 0 else -x)


SMALL = {
    "a network of one's own": partial(sized, Plain),
    "a network that writes in place": partial(sized, InPlace),
    "a network that forks": partial(sized, Forking),
    "regnet": partial(sized, RegNet, cfg=RegNetCfg(w0=8, wa=8.0, wm=2.0, group_size=8, depth=7)),
    "vgg": partial(sized, VGG, cfg=[8, "M", 8, 8, "M", 16, "M"], mlp_ratio=0.01),
    "densenet": partial(sized, DenseNet, growth_rate=4, block_config=(1, 2)),
    "resnest": partial(
        sized,
        ResNet,
        block=ResNestBottleneck,
        layers=[1, 1, 1, 1],
        channels=(8, 8, 16, 16),
        block_args={"radix": 2, "avd": True},
    ),
    "swin v2": partial(
        sized, SwinTransformerV2, img_size=SIZE, embed_dim=16, depths=(1, 2), num_heads=(1, 2), window_size=4
    ),
    "metaformer": partial(sized, MetaFormer, depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)),
    "crossvit": partial(
        sized,
        CrossVit,
        img_size=SIZE,
        embed_dim=(16, 32),
        depth=((1, 1, 0),),
        num_heads=(2, 2),
        mlp_ratio=(1.0, 1.0, 1),
    ),
    **{
        name: partial(timm.create_model, name)
        for name in ("test_byobnet", "test_coatnet", "test_efficientnet", "test_efficientnet_evos", "test_mambaout")
    },
    "test_nfnet": partial(timm.create_model, "test_nfnet"),
}
BLOCKS = {  # of each: how many, and the first and the last
    "a network of one's own": (2, "", ""),
    "regnet": (7, "s1.b1", "s4.b2"),
    "vgg": (3, "features.4", "features.9"),
    "densenet": (3, "features.denseblock1", "features.denseblock2"),
    "resnest": (4, "layer1.0", "layer4.0"),
    "swin v2": (3, "layers.0.blocks.0", "layers.1.blocks.1"),
    "metaformer": (4, "stages.0.blocks.0", "stages.3.blocks.0"),
    "crossvit": (1, "", ""),
    "test_byobnet": (4, "stages.0.0", "stages.3.0"),
}


@cache
def subject_of(name: str):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return adapt(SMALL[name](), name=name, arch=name, pretrained=False)


@pytest.mark.parametrize("name", SMALL)
def test_a_traced_model_keeps_the_contract(name):
    assert subject_of(name).family is traced.FAMILY
    for check in subject_checks(subject_of(name)):
        check()


@pytest.mark.parametrize("name", BLOCKS)
def test_a_forward_pass_is_cut_behind_its_blocks(name):
    depth, first, last = BLOCKS[name]
    steps = traced.reading_of(subject_of(name).model).flow.steps
    assert (len(steps), steps[0].block, steps[-1].block) == (depth, first, last)


def test_units_are_the_channels_that_leave_the_last_nonlinearity():
    """In a network of one's own whose first block is known: a rectified convolution of what the stem gives."""
    subject = subject_of("vgg")
    stream = subject.start(pictures())
    _, inner = subject.watch(0, stream, ("units",))
    by_hand = subject.model.features[2:5](stream.tokens)
    assert torch.equal(inner["units"], by_hand.flatten(2).transpose(1, 2))
    assert (inner["units"] >= 0).all()


def test_units_behind_a_gate_are_read_where_the_next_layer_reads_them():
    subject = subject_of("test_mambaout")
    blocks = subject.card.depth
    read = traced.reading_of(subject.model).units
    assert isinstance(read, tuple)
    assert [(place.path.rpartition(".")[2], place.at, place.last) for place in read] == [
        ("fc2", "input", True)
    ] * blocks


def test_a_model_on_the_meta_device_has_the_card_of_one_with_weights():
    with torch.device("meta"):
        bare = timm.create_model("test_byobnet")
    asked = {"name": "test_byobnet", "arch": "test_byobnet", "pretrained": False}
    assert card_of(bare, **asked) == subject_of("test_byobnet").card


def test_numbers_that_count_pictures_are_told_from_sizes():
    known = known_sizes(Plain().eval())
    calls = calls_of(*(trace(known, (3, SIZE, SIZE), {"blocks"}, pictures) for pictures in (2, 3)))
    views = [call.args for call in calls if call.target == "view"]
    assert views[0][1:] == (Count(0, 1), 8, 16, 16)


def test_a_chain_runs_on_other_numbers_of_pictures_than_it_was_traced_with():
    subject = subject_of("a network of one's own")
    for count in (1, 5):
        stream = subject.start(pictures(count))
        for block in range(subject.card.depth):
            stream = subject.step(block, stream)
        assert torch.equal(subject.logits(stream), subject.model(pictures(count)))


def test_a_model_without_a_place_to_resume_from_is_one_block():
    flow = traced.reading_of(subject_of("a network that forks").model).flow
    assert len(flow.steps) == 1
    assert "more than one tensor" in subject_of("a network that forks").card.missing(("patch_tokens",))


def test_attention_of_channels_is_no_attention_and_that_of_places_is_no_convolution():
    kinds = {name: subject_of(name).card.capabilities & {"convolution", "attention"} for name in SMALL}
    assert kinds["resnest"] == kinds["test_byobnet"] == kinds["vgg"] == {"convolution"}
    assert kinds["swin v2"] == kinds["test_coatnet"] == kinds["crossvit"] == set()
    assert "WindowAttention" in subject_of("swin v2").card.missing(("convolution",))
    assert subject_of("swin v2").card.missing(("attention",)).startswith("the blocks attend, but")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (lambda: sized(Deciding), "Deciding cannot be followed by sizes alone"),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()),
            "Sequential, and to be followed by its data flow",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused_with_the_reason(model, told):
    with pytest.raises(UnsupportedModel, match=told):
        adapt(model(), name="m", arch="m", pretrained=False)


class Scaled(Plain):
    """The same with a factor that is no weight: a trace holds the one that there was."""

    factor = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.factor


@pytest.mark.parametrize(("classes", "what"), [(7, "logits"), (0, "outputs")])
def test_a_chain_that_is_not_the_model_is_refused_also_without_a_head(classes, what):
    model = sized(Scaled)
    model.num_classes = classes
    subject = adapt(model, name="m", arch="m", pretrained=False)
    check_subject(subject)
    model.factor = 2.0
    with pytest.raises(ClaimsError, match=f"its chain of blocks is not the model: {what} differ"):
        check_subject(subject)


def test_weights_are_read_when_a_chain_runs_and_not_when_it_was_traced():
    model = sized(Plain)
    subject = adapt(model, name="m", arch="m", pretrained=False)
    with torch.no_grad():
        model.fc.bias.add_(1)
    check_subject(subject)


def pictures(count: int = 2) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def test_a_traced_model_is_taken_out_of_what_wraps_it():
    model = timm.create_model("test_byobnet").eval()
    assert unwrapped(nn.DataParallel(model)) is model
