"""Who writes the class, read from models of random weights and compared with a second implementation in numpy."""

import numpy as np
import pytest
import torch

from harness.errors import ClaimsError
from harness.images.batch import Batch
from harness.interventions.intervention import NONE
from harness.measurement.forward import measure_chunk
from harness.measurement.prefix_tree import Bill, Request
from harness.readouts.reading import Reading
from harness.readouts.writes import Composition, WriteRaises
from support.tiny import RandomImages, tiny_vit

COUNT = 12
MODELS = {
    "plain": {},
    "layer scale": {"init_values": 0.2},
    "registers": {"reg_tokens": 2},
    "average pooling": {"class_token": False, "global_pool": "avg"},
    "average pooling beside a class token": {"global_pool": "avg"},
}
PARTS = ("before", "attention", "mlp", "none")


def measured(model, readouts):
    """Read on the pictures of one chunk, [readout, image]."""
    images = RandomImages(count=COUNT)
    chunk = Batch(
        positions=range(COUNT),
        donors=torch.arange(COUNT),
        labels=torch.from_numpy(images.labels),
        seed=0,
    )
    wanted = [Request(intervention=NONE, readout=readout, claimants=frozenset({"claim"})) for readout in readouts]
    loaded = images.load(range(COUNT), model.card.preprocessing)
    return np.array([row.numbers for row in measure_chunk(model, loaded, chunk, wanted, {}, Bill())])


def logits_by_hand(model, tokens):
    """Apply norm and head in numpy, [image, token, class]."""
    weights = {name: value.detach().double().numpy() for name, value in model.model.state_dict().items()}
    norm = "norm" if "norm.weight" in weights else "fc_norm"
    tokens = tokens.double().numpy()
    centred = tokens - tokens.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    normed = scaled * weights[f"{norm}.weight"] + weights[f"{norm}.bias"]
    return normed @ weights["head.weight"].T + weights["head.bias"]


def branches_by_hand(model, block):
    """Run up to a block and give the stream before it, what its branches add, and the stream after, block by block."""
    images = RandomImages(count=COUNT)
    with torch.no_grad():
        before = model.start(images.load(range(COUNT), model.card.preprocessing)).tokens
        for layer in model.model.blocks[:block]:
            before = layer(before)
        layer = model.model.blocks[block]
        attention = layer.ls1(layer.attn(layer.norm1(before)))
        mlp = layer.ls2(layer.mlp(layer.norm2(before + attention)))
    return before, attention, mlp, before + attention + mlp


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("block", [0, 2])
def test_rates_compare_label_logits_of_writes_with_those_of_the_stream(name, block):
    model = tiny_vit(**MODELS[name])
    before, attention, mlp, _ = branches_by_hand(model, block)
    of = {
        part: logits_by_hand(model, tokens)[np.arange(COUNT), :, RandomImages(count=COUNT).labels]
        for part, tokens in {"before": before, "attention": attention, "mlp": mlp, "mid": before + attention}.items()
    }
    prefix = len(model.card.prefix)
    readouts = [
        WriteRaises(layer=block, branch="attention"),
        WriteRaises(layer=block, branch="mlp"),
        WriteRaises(layer=block, branch="mlp", own_input=True),
    ]
    raised = [of["attention"] > of["before"], of["mlp"] > of["before"], of["mlp"] > of["mid"]]
    expected = [one[:, prefix:].mean(axis=1) for one in raised]
    if "class" in model.card.prefix:
        readouts += [WriteRaises(layer=block, branch=branch, tokens="class") for branch in ("attention", "mlp")]
        expected += [raised[0][:, 0], raised[1][:, 0]]
    found = measured(model, readouts)
    np.testing.assert_allclose(found, np.array(expected), atol=1e-6)
    assert 0.0 < found[:3].mean() < 1.0


@pytest.mark.parametrize("name", MODELS)
def test_the_composition_of_first_classes_is_that_of_a_second_implementation(name):
    model, block = tiny_vit(seed=3, num_classes=30, **MODELS[name]), 1
    before, attention, mlp, after = (logits_by_hand(model, x).argmax(-1) for x in branches_by_hand(model, block))
    matches = {"before": before == after, "attention": attention == after, "mlp": mlp == after}
    matches["none"] = ~(matches["before"] | matches["attention"] | matches["mlp"])
    found = measured(model, [Composition(layer=block, part=part) for part in PARTS])
    np.testing.assert_allclose(found, np.array([matches[part].mean(axis=1) for part in PARTS]), atol=1e-6)
    assert 0.0 < found[:2].mean() < 1.0


def test_a_write_that_is_ten_times_as_large_reads_the_same():
    small, large = tiny_vit(init_values=0.01), tiny_vit(init_values=0.01)
    for model, size in ((small, 0.01), (large, 0.1)):
        for block in model.model.blocks:
            torch.nn.init.constant_(block.ls1.gamma, size)
            torch.nn.init.constant_(block.ls2.gamma, 0.0)
    first = [WriteRaises(layer=0, branch="attention")]
    torch.testing.assert_close(*(torch.from_numpy(measured(model, first)) for model in (small, large)))


def test_the_mlps_own_input_is_another_reference_than_the_blocks():
    readouts = [WriteRaises(layer=1, branch="mlp"), WriteRaises(layer=1, branch="mlp", own_input=True)]
    block, own = measured(tiny_vit(seed=1), readouts)
    assert not np.array_equal(block, own)


def test_what_cannot_be_read_is_refused():
    with pytest.raises(ValueError, match="own_input of branch 'attention'; allowed: 'mlp'"):
        WriteRaises(layer=1, branch="attention", own_input=True)
    model = tiny_vit()
    stream = model.start(RandomImages(count=2).load(range(2), model.card.preprocessing))
    labels = torch.zeros(2, dtype=torch.long)
    chunk = Batch(positions=range(2), donors=torch.arange(2), labels=labels, seed=0)
    after_nothing = Reading(model, stream, -1, chunk, {}, None)
    with pytest.raises(ClaimsError, match="the embedding has none"):
        WriteRaises(layer=-1, branch="mlp").read(after_nothing)


def test_readouts_name_the_writes_that_they_read_and_no_others():
    assert WriteRaises(layer=0, branch="attention").sites == ("attention write",)
    assert WriteRaises(layer=0, branch="mlp", own_input=True).sites == ("attention write", "mlp write")
    assert Composition(layer=0, part="mlp").sites == ("attention write", "mlp write")
