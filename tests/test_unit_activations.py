"""The table of units against a second implementation on all activations at once, and what is read of it."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from harness.errors import ClaimsError, NotApplicable
from harness.fixtures.planted.featvis_worlds import detectors, gratings, pictures_of
from harness.fixtures.planted.unit_worlds import object_pictures, watching_objects
from harness.models.sites import UnitShape
from harness.readouts.units.activations import ROTATED, Table, make_tables, unit_rows
from harness.readouts.units.mask_overlap import mask_areas
from harness.readouts.units.members import UnitsOf, UnitsOfEachBlock
from harness.readouts.units.selectivity import BackgroundUnits, DistinctTop, ObjectArea, Purity
from harness.readouts.units.streaming import TOP, rotation
from harness.readouts.units.tolerance import MOST, Elsewhere, Kept, shifted, turned
from harness.running.run_images import have
from support.claims import loaded
from support.planted import Planted
from support.tiny import RandomImages, tiny_vit

ONE = np.array([0])
COUNT = 48


def place_of(subject, images, batch_size=32, count=None):
    return loaded(subject, images, batch_size=batch_size).place("given", count or len(images), lambda blocks: None)


def everything(subject, images, block, site):
    """Run all pictures at once: [picture, place, feature] of the patches, in double precision."""
    stream = subject.start(images.load(range(len(images)), subject.card.preprocessing))
    for earlier in range(block):
        stream = subject.step(earlier, stream)
    return subject.watch(block, stream, (site,))[1][site][:, 1:].double().numpy()


def whole_table(place):
    """Make the rows of all sites of all blocks in one pass."""
    places = range(place.subject.card.depth), ("units", "query", "key", "value", ROTATED)
    tables = [Table(block, site) for block, site in product(*places)]
    make_tables(place, tables)
    return {(table.block, table.site): unit_rows(place, table) for table in tables}


@pytest.fixture(scope="module")
def noise():
    subject, images = tiny_vit(), RandomImages(count=COUNT)
    return subject, images, whole_table(place_of(subject, images))


@pytest.mark.parametrize("site", ["units", "query", "key", "value"])
@pytest.mark.parametrize("block", [0, 2])
def test_rows_are_those_of_all_activations_at_once(noise, block, site):
    subject, images, table = noise
    values, rows = everything(subject, images, block, site), table[block, site]
    means = values.mean(axis=1)
    order = np.argsort(-means, axis=0)[:TOP]
    np.testing.assert_allclose(rows.top, np.take_along_axis(means, order, 0), atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(means, rows.where, 0), rows.top, atol=1e-5)
    np.testing.assert_allclose(rows.mean, means.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(rows.std, means.std(axis=0), atol=1e-5)
    within = values.var(axis=1).mean(axis=0) / values.var(axis=(0, 1))
    np.testing.assert_allclose(rows.within, within, atol=1e-5)
    between = np.stack([means[images.labels == label].mean(axis=0) for label in images.labels])
    np.testing.assert_allclose(rows.explained_by_class, between.var(axis=0) / means.var(axis=0), atol=1e-5)


def test_rotated_units_are_the_units_in_another_orthogonal_basis(noise):
    subject, images, table = noise
    values = everything(subject, images, 1, "units")
    basis = rotation(values.shape[-1], 0, 1).numpy()
    np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-12)
    np.testing.assert_allclose(table[1, ROTATED].mean, (values @ basis).mean(axis=(0, 1)), atol=1e-5)


def test_the_table_does_not_depend_on_how_pictures_are_cut_into_chunks(noise):
    subject, images, table = noise
    other = whole_table(place_of(subject, images, batch_size=7))
    for name, rows in table.items():
        np.testing.assert_allclose(rows.top, other[name].top, atol=1e-5)
        np.testing.assert_allclose(rows.within, other[name].within, atol=1e-5)


def test_one_pass_makes_the_rows_of_all_readings_beside_one_another_and_no_others(noise):
    subject, images, table = noise
    charged: list[float] = []
    asked = tuple(read for block in range(2) for read in (Purity(block=block, site="key"), DistinctTop(block=block)))
    place = loaded(subject, images).place("given", COUNT, charged.append)
    for read in asked:
        read.numbers(replace(place, beside=asked), ONE)
    assert sum(charged) == 2 * COUNT  # up to the last block that is read
    assert set(place.shared["unit rows"]) == {(block, site) for block in range(2) for site in ("units", "key")}
    np.testing.assert_array_equal(unit_rows(place, Table(1, "key")).top, table[1, "key"].top)
    DistinctTop(block=2).numbers(place, ONE)
    assert sum(charged) == 5 * COUNT


def test_areas_are_made_with_the_masks_that_are_asked_for():
    place = place_of(watching_objects(1, told=False), object_pictures(0), count=64)
    assert set(unit_rows(place, Table(1, masks=("other",))).areas) == {"other"}
    both = unit_rows(place, Table(1, masks=("own", "other")))
    assert set(both.areas) == {"own", "other"}
    assert unit_rows(place, Table(1)) is both


def test_purity_and_distinct_pictures_are_counted_as_said(noise):
    subject, images, table = noise
    place = place_of(subject, images)
    where = table[1, "units"].where
    purity = [max(np.mean(images.labels[column] == label) for label in range(4)) for column in where.T]
    assert Purity(block=1).numbers(place, ONE) == pytest.approx([np.mean(purity)])
    assert DistinctTop(block=1).numbers(place, ONE) == pytest.approx([len(set(where[0])) / len(where[0])])
    assert Purity(block=1, labels="permuted").numbers(place, ONE) != pytest.approx([np.mean(purity)])


def test_areas_are_those_of_scikit_learn():
    images, subject = object_pictures(0), watching_objects(1, told=False)
    place = place_of(subject, images, count=64)
    rows = unit_rows(place, Table(1, masks=("own", "other")))
    values = everything(subject, images, 1, "units")
    masks = images.marked[:, ::4, ::4].reshape(len(images), -1)
    for rank, unit in ((0, 0), (5, 7), (19, 30)):
        picture = rows.where[rank, unit]
        for name, mask in (("own", masks[picture]), ("other", masks[(picture + 1) % 64])):
            expected = roc_auc_score(mask, values[picture, :, unit].astype(np.float32))
            assert rows.areas[name][rank, unit] == pytest.approx(expected, abs=1e-6)
    folded = np.abs(rows.areas["own"] - 0.5) + 0.5
    assert ObjectArea(block=1).numbers(place, ONE) == pytest.approx([np.nanmean(folded)])


def test_a_map_without_differences_tells_nothing():
    subject, images = watching_objects(0), object_pictures(0)
    place = place_of(subject, images, count=64)
    flat = np.zeros((2, 3, 16), dtype=np.float32)
    areas = mask_areas(place, flat, np.arange(6).reshape(2, 3), subject.unit_shape(0))
    assert {name: found.tolist() for name, found in areas.items()} == dict.fromkeys(areas, [[0.5] * 3] * 2)


def test_units_against_the_object_count_as_background():
    place = place_of(watching_objects(0), object_pictures(0), count=64)
    assert BackgroundUnits(block=1).numbers(place, ONE) == pytest.approx([0.3])
    assert ObjectArea(block=2).numbers(place, ONE) == pytest.approx([1.0])


def test_areas_without_masks_are_refused(noise):
    with pytest.raises(ClaimsError, match="object masks are needed"):
        ObjectArea(block=0).numbers(place_of(noise[0], noise[1]), ONE)


def test_purity_needs_many_pictures_of_a_class():
    assert not have(_Few(), 10_000, shots=0)["repeats"]
    assert have(object_pictures(0), 10_000, shots=0)["repeats"]


def test_what_other_claims_open_says_nothing_about_the_pictures_that_a_claim_sees():
    pictures = object_pictures(0)
    needed = 20 * pictures.classes
    assert have(pictures, needed, shots=0)["repeats"]
    assert not have(pictures, needed - 1, shots=0)["repeats"]


@dataclass(frozen=True)
class _Few:
    labels = np.arange(10)
    classes = 10
    has_masks = has_boxes = False

    def __len__(self):
        return 10


def test_members_of_several_blocks_are_sorted_by_block():
    subject = tiny_vit()
    census = UnitsOf(blocks=(0, 2))
    units = subject.unit_shape(0).units
    assert census.members(subject) == 2 * units
    found = census.places(subject, np.array([units, 3, units + 5]))
    assert found[0][0].tolist() == [1]
    assert found[0][1].tolist() == [3]
    assert found[2][0].tolist() == [0, 2]
    assert found[2][1].tolist() == [0, 5]


def test_blocks_of_different_width_have_no_units_side_by_side():
    shapes = (UnitShape(rows=1, columns=1, prefix=0, units=4), UnitShape(rows=1, columns=1, prefix=0, units=8))

    class Staged(Planted):
        card = type("Card", (), {"units": shapes})

    with pytest.raises(NotApplicable, match=r"different numbers of units \(\[4, 8\]\)"):
        UnitsOfEachBlock().members(Staged())


def test_shifts_are_cyclic_and_turns_keep_centre_and_corners_black():
    subject = detectors(gratings(), 0)
    picture = torch.rand(3, 16, 16)
    moved = shifted(picture, (2, 2))
    assert torch.equal(moved[0], picture)
    assert torch.equal(moved[6][:, 2, 4], picture[:, 0, 0])  # one step down, two to the right
    looks = subject.card.preprocessing
    around = turned((picture - 0.5) / 0.5, looks) * 0.5 + 0.5
    torch.testing.assert_close(around[0], picture, atol=1e-5, rtol=0)
    torch.testing.assert_close(around[9], picture.flip(1, 2), atol=1e-5, rtol=0)  # half a turn
    assert around[2][:, 0, 0].abs().max() < 1e-5  # 40 degrees: what comes into the corner is black


def test_gratings_survive_shifts_and_not_turns_in_closed_form():
    place = place_of(detectors(gratings(), 0), pictures_of(gratings(), 0))
    members = np.arange(16)
    assert Kept(block=0, move="none").numbers(place, members) == pytest.approx(np.ones(16))
    assert Kept(block=0, move="shift").numbers(place, members) == pytest.approx(np.ones(16), abs=1e-3)
    assert (Kept(block=0, move="turn").numbers(place, members) < 0.2).all()
    rows = unit_rows(place, Table(0))
    expected = (rows.mean / rows.top[0])[members].clip(0, MOST)
    assert Elsewhere(block=0).numbers(place, members) == pytest.approx(expected)


def test_a_swapped_picture_is_the_top_picture_of_another_unit(noise):
    subject, images, _ = noise
    members, card = np.arange(12), subject.card
    pictures = images.load(range(COUNT), card.preprocessing)
    means = everything(subject, images, 1, "units").mean(axis=1)[:, members]
    top = means.argmax(axis=0)
    step = (card.preprocessing.size[0] // (4 * card.grid[0]), card.preprocessing.size[1] // (4 * card.grid[1]))

    def kept_on(picture):
        """Shift one picture, and give the mean activation of every unit over that on its own top picture."""
        stream = subject.step(0, subject.start(shifted(pictures[picture], step)))
        seen = subject.watch(1, stream, ("units",))[1]["units"][:, 1:].double().numpy()
        return np.clip(seen.mean(axis=(0, 1))[members] / means.max(axis=0), 0, MOST)

    shown = {picture: kept_on(picture) for picture in set(top)}
    place = place_of(subject, images)
    own, swapped = (Kept(block=1, move="shift", picture=p).numbers(place, members) for p in ("top", "swapped"))
    assert own == pytest.approx([shown[top[unit]][unit] for unit in members], abs=1e-4)
    assert swapped == pytest.approx([shown[top[unit - 1]][unit] for unit in members], abs=1e-4)
    assert (top != np.roll(top, 1)).any()
    assert not np.allclose(own, swapped, atol=0.05)
