"""Order, chunks and donors are fixed by numbers alone, and donors always come from another class."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.chunks import checked_positions, chunk_grid, donors, measuring_order
from harness.errors import ClaimsError

seeds = st.integers(0, 2**32)


@given(st.integers(0, 3000), st.integers(1, 300))
def test_chunks_cover_all_positions_once_in_order_and_all_but_the_last_are_full(count, batch_size):
    chunks = chunk_grid(count, batch_size)
    assert [position for chunk in chunks for position in chunk] == list(range(count))
    assert all(len(chunk) == batch_size for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= batch_size for chunk in chunks)


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 60))
def test_a_larger_count_adds_chunks_and_moves_none_that_is_full(count, more, batch_size):
    full = count // batch_size
    assert chunk_grid(count, batch_size)[:full] == chunk_grid(count + more, batch_size)[:full]


@pytest.mark.parametrize(("count", "batch_size"), [(10, 0), (-1, 8)])
def test_a_grid_of_nothing_is_refused_with_both_numbers(count, batch_size):
    with pytest.raises(ClaimsError, match=f"{count} pictures in chunks of at most {batch_size}"):
        chunk_grid(count, batch_size)


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


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=120), seeds)
def test_donors_are_a_permutation_in_which_everyone_receives_from_another_class(kinds, seed):
    labels = np.array(kinds)
    assume(2 * np.bincount(labels).max() <= len(labels))
    donor = donors(labels, range(len(labels)), seed)
    assert donor.dtype == np.int64
    assert sorted(donor.tolist()) == list(range(len(labels)))
    assert (labels[donor] != labels).all()


@settings(deadline=None)
@given(st.integers(2, 100), seeds)
def test_without_labels_donors_are_a_permutation_without_fixed_points(size, seed):
    donor = donors(None, range(5, 5 + size), seed)
    assert sorted(donor.tolist()) == list(range(size))
    assert (donor != np.arange(size)).all()


@given(seeds)
def test_donors_depend_on_seed_chunk_and_the_labels_of_the_chunk_alone(seed):
    labels = np.arange(60) % 10
    chunk = range(20, 40)
    changed_elsewhere = labels.copy()
    changed_elsewhere[:20], changed_elsewhere[40:] = 3, 7
    assert np.array_equal(donors(labels, chunk, seed), donors(changed_elsewhere, chunk, seed))
    assert not np.array_equal(donors(labels, chunk, seed), donors(labels, range(40, 60), seed))
    assert not np.array_equal(donors(labels, chunk, seed), donors(labels, chunk, seed + 1))


def test_a_class_of_exactly_half_of_the_chunk_still_finds_donors():
    labels = np.array([0, 0, 0, 1, 2, 3])
    assert (labels[donors(labels, range(6), 1)] != labels).all()


def test_a_class_of_more_than_half_is_refused_with_class_count_chunk_and_cure():
    labels = np.array([9, 9, 4, 4, 4, 4, 1])
    with pytest.raises(ClaimsError, match=r"class 4 has 4 of the 5 pictures of chunk range\(2, 7\).*larger chunks"):
        donors(labels, range(2, 7), 0)


def test_a_chunk_of_one_has_no_donor():
    with pytest.raises(ClaimsError, match="has 1 picture"):
        donors(None, range(3, 4), 0)


def test_a_chunk_beyond_the_labels_is_refused():
    with pytest.raises(ClaimsError, match="beyond the 4 labels"):
        donors(np.arange(4), range(2, 6), 0)


def test_each_picture_of_another_class_is_donor_about_equally_often():
    labels = np.repeat(np.arange(3), 4)
    draws = np.array([donors(labels, range(12), seed) for seed in range(1500)])
    counts = np.bincount(draws[:, 0], minlength=12)
    assert counts[:4].sum() == 0
    assert counts[4:].min() > 0.8 * 1500 / 8
    assert counts[4:].max() < 1.2 * 1500 / 8


def test_every_valid_arrangement_is_drawn_about_equally_often_though_classes_differ_in_size():
    labels = np.array([0, 0, 1, 1, 2, 3])
    valid = [order for order in permutations(range(6)) if (labels[list(order)] != labels).all()]
    drawn = Counter(tuple(donors(labels, range(6), seed).tolist()) for seed in range(100 * len(valid)))
    assert set(drawn) == set(valid)
    assert min(drawn.values()) > 60
    assert max(drawn.values()) < 145


def test_pictures_of_one_class_do_not_all_receive_from_the_same_class():
    labels = np.repeat(np.arange(4), 8)
    sources = [set(labels[donors(labels, range(32), seed)][:8].tolist()) for seed in range(20)]
    assert all(len(source) > 1 for source in sources)
