"""What the strongest keys select: against loops over hooked values, and on models whose keys are planted."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from harness.fixtures.planted.key_models import KeyModel, key_model
from harness.fixtures.planted.spot_pictures import PREPROCESSING, SpotPictures
from harness.images.batch import Batch
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.settings import Settings
from harness.models.families import adapt
from harness.readouts.keys import KeyValueAgreement, MemoryMatch, meeting
from harness.readouts.reading import Reading
from harness.results.measurements import Store

SMALL = KeyModel(width=64, units=64, classes=1000)
COUNT = 24


@cache
def random_vit(classes: int = 8) -> nn.Module:
    torch.manual_seed(6)
    model = VisionTransformer(
        img_size=8,
        patch_size=4,
        embed_dim=32,
        depth=2,
        num_heads=2,
        num_classes=classes,
        init_values=0.5,
        reg_tokens=1,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model.eval()


def readings(subject, images, sites, block):
    """Run to one block and watch it there."""
    bench = LoadedModel(subject, images, Store(None), Settings(batch_size=COUNT, seed=0))
    chunk, stream = bench.chunk(range(COUNT)), subject.start(images.load(range(COUNT), PREPROCESSING))
    for before in range(block):
        stream = subject.step(before, stream)
    after, passed = subject.watch(block, stream, sites)
    return Reading(subject, after, block, chunk, {}, None, before=stream, passed=passed).lent_to(False, sites)


def hooked(model, block, pictures):
    """Collect keys and writes of one block from the model's own forward pass."""
    seen, layer = {}, model.blocks[block]

    def keep(name, side):
        return lambda module, inputs, output: seen.__setitem__(name, inputs[0] if side == "in" else output)

    hooks = [
        layer.attn.proj.register_forward_hook(keep("attention keys", "in")),
        layer.mlp.fc1.register_forward_hook(keep("mlp keys", "out")),
        layer.ls1.register_forward_hook(keep("attention write", "out")),
        layer.ls2.register_forward_hook(keep("mlp write", "out")),
    ]
    with torch.no_grad():
        model(pictures)
    for hook in hooks:
        hook.remove()
    return seen


def vectors_by_hand(model, block, branch):
    layer = model.blocks[block]
    out, scale = (layer.mlp.fc2, layer.ls2) if branch == "mlp" else (layer.attn.proj, layer.ls1)
    return (scale.gamma[:, None] * out.weight).detach().numpy()


def largest(numbers, count=5):
    return set(sorted(range(len(numbers)), key=lambda place: -numbers[place])[:count])


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("branch", ["attention", "mlp"])
def test_agreement_counts_tokens_whose_strongest_keys_meet_the_best_vectors_of_the_label(branch, block):
    model, images = random_vit(), SpotPictures(seed=1, count=COUNT, classes=8)
    subject = adapt(model, name="x", arch="x", pretrained=True, preprocessing=PREPROCESSING)
    keys = hooked(model, block, images.load(range(COUNT), PREPROCESSING))[f"{branch} keys"].numpy()
    vectors, head = vectors_by_hand(model, block, branch), model.head.weight.detach().numpy()
    expected, of_class = [], []
    for picture, label in enumerate(images.labels):
        best = largest(head[label] @ vectors)
        meets = [bool(largest(token) & best) for token in keys[picture]]
        expected.append(np.mean(meets))
        of_class.append(float(meets[0]))
    readout = KeyValueAgreement(layer=block, branch=branch)
    reading = readings(subject, images, readout.sites, block)
    assert keys.shape[1] == 6  # class token, register, four patches: all count
    np.testing.assert_allclose(readout.read(reading), expected, atol=1e-6)
    alone = KeyValueAgreement(layer=block, branch=branch, tokens="class")
    np.testing.assert_allclose(alone.read(reading), of_class, atol=1e-6)
    assert 0 < np.mean(expected) < 1


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("branch", ["attention", "mlp"])
def test_a_write_matches_where_it_names_the_class_of_one_of_its_strongest_memories(branch, block):
    model, images = random_vit(), SpotPictures(seed=1, count=COUNT, classes=8)
    subject = adapt(model, name="x", arch="x", pretrained=True, preprocessing=PREPROCESSING)
    seen = hooked(model, block, images.load(range(COUNT), PREPROCESSING))
    vectors, head = vectors_by_hand(model, block, branch), model.head.weight.detach().numpy()
    with torch.no_grad():
        named = model.head(model.norm(seen[f"{branch} write"])).argmax(dim=-1).numpy()
    expected = []
    for picture in range(COUNT):
        matches = []
        for token, keys in enumerate(seen[f"{branch} keys"][picture].numpy()):
            memories = {int(np.argmax(head @ vectors[:, place])) for place in largest(keys)}
            matches.append(named[picture, token] in memories)
        expected.append(np.mean(matches))
    readout = MemoryMatch(layer=block, branch=branch)
    reading = readings(subject, images, readout.sites, block)
    np.testing.assert_allclose(readout.read(reading), expected, atol=1e-6)
    assert 0 < np.mean(expected) < 1


def test_another_class_is_never_the_label_and_is_the_same_for_every_readout():
    subject = key_model(SMALL, seed=0)
    images = SpotPictures(seed=0, count=COUNT, classes=1000)
    rival = KeyValueAgreement(layer=4, branch="mlp", of="another class")
    reading = readings(subject, images, rival.sites, 4)
    own = KeyValueAgreement(layer=4, branch="mlp")
    assert own.read(reading).mean() == 1.0  # so a draw that hit the label would count
    found = rival.read(reading)
    assert found.mean() < 0.5
    assert torch.equal(found, rival.read(readings(subject, images, rival.sites, 4)))


def test_of_two_classes_the_other_one_is_read():
    subject = adapt(random_vit(2), name="x", arch="x", pretrained=True, preprocessing=PREPROCESSING)
    images = SpotPictures(seed=1, count=COUNT, classes=8)
    readout = KeyValueAgreement(layer=1, branch="attention")
    found = []
    for labels, of in ((images.labels % 2, "another class"), (1 - images.labels % 2, "label")):
        reading = readings(subject, images, readout.sites, 1)
        reading.chunk = replace(reading.chunk, labels=torch.from_numpy(labels))
        found.append(replace(readout, of=of).read(reading))
    assert torch.equal(*found)
    assert 0 < found[0].mean() < 1


@pytest.mark.parametrize(("block", "branch", "rate"), [(4, "mlp", 1.0), (5, "attention", 1.0), (4, "attention", 0.0)])
def test_planted_memories_are_selected_by_every_token_and_other_keys_by_none(block, branch, rate):
    images = SpotPictures(seed=2, count=COUNT, classes=1000)
    for tokens in ("all", "class"):
        readout = KeyValueAgreement(layer=block, branch=branch, tokens=tokens)
        assert set(readout.read(readings(key_model(SMALL, seed=2), images, readout.sites, block)).tolist()) == {rate}


def test_planted_memories_of_the_next_class_are_never_those_of_the_label():
    circuit = KeyModel(width=64, units=64, classes=1000, mlp="next class", attention="next class")
    images = SpotPictures(seed=2, count=COUNT, classes=1000)
    for block, branch in ((4, "mlp"), (5, "attention")):
        readout = KeyValueAgreement(layer=block, branch=branch)
        assert readout.read(readings(key_model(circuit, seed=2), images, readout.sites, block)).max() == 0.0


def test_planted_memories_are_named_where_they_act_and_mixtures_name_none_of_theirs():
    images = SpotPictures(seed=3, count=COUNT, classes=1000)
    for block in range(6):
        readout = MemoryMatch(layer=block, branch="mlp")
        found = readout.read(readings(key_model(SMALL, seed=3), images, readout.sites, block))
        assert found.mean() == (1.0 if block == 4 else 0.0)


def test_planted_models_answer_with_the_class_that_is_shown():
    images = SpotPictures(seed=4, count=COUNT, classes=1000)
    subject = key_model(SMALL, seed=4)
    answers = subject.model(images.load(range(COUNT), PREPROCESSING)).argmax(dim=1)
    np.testing.assert_array_equal(answers, images.labels)


def test_sets_meet_where_any_member_is_shared():
    first = torch.tensor([[[0, 1], [2, 3]], [[4, 5], [6, 7]]])
    second = torch.tensor([[3, 9], [8, 9]])
    assert meeting(first, second).tolist() == [[False, True], [False, False]]


def test_labels_are_asked_for_by_agreement_alone():
    chunk = Batch(positions=range(2), donors=torch.tensor([1, 0]), labels=None, seed=0)
    subject = key_model(SMALL, seed=0)
    stream = subject.start(SpotPictures(seed=0, count=2, classes=1000).load(range(2), PREPROCESSING))
    after, passed = subject.watch(0, stream, ("mlp keys", "mlp write"))
    reading = Reading(subject, after, 0, chunk, {}, None, passed=passed).lent_to(False, ("mlp keys", "mlp write"))
    assert MemoryMatch(layer=0, branch="mlp").read(reading).shape == (2,)
