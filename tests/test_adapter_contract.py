"""Every model family keeps the contract of `harness.subject.Subject`; new zoo entries and families are checked as they are."""

from collections.abc import Callable
from functools import cache, partial

import pytest
import timm
import torch
from timm.layers import GatedMlp
from timm.models.beit import Beit
from timm.models.cait import Cait
from timm.models.convnext import ConvNeXt
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.mlp_mixer import MlpMixer, ResBlock, SpatialGatingBlock
from timm.models.resnet import BasicBlock, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import ParallelScalingBlock, ParallelThingsBlock, ResPostBlock, VisionTransformer
from timm.models.vision_transformer_relpos import ResPostRelPosBlock, VisionTransformerRelPos
from torch import Tensor, nn

from fixtures.recipes import RECIPES, construct
from harness.adapters import FAMILIES, adapt, card_of
from harness.errors import ClaimsError
from harness.models import EMBEDDED, aliases, missing_weights, resolve
from harness.subject import CAPABILITIES, Stream, Subject

COMMON = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "num_classes": 7}
TOKENS = COMMON | {"depth": 3, "num_heads": 2}
vit = partial(VisionTransformer, **TOKENS)
eva = partial(Eva, **TOKENS)
relpos = partial(VisionTransformerRelPos, **TOKENS)
mixer = partial(MlpMixer, **COMMON, num_blocks=3)
named = partial(timm.create_model, img_size=64, depth=2, embed_dim=48, num_heads=2)

MODELS: dict[str, Callable[[], nn.Module]] = {
    "vit": vit,
    "vit with explicit attention": lambda: _unfused(vit()),
    "deit distilled": partial(VisionTransformerDistilled, **TOKENS),
    "deit3": partial(vit, init_values=1e-5, no_embed_class=True),
    "dinov2 with registers": partial(vit, init_values=1e-5, reg_tokens=4, no_embed_class=True, num_classes=0),
    "clip tower": partial(named, "vit_base_patch32_clip_224.openai"),
    "clip tower with classes": partial(named, "vit_base_patch32_clip_224.openai_ft_in1k"),
    "average pool": partial(vit, class_token=False, global_pool="avg"),
    "average pool beside a class token": partial(vit, global_pool="avg", fc_norm=False),
    "average pool over the prefix too": partial(vit, global_pool="avg", pool_include_prefix=True),
    "register without class token": partial(vit, class_token=False, reg_tokens=1, global_pool="avg"),
    "max pool": partial(vit, class_token=False, global_pool="max"),
    "map pool": partial(vit, global_pool="map"),
    "res-post-norm": partial(vit, block_fn=ResPostBlock, init_values=1e-5, class_token=False, global_pool="avg"),
    "parallel branches": partial(vit, block_fn=ParallelThingsBlock, init_values=1e-4),
    "parallel scaling": partial(vit, block_fn=ParallelScalingBlock),
    "beit": partial(Beit, **TOKENS, use_rel_pos_bias=True, init_values=0.1),
    "beit with a shared bias": partial(Beit, **TOKENS, use_shared_rel_pos_bias=True, global_pool="token"),
    "eva": partial(eva, use_rot_pos_emb=False),
    "eva02": partial(eva, use_rot_pos_emb=True, swiglu_mlp=True, scale_mlp=True),
    "eva mixed rotary": partial(eva, use_rot_pos_emb=True, rope_type="mixed", init_values=1e-5, global_pool="token"),
    "eva post-norm": partial(eva, use_post_norm=True, use_rot_pos_emb=True),
    "dinov3": partial(named, "vit_small_patch16_dinov3"),
    "relative positions": partial(relpos, class_token=True),
    "relative positions shared": partial(relpos, shared_rel_pos=True, block_fn=ResPostRelPosBlock, fc_norm=True),
    "cait": partial(Cait, **TOKENS),
    "mixer": mixer,
    "resmlp": partial(mixer, block_layer=ResBlock, mlp_ratio=4),
    "gmlp": partial(mixer, block_layer=SpatialGatingBlock, mlp_layer=GatedMlp, mlp_ratio=4),
    "swin": partial(SwinTransformer, img_size=32, patch_size=2, embed_dim=16, depths=(1, 2, 1), num_heads=(1, 2, 2),
                    window_size=4, num_classes=7),
    "convnext": partial(ConvNeXt, depths=(1, 2, 1, 1), dims=(8, 16, 16, 24), num_classes=7),
    "resnet": partial(ResNet, BasicBlock, [1, 2, 1, 1], channels=(8, 16, 16, 24), num_classes=7),
    **{name: partial(timm.create_model, name) for name in ("test_vit", "test_vit2", "test_vit3", "test_vit4")},
    **{name: partial(timm.create_model, name) for name in ("test_resnet", "test_convnext")},
    **{f"{name} with its weights": resolve(name).build for name in EMBEDDED if not missing_weights(resolve(name))},
    **{f"{name} untrained": partial(construct, RECIPES[name]) for name in EMBEDDED},
}
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Run these tiny models on one thread: on a busy machine handing them out costs many times what they compute."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _unfused(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model


@cache
def subject_of(name: str) -> Subject:
    """Build the model; untrained weights move off their start, so that no scale, bias or branch is without effect."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = MODELS[name]()
        for parameter in model.parameters() if "weights" not in name else ():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return adapt(model, name=name, arch=name, pretrained=False)


@cache
def pictures_of(name: str) -> Tensor:
    size = subject_of(name).card.preprocessing.size
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@cache
def streams_of(name: str) -> tuple[Stream, ...]:
    """Give the streams before block 0 and after every block."""
    streams = [subject_of(name).start(pictures_of(name))]
    for block in range(subject_of(name).card.depth):
        streams.append(subject_of(name).step(block, streams[-1]))
    return tuple(streams)


def hooks_on(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@torch.no_grad()
def forward(model: nn.Module, images: Tensor, *, head: bool) -> Tensor:
    return model(images) if head else model.forward_features(images)


def can(name: str, capability: str) -> bool:
    return capability in subject_of(name).card.capabilities


@every_model
def test_the_chain_answers_bit_for_bit_as_the_models_own_forward(name):
    subject, last = subject_of(name), streams_of(name)[-1]
    if can(name, "head"):
        assert torch.equal(subject.logits(last), forward(subject.model, pictures_of(name), head=True))
        assert subject.logits(last).shape == (2, subject.card.classes)
    else:
        assert torch.equal(subject.normed(last), forward(subject.model, pictures_of(name), head=False))


@every_model
def test_resuming_from_the_stored_stream_of_any_block_gives_the_same_bits(name):
    streams = streams_of(name)
    for first in range(subject_of(name).card.depth):
        stream = streams[first].with_tokens(streams[first].tokens.clone())
        for block in range(first, subject_of(name).card.depth):
            stream = subject_of(name).step(block, stream)
        assert torch.equal(stream.tokens, streams[-1].tokens), f"resumed at block {first}"


@every_model
def test_no_step_changes_its_input_and_no_output_is_tracked(name):
    subject, images = subject_of(name), pictures_of(name).clone()
    stream = subject.start(images)
    assert torch.equal(images, pictures_of(name))
    for block in range(subject.card.depth):
        before = stream.tokens.clone()
        after = subject.step(block, stream)
        assert torch.equal(stream.tokens, before), f"block {block} wrote into its input"
        assert not after.tokens.requires_grad
        stream = after


@every_model
def test_writes_add_up_to_what_the_block_did(name):
    subject, streams = subject_of(name), streams_of(name)
    if not can(name, "writes"):
        with pytest.raises(ClaimsError, match="writes"):
            subject.writes(0, streams[0])
        return
    for block in range(subject.card.depth):
        writes = subject.writes(block, streams[block])
        rebuilt = streams[block].tokens + writes.attention + writes.mlp
        torch.testing.assert_close(rebuilt, streams[block + 1].tokens, atol=1e-5, rtol=1e-5)
        assert writes.attention.any() and writes.mlp.any()


@every_model
def test_masks_are_refused_or_do_what_they_say(name):
    subject, stream = subject_of(name), streams_of(name)[0]
    tokens = stream.tokens.shape[1]
    allowed = torch.ones(tokens, tokens, dtype=torch.bool)
    if not can(name, "attn_mask"):
        with pytest.raises(ClaimsError, match=r"attn_mask"):
            subject.step(0, stream, allowed)
        return
    torch.testing.assert_close(
        subject.step(0, stream, allowed).tokens, subject.step(0, stream).tokens, atol=1e-5, rtol=1e-5
    )
    empty_row = allowed.clone()
    empty_row[2] = False
    with pytest.raises(ClaimsError, match=r"rows \[2\] of the attention mask"):
        subject.step(0, stream, empty_row)
    for wrong in (allowed[1:], allowed[None], allowed.float()):
        with pytest.raises(ClaimsError, match="an attention mask .* is bool"):
            subject.step(0, stream, wrong)


@every_model
def test_a_block_diagonal_mask_isolates_the_first_token_in_every_block(name):
    subject = subject_of(name)
    if not can(name, "attn_mask"):
        pytest.skip(subject.card.missing(("attn_mask",)))
    for block, stream in enumerate(streams_of(name)[:-1]):
        tokens = stream.tokens.shape[1]
        apart = torch.block_diag(torch.ones(1, 1), torch.ones(tokens - 1, tokens - 1)).bool()
        edited = stream.tokens.clone()
        edited[:, 0] = 3 * torch.randn(subject.card.width, generator=torch.Generator().manual_seed(2))
        changed = subject.step(block, stream.with_tokens(edited), apart).tokens
        torch.testing.assert_close(changed[:, 1:], subject.step(block, stream, apart).tokens[:, 1:])
        assert not torch.allclose(subject.step(block, stream.with_tokens(edited)).tokens[:, 1:],
                                  subject.step(block, stream).tokens[:, 1:], atol=1e-4), "without mask it must leak"


@every_model
def test_nothing_stays_hooked_after_a_run_or_an_error(name):
    subject, stream = subject_of(name), streams_of(name)[0]
    with pytest.raises((ClaimsError, RuntimeError, ValueError)):
        subject.step(0, stream.with_tokens(stream.tokens.flatten(1)[:, :-1]))
    with pytest.raises(ClaimsError, match=f"block {subject.card.depth} of"):
        subject.step(subject.card.depth, stream)
    assert hooks_on(subject.model) == 0


@every_model
def test_pictures_of_another_size_are_refused(name):
    with pytest.raises(ClaimsError, match="pictures of"):
        subject_of(name).start(torch.zeros(1, 3, 40, 40))


@every_model
def test_the_card_is_the_same_without_weights(name):
    card = subject_of(name).card
    if "weights" in name:
        meta = resolve(name.split()[0]).card
        assert meta.named(name) == resolve(name.split()[0]).load().card.named(name)
        return
    with torch.device("meta"):
        model = MODELS[name]()
    assert card_of(model, name=name, arch=name, pretrained=False) == card


@every_model
def test_the_readout_named_by_the_card_is_what_the_answer_depends_on(name):
    subject, last = subject_of(name), streams_of(name)[-1]
    card = subject.card
    if card.grid is None or not can(name, "head"):
        assert card.native == ("none" if not can(name, "head") else "token pool")
        return
    kinds = [*card.prefix, *["patch"] * card.patches]
    read = set()
    for kind in set(kinds):
        noise = torch.randn(last.tokens.shape, generator=torch.Generator().manual_seed(2))
        noise *= torch.tensor([place == kind for place in kinds])[:, None]
        if not torch.equal(subject.logits(last.with_tokens(last.tokens + noise)), subject.logits(last)):
            read.add(kind)
    exact = {"class": {"class"}, "class+distillation": {"class", "distillation"}, "patch mean": {"patch"}}
    assert read == exact[card.native] if card.native in exact else "patch" in read
    assert can(name, "class_readout") == (read == {"class"} and can(name, "class_token"))


@every_model
def test_the_lens_on_the_token_that_the_head_reads_is_the_models_answer(name):
    subject, last = subject_of(name), streams_of(name)[-1]
    if not can(name, "token_head"):
        with pytest.raises(ClaimsError, match="token_head"):
            subject.token_logits(last.tokens)
        return
    features = subject.normed(last)
    assert subject.token_logits(features).shape == (*features.shape[:2], subject.card.classes)
    if can(name, "class_readout"):
        torch.testing.assert_close(subject.token_logits(features[:, 0]), subject.logits(last))
    averaged_first = not isinstance(getattr(subject.model, "fc_norm", nn.Identity()), nn.Identity)
    if can(name, "patch_mean_readout") and not averaged_first:
        pooled = features[:, len(subject.card.prefix) :].mean(dim=1)
        torch.testing.assert_close(subject.token_logits(pooled), subject.logits(last))


@every_model
def test_a_capability_is_there_or_its_absence_is_refused_with_its_reason(name):
    subject, stream = subject_of(name), streams_of(name)[0]
    uses = {
        "attn_mask": lambda: subject.step(0, stream, torch.ones([stream.tokens.shape[1]] * 2, dtype=torch.bool)),
        "writes": lambda: subject.writes(0, stream),
        "head": lambda: subject.logits(streams_of(name)[-1]),
        "token_head": lambda: subject.token_logits(subject.normed(streams_of(name)[-1])),
        "patch_tokens": lambda: subject.normed(streams_of(name)[-1]),
        "token_subset": lambda: subject.step(0, stream.with_tokens(stream.tokens[:, :3])),
    }
    for capability, use in uses.items():
        if can(name, capability):
            use()
        elif not (capability == "token_subset" and subject.card.grid is None):  # a feature map has no tokens to leave out
            with pytest.raises(ClaimsError) as refusal:
                use()
            assert subject.card.missing((capability,)) in str(refusal.value)
    assert set(subject.card.lacks).isdisjoint(subject.card.capabilities)
    assert can(name, "distillation_token") == ("distillation" in subject.card.prefix)
    assert set(uses) | {c for c in CAPABILITIES if c.endswith(("_readout", "class_token", "n_token"))} == set(CAPABILITIES)


@every_model
def test_the_untrained_twin_is_another_model_with_answers_of_its_own(name):
    subject, images = subject_of(name), pictures_of(name)
    twin, again, other = subject.untrained(3), subject.untrained(3), subject.untrained(4)
    assert twin.weights_hash() == again.weights_hash()
    assert len({twin.weights_hash(), other.weights_hash(), subject.weights_hash()}) == 3
    assert not twin.card.pretrained and twin.card.name == f"{name}@untrained-3"
    stream = twin.start(images)
    for block in range(twin.card.depth):
        before, stream = stream, twin.step(block, stream)
        assert before.tokens.shape != stream.tokens.shape or not torch.allclose(before.tokens, stream.tokens, atol=1e-3)
    answers = twin.logits(stream) if can(name, "head") else twin.normed(stream)[:, 0]
    assert answers.isfinite().all()
    assert answers.std(dim=0).mean() > 1e-3 * answers.std(dim=1).mean(), "the twin tells no two pictures apart"
    for key, value in twin.model.named_parameters():
        assert value.any() or "bias" in key or key.endswith("beta"), f"{key} is all zero"


@every_model
def test_the_weights_hash_sees_one_weight_move_by_one_ulp(name):
    subject = subject_of(name)
    weight = list(subject.model.parameters())[-1].detach().view(-1)
    before, kept = subject.weights_hash(), weight[0].clone()
    weight[0] = torch.nextafter(kept, torch.tensor(torch.inf))
    moved = subject.weights_hash()
    weight[0] = kept
    assert moved != before == subject.weights_hash()


@pytest.mark.parametrize("alias", aliases())
def test_every_entry_of_the_zoo_has_exact_weights_and_a_card(alias):
    entry = resolve(alias)
    assert entry.resolved.partition(".")[2], "an alias names a tag"
    assert entry.card.name == alias and entry.card.pretrained
    assert entry.card.classes in (0, 1000) and (entry.data == "imagenet-1k") == (entry.card.classes == 1000)
    assert entry.card.grid is None or entry.card.patches > 0


def test_every_family_and_every_class_that_it_reads_is_in_this_suite():
    built = {type(subject_of(name).model) for name in MODELS}
    assert {kind for family in FAMILIES for kind in family.models} <= built
