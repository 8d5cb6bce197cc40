"""A broken model, or one that is not what its card says, is refused when it is loaded: no verdict on it."""

import copy
import types

import pytest
import timm
import torch
from torch import nn

from harness.errors import ClaimsError
from harness.fixtures import zoo as fixture_zoo
from harness.measurement.plan import Arm, Plan, level
from harness.measurement.runner import run
from harness.models.chain import ChainSubject
from harness.models.families import adapt
from harness.models.finite import NotFiniteError, refuse_not_finite
from harness.models.self_check import check_subject
from harness.models.zoo import EMBEDDED, resolve
from support.claims import bench, job
from support.planted import Planted

NAN, INF = float("nan"), float("inf")


def small(name: str = "test_vit", **changes) -> nn.Module:
    return timm.create_model(name, pretrained=False, **changes).eval()


def subject(model: nn.Module) -> ChainSubject:
    return adapt(model, name="broken", arch="broken", pretrained=False)


def poisoned(name: str, tensor: str, value: float) -> nn.Module:
    model = fixture_zoo.build(name)
    with torch.no_grad():
        model.state_dict()[tensor].flatten()[3] = value
    return model


BROKEN_TENSORS = [
    ("tiny_vit", "blocks.0.mlp.fc2.weight", NAN),
    ("tiny_vit", "blocks.3.attn.qkv.weight", NAN),
    ("tiny_vit", "blocks.11.norm1.weight", INF),
    ("tiny_vit", "cls_token", NAN),
    ("tiny_vit", "pos_embed", -INF),
    ("tiny_vit", "head.bias", NAN),
    ("tiny_deit", "head_dist.weight", INF),
    ("tiny_resnet", "layer1.0.bn1.running_var", NAN),
    ("tiny_swin", "layers.0.blocks.0.mlp.fc1.bias", INF),
    ("tiny_mixer", "blocks.0.mlp_tokens.fc1.weight", NAN),
]


@pytest.mark.parametrize(("name", "tensor", "value"), BROKEN_TENSORS)
def test_weights_that_are_not_finite_are_refused_by_the_names_of_their_tensors(name, tensor, value):
    model = poisoned(name, tensor, value)
    with pytest.raises(ClaimsError, match=f"not finite: NaN or infinity in 1 tensor.*'{tensor}'.*half precision"):
        check_subject(subject(model))


def patched_forward(model: nn.Module) -> nn.Module:
    model.forward = types.MethodType(lambda self, x: 2 * type(self).forward(self, x), model)
    return model


def patched_block(model: nn.Module) -> nn.Module:
    """Skip a block where only the model's own forward would notice."""
    inner = model.forward_features
    model.forward_features = lambda x, **options: inner(x, **options).flip(1)
    return model


def with_head(model: nn.Module, head: nn.Module) -> nn.Module:
    model.head = head
    return model


def with_width_of_mlp(model: nn.Module) -> nn.Module:
    """Give a block more units after the card is made of the first one."""
    model.blocks[1].mlp = copy.deepcopy(model.blocks[1].mlp)
    width = model.embed_dim
    model.blocks[1].mlp.fc1, model.blocks[1].mlp.fc2 = nn.Linear(width, 100), nn.Linear(100, width)
    return model


def told_of_other_units(model: nn.Module) -> nn.Module:
    model.layer1[0].conv2.out_channels = 7
    return model


def overflowing(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        model.blocks[0].mlp.fc2.weight.fill_(1e38)
        model.blocks[0].mlp.fc2.bias.fill_(3e38)
    return model


class Centred(nn.Module):
    """Subtract the mean over the batch, in evaluation too."""

    def forward(self, x):
        return x - x.mean(dim=0)


CHANGED = {
    "answers that depend on the batch": (
        lambda: with_head(small(), nn.Sequential(Centred(), nn.Linear(64, 1000))),
        "the answer to a picture depends on the others of its batch",
    ),
    "a forward that was replaced": (lambda: patched_forward(small()), "its chain of blocks is not the model: logits"),
    "features that were replaced": (lambda: patched_block(small()), "its chain of blocks is not the model: logits"),
    "a head of ten classes": (
        lambda: with_head(small(), nn.Linear(64, 10)),
        r"classes in the answer of its head: 1000 by its card, 10 when it runs",
    ),
    "no head where the card has one": (
        lambda: with_head(small(), nn.Identity()),
        r"classes in the answer of its head: 1000 by its card, 64 when it runs",
    ),
    "pictures of one channel": (lambda: small(in_chans=1), r"channels of its pictures: 3 by its card, 1 when"),
    "pictures of five channels": (lambda: small(in_chans=5), r"channels of its pictures: 3 by its card, 5 when"),
    "a CNN of one channel": (lambda: small("test_resnet", in_chans=1), r"channels of its pictures: 3 .*, 1 when"),
    "a size that is padded": (
        lambda: small("vit_tiny_patch16_224", img_size=230, dynamic_img_pad=True, dynamic_img_size=True),
        r"tokens of the embedding \(1 prefix, 14 x 14 patches\): 197 by its card, 226 when it runs",
    ),
    "activations that overflow": (lambda: overflowing(small()), r"after block 0: NaN or infinity for 2 of 2 images"),
    "units that are others than said": (
        lambda: told_of_other_units(small("test_resnet")),
        r"units of block 0: 7 by its card",
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_model_that_is_not_what_its_card_says_is_refused_with_both_numbers(what):
    make, told = CHANGED[what]
    with pytest.raises(ClaimsError, match=told):
        check_subject(subject(make()))


def test_a_head_of_several_layers_is_no_head_of_single_tokens():
    model = with_head(small(), nn.Sequential(nn.Linear(64, 32), nn.GELU(), nn.Linear(32, 1000)))
    found = check_subject(subject(model))
    assert "head is a Sequential, not one linear layer" in found.card.missing(("token_head",))


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_model_passes(name):
    resolve(name).load()


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3", "test_resnet", "test_convnext", "test_vit4"])
def test_small_models_of_timm_pass(name):
    resolve(name, pretrained=False).load()


def test_a_checkpoint_with_a_nan_is_refused_before_anything_is_measured(tmp_path):
    from safetensors.torch import save_file

    weights = small().state_dict()
    weights["blocks.0.mlp.fc2.weight"][0, 0] = NAN
    save_file(weights, tmp_path / "broken.safetensors")
    entry = resolve(f"{tmp_path / 'broken.safetensors'},arch=test_vit")
    with pytest.raises(ClaimsError, match=r"'blocks\.0\.mlp\.fc2\.weight'"):
        entry.load()


class Poisoned(Planted):
    """A planted model whose stream is NaN for some pictures after block 2."""

    def step(self, block, stream, mask=None, renormalize=True):
        after = super().step(block, stream, mask, renormalize)
        if block == 2:
            after.tokens[5] = NAN
        return after


def test_nan_in_a_stream_is_never_a_verdict_and_names_picture_and_claim():
    plan = Plan(arms={"clean": Arm()}, effect=level("clean"))
    with pytest.raises(NotFiniteError, match=r"NaN or infinity for 1 of 32 images, first '.*', measured for the-claim"):
        run([job(plan, "the-claim")], bench(Poisoned()))


def test_what_is_finite_passes_also_where_its_sum_is_not():
    refuse_not_finite(torch.full((4, 100), 60000.0, dtype=torch.float16), "half")
    with pytest.raises(NotFiniteError, match=r"pattern: NaN or infinity for 2 of 3 images"):
        refuse_not_finite(torch.tensor([[1.0], [NAN], [INF]]), "pattern")


def test_infinities_that_cancel_are_seen():
    with pytest.raises(NotFiniteError):
        refuse_not_finite(torch.tensor([[INF, -INF]]), "stream")
