"""Maps that explain an answer, and twins that are drawn anew in part: finite differences, scipy, closed forms."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from harness.errors import ClaimsError
from harness.fixtures.families import SMALL_MODELS
from harness.fixtures.planted.code_pictures import CodePictures
from harness.fixtures.planted.explained_worlds import DEPTH, LinearSeer
from harness.interventions.relevance import RolloutRelevance
from harness.models.families import adapt
from harness.readouts.saliency import RankKept, SameMap, by_patch, edges_of, rank_correlation, saliencies
from support.cards import CLS, GAP
from support.claims import loaded
from support.tiny import DEPTH as BLOCKS
from support.tiny import RandomImages, tiny_vit

ONE = np.zeros(1, dtype=np.int64)
SEER = LinearSeer(head=1, blocks=(2, 3, 4, 5))


def place_of(subject, images, count=12):
    return loaded(subject, images).place("given", count, lambda blocks: None)


@pytest.mark.parametrize("name", ["vit", "beit with a shared bias", "eva mixed rotary", "resnet"])
def test_the_gradient_at_the_pictures_is_the_slope_of_the_logit(name):
    torch.manual_seed(0)
    subject = adapt(SMALL_MODELS[name]().double(), name=name, arch=name, pretrained=False)
    size, labels = subject.card.preprocessing.size, torch.tensor([1, 3])
    images, step = (torch.randn(2, 3, *size, dtype=torch.float64) for _ in range(2))
    with torch.inference_mode():
        gradient = subject.input_gradient(images, labels)

    def logit(at):
        with torch.no_grad():
            return subject.model(at).gather(1, labels[:, None]).sum()

    slope = (logit(images + 1e-6 * step) - logit(images - 1e-6 * step)) / 2e-6
    torch.testing.assert_close((gradient * step).sum(), slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("blocks", range(BLOCKS + 1))
def test_of_a_twin_the_head_and_the_last_blocks_are_fresh_and_nothing_else(blocks):
    subject = tiny_vit()
    given, fresh, twin = (
        one.model.state_dict() for one in (subject, subject.untrained(7), subject.partly_untrained(7, blocks))
    )
    expected = {"head.weight", "head.bias"}
    if blocks:
        expected |= {"norm.weight", "norm.bias"}
        expected |= {f"blocks.{block}." for block in range(BLOCKS - blocks, BLOCKS)}
    for name, value in twin.items():
        drawn = any(name.startswith(part) for part in expected)
        assert torch.equal(value, (fresh if drawn else given)[name]), name
        assert not torch.equal(fresh[name], given[name]), "the two can be told apart"


def test_twins_in_part_are_refused_where_there_is_no_one_list_of_blocks():
    with pytest.raises(ClaimsError, match="the last 4 blocks of 'tiny'; allowed: 0 to 3"):
        tiny_vit().partly_untrained(0, 4)
    resnet = adapt(SMALL_MODELS["resnet"](), name="resnet", arch="resnet", pretrained=False)
    with pytest.raises(ClaimsError, match="not one list of blocks"):
        resnet.partly_untrained(0, 1)


def test_rank_correlation_is_that_of_scipy_with_ties_and_none_of_a_constant():
    first, second = (torch.randint(0, 5, (6, 16), generator=torch.manual_seed(seed)) for seed in (0, 1))
    expected = [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlation(first.float(), second.float()), expected, atol=1e-12)
    assert not rank_correlation(first.float(), torch.ones(6, 16)).any()


def test_patches_average_their_pixels_and_edges_lie_where_pixels_change():
    pixels = torch.zeros(1, 1, 4, 4)
    pixels[0, 0, :2, 3] = 1.0  # the right upper corner of the picture
    assert by_patch(pixels, (2, 2)).tolist() == [[0, 0.5, 0, 0]]
    # To the right two differences within the upper right patch; down one to the lower patch, which the upper one has.
    assert edges_of(pixels, (2, 2)).tolist() == [[0, 3 / 4, 0, 0]]


@pytest.mark.parametrize(
    ("saliency", "of"),
    [("gradient x input", lambda grad, x: grad * x), ("|gradient|", lambda grad, x: grad.abs())],
)
def test_of_a_linear_model_maps_are_rows_of_its_heads(saliency, of):
    images = CodePictures(seed=0, count=12)
    place = place_of(SEER, images)
    pictures = images.load(range(12), SEER.card.preprocessing)
    tokens = SEER.start(pictures).tokens[:, 1:]
    answers = torch.einsum("ipc,kpc->ik", tokens, SEER.rows).argmax(dim=1)
    maps = [of(one.rows[answers], tokens).sum(dim=-1) for one in (SEER, SEER.partly_untrained(place.seed, 0))]
    expected = np.mean([spearmanr(a, b).statistic for a, b in zip(*maps, strict=True)])
    assert RankKept(saliency, 0).numbers(place, ONE)[0] == pytest.approx(expected, abs=1e-6)


def test_pixels_stay_and_rollout_stays_until_a_block_is_drawn():
    place = place_of(SEER, CodePictures(seed=0, count=12))
    assert RankKept("edges", DEPTH).numbers(place, ONE)[0] == pytest.approx(1)
    assert [SameMap("rollout", blocks).numbers(place, ONE)[0] for blocks in (0, 1, DEPTH)] == [1, 0, 0]
    assert RankKept("rollout", DEPTH).numbers(place, ONE)[0] < 0.9
    deaf = place_of(LinearSeer(head=1, blocks=(2, 3, 4, 5), deaf=True), CodePictures(seed=0, count=12))
    assert SameMap("gradient x input", DEPTH).numbers(deaf, ONE)[0] == 1


def test_every_map_of_a_real_vit_explains_the_class_that_it_names():
    subject, images, costs = tiny_vit(), RandomImages(count=8), []
    place = loaded(subject, images).place("given", 8, costs.append)
    for name in saliencies(subject.card):
        assert -1 <= RankKept(name, BLOCKS).numbers(place, ONE)[0] <= 1
    assert sum(costs) == BLOCKS * 8 * (1 + 2 * (3 + 2 + 1 + 3))  # the answer; given and twin: each map once
    given, twin = (place.once(("saliency", "rollout", blocks), dict)["rollout"] for blocks in (None, BLOCKS))
    pictures, chunk = place.load(range(8)), place.chunk_of(range(8))
    torch.testing.assert_close(given, RolloutRelevance().compute(subject, pictures, chunk, {}))
    assert not torch.allclose(given, twin)


def test_models_are_asked_for_the_maps_that_they_can_give():
    assert saliencies(CLS) == ("|gradient|", "gradient x input", "|gradient x input|", "rollout", "class", "chefer")
    assert "class" not in saliencies(type(GAP)(**{**vars(GAP), "capabilities": GAP.capabilities - {"token_head"}}))


def test_a_subject_without_gradients_says_so():
    images = CodePictures(seed=0, count=12)
    with pytest.raises(ClaimsError, match="no `input_gradient`"):
        RankKept("|gradient|", 0).numbers(place_of(_WithoutGradients(), images), ONE)


class _WithoutGradients:
    """A linear seer that hides what maps rest on."""

    def __getattr__(self, name):
        if name in ("input_gradient", "partly_untrained"):
            raise AttributeError(name)
        return getattr(SEER, name)
