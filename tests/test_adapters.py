"""What adapters say and do beyond the common contract: LayerScale, late class tokens, projections, fresh weights."""

import pytest
import timm
import torch
from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.eva import Eva
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from harness.errors import ClaimsError
from harness.models.families import adapt, card_of
from harness.models.subject import Preprocessing, Stream
from harness.models.weights import fresh_copy, hash_weights

TOKENS = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "num_classes": 7, "depth": 3, "num_heads": 2}


def subject_of(model, **changes):
    return adapt(model, **{"name": "model", "arch": "model", "pretrained": False} | changes)


def pictures(size=32):
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def run_to(subject, last):
    stream = subject.start(pictures())
    for block in range(last):
        stream = subject.step(block, stream)
    return stream


def meta(name, **changes):
    with torch.device("meta"):
        return timm.create_model(name, **changes)


@pytest.mark.parametrize(
    ("model", "attention_of", "scales"),
    [
        (VisionTransformer(**TOKENS, init_values=1e-5), lambda block: block.attn, ("ls1.gamma", "ls2.gamma")),
        (Beit(**TOKENS, init_values=0.1, use_rel_pos_bias=True), lambda block: block.attn, ("gamma_1", "gamma_2")),
        (Eva(**TOKENS, init_values=0.1), lambda block: block.attn, ("gamma_1", "gamma_2")),
        (Cait(**TOKENS), lambda block: block.attn, ("gamma_1", "gamma_2")),
    ],
    ids=["vit", "beit", "eva", "cait"],
)
def test_writes_are_scaled_by_layerscale(model, attention_of, scales):
    subject = subject_of(model)
    for name, parameter in model.named_parameters():
        if name.endswith(scales):
            nn.init.constant_(parameter, 0.5)
    raw = {}
    handles = [
        model.blocks[1].attn.register_forward_hook(lambda *call: raw.update(attention=call[-1].detach())),
        model.blocks[1].mlp.register_forward_hook(lambda *call: raw.update(mlp=call[-1].detach())),
    ]
    stream = run_to(subject, 1)
    subject.step(1, stream)
    for handle in handles:
        handle.remove()
    writes, patches = subject.writes(1, stream), slice(1, None)
    for branch, write in (("attention", writes.attention), ("mlp", writes.mlp)):
        torch.testing.assert_close(write[:, patches], 0.5 * raw[branch][:, -16:])
        assert not torch.allclose(write[:, patches], raw[branch][:, -16:])


def test_the_class_token_of_cait_is_a_constant_until_the_block_where_it_enters():
    subject = subject_of(Cait(**TOKENS, depth_token_only=2))
    assert subject.card.depth == 5
    assert subject.card.prefix == ("class",)
    for needs in (("class_token",), ("class_readout",)):
        assert "only at block 3" in subject.card.missing(needs)
    constant = subject.model.cls_token.expand(2, -1, -1)
    assert torch.equal(run_to(subject, 3).tokens[:, :1], constant)
    assert not torch.equal(run_to(subject, 4).tokens[:, :1], constant)
    assert torch.equal(run_to(subject, 5).tokens[:, 1:], run_to(subject, 3).tokens[:, 1:])


def test_downsampling_belongs_to_the_first_block_of_its_stage():
    swin = subject_of(
        SwinTransformer(
            img_size=32, patch_size=2, embed_dim=16, depths=(2, 2), num_heads=(1, 2), window_size=4, num_classes=7
        )
    )
    assert [tuple(run_to(swin, last).tokens.shape[1:]) for last in range(5)] == [
        (16, 16, 16), (16, 16, 16), (16, 16, 16), (8, 8, 32), (8, 8, 32),
    ]  # fmt: skip
    resnet = subject_of(
        ResNet(BasicBlock, [1, 2, 1, 1], channels=(8, 16, 16, 24), num_classes=7),
        preprocessing=Preprocessing(size=(32, 32), mean=(0.5,) * 3, std=(0.5,) * 3),
    )
    assert [run_to(resnet, last).tokens.shape[1] for last in range(6)] == [64, 8, 16, 16, 16, 24]


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("vit_base_patch32_clip_224.openai", 0),
        ("vit_base_patch32_clip_224.laion2b", 0),
        ("vit_base_patch32_clip_224.openai_ft_in1k", 1000),
        ("eva02_base_patch16_clip_224.merged2b", 0),
        ("convnext_large_mlp.clip_laion2b_ft_320", 0),
        ("convnext_base.clip_laion2b_augreg_ft_in1k", 1000),
        ("vit_base_patch16_siglip_224.webli", 0),
        ("vit_base_patch14_dinov2.lvd142m", 0),
        ("vit_base_patch16_224_miil.in21k", 11221),
    ],
)
def test_a_projection_into_a_text_embedding_is_no_head(name, classes):
    card = card_of(meta(name), name=name, arch=name, pretrained=True)
    assert card.classes == classes
    assert ("head" in card.capabilities) == (classes > 0)
    assert (card.native == "none") == (classes == 0)
    if "clip" in name and not classes:
        assert "projection" in card.missing(("head",))
    assert card.chance == pytest.approx(1 / classes) if classes else card.chance != card.chance


def test_a_text_tower_that_was_given_classes_of_its_own_has_a_head():
    model = meta("vit_base_patch32_clip_224.openai", num_classes=10)
    assert card_of(model, name="tuned", arch="clip", pretrained=True).classes == 10


def test_distilled_models_read_single_tokens_by_the_class_head():
    subject = subject_of(timm.create_model("deit_tiny_distilled_patch16_224", img_size=32, depth=2, num_classes=7))
    features = subject.normed(run_to(subject, 2))[:, 1]
    assert torch.equal(subject.token_logits(features), subject.model.head(features))
    assert not torch.allclose(subject.token_logits(features), subject.model.head_dist(features))


def test_an_unknown_class_is_refused_with_the_supported_ones():
    with pytest.raises(ClaimsError, match=r"no family knows torch\.nn\.modules\.linear\.Linear, and to be followed"):
        adapt(nn.Linear(2, 2), name="linear", arch="linear", pretrained=False)


def test_a_subclass_is_followed_by_its_data_flow_since_its_forward_pass_may_differ():
    class Changed(VisionTransformer):
        def forward_features(self, x, **_):
            return super().forward_features(x) * 2

    made = Changed(**TOKENS).eval()
    subject = subject_of(made)
    assert "class_token" not in subject.card.capabilities, "what the class of its parent says is not taken over"
    images = torch.randn(2, 3, *subject.card.preprocessing.size)
    stream = subject.start(images)
    for block in range(subject.card.depth):
        stream = subject.step(block, stream)
    torch.testing.assert_close(subject.logits(stream), made(images))


def test_a_classifier_that_does_not_pool_is_refused():
    with pytest.raises(ClaimsError, match="global_pool='' does not pool"):
        subject_of(VisionTransformer(**TOKENS, global_pool=""))


@pytest.mark.parametrize(
    "model",
    [Eva(**TOKENS, use_rot_pos_emb=True), Beit(**TOKENS, use_shared_rel_pos_bias=True)],
    ids=["rotary angles", "shared position bias"],
)
def test_a_stream_that_lost_what_its_blocks_need_is_refused(model, request):
    subject = subject_of(model)
    with pytest.raises(ClaimsError, match=request.node.callspec.id):
        subject.step(0, Stream(subject.start(pictures()).tokens))


def test_a_part_of_the_tokens_runs_alone_where_positions_are_in_the_stream():
    subject = subject_of(VisionTransformer(**TOKENS, reg_tokens=2))
    stream = run_to(subject, 1)
    prefix = stream.with_tokens(stream.tokens[:, :3])
    apart = torch.block_diag(torch.ones(3, 3), torch.ones(16, 16)).bool()
    torch.testing.assert_close(subject.step(1, prefix).tokens, subject.step(1, stream, apart).tokens[:, :3])


def test_dropout_is_off():
    model = VisionTransformer(**TOKENS, pos_drop_rate=0.5, proj_drop_rate=0.5, attn_drop_rate=0.5, drop_path_rate=0.5)
    subject = subject_of(model.train())
    assert torch.equal(run_to(subject, 3).tokens, run_to(subject, 3).tokens)


def test_fresh_weights_keep_nothing_and_move_no_random_state():
    model = ResNet(BasicBlock, [1, 1, 1, 1], channels=(8, 16, 16, 24), num_classes=7)
    model.train()(pictures(64))
    state = torch.get_rng_state()
    twin = fresh_copy(model, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(twin.bn1.running_mean, torch.zeros(64))
    assert not twin.training
    assert model.training
    assert hash_weights(twin) == hash_weights(fresh_copy(twin, seed=5)), "what was learned before plays no role"


def test_fresh_weights_reach_parameters_that_no_initializer_knows():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma, self.some_bias = nn.Parameter(torch.full((4,), 1e-6)), nn.Parameter(torch.ones(4))
            self.cls_token, self.table = nn.Parameter(torch.ones(1, 1, 4)), nn.Parameter(torch.ones(3, 4))

    twin = fresh_copy(Odd(), seed=0)
    assert torch.equal(twin.gamma, torch.ones(4))
    assert torch.equal(twin.some_bias, torch.zeros(4))
    assert twin.cls_token.std() > 0
    assert 0 < twin.table.abs().max() < 0.1


def test_a_twin_with_layerscale_still_listens_to_its_pictures():
    twin = subject_of(VisionTransformer(**TOKENS, init_values=1e-5)).untrained(0)
    answers = twin.logits(run_to(twin, 3))
    assert answers.std(dim=0).mean() > 0.05 * answers.std(dim=1).mean()


def test_the_hash_covers_names_shapes_dtypes_bytes_and_the_architecture():
    model = nn.Linear(2, 1, bias=False)
    nn.init.ones_(model.weight)
    renamed, reshaped = nn.Sequential(model), nn.Linear(1, 2, bias=False)
    reshaped.weight.data = torch.ones(2, 1)
    hashes = [hash_weights(model), hash_weights(renamed), hash_weights(reshaped)]
    hashes += [hash_weights(model.double()), hash_weights(nn.Sequential(model, nn.GELU()))]
    hashes += [
        hash_weights(nn.Sequential(model, nn.GELU(approximate="tanh"))),
        hash_weights(nn.Sequential(model, nn.ReLU())),
    ]
    model.weight.data[0, 0] = 2.0
    assert len({*hashes, hash_weights(model)}) == len(hashes) + 1


def test_the_hash_sees_the_number_of_heads_and_not_how_attention_is_computed():
    hashes = []
    for heads in (2, 4):
        torch.manual_seed(0)
        hashes.append(hash_weights(VisionTransformer(**{**TOKENS, "num_heads": heads})))
    assert len(set(hashes)) == 2
    torch.manual_seed(0)
    explicit = VisionTransformer(**{**TOKENS, "num_heads": 4})
    for block in explicit.blocks:
        block.attn.fused_attn = False
    assert hash_weights(explicit) == hashes[1]


def test_preprocessing_is_read_from_the_timm_configuration_and_the_built_size():
    card = card_of(meta("vit_base_patch16_224.augreg_in21k_ft_in1k", img_size=64), name="m", arch="m", pretrained=True)
    assert card.preprocessing == Preprocessing(size=(64, 64), mean=(0.5,) * 3, std=(0.5,) * 3, crop=0.9)
    other = card_of(meta("resnet50.a1_in1k"), name="m", arch="m", pretrained=True).preprocessing
    assert other.size == (224, 224)
    assert other.mean == (0.485, 0.456, 0.406)
    assert other.interpolation == "bicubic"


def test_a_lens_on_a_half_precision_trunk_is_projected_in_full_precision():
    subject = subject_of(VisionTransformer(**TOKENS).bfloat16())
    features = torch.randn(3, subject.card.width)
    weight, bias = subject.model.head.weight.float(), subject.model.head.bias.float()
    assert torch.allclose(subject.token_logits(features), features @ weight.T + bias, atol=1e-6)
