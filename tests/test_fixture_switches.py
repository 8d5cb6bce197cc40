"""Each switch turns its own cause, as often as declared, and nothing else."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fixtures.colours import COLOUR_NAMES, SECTOR
from harness.fixtures.pictures import Pictures, render
from harness.fixtures.scenes import CLASS_NAMES
from harness.fixtures.shapes import SHAPES
from harness.fixtures.switches import CAPTIONED, COLOUR_IS_CLASS, REACH, SIZES, TEXTURE_IS_CLASS, Switches

COUNT = 3000
correlations = st.floats(0, 1)
some_indices = st.lists(st.integers(0, 10**9), min_size=1, max_size=30).map(np.array)
WORLDS = {
    "several": Switches(objects=(1, 3)),
    "three": Switches(objects=(3, 3)),
    "small": Switches(small_objects=True),
    "several small": Switches(objects=(2, 3), small_objects=True),
    "captioned": CAPTIONED,
}
# What each cause of the class is read from, and the switches that make it visible.
CUES = {
    "shape_correlation": ("shapes", {}),
    "colour_correlation": ("colours", {}),
    "texture_correlation": ("patterns", {"object_texture": 0.1}),
}


def drawn(switches: Switches, count: int = COUNT, **arguments) -> Pictures:
    return render(np.arange(count), **({"split": "train", "switches": switches} | arguments))


def changed(one: Pictures, other: Pictures) -> np.ndarray:
    return (one.images != other.images).any(axis=1)


@pytest.mark.parametrize("rho", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("switch", CUES)
def test_a_cue_equals_the_class_of_its_object_as_often_as_declared(switch, rho) -> None:
    cause, beside = CUES[switch]
    causes = drawn(Switches(**{switch: rho}, **beside, objects=(1, 3))).causes
    there = causes.classes >= 0
    expected = rho + (1 - rho) / 10
    for slot in range(3):
        own = there[:, slot]
        share = (getattr(causes, cause)[own, slot] == causes.classes[own, slot]).mean()
        assert abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / own.sum())


@pytest.mark.parametrize("switch", CUES)
def test_an_uncorrelated_cue_says_nothing_about_the_class(switch) -> None:
    cause, beside = CUES[switch]
    causes = drawn(Switches(**({switch: 0.0} | beside))).causes
    table = np.zeros((10, 10))
    np.add.at(table, (causes.classes[:, 0], getattr(causes, cause)[:, 0]), 1)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / COUNT
    assert ((table - expected) ** 2 / expected).sum() < 81 + 4 * np.sqrt(2 * 81)  # 9 x 9 degrees of freedom


@settings(max_examples=15, deadline=None)
@given(indices=some_indices, rho=correlations, other=correlations)
def test_turning_the_colour_changes_object_pixels_alone_and_only_where_the_colour_changed(indices, rho, other) -> None:
    one, two = (
        render(indices, split="test", switches=Switches(colour_correlation=value, vivid=True)) for value in (rho, other)
    )
    assert np.array_equal(one.masks, two.masks)
    assert not changed(one, two)[~one.masks].any()
    recoloured = one.causes.colours[:, 0] != two.causes.colours[:, 0]
    assert np.array_equal(changed(one, two).any(axis=(1, 2)), recoloured)


@settings(max_examples=15, deadline=None)
@given(indices=some_indices, rho=correlations, amplitude=st.floats(0.05, 0.25))
def test_turning_the_object_texture_changes_object_pixels_alone(indices, rho, amplitude) -> None:
    plain = render(indices, split="test")
    textured = render(indices, split="test", switches=Switches(object_texture=amplitude, texture_correlation=rho))
    assert np.array_equal(plain.masks, textured.masks)
    assert not changed(plain, textured)[~plain.masks].any()
    flat = textured.causes.patterns[:, 0] == 0
    assert not changed(plain, textured)[flat].any()
    assert changed(plain, textured)[~flat].any(axis=(1, 2)).all()


@settings(max_examples=15, deadline=None)
@given(indices=some_indices, rho=correlations)
def test_turning_the_shape_changes_pixels_inside_one_of_the_two_shapes_alone(indices, rho) -> None:
    plain = render(indices, split="test")
    turned = render(indices, split="test", switches=Switches(shape_correlation=rho))
    assert np.array_equal(plain.labels, turned.labels)
    assert not changed(plain, turned)[~(plain.masks ^ turned.masks)].any()


@settings(max_examples=15, deadline=None)
@given(indices=some_indices, least=st.integers(1, 3))
def test_fewer_objects_leave_the_others_as_they_are(indices, least) -> None:
    three = render(indices, split="test", size=64, switches=Switches(objects=(3, 3)))
    some = render(indices, split="test", size=64, switches=Switches(objects=(least, 3)))
    assert np.array_equal(three.masks, some.masks)
    gone = three.owners >= some.causes.counts[:, None, None]
    assert np.array_equal(three.owners[~gone], some.owners[~gone])
    assert (some.owners[gone] == -1).all()
    assert not changed(three, some)[~gone].any()


def test_vivid_changes_colours_of_objects_alone_and_no_colour_name() -> None:
    plain, vivid = drawn(Switches(), 500), drawn(Switches(vivid=True), 500)
    assert np.array_equal(plain.masks, vivid.masks)
    assert np.array_equal(plain.causes.colours, vivid.causes.colours)
    assert not changed(plain, vivid)[~plain.masks].any()


def hue_sector(pixels: np.ndarray) -> float:
    """Read a hue from mean red, green and blue, in sectors, without the generator's own formula."""
    red, green, blue = pixels
    return np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / SECTOR % len(COLOUR_NAMES)


@pytest.mark.parametrize("switches", [COLOUR_IS_CLASS, Switches(vivid=True)])
def test_the_name_of_a_vivid_colour_can_be_read_from_the_pixels(switches) -> None:
    pictures = drawn(switches, 1000)
    for image, mask, colour in zip(pictures.images, pictures.masks, pictures.causes.colours[:, 0], strict=True):
        sector = hue_sector(image[:, mask].mean(axis=1))
        assert abs((sector - colour + 5) % 10 - 5) < 0.4  # a quarter of a sector is drawn, the rest is for noise


def test_colour_is_class_and_texture_is_class_say_the_class_by_nothing_else() -> None:
    coloured, textured = drawn(COLOUR_IS_CLASS).causes, drawn(TEXTURE_IS_CLASS).causes
    assert np.array_equal(coloured.colours, coloured.classes)
    assert np.array_equal(textured.patterns, textured.classes)
    for others in (coloured.shapes, coloured.textures[:, None], textured.shapes, textured.colours):
        assert abs((others[:, 0] == coloured.classes[:, 0]).mean() - 0.1) < 4 * 0.3 / np.sqrt(COUNT)


@pytest.mark.parametrize("world", ["three", "several small", "captioned"])
def test_several_objects_lie_inside_the_picture_and_apart(world) -> None:
    causes = drawn(WORLDS[world]).causes
    there, reach = causes.shapes >= 0, causes.side / 2 * REACH
    for place in (causes.x, causes.y):
        assert ((place - reach >= -1e-9) & (place + reach <= 1 + 1e-9))[there].all()
    for one, two in itertools.combinations(range(3), 2):
        both = causes.counts > two
        apart = np.hypot(causes.x[:, one] - causes.x[:, two], causes.y[:, one] - causes.y[:, two])
        assert (apart >= reach[:, one] + reach[:, two])[both].all()


def test_every_shape_lies_within_the_reach_of_its_circle() -> None:
    u, v = np.meshgrid(np.linspace(-1.5, 1.5, 601), np.linspace(-1.5, 1.5, 601))
    for name, inside in SHAPES.items():
        assert np.hypot(u, v)[inside(u, v)].max() <= REACH, name


def test_there_is_room_for_a_third_object_wherever_two_lie() -> None:
    # On a grid of all places of the first two at their largest: some corner is free of both.
    for small in (False, True):
        switches = Switches(objects=(3, 3), small_objects=small)
        main, other = switches.main_side[1], switches.other_side[1]
        grids = [np.linspace(side / 2 * REACH, 1 - side / 2 * REACH, 25) for side in (main, other)]
        places = [np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2) for grid in grids]
        corner = other / 2 * REACH
        corners = np.array(list(itertools.product((corner, 1 - corner), repeat=2)))
        reach = REACH * (np.array([main, other]) + other) / 2
        free = [
            np.linalg.norm(place[:, None] - corners, axis=-1) >= needed
            for place, needed in zip(places, reach, strict=True)
        ]
        assert (free[0][:, None] & free[1][None]).any(axis=-1).all()


@pytest.mark.parametrize("world", WORLDS)
def test_masks_are_what_stands_out_from_the_background(world) -> None:
    pictures = drawn(WORLDS[world], 200, size=64)
    light = pictures.images.astype(float).mean(axis=1) / 255
    for image, owners in zip(light, pictures.owners, strict=True):
        stands_out = np.abs(image - np.median(image)) > 0.17
        assert (stands_out == (owners >= 0)).mean() > 0.98


@pytest.mark.parametrize("world", WORLDS)
def test_every_object_has_its_tight_box_and_its_declared_size(world) -> None:
    switches = WORLDS[world]
    pictures = drawn(switches, 300, size=64)
    low, high = min(switches.main_side[0], switches.other_side[0]), switches.main_side[1]
    for owners, boxes, count in zip(pictures.owners, pictures.object_boxes, pictures.causes.counts, strict=True):
        assert set(np.unique(owners)) == set(range(-1, count))
        assert (boxes[count:] == -1).all()
        for slot in range(count):
            rows, columns = np.nonzero(owners == slot)
            tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert tuple(boxes[slot]) == tight
            extent = max(tight[2] - tight[0], tight[3] - tight[1])
            assert 0.5 * low * 64 < extent <= REACH * high * 64 + 1
    assert np.array_equal(pictures.masks, pictures.owners == 0)
    assert np.array_equal(pictures.boxes, pictures.object_boxes[:, 0])


def test_the_main_object_is_the_largest_and_every_count_is_as_frequent() -> None:
    causes = drawn(Switches(objects=(1, 3))).causes
    assert (causes.side[:, 0] == np.nanmax(causes.side, axis=1)).all()
    shares = np.bincount(causes.counts, minlength=4)[1:] / COUNT
    assert np.abs(shares - 1 / 3).max() < 4 * np.sqrt(2 / 9 / COUNT)
    assert np.array_equal(causes.classes[:, 0], drawn(Switches()).labels)


@settings(max_examples=15, deadline=None)
@given(indices=some_indices, world=st.sampled_from(sorted(WORLDS)), size=st.sampled_from(SIZES))
def test_worlds_of_several_objects_are_the_same_bytes_in_any_order(indices, world, size) -> None:
    forth, back = (render(order, split="test", size=size, switches=WORLDS[world]) for order in (indices, indices[::-1]))
    assert np.array_equal(forth.images, back.images[::-1])
    assert np.array_equal(forth.object_boxes, back.object_boxes[::-1])
    for name, values in vars(forth.causes).items():
        assert np.array_equal(values, getattr(back.causes, name)[::-1], equal_nan=values.dtype.kind == "f")


def test_a_picture_with_another_class_keeps_everything_but_the_shape() -> None:
    plain = drawn(Switches(), 100)
    other = drawn(Switches(), 100, labels=(plain.labels + 3) % 10)
    assert np.array_equal(other.causes.shapes[:, 0], (plain.labels + 3) % 10)
    assert not changed(plain, other)[~(plain.masks ^ other.masks)].any()
    assert np.array_equal(drawn(Switches(), 100, labels=plain.labels).images, plain.images)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"shape_correlation": -0.1}, "shape_correlation is -0.1; allowed: 0 to 1"),
        ({"colour_correlation": 1.5}, "colour_correlation is 1.5"),
        ({"texture_correlation": float("nan"), "object_texture": 0.1}, "texture_correlation is nan"),
        ({"object_texture": 0.5}, "object_texture is 0.5; allowed: 0 to 0.25"),
        ({"texture_correlation": 0.5}, "texture_correlation is 0.5 while object_texture is 0"),
        ({"objects": (2, 1)}, r"objects is \(2, 1\); allowed: two numbers from 1 to 3"),
        ({"objects": (0, 1)}, "objects is"),
        ({"objects": (1, 4)}, "objects is"),
        ({"objects": (1,)}, "objects is"),
    ],
)
def test_impossible_switches_are_refused_with_the_offending_value(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        Switches(**values)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 10], "labels contains 10; allowed: 0 to 9"), ([0], "shape"), ([-1, 0], "-1"), ([0.0, 1.0], "float64")],
)
def test_impossible_classes_are_refused(labels, message) -> None:
    with pytest.raises(ValueError, match=message):
        render(np.arange(2), split="test", labels=np.array(labels))


def test_turned_switches_name_themselves() -> None:
    assert str(Switches()) == ""
    assert str(Switches(objects=(1, 3), vivid=True)) == "vivid=True,objects=1-3"
    assert len(CLASS_NAMES) == len(COLOUR_NAMES) == 10
