"""Simulated error rates of every kind of claim at its boundary, looked at after every image.

Each kind is simulated on 5,000 claims whose truth sits where a wrong verdict is likeliest. The rate of wrong
verdicts at any time must not exceed DELTA: a count beyond the 99.9 % quantile of its binomial fails.
"""

import math

import numpy as np
import pytest
from scipy.stats import binom

from harness.images.sampling import exchange_pairs
from harness.judging import betting, curve_bounds, multiplicity, sample_size
from harness.judging.observations import Pairs

DELTA = 0.05
CLAIMS = 5000
IMAGES = 200
MOST_WRONG = int(binom.ppf(0.999, CLAIMS, DELTA))


def draw(values, probabilities, seed: int, claims: int = CLAIMS, images: int = IMAGES) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice(np.asarray(values, float), p=probabilities, size=(claims, images))


def coin(share: float, seed: int) -> np.ndarray:
    return draw([1, 0], [share, 1 - share], seed)


def p_values(x: np.ndarray, bound: float, lo: float = 0.0, hi: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return (p_true, p_false) of "mean above bound" per claim, at the worst of all looks."""
    return betting.p_above(x, bound, lo, hi), betting.p_below(x, bound, lo, hi)


def composite(rule, parts) -> tuple[np.ndarray, np.ndarray]:
    """Apply a rule of `multiplicity` claim by claim; p-values only fall, so the last look is the worst."""
    trues, falses = (np.stack(side, axis=1) for side in zip(*parts, strict=True))
    return tuple(np.transpose([rule(t, f) for t, f in zip(trues, falses, strict=True)]))


def assert_rare(wrong: np.ndarray) -> None:
    """Fail if wrong verdicts are more frequent than DELTA beyond chance."""
    assert len(wrong) >= CLAIMS
    assert np.count_nonzero(wrong) <= MOST_WRONG


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_level_at_its_bound_is_rarely_decided(share):
    for p in p_values(coin(share, 1), share):
        assert_rare(p <= DELTA)


def test_a_level_of_graded_values_at_its_bound_is_rarely_decided():
    x = np.random.default_rng(2).beta(0.5, 1.5, size=(CLAIMS, IMAGES))
    for p in p_values(x, 0.25):
        assert_rare(p <= DELTA)


@pytest.mark.parametrize("discordant", [0.05, 0.5, 1.0])
def test_a_paired_difference_of_zero_is_rarely_decided(discordant):
    x = draw([-1, 0, 1], [discordant / 2, 1 - discordant, discordant / 2], 3)
    for p in p_values(x, 0.0, -1.0, 1.0):
        assert_rare(p <= DELTA)


@pytest.mark.parametrize("retention", [0.9, 0.5])
def test_a_ratio_at_its_bound_is_rarely_decided(retention):
    contrast = sample_size.bernoulli_pair(0.8, retention, 0.05, ratio=retention)
    for p in p_values(draw(*contrast, 4), 0.0, -retention, 1.0):
        assert_rare(p <= DELTA)


@pytest.mark.parametrize("ones", [20, 100])
def test_a_finite_population_at_its_bound_is_rarely_decided_at_any_look(ones):
    population = np.repeat([1.0, 0.0], [ones, IMAGES - ones])
    x = np.random.default_rng(5).permuted(np.tile(population, (CLAIMS, 1)), axis=1)
    above = betting.log_evidence(x, ones / IMAGES, 0, 1, population=IMAGES)
    below = betting.log_evidence(-x, -ones / IMAGES, -1, 0, population=IMAGES)
    for logs in (above, below):  # the largest over all looks: p-values are put right once the null is certain
        assert_rare(logs.max(axis=1) >= math.log(1 / DELTA))


@pytest.mark.parametrize("edge", [0.4, 0.6])
def test_equivalence_at_the_edge_of_its_margin_is_rarely_decided(edge):
    x = coin(edge, 6)
    p_true, p_false = composite(multiplicity.every, [p_values(x, 0.4), p_values(x, 0.6)[::-1]])
    assert_rare(p_true <= DELTA)
    assert_rare(p_false <= DELTA)


def test_every_is_rarely_supported_where_one_part_is_at_its_bound():
    parts = [p_values(coin(share, 7 + k), 0.5) for k, share in enumerate((0.5, 0.95, 0.95))]
    assert_rare(composite(multiplicity.every, parts)[0] <= DELTA)


def test_every_is_rarely_refuted_where_all_parts_are_at_their_bound():
    parts = [p_values(coin(0.5, 10 + k), 0.5) for k in range(3)]
    assert_rare(composite(multiplicity.every, parts)[1] <= DELTA)


def test_some_is_rarely_supported_where_all_parts_are_at_their_bound():
    parts = [p_values(coin(0.5, 20 + k), 0.5) for k in range(3)]
    assert_rare(composite(multiplicity.some, parts)[0] <= DELTA)


def test_some_is_rarely_refuted_where_one_part_is_at_its_bound():
    parts = [p_values(coin(share, 30 + k), 0.5) for k, share in enumerate((0.5, 0.05, 0.05))]
    assert_rare(composite(multiplicity.some, parts)[1] <= DELTA)


@pytest.mark.parametrize(
    ("levels", "too_high", "too_low"),
    [
        ([0.5, 0.5, 0.5, 0.5], 0.1, -0.1),  # all tied: the correlation is 0
        ([0.1, 0.5, 0.5, 0.9], 0.95, 0.85),  # only the tie in the middle is open: it is 0.9
    ],
)
def test_an_ordering_with_ties_is_rarely_decided_wrongly(levels, too_high, too_low):
    n, images = len(levels), 100
    rng = np.random.default_rng(40)
    points = (rng.random((CLAIMS, n, images)) < np.array(levels)[:, None]).astype(float)
    low, high = np.triu_indices(n, k=1)
    gain = points[:, high] - points[:, low]
    looks = np.arange(9, images, 10)
    falls = betting.log_evidence(gain, 0.0, -1.0, 1.0)[..., looks]
    rises = betting.log_evidence(-gain, 0.0, -1.0, 1.0)[..., looks]
    assert curve_bounds.spearman(levels) == pytest.approx((too_high + too_low) / 2)
    wrong = np.array(
        [
            (
                curve_bounds.rise_p(falls[claim], rises[claim], too_high)[0] <= DELTA,
                curve_bounds.rise_p(falls[claim], rises[claim], too_low)[1] <= DELTA,
            )
            for claim in range(CLAIMS)
        ]
    )
    for side in wrong.T:
        assert_rare(side)


PAIRS = Pairs(tuple(range(0, IMAGES, 2)), IMAGES // 2)


def violates(wrong: np.ndarray) -> bool:
    """Tell whether wrong verdicts are more frequent than DELTA beyond chance."""
    assert len(wrong) >= CLAIMS
    return int(np.count_nonzero(wrong)) > MOST_WRONG


def test_pictures_that_exchange_break_the_error_one_by_one_and_keep_it_pair_by_pair():
    # An exchange that fools or spares both pictures of a pair: their outcomes agree in 95 of 100 pairs.
    random = np.random.default_rng(70)
    first = random.random((CLAIMS, IMAGES // 2)) < 0.5
    second = np.where(random.random(first.shape) < 0.95, first, ~first)
    x = np.stack([first, second], axis=-1).reshape(CLAIMS, IMAGES).astype(float)
    assert np.corrcoef(x[:, 0], x[:, 1])[0, 1] > 0.85
    for naive, paired in zip(p_values(x, 0.5), p_values(PAIRS.means(x), 0.5), strict=True):
        assert violates(naive <= DELTA)
        assert_rare(paired <= DELTA)


def test_a_paired_contrast_with_a_clean_arm_breaks_and_keeps_the_error_likewise():
    # Retention at its bound: the clean arm is independent by picture, the exchange hits a pair as a whole.
    random = np.random.default_rng(71)
    clean = random.random((CLAIMS, IMAGES)) < 0.9
    spared = np.repeat(random.random((CLAIMS, IMAGES // 2)) < 0.8, 2, axis=1)
    contrast = (clean & spared) - 0.8 * clean
    naive = p_values(contrast, 0.0, -0.8, 1.0)
    paired = p_values(PAIRS.means(contrast), 0.0, -0.8, 1.0)
    assert violates(naive[0] <= DELTA)
    assert violates(naive[1] <= DELTA)
    for p in paired:
        assert_rare(p <= DELTA)


def test_pairs_of_a_finite_set_keep_the_error_where_single_pictures_do_not():
    outcomes = np.repeat(np.repeat([1.0, 0.0], IMAGES // 4), 2)  # 200 pictures, both of a pair alike
    random = np.random.default_rng(72)
    order = random.permuted(np.tile(np.arange(IMAGES // 2), (CLAIMS, 1)), axis=1)
    x = outcomes[(2 * order[..., None] + np.arange(2)).reshape(CLAIMS, IMAGES)]
    naive = betting.log_evidence(x, 0.5, 0, 1, population=IMAGES)
    paired = betting.log_evidence(PAIRS.means(x), 0.5, 0, 1, population=PAIRS.in_all)
    assert violates(naive.max(axis=1) >= math.log(1 / DELTA))
    assert_rare(paired.max(axis=1) >= math.log(1 / DELTA))


def test_partners_that_are_looked_for_by_class_break_the_error_and_neighbours_keep_it():
    # The outcome follows from the class. Neighbours of two classes are independent pairs; partners that are looked
    # for among all pictures of a chunk until everyone has one are not, though each pair is one of two classes.
    chunk, kinds, rng = 64, 3, np.random.default_rng(73)
    labels = rng.integers(0, kinds, (3 * CLAIMS, 3 * chunk))
    counts = np.stack([(labels.reshape(-1, 3, chunk) == kind).sum(-1) for kind in range(kinds)])
    labels = labels[(counts.max(axis=0) <= chunk // 2).all(axis=-1)][:CLAIMS]  # others have no such partners
    assert len(labels) == CLAIMS
    right = (labels == 0).astype(float)
    looked_for, neighbours = [], []
    for claim in range(CLAIMS):
        ordered = [np.argsort(part, kind="stable") + k * chunk for k, part in enumerate(np.split(labels[claim], 3))]
        halves = [rng.permutation(order.reshape(2, -1).T) for order in ordered]
        looked_for.append(right[claim][np.concatenate(halves)].mean(axis=1))
        first = exchange_pairs(labels[claim], [range(3 * chunk)])
        neighbours.append(Pairs(tuple(first), len(first)).means(right[claim]))
    by_class = np.array([betting.p_above(x, 1 / kinds, 0, 1) for x in looked_for])
    by_place = np.array([betting.p_above(x, 1 / kinds, 0, 1) for x in neighbours])
    assert violates(by_class <= DELTA)
    assert_rare(by_place <= DELTA)


def test_a_peeking_z_test_breaks_its_promise():
    x, n = draw([1, 0], [0.5, 0.5], 50, claims=1000, images=1000), np.arange(1, 1001)
    mean = np.cumsum(x, axis=1) / n
    deviation = np.sqrt(np.maximum(mean * (1 - mean), 1e-12) / n)
    z = ((mean - 0.5) / deviation)[:, 19:]
    assert (z.max(axis=1) > 1.645).mean() > 0.2
    assert np.isclose((z[:, -1] > 1.645).mean(), DELTA, atol=0.025)  # without peeking it is honest


def test_the_simulation_catches_a_test_that_promises_too_much():
    p = betting.p_above(coin(0.5, 60), 0.46, 0, 1)  # judged against a bound that is off by 0.04
    with pytest.raises(AssertionError):
        assert_rare(p <= DELTA)
