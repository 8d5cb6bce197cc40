"""What is read off weights: against loops over plain numbers, on random and on planted models."""

from itertools import combinations

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import ResPostBlock, VisionTransformer
from torch import nn

from harness.errors import ClaimsError
from harness.fixtures.planted.memory_worlds import ACROSS, GOLDEN_BLOCK, SUPERCLASSES, Turned, golden, grouped, turned
from harness.fixtures.planted.spot_pictures import PREPROCESSING, SpotPictures
from harness.measurement.loaded_model import LoadedModel
from harness.measurement.settings import Settings
from harness.models.families import adapt
from harness.readouts.value_vectors import ClassPurity, ClassValueAgreement, GoldenDistance, GoldenVectors, purity
from harness.results.measurements import Store

TABLE = ((2154, 398, 2627, 226, 1198), (1198, 246, 398, 1091, 707), (1051, 2248, 2416, 408, 549))
PRINTED = (0.3569, 0.2758, 0.2314, 0.1857, 0.1771)
ONE = np.zeros(1, dtype=np.int64)


def random_vit(**changes) -> nn.Module:
    torch.manual_seed(5)
    shape = {"img_size": 8, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 6}
    model = VisionTransformer(**{**shape, **changes})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


def wrap(model: nn.Module):
    return adapt(model, name="x", arch="x", pretrained=True, preprocessing=PREPROCESSING)


def place(subject, superclasses=()):
    images = SpotPictures(seed=0, count=8, classes=subject.card.classes, superclasses=superclasses)
    return LoadedModel(subject, images, Store(None), Settings(batch_size=8, seed=0)).place(
        "given", 8, lambda spent: None
    )


def read(readout, subject, superclasses=()) -> float:
    (number,) = readout.numbers(place(subject, superclasses), ONE)
    return float(number)


def by_hand(model, block, branch) -> float:
    """Average over classes the largest cosine with a value vector, one by one."""
    layer = model.blocks[block]
    out, scale = (layer.mlp.fc2, layer.ls2) if branch == "mlp" else (layer.attn.proj, layer.ls1)
    gamma = scale.gamma.detach().numpy() if hasattr(scale, "gamma") else 1.0
    best = []
    for row in model.head.weight.detach().numpy():
        found = []
        for vector in out.weight.detach().numpy().T:
            moved = gamma * vector
            found.append(float(row @ moved / np.linalg.norm(row) / np.linalg.norm(moved)))
        best.append(max(found))
    return float(np.mean(best))


@pytest.mark.parametrize("init_values", [None, 0.1], ids=["plain", "LayerScale"])
@pytest.mark.parametrize("branch", ["attention", "mlp"])
def test_agreement_is_the_mean_over_classes_of_the_largest_cosine(branch, init_values):
    model = random_vit(init_values=init_values)
    for block in range(2):
        found = read(ClassValueAgreement(block=block, branch=branch), wrap(model))
        assert found == pytest.approx(by_hand(model, block, branch), abs=1e-5)


def test_agreement_does_not_depend_on_the_lengths_of_vectors_but_on_layer_scale():
    model = random_vit(init_values=0.1)
    readout = ClassValueAgreement(block=1, branch="mlp")
    before = read(readout, wrap(model))
    with torch.no_grad():
        model.head.weight.mul_(torch.rand(6, 1) + 0.5)
        model.blocks[1].mlp.fc2.weight.mul_(torch.rand(1, 64) + 0.5)
    assert read(readout, wrap(model)) == pytest.approx(before, abs=1e-6)
    with torch.no_grad():
        model.blocks[1].ls2.gamma[:8] = 0.0
    assert read(readout, wrap(model)) != pytest.approx(before, abs=1e-3)


def test_a_class_without_embedding_points_nowhere_and_is_no_memory_of_itself():
    model = random_vit()
    with torch.no_grad():
        model.head.weight[2:] = 0.0
    subject = wrap(model)
    assert read(ClassValueAgreement(block=0, branch="mlp", with_classes=True), subject) == pytest.approx(2 / 6)
    assert read(ClassValueAgreement(block=0, branch="mlp"), subject) < 2 / 6


def test_memories_of_the_classes_themselves_agree_perfectly():
    assert read(ClassValueAgreement(block=0, branch="mlp", with_classes=True), wrap(random_vit())) == pytest.approx(1.0)


def test_planted_cosines_are_found():
    subject = turned(Turned(mlp={4: 0.9}, attention={5: 0.85}), seed=3)
    assert read(ClassValueAgreement(block=4, branch="mlp"), subject) == pytest.approx(0.9, abs=1e-5)
    assert read(ClassValueAgreement(block=5, branch="attention"), subject) == pytest.approx(0.85, abs=1e-5)
    assert read(ClassValueAgreement(block=5, branch="mlp"), subject) < 0.5


def test_blocks_that_norm_what_they_write_have_no_value_vectors_in_the_stream():
    post, pre = wrap(random_vit(block_fn=ResPostBlock)), wrap(random_vit())
    assert post.block_weights(0).normed
    assert "weights" in post.card.capabilities
    assert "post-norm" in post.card.missing(("weights", "value_vectors"))
    assert not pre.block_weights(0).normed
    assert pre.card.missing(("weights", "value_vectors")) is None


def test_purity_is_the_share_of_pairs_over_that_of_random_pairs():
    random = np.random.default_rng(0)
    scores, groups = random.standard_normal((10, 40)), np.array(SUPERCLASSES)
    shares = []
    for vector in scores.T:
        best = sorted(range(10), key=lambda c: -vector[c])[:5]
        shares.append(np.mean([groups[a] == groups[b] for a, b in combinations(best, 2)]))
    every = np.mean([groups[a] == groups[b] for a, b in combinations(range(10), 2)])
    assert purity(scores, groups, 5) == pytest.approx(np.mean(shares) / every)
    assert purity(random.standard_normal((10, 20_000)), groups, 5) == pytest.approx(1.0, abs=0.02)


def test_purity_is_read_in_the_block_of_the_largest_agreement():
    pure, mixed = (grouped(groups, seed=1) for groups in (SUPERCLASSES, ACROSS))
    assert read(ClassPurity(), pure, SUPERCLASSES) > 1.5
    assert read(ClassPurity(), mixed, SUPERCLASSES) < 1.0
    with torch.no_grad():  # the block of the groups no longer agrees best: a random one does
        pure.model.blocks[2].mlp.fc2.weight.copy_(-pure.model.head.weight.sum(dim=0)[:, None].expand(-1, 192))
    assert read(ClassPurity(), pure, SUPERCLASSES) == pytest.approx(1.0, abs=0.2)


def test_superclasses_of_other_classes_are_refused():
    with pytest.raises(ClaimsError, match="0 superclasses are told for 10 classes"):
        read(ClassPurity(), grouped(SUPERCLASSES, seed=1))


def test_a_golden_table_is_compared_place_by_place():
    kept, swapped = golden(2, swapped=False), golden(2, swapped=True)
    table = GoldenVectors(block=GOLDEN_BLOCK, table=TABLE)
    assert read(table, kept) == 1.0
    assert read(table, swapped) == pytest.approx(13 / 15)  # the first of classes 0 and 2
    assert read(GoldenVectors(block=GOLDEN_BLOCK - 1, table=TABLE), kept) < 0.2
    distance = GoldenDistance(block=GOLDEN_BLOCK, values=PRINTED)
    assert read(distance, kept) == pytest.approx(0.0, abs=1e-5)
    moved = (*PRINTED[:-1], PRINTED[-1] + 0.01)
    assert read(GoldenDistance(block=GOLDEN_BLOCK, values=moved), kept) == pytest.approx(0.01, abs=1e-5)


def test_a_block_with_fewer_units_than_the_table_lists_reproduces_nothing():
    assert read(GoldenVectors(block=0, table=((0, 1, 2, 3, 4),)), wrap(random_vit(mlp_ratio=0.25))) == 0.0
