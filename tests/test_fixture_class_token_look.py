"""The quick look at the class token: against interventions of the harness, and against closed cases."""

import numpy as np
import pytest
import torch

from harness.fixtures import class_token_look as looking
from harness.fixtures import zoo
from harness.fixtures.pictures import render
from harness.images.batch import Batch, ShuffleClass
from harness.interventions.intervention import IsolateClass
from harness.models.families import adapt

DEPTH = 12


@pytest.fixture(scope="module")
def model():
    return zoo.build("tiny_vit")


@pytest.fixture(scope="module")
def seen(model):
    return looking.look(model, count=50)


def test_every_row_has_an_entry_before_each_block_and_after_the_last(seen):
    assert {len(row) for row in vars(seen).values()} == {DEPTH + 1}


def test_nothing_is_changed_where_nothing_is_done(model, seen):
    clean = zoo.accuracy(model, 50, first=looking.FIRST)
    assert seen.apart[0] == seen.class_token[-1] == clean
    assert seen.exchanged[0] == clean  # before block 0 the class token is the same for every picture


@torch.no_grad()
def test_after_the_last_block_the_head_reads_the_models_own_features(model, seen):
    pictures = render(np.arange(looking.FIRST, looking.FIRST + 50), split="test")
    patches = model.forward_features(zoo.preprocess(pictures.images))[:, 1:].mean(dim=1)
    answers = model.head(patches).argmax(dim=1).numpy()
    assert seen.patch_mean[-1] == (answers == pictures.labels).mean()


def test_an_answer_read_from_another_pictures_class_token_is_that_pictures(seen):
    assert seen.exchanged[-1] <= 1 - seen.class_token[-1]  # the donor is of another class


def test_a_class_token_that_never_saw_a_patch_is_at_chance(seen):
    assert seen.apart[-1] == pytest.approx(0.1)  # one answer for all pictures, and all classes are equally many


def test_every_donor_is_of_another_class():
    labels = torch.from_numpy(render(np.arange(2000, 2500), split="test").labels)
    donors = looking._exchanged(labels[:, None, None].expand(-1, 3, 1))
    assert not (donors[:, 0, 0] == labels).any()
    assert (donors[:, 1:, 0] == labels[:, None]).all()


@torch.no_grad()
def test_streams_exchange_and_isolation_are_those_of_the_harness(model):
    inputs = zoo.preprocess(render(np.arange(20), split="test").images)
    subject = adapt(model, name="m", arch="m", pretrained=True)
    ours = list(looking._streams(model, inputs))
    stream = subject.start(inputs)
    for block in range(3):
        stream = subject.step(block, stream)
    assert torch.equal(stream.tokens, ours[3])
    donors = torch.arange(20).reshape(2, 10).roll(1, dims=1).reshape(-1)
    chunk = Batch(positions=range(20), donors=donors, labels=None, seed=0)
    assert torch.equal(looking._exchanged(ours[3]), ShuffleClass().apply(ours[3], subject.card, chunk))
    mask = IsolateClass().allowed(subject.card, ours[0].shape[1])
    stream = subject.start(inputs)
    for block in range(DEPTH):
        stream = subject.step(block, stream, mask if block < 2 else None)
    assert torch.equal(subject.logits(stream), looking._apart(model, ours[0], 2))


def test_a_model_without_class_token_and_a_lopsided_count_are_refused(model):
    with pytest.raises(ValueError, match="0 prefix tokens"):
        looking.look(zoo.build("tiny_vit_gap"))
    with pytest.raises(ValueError, match="55 pictures"):
        looking.look(model, count=55)


def test_the_table_has_one_column_per_entry(seen):
    lines = looking.markdown(seen).splitlines()
    assert len(lines) == 6
    assert {line.count("|") for line in lines} == {DEPTH + 3}
