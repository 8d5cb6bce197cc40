"""The overlap of attention and object against closed forms, and the steps of the source's code written out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ClaimsError
from harness.fixtures.planted.overlap_worlds import COUNT, DINO, PATCH, looking, squares
from harness.models.subject import Stream
from harness.readouts.attention_overlap import MASS, AttentionOverlap, jaccard, largest_with
from harness.readouts.reading import Reading
from support.claims import loaded


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any), st.floats(0.05, 0.95))
def test_as_few_patches_as_have_the_mass_are_marked(weights, mass):
    shares = torch.tensor(weights, dtype=torch.float64)
    marked = largest_with(shares, mass)
    total = shares.sum()
    assert shares[marked].sum() >= mass * total - 1e-9
    assert shares[marked].sum() - shares[marked].min() <= mass * total + 1e-9, "one fewer would do"
    assert not (~marked).any() or shares[marked].min() >= shares[~marked].max()


def test_marks_equal_the_source_code_written_out():
    attention = np.random.default_rng(0).random((3, 16))
    expected = np.zeros((3, 16), dtype=bool)
    for head in range(3):
        order = np.argsort(attention[head])
        cumulated = np.cumsum(attention[head][order] / attention[head].sum())
        expected[head][order[cumulated > 1 - MASS]] = True
    assert np.array_equal(largest_with(torch.from_numpy(attention), MASS).numpy(), expected)


def test_overlap_is_counted_in_pixels_of_whole_patches():
    marked = torch.tensor([[[[True, False], [False, False]]]])
    masks = torch.zeros(1, 4, 4, dtype=torch.bool)
    masks[0, 1:3, 0:2] = True  # 4 pixels, of which 2 lie in the marked patch of 4
    assert jaccard(marked, masks).item() == pytest.approx(2 / 6)
    assert jaccard(torch.zeros_like(marked), torch.zeros_like(masks)).item() == 0.0


def test_who_attends_evenly_to_the_object_marks_its_share_of_it():
    images = squares(0)
    here = loaded(looking("bright", DINO), images)
    positions = range(8)
    before = here.subject.start(here.load(positions))
    stream = here.subject.step(0, before)
    reading = Reading(here.subject, stream, 0, here.chunk(positions), {}, None, before=before).lent_to(True, ())
    sizes = images.marked[:8].sum(axis=(1, 2)) // PATCH**2
    own = AttentionOverlap().read(reading).numpy()
    # Of n equal patches the marked ones are those beyond 1 - MASS of the mass: n - floor(.4 n), but for rounding.
    assert own == pytest.approx((sizes - np.floor((1 - MASS) * sizes + 1e-4)) / sizes, abs=1.01 / sizes.min())
    assert (AttentionOverlap(whose="donor").read(reading).numpy() < own).all()
    assert len(images) == COUNT


def test_the_embedding_has_no_attention():
    here = loaded(looking("bright", DINO), squares(0))
    reading = Reading(here.subject, Stream(torch.zeros(2, 197, 8)), -1, here.chunk(range(2)), {}, None)
    with pytest.raises(ClaimsError, match="after a block"):
        AttentionOverlap().read(reading.lent_to(False, ()))
