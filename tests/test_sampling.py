"""Order, chunks and pairs are fixed by numbers alone; pairs that count are of two classes, and independent."""

from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from harness.errors import ClaimsError
from harness.images.sampling import (
    batch_ranges,
    checked_positions,
    donors,
    exchange_pairs,
    measuring_order,
    usable_grid,
    whole_pairs,
)

seeds = st.integers(0, 2**32)


@given(st.integers(0, 3000), st.integers(1, 300))
def test_chunks_cover_all_positions_once_in_order_and_all_but_the_last_are_full(count, batch_size):
    chunks = batch_ranges(count, batch_size)
    assert [position for chunk in chunks for position in chunk] == list(range(count))
    assert all(len(chunk) == batch_size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= batch_size for chunk in chunks)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 60))
def test_a_larger_count_adds_chunks_and_moves_none_that_is_full(count, more, batch_size):
    full = count // batch_size
    assert batch_ranges(count, batch_size)[:full] == batch_ranges(count + more, batch_size)[:full]


@pytest.mark.parametrize(("count", "batch_size"), [(10, 0), (-1, 8)])
def test_a_grid_of_nothing_is_refused_with_both_numbers(count, batch_size):
    with pytest.raises(ClaimsError, match=f"{count} pictures in chunks of at most {batch_size}"):
        batch_ranges(count, batch_size)


@given(st.integers(0, 500), seeds)
def test_the_measuring_order_is_a_permutation_that_the_seed_fixes(count, seed):
    order = measuring_order(count, seed)
    assert sorted(order.tolist()) == list(range(count))
    assert np.array_equal(order, measuring_order(count, seed))


def test_the_measuring_order_is_what_numpys_documented_generator_gives():
    assert np.array_equal(measuring_order(9, 4), np.random.Generator(np.random.PCG64(4)).permutation(9))


@pytest.mark.parametrize("position", [-1, 5])
def test_a_position_outside_of_the_order_is_an_error_and_never_wraps_around(position):
    with pytest.raises(IndexError, match=f"position {position} .* allowed: 0 to 4"):
        checked_positions([0, position], 5)


def counted(classes) -> list[tuple[int, int]]:
    """List the classes of the pairs that count, in order, in one chunk."""
    labels = np.asarray(classes)
    return [tuple(sorted(labels[[k, k + 1]].tolist())) for k in exchange_pairs(labels, [range(len(labels))])]


@given(st.integers(0, 200))
def test_pictures_exchange_in_disjoint_pairs_and_only_an_odd_last_one_keeps_its_own(size):
    donor = donors(size)
    assert donor.dtype == np.int64
    assert (donor[donor] == np.arange(size)).all()
    assert np.flatnonzero(donor == np.arange(size)).tolist() == ([size - 1] if size % 2 else [])


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=120), st.integers(2, 40))
def test_the_pairs_that_count_are_those_who_exchange_and_differ_in_class(kinds, batch_size):
    labels = np.array(kinds, dtype=np.int64)
    grid = batch_ranges(len(labels), batch_size)
    partner = np.concatenate([[], *[chunk.start + donors(len(chunk)) for chunk in grid]]).astype(int)
    expected = [k for k in range(len(labels)) if partner[k] > k and labels[partner[k]] != labels[k]]
    assert exchange_pairs(labels, grid).tolist() == expected
    assert exchange_pairs(None, grid).tolist() == [k for k in range(len(labels)) if partner[k] > k]


@given(st.lists(st.integers(0, 3), min_size=2, max_size=40), st.integers(0, 39), st.integers(0, 3))
def test_whether_a_pair_counts_depends_on_its_own_two_classes_alone(kinds, place, other):
    labels, grid = np.array(kinds), [range(len(kinds))]
    changed = labels.copy()
    changed[place % len(labels)] = other
    pair = place % len(labels) // 2 * 2
    differing = set(exchange_pairs(labels, grid).tolist()) ^ set(exchange_pairs(changed, grid).tolist())
    assert differing <= {pair}


def test_the_seed_draws_every_way_to_pair_equally_often():
    def pairs(seed):
        order = measuring_order(6, seed)
        return frozenset(frozenset(order[[k, k + 1]].tolist()) for k in exchange_pairs(None, [range(6)]))

    drawn = Counter(pairs(seed) for seed in range(3000))
    assert len(drawn) == 15  # 5 x 3 x 1
    assert chisquare(list(drawn.values())).pvalue > 1e-3


def test_the_seed_draws_every_valid_pairing_equally_often_though_classes_differ_in_size():
    labels = np.array([0, 0, 0, 1, 1, 2])

    def pairs(seed):
        order = measuring_order(6, seed)
        return frozenset(frozenset(order[[k, k + 1]].tolist()) for k in exchange_pairs(labels[order], [range(6)]))

    drawn = Counter(pairs(seed) for seed in range(6000))
    complete = {pairing: count for pairing, count in drawn.items() if len(pairing) == 3}
    assert len(complete) == 6  # each of the three pictures of class 0 with one of the three others
    assert chisquare(list(complete.values())).pvalue > 1e-3


def test_the_counted_pairs_of_a_finite_set_come_in_every_order_equally_often():
    labels, grid = np.array([0, 0, 1, 1, 2, 2, 2]), [range(3), range(3, 7)]
    orders = Counter()
    for order in permutations(range(7)):
        place = np.array(order)
        orders[tuple(frozenset(place[[k, k + 1]].tolist()) for k in exchange_pairs(labels[place], grid))] += 1
    for sequence, count in orders.items():
        assert all(orders[other] == count for other in permutations(sequence))


def test_classes_of_counted_pairs_are_independent_draws():
    share = np.array([0.5, 0.3, 0.2])
    first, both = Counter(), Counter()
    for kinds in product(range(3), repeat=4):
        if len(found := counted(kinds)) == 2:
            both[tuple(found)] += share[list(kinds)].prod()
            first[found[0]] += share[list(kinds)].prod()
    total = sum(first.values())
    for one, two in product(first, repeat=2):
        assert both[one, two] / total == pytest.approx(first[one] / total * first[two] / total)


def test_one_picture_alone_in_the_last_chunk_is_left_out():
    assert usable_grid(65, 32) == (range(32), range(32, 64))
    assert usable_grid(66, 32) == (range(32), range(32, 64), range(64, 66))
    assert usable_grid(0, 32) == ()


@pytest.mark.parametrize(("count", "batch_size"), [(1, 32), (5, 1)])
def test_chunks_of_one_picture_are_refused_because_nobody_could_exchange(count, batch_size):
    with pytest.raises(ClaimsError, match=r"has 1 picture.*larger chunks"):
        usable_grid(count, batch_size)


@given(st.integers(0, 60).filter(lambda count: count != 1), st.integers(2, 9), st.integers(0, 70))
def test_a_budget_is_rounded_down_to_whole_pairs(count, batch_size, budget):
    grid = usable_grid(count, batch_size)
    kept = whole_pairs(budget, grid)
    assert budget - 1 <= kept <= budget
    first = exchange_pairs(None, grid)
    assert not (first + 1 == kept).any()
    assert ((first < kept) == (first + 1 < kept)).all()
    if kept < budget:
        assert (first + 1 == budget).any(), "rounded only where a pair would be cut"


def test_a_grid_beyond_the_labels_is_refused():
    with pytest.raises(ClaimsError, match="beyond the 4 labels"):
        exchange_pairs(np.arange(4), [range(2, 6)])
