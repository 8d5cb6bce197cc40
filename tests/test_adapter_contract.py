"""Every model family and every entry of the zoo keeps the contract of `harness.models.subject.Subject`."""

from functools import cache, partial

import pytest
import torch
from torch import Tensor, nn

from harness.errors import ClaimsError
from harness.fixtures.families import SMALL_MODELS
from harness.fixtures.recipes import RECIPES, construct
from harness.models.families import FAMILIES, adapt, card_of
from harness.models.head_input import linear_head
from harness.models.patch_projection import patch_projection
from harness.models.places import placed, untiled
from harness.models.sites import SITE_NEEDS, Site
from harness.models.subject import CAPABILITIES, Stream, Subject
from harness.models.zoo import EMBEDDED, aliases, missing_weights, resolve

MODELS = {
    **SMALL_MODELS,
    **{f"{name} with its weights": resolve(name).build for name in EMBEDDED if not missing_weights(resolve(name))},
    **{f"{name} untrained": partial(construct, RECIPES[name]) for name in EMBEDDED},
}
every_model = pytest.mark.parametrize("name", MODELS)


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
        assert writes.attention.any()
        assert writes.mlp.any()


def sites_of(name: str) -> tuple[Site, ...]:
    return tuple(site for site, need in SITE_NEEDS.items() if can(name, need))


def last_layer(name: str, block: int) -> nn.Module:
    """Find the last layer of a block's MLP by its name in timm."""
    named = subject_of(name).model.named_modules()
    ends = (".mlp", ".mlp_channels")
    others = ("attn_pool", "rel_pos")  # with an MLP of their own
    found = [mlp for path, mlp in named if path.endswith(ends) and not any(other in path for other in others)]
    return [mlp.fc2 for mlp in found][block]


@every_model
def test_watching_a_block_leaves_the_stream_bit_for_bit_as_it_is_and_no_hook_behind(name):
    subject, streams, sites = subject_of(name), streams_of(name), sites_of(name)
    for block in range(subject.card.depth):
        after, inner = subject.watch(block, streams[block], sites)
        assert torch.equal(after.tokens, streams[block + 1].tokens)
        assert set(inner) == set(sites)
        assert hooks_on(subject.model) == 0
        assert all(values.ndim == 3 and values.isfinite().all() for values in inner.values())
        assert not any(values.requires_grad for values in inner.values())
    with pytest.raises(ClaimsError, match=r"unknown site 'unit' .* Did you mean 'units'"):
        subject._need_site("unit")  # `watch` itself is closed to it by its types in these tests
    for site in set(SITE_NEEDS) - set(sites):
        with pytest.raises(ClaimsError) as refusal:
            subject.watch(0, streams[0], (site,))
        assert subject.card.missing((SITE_NEEDS[site],)) in str(refusal.value)


@every_model
def test_watched_writes_are_what_the_block_adds(name):
    subject, streams = subject_of(name), streams_of(name)
    if not can(name, "writes"):
        pytest.skip(subject.card.missing(("writes",)))
    for block in range(subject.card.depth):
        _, inner = subject.watch(block, streams[block], ("attention write", "mlp write"))
        rebuilt = streams[block].tokens + inner["attention write"] + inner["mlp write"]
        torch.testing.assert_close(rebuilt, streams[block + 1].tokens, atol=1e-5, rtol=1e-5)


@every_model
def test_units_have_the_shape_on_the_card_and_the_mlps_last_layer_makes_its_output_of_them(name):
    subject, streams = subject_of(name), streams_of(name)
    if not can(name, "units"):
        with pytest.raises(ClaimsError, match="units"):
            subject.unit_shape(0)
        return
    for block in range(subject.card.depth):
        shape = subject.unit_shape(block)
        after, inner = subject.watch(block, streams[block], ("units",))
        assert inner["units"].shape == (2, shape.places, shape.units)
        if subject.card.family == "resnet":
            assert torch.equal(inner["units"], after.tokens.flatten(2).transpose(1, 2))
            assert (inner["units"] >= 0).all(), "after the last activation"
            continue
        last, given = last_layer(name, block), []
        handle = last.register_forward_hook(lambda _, inputs, output, given=given: given.append(output))
        subject.step(block, streams[block])
        handle.remove()
        made = inner["units"] @ last.weight.flatten(1).detach().T + (0 if last.bias is None else last.bias.detach())
        output = given[0].flatten(2).transpose(1, 2) if isinstance(last, nn.Conv2d) else given[0].flatten(1, -2)
        torch.testing.assert_close(made, output, atol=1e-4, rtol=1e-4)


@every_model
def test_units_are_the_nonlinearity_of_the_mlp_keys(name):
    subject, stream = subject_of(name), streams_of(name)[0]
    if not can(name, "mlp_keys"):
        pytest.skip(subject.card.missing(("mlp_keys",)))
    _, inner = subject.watch(0, stream, ("mlp keys", "units"))
    mlp = next(m for m in subject.model.modules() if getattr(m, "fc2", None) is last_layer(name, 0))
    made = mlp.act(inner["mlp keys"])
    if isinstance(getattr(mlp, "norm", nn.Identity()), nn.Identity):
        torch.testing.assert_close(made, inner["units"])


@every_model
def test_attention_keys_are_values_mixed_by_the_softmax_of_queries_and_keys(name):
    subject = subject_of(name)
    if not (can(name, "qkv") and can(name, "attention_keys")) or subject.card.family not in ("vit", "eva"):
        pytest.skip("positions enter the pattern, or there is none")
    attention = next(module for module in subject.model.modules() if hasattr(module, "attn_drop"))
    if getattr(subject.model, "rope", None) is not None:
        pytest.skip("queries and keys are rotated")
    _, inner = subject.watch(0, streams_of(name)[0], ("query", "key", "value", "attention keys"))
    heads = {site: inner[site].unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for site in inner}
    query, key = attention.q_norm(heads["query"]), attention.k_norm(heads["key"])
    pattern = (query @ key.transpose(-2, -1) * attention.scale).softmax(dim=-1)
    torch.testing.assert_close(pattern @ heads["value"], heads["attention keys"], atol=1e-5, rtol=1e-4)


@every_model
def test_watching_under_a_mask_gives_the_masked_step(name):
    subject, stream = subject_of(name), streams_of(name)[0]
    if not can(name, "attn_mask"):
        pytest.skip(subject.card.missing(("attn_mask",)))
    tokens = stream.tokens.shape[1]
    apart = torch.block_diag(torch.ones(1, 1), torch.ones(tokens - 1, tokens - 1)).bool()
    after, inner = subject.watch(0, stream, sites_of(name), apart)
    assert torch.equal(after.tokens, subject.step(0, stream, apart).tokens)
    if can(name, "writes"):
        rebuilt = stream.tokens + inner["attention write"] + inner["mlp write"]
        torch.testing.assert_close(rebuilt, after.tokens, atol=1e-5, rtol=1e-5)


@every_model
def test_the_weights_of_a_block_make_what_it_writes_of_what_was_read_in_it(name):
    subject, streams = subject_of(name), streams_of(name)
    if not can(name, "weights"):
        with pytest.raises(ClaimsError, match="weights"):
            subject.block_weights(0)
        return
    post = {"res-post-norm", "eva post-norm", "relative positions shared"}
    for block in range(subject.card.depth):
        weights, layer = subject.block_weights(block), subject.model.blocks[block]
        _, inner = subject.watch(block, streams[block], sites_of(name))
        ways = (
            (
                "attention keys",
                "attention write",
                weights.attention_out,
                weights.attention_bias,
                weights.attention_scale,
            ),
            ("units", "mlp write", weights.mlp_out, weights.mlp_bias, weights.mlp_scale),
        )
        for place, (read, written, matrix, bias, scale) in enumerate(ways):
            made = (inner[read] @ matrix.T + (0 if bias is None else bias)) * (1 if scale is None else scale)
            made = (layer.norm1, layer.norm2)[place](made).detach() if name in post else made
            torch.testing.assert_close(made, inner[written], atol=1e-4, rtol=1e-4)
        normed = streams[block].tokens if name in post else layer.norm1(streams[block].tokens).detach()
        for site, matrix in (("query", weights.query), ("key", weights.key), ("value", weights.value)):
            rest = inner[site] - normed @ matrix.T  # the bias, the same for every token
            torch.testing.assert_close(rest, rest[:1, :1].expand_as(rest), atol=1e-4, rtol=1e-4)
        assert not weights.query.requires_grad
        assert weights.normed == (name in post) != can(name, "value_vectors")
        for branch, keys in (("attention", "attention keys"), ("mlp", "units")) if name not in post else ():
            added = torch.einsum("itv,wv->itw", inner[keys], weights.value_vectors(branch))
            rest = inner[f"{branch} write"] - added  # the bias, the same for every token
            torch.testing.assert_close(rest, rest[:1, :1].expand_as(rest), atol=1e-4, rtol=1e-4)


@every_model
def test_the_weights_of_the_head_are_those_that_the_lens_applies(name):
    subject = subject_of(name)
    if not can(name, "token_head"):
        with pytest.raises(ClaimsError, match="token_head"):
            subject.head_weights()
        return
    head, features = subject.head_weights(), torch.randn(3, subject.card.width)
    made = features @ head.weight.T + (0 if head.bias is None else head.bias)
    torch.testing.assert_close(made, subject.token_logits(features))


@every_model
def test_the_gradient_of_the_lens_is_that_of_autograd_also_in_inference_mode(name):
    subject, last = subject_of(name), streams_of(name)[-1]
    if not can(name, "token_head"):
        with pytest.raises(ClaimsError, match="token_head"):
            subject.lens_gradient(last.tokens, torch.zeros(last.tokens.shape[:-1], dtype=torch.long))
        return
    labels = torch.arange(2 * last.tokens.shape[1]).reshape(2, -1) % subject.card.classes
    for double in (False, True):
        with torch.inference_mode():
            given = subject.lens_gradient(last.tokens.clone(), labels.clone(), double_softmax=double)
        states = last.tokens.clone().requires_grad_()
        logits = subject.family.head(subject.model, subject.family.norm(subject.model, states))
        scores = logits.softmax(-1) if double else logits
        (scores.logsumexp(-1) - scores.gather(-1, labels[..., None])[..., 0]).sum().backward()
        torch.testing.assert_close(given, states.grad, atol=1e-6, rtol=1e-4)
    subject.model.zero_grad()


@every_model
def test_the_attention_pattern_mixes_the_values_and_weights_are_zeroed_after_the_softmax(name):
    subject, stream = subject_of(name), streams_of(name)[0]
    tokens = stream.tokens.shape[1] if stream.tokens.ndim == 3 else 4
    allowed = torch.ones(tokens, tokens, dtype=torch.bool)
    allowed[1:, 0] = allowed[2] = False  # the third row allows nothing: no token is read there at all
    if not can(name, "attention_pattern"):
        with pytest.raises(ClaimsError, match="attention_pattern"):
            subject.attention_pattern(0, stream)
        with pytest.raises(ClaimsError, match="attention_pattern"):
            subject.step(0, stream, allowed, renormalize=False)
        return
    fused = [module.fused_attn for module in subject.model.modules() if hasattr(module, "fused_attn")]
    for block in range(subject.card.depth):
        stream = streams_of(name)[block]
        pattern = subject.attention_pattern(block, stream)
        torch.testing.assert_close(pattern.sum(dim=-1), torch.ones(pattern.shape[:-1]))
        if not (can(name, "qkv") and can(name, "attention_keys")):
            continue
        sites = ("value", "attention keys")
        values = subject.watch(block, stream, ("value",))[1]["value"].unflatten(-1, (pattern.shape[1], -1))
        for mask, weights in ((None, pattern), (allowed, pattern * allowed)):
            after, inner = subject.watch(block, stream, sites, mask, renormalize=False)
            mixed = torch.einsum("ihqk,ikhf->iqhf", weights, values).flatten(2)
            torch.testing.assert_close(inner["attention keys"], mixed, atol=1e-5, rtol=1e-4)
            assert torch.equal(after.tokens, subject.step(block, stream, mask, renormalize=False).tokens)
    assert hooks_on(subject.model) == 0
    assert fused == [module.fused_attn for module in subject.model.modules() if hasattr(module, "fused_attn")]


@every_model
def test_a_mask_for_every_image_is_that_of_each_image_alone(name):
    subject, stream = subject_of(name), streams_of(name)[1]
    if not can(name, "attn_mask"):
        pytest.skip(subject.card.missing(("attn_mask",)))
    tokens = stream.tokens.shape[1]
    masks = torch.rand(2, tokens, tokens, generator=torch.Generator().manual_seed(5)) < 0.5
    masks |= torch.eye(tokens, dtype=torch.bool)
    together = subject.step(1, stream, masks).tokens
    for image in range(2):
        alone = subject.step(1, stream.with_tokens(stream.tokens[image : image + 1]), masks[image]).tokens
        torch.testing.assert_close(together[image : image + 1], alone, atol=1e-5, rtol=1e-5)
    masks[1, 3] = False
    with pytest.raises(ClaimsError, match=r"\[image, row\] \[\[1, 3\]\] of the attention mask"):
        subject.step(1, stream, masks)


@every_model
def test_positions_are_taken_away_for_one_embedding_only(name):
    subject, images = subject_of(name), pictures_of(name)
    if not can(name, "position_embedding"):
        pytest.skip(subject.card.missing(("position_embedding",)))
    own = subject.model.pos_embed
    for positions in ("none", "random"):
        assert not torch.equal(subject.start(images, positions).tokens, streams_of(name)[0].tokens)
        assert torch.equal(subject.start(images, positions).tokens, subject.start(images, positions).tokens)
        assert subject.model.pos_embed is own
    assert torch.equal(subject.start(images).tokens, streams_of(name)[0].tokens)


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
        with pytest.raises(ClaimsError, match=r"an attention mask .* is bool"):
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
        assert not torch.allclose(
            subject.step(block, stream.with_tokens(edited)).tokens[:, 1:],
            subject.step(block, stream).tokens[:, 1:],
            atol=1e-4,
        ), "without mask it must leak"


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
def test_the_lens_is_offered_where_pooling_equal_tokens_gives_one_of_them_back(name):
    subject, last = subject_of(name), streams_of(name)[-1]
    if subject.card.grid is None or not can(name, "head") or can(name, "distillation_readout"):
        assert can(name, "token_head") == can(name, "distillation_readout")
        return
    equal = last.with_tokens(last.tokens[:, -1:].expand_as(last.tokens).contiguous())
    lens = subject.family.head(subject.model, subject.normed(equal)[:, 0])
    assert can(name, "token_head") == torch.allclose(lens, subject.logits(equal), atol=1e-4)


@every_model
def test_a_capability_is_there_or_its_absence_is_refused_with_its_reason(name):
    subject, stream = subject_of(name), streams_of(name)[0]
    uses = {
        "attn_mask": lambda: subject.step(0, stream, torch.ones([stream.tokens.shape[1]] * 2, dtype=torch.bool)),
        "writes": lambda: subject.writes(0, stream),
        "attention_keys": lambda: subject.watch(0, stream, ("attention keys",)),
        "mlp_keys": lambda: subject.watch(0, stream, ("mlp keys",)),
        "units": lambda: subject.unit_shape(0),
        "qkv": lambda: subject.watch(0, stream, ("query", "key", "value")),
        "weights": lambda: subject.block_weights(0),
        "attention_pattern": lambda: subject.attention_pattern(0, stream),
        "patch_projection": lambda: patch_projection(subject),
        "position_embedding": lambda: subject.start(pictures_of(name), "none"),
        "head": lambda: subject.logits(streams_of(name)[-1]),
        "token_head": lambda: subject.token_logits(subject.normed(streams_of(name)[-1])),
        "patch_tokens": lambda: subject.normed(streams_of(name)[-1]),
        "token_subset": lambda: subject.step(0, stream.with_tokens(stream.tokens[:, :3])),
    }
    for capability, use in uses.items():
        if can(name, capability):
            use()
        elif not (
            capability == "token_subset" and subject.card.grid is None
        ):  # a feature map has no tokens to leave out
            with pytest.raises(ClaimsError) as refusal:
                use()
            assert subject.card.missing((capability,)) in str(refusal.value)
    assert set(subject.card.lacks).isdisjoint(subject.card.capabilities)
    assert can(name, "distillation_token") == ("distillation" in subject.card.prefix)
    assert can(name, "registers") == ("register" in subject.card.prefix)
    assert can(name, "value_vectors") <= can(name, "weights")  # a property of theirs, tested with them
    told = {c for c in CAPABILITIES if c.endswith(("_readout", "class_token", "n_token", "registers", "value_vectors"))}
    kinds = {"attention", "convolution", "label_trained", "caption_trained", "self_supervised"}  # what a model is
    assert set(uses) | told | kinds == set(CAPABILITIES)


@every_model
def test_the_untrained_twin_is_another_model_with_answers_of_its_own(name):
    subject, images = subject_of(name), pictures_of(name)
    twin, again, other = subject.untrained(3), subject.untrained(3), subject.untrained(4)
    assert twin.weights_hash() == again.weights_hash()
    assert len({twin.weights_hash(), other.weights_hash(), subject.weights_hash()}) == 3
    assert not twin.card.pretrained
    assert twin.card.name == f"{name}@untrained-3"
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
    assert entry.card.name == alias
    assert entry.card.pretrained
    assert entry.card.classes in (0, 1000)
    assert (entry.data == "imagenet-1k") == (entry.card.classes == 1000)
    assert entry.card.grid is None or entry.card.patches > 0


def test_every_family_and_every_class_that_it_reads_is_in_this_suite():
    built = {type(subject_of(name).model) for name in MODELS}
    assert {kind for family in FAMILIES for kind in family.models} <= built


@every_model
def test_head_and_what_enters_it_make_the_models_own_answer(name):
    subject, last = subject_of(name), streams_of(name)[-1]
    if not can(name, "head"):
        with pytest.raises(ClaimsError, match="no 'head'"):
            subject.head_input(last)
        return
    head = linear_head(subject.model)
    assert head is not None, f"{name}: which layer answers?"
    entered, before = subject.head_input(last), hooks_on(subject.model)
    answer = head(entered.features)
    if subject.card.native == "class+distillation":
        answer = (answer + subject.model.head_dist(last_distilled(subject, last))) / 2
    assert torch.allclose(answer, subject.logits(last), atol=1e-5)
    assert entered.weight.shape == (subject.card.classes, entered.features.shape[1])
    assert hooks_on(subject.model) == before


@every_model
def test_a_patch_projection_embeds_every_patch_by_one_matrix(name):
    subject, images = subject_of(name), pictures_of(name)
    if not can(name, "patch_projection"):
        return
    found, before = patch_projection(subject), hooks_on(subject.model)
    tokens, nothing = found.embed(images), found.embed(torch.zeros_like(images))
    patches = nn.functional.unfold(images, found.weight.shape[2:], stride=found.weight.shape[2:]).mT
    torch.testing.assert_close(tokens - nothing, patches @ found.weight.flatten(1).T, atol=1e-4, rtol=1e-4)
    assert hooks_on(subject.model) == before


@every_model
def test_what_stands_at_every_place_is_what_the_stream_holds_there(name):
    subject, images = subject_of(name), pictures_of(name)
    grids = [placed(subject.card, stream).grid for stream in streams_of(name)]
    shapes = [(shape.rows, shape.columns) for shape in subject.card.units]
    assert grids[1:] == (shapes if subject.card.grid is None else [subject.card.grid] * subject.card.depth)
    sides = subject.card.preprocessing.size
    ragged = [grid for grid in grids[1:] if any(side % parts for side, parts in zip(sides, grid, strict=True))]
    assert untiled(subject.card) == (ragged[0] if ragged else None)
    # A picture whose upper half is changed differs there first: rows lie before columns.
    if subject.card.grid is None:
        changed = images.clone()
        changed[:, :, : images.shape[2] // 2] += 1.0
        first, other = (placed(subject.card, subject.start(one)) for one in (images, changed))
        moved = (first.tokens - other.tokens).norm(dim=2).unflatten(1, first.grid).mean(dim=(0, 2))
        assert moved[: first.grid[0] // 2 - 1].min() > moved[first.grid[0] // 2 + 1 :].max()


def last_distilled(subject: Subject, last: Stream) -> Tensor:
    return subject.normed(last)[:, subject.card.prefix.index("distillation")]
