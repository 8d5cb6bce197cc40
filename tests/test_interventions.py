"""Interventions change what they name and nothing else, and say what they are."""

import importlib.util
import linecache
import sys
from dataclasses import replace
from functools import cache

import pytest
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer

from harness.images.batch import Batch, ShuffleClass
from harness.interventions.intervention import (
    NONE,
    DropPatches,
    Intervention,
    IsolateClass,
    NoiseClass,
    cls_alone,
    isolate_cls,
    isolate_cls_with_noise,
    shuffle_cls,
)
from harness.measurement.measured_code import of_intervention
from harness.models.families import adapt
from harness.models.sites import EMBEDDING
from support.planted import Planted

IMAGES, DEPTH = 4, 3
VIT = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": DEPTH, "num_heads": 2, "num_classes": 5}
CHUNK = Batch(positions=range(IMAGES), donors=torch.tensor([2, 3, 0, 1]), labels=torch.tensor([0, 1, 2, 3]), seed=0)


@cache
def subject(kind=VisionTransformer, **extra):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = kind(**VIT, **extra)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return adapt(model, name="vit", arch="vit", pretrained=False)


def embedded(model):
    return model.start(torch.randn(IMAGES, 3, 16, 16, generator=torch.Generator().manual_seed(2)))


@pytest.mark.parametrize(
    "make",
    [subject, lambda: subject(VisionTransformerDistilled), lambda: subject(reg_tokens=2)],
    ids=["vit", "deit", "reg"],
)
def test_the_isolating_mask_equals_running_both_groups_of_tokens_apart(make):
    model = make()
    summary = [i for i, kind in enumerate(model.card.prefix) if kind in ("class", "distillation")]
    stream = embedded(model)
    rest = [i for i in range(stream.tokens.shape[1]) if i not in summary]
    alone, others = stream.with_tokens(stream.tokens[:, summary]), stream.with_tokens(stream.tokens[:, rest])
    for block in range(DEPTH):
        mask = IsolateClass().allowed(model.card, stream.tokens.shape[1])
        stream = model.step(block, stream, mask)
        alone, others = model.step(block, alone), model.step(block, others)
    torch.testing.assert_close(stream.tokens[:, summary], alone.tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(stream.tokens[:, rest], others.tokens, atol=1e-5, rtol=1e-5)


def test_the_isolating_mask_lets_every_token_see_itself_and_is_symmetric():
    for model in (subject(), subject(VisionTransformerDistilled), subject(reg_tokens=2)):
        tokens = len(model.card.prefix) + model.card.patches
        mask = IsolateClass().allowed(model.card, tokens)
        assert mask.diagonal().all()
        assert torch.equal(mask, mask.T)
        assert not mask[0, -1]


def test_a_shuffle_exchanges_class_tokens_with_the_donors_and_touches_nothing_else():
    for model, place in ((subject(), 0), (subject(VisionTransformerDistilled), 0), (subject(reg_tokens=2), 0)):
        tokens = embedded(model).tokens + torch.randn(IMAGES, 1, 1)
        kept = tokens.clone()
        edited = ShuffleClass().apply(tokens, model.card, CHUNK)
        for image, donor in enumerate(CHUNK.donors.tolist()):
            assert torch.equal(edited[image, place], tokens[donor, place])
        others = [i for i in range(tokens.shape[1]) if i != place]
        assert torch.equal(edited[:, others], tokens[:, others])
        assert torch.equal(tokens, kept), "the input stays as it was"


def test_noise_replaces_the_class_token_alone_and_is_standard_normal():
    card = replace(Planted().card, width=400)
    tokens = torch.full((IMAGES, 17, 400), 7.0)
    edited = NoiseClass().apply(tokens, card, CHUNK)
    assert torch.equal(edited[:, 1:], tokens[:, 1:])
    assert (tokens == 7.0).all()
    assert edited[:, 0].mean().abs() < 0.1
    assert (edited[:, 0].std() - 1).abs() < 0.1
    assert len({row.numpy().tobytes() for row in edited[:, 0]}) == IMAGES, "one draw per image"


def test_noise_is_fixed_by_seed_and_chunk_alone():
    card, tokens = Planted().card, torch.zeros(IMAGES, 17, 5)
    first = NoiseClass().apply(tokens, card, CHUNK)
    torch.manual_seed(99)
    assert torch.equal(NoiseClass().apply(tokens, card, CHUNK), first)
    for other in (replace(CHUNK, seed=1), replace(CHUNK, positions=range(4, 8)), replace(CHUNK, positions=range(5))):
        assert not torch.equal(NoiseClass().apply(tokens, card, other), first)


def test_purposes_of_one_chunk_draw_different_numbers():
    one, other = (torch.randn(4, generator=CHUNK.generator(purpose)) for purpose in (1, 2))
    assert not torch.equal(one, other)


def test_dropping_patches_leaves_the_summary_tokens():
    for model, kept in ((subject(), [0]), (subject(VisionTransformerDistilled), [0, 1]), (subject(reg_tokens=2), [0])):
        tokens = embedded(model).tokens
        assert torch.equal(DropPatches().apply(tokens, model.card, CHUNK), tokens[:, kept])


def test_keys_are_canonical_and_tell_interventions_apart():
    assert NONE.key == "none"
    assert shuffle_cls(3).key == "ShuffleClass()@3"
    assert isolate_cls([2, 0, 1]).key == isolate_cls(range(3)).key
    assert isolate_cls([2, 0, 1]) == isolate_cls(range(3))
    assert cls_alone(EMBEDDING).key == "DropPatches()@-1"
    several = [
        NONE,
        shuffle_cls(0),
        shuffle_cls(1),
        isolate_cls([0]),
        isolate_cls([0, 1]),
        cls_alone(0),
        isolate_cls_with_noise([0]),
        isolate_cls_with_noise([0, 1]),
    ]
    assert len({one.key for one in several}) == len(set(several)) == len(several)


def test_noise_after_isolation_comes_after_the_last_isolated_block():
    made = isolate_cls_with_noise([0, 2, 1])
    assert made.edits == ((2, NoiseClass()),)
    assert made.masks == isolate_cls([0, 1, 2]).masks


@pytest.mark.parametrize("places", [(1, 0), (1, 1)])
def test_two_edits_or_masks_at_one_place_or_out_of_order_are_refused(places):
    with pytest.raises(ValueError, match="one edit per place, in order"):
        Intervention(edits=tuple((place, ShuffleClass()) for place in places))
    with pytest.raises(ValueError, match="one mask per place, in order"):
        Intervention(masks=tuple((place, IsolateClass()) for place in places))


def test_the_program_has_one_step_per_block_and_one_for_the_embedding():
    both = Intervention(edits=((EMBEDDING, NoiseClass()), (1, ShuffleClass())), masks=((2, IsolateClass()),))
    program = both.program(Planted(depth=3).card)
    assert program == ((None, NoiseClass()), (None, None), (None, ShuffleClass()), (IsolateClass(), None))


@pytest.mark.parametrize(
    "outside", [shuffle_cls(3), shuffle_cls(-2), isolate_cls([3]), isolate_cls([-1]), cls_alone(7)]
)
def test_places_that_the_model_does_not_have_are_refused(outside):
    with pytest.raises(ValueError, match=r"do not exist; planted late reader has blocks 0\.\.2"):
        outside.program(Planted(depth=3).card)


def test_the_code_of_an_intervention_changes_with_the_source_of_the_edit(tmp_path, monkeypatch):
    source = (
        "from dataclasses import dataclass\n\n"
        "@dataclass(frozen=True)\nclass Own:\n    scale: float = {}\n    exchanges = False\n\n"
        "    def apply(self, tokens, card, chunk):\n        return self.scale * tokens\n"
    )
    path = tmp_path / "own_edit.py"

    def revision(value: float) -> str:
        path.write_text(source.format(value))
        linecache.clearcache()
        specification = importlib.util.spec_from_file_location("own_edit", path)
        module = importlib.util.module_from_spec(specification)
        monkeypatch.setitem(sys.modules, "own_edit", module)
        specification.loader.exec_module(module)
        return of_intervention(Intervention(edits=((0, module.Own()),)))

    assert revision(1.0) == revision(1.0)
    assert revision(1.0) != revision(2.0)


def test_the_code_of_an_intervention_is_that_of_its_edits_and_masks():
    assert of_intervention(shuffle_cls(0)) == of_intervention(shuffle_cls(1)) != of_intervention(isolate_cls([0]))
