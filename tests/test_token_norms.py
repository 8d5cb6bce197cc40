"""Norms of tokens, likeness of neighbours and areas under curves against closed forms and second implementations."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from torch.nn.functional import cosine_similarity

from harness.fixtures.planted.outlier_worlds import GRID, WORLDS
from harness.models.subject import Stream
from harness.probes.probe import Probe, features
from harness.readouts import token_norms as tn
from harness.readouts.reading import Reading
from support.claims import chunk, loaded
from support.planted import PlantedImages
from support.tiny import WIDTH, tiny_vit


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20))
def test_the_area_equals_that_of_mann_and_whitney(places):
    scores = torch.tensor([[float(score) for score, _ in places]])
    chosen = torch.tensor([[mark for _, mark in places]])
    found = tn.area_under_curve(scores, chosen).item()
    first, second = (scores[chosen == mark].numpy() for mark in (True, False))
    if not (len(first) and len(second)):
        assert found == 0.0
    else:
        assert found == pytest.approx(mannwhitneyu(first, second).statistic / (len(first) * len(second)), abs=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(3, 4), (1, 3), (5, 1), (1, 1)])
def test_likeness_is_that_to_the_neighbours_there_are(rows, columns):
    maps = torch.randn(2, rows, columns, 5, generator=torch.Generator().manual_seed(0))
    found = tn.neighbour_cosine(maps)
    for row in range(rows):
        for column in range(columns):
            beside = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
            near = [at for at in beside if 0 <= at[0] < rows and 0 <= at[1] < columns]
            own = [cosine_similarity(maps[:, row, column], maps[(slice(None), *at)], dim=-1) for at in near]
            expected = torch.stack(own).mean(dim=0) if own else torch.zeros(2)
            assert found[:, row, column].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def _reading(patches: torch.Tensor) -> Reading:
    """Put a class token with a huge norm before patches, which nothing may look at."""
    tokens = torch.cat([torch.full((len(patches), 1, WIDTH), 1e4), patches], dim=1)
    of = chunk(PlantedImages(count=len(patches)), range(len(patches)))
    return Reading(tiny_vit(), Stream(tokens), 2, of, {}, None)


def test_outliers_exceed_three_times_the_median_of_their_picture():
    lengths = torch.tensor([[1.0, 1.0, 1.0, 2.9], [2.0, 2.0, 2.0, 6.1]])
    reading = _reading(torch.nn.functional.one_hot(torch.zeros(2, 4, dtype=torch.long), WIDTH) * lengths[..., None])
    assert tn.OutlierShare().read(reading).tolist() == [0.0, 0.25]
    assert tn.HasOutliers().read(reading).tolist() == [0.0, 1.0]
    assert tn.LargestNorm().read(reading).tolist() == pytest.approx([2.9, 3.05])


def test_probes_read_the_token_with_the_largest_or_the_median_norm():
    patches = torch.randn(3, 4, WIDTH, generator=torch.Generator().manual_seed(1))
    subject, stream = tiny_vit(), _reading(patches).stream
    order = patches.norm(dim=2).argsort(dim=1)
    for kind, rank in (("largest patch", 3), ("median patch", 1)):  # of four the lower median
        found = features(Probe(layer=2, kind=kind), subject, stream)
        assert torch.equal(found, patches[torch.arange(3), order[:, rank]])


def test_likeness_is_read_before_positions_and_norms_may_be_permuted():
    world = WORLDS["outliers on even patches"]
    here = loaded(world.subjects(0)[""], world.test_images(0))
    positions = range(32)
    stream = here.subject.start(here.load(positions))
    for block in range(here.subject.card.depth):
        stream = here.subject.step(block, stream)
    reading = Reading(here.subject, stream, 1, here.chunk(positions), {}, None).lent_to(False, ())
    assert (tn.OutlierShare().read(reading) * GRID**2).tolist() == pytest.approx([2.0] * 32)
    assert tn.RedundancyOfOutliers().read(reading).mean() > 0.8
    assert tn.RedundancyOfOutliers(permuted=True).read(reading).mean() == pytest.approx(0.5, abs=0.15)
    assert np.isfinite(tn.LargestNorm().read(reading).numpy()).all()
