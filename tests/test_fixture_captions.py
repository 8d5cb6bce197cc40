"""Captions are true of their pictures, closed in their words, and drawn by address."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.fixtures.attributes import ATTRIBUTE_VALUES, main_attributes, read_attributes
from harness.fixtures.captions import CaptionStyle, write_captions
from harness.fixtures.colours import COLOUR_NAMES, SECTOR
from harness.fixtures.pictures import Pictures, render
from harness.fixtures.scenes import CLASS_NAMES, TEXTURE_NAMES
from harness.fixtures.shapes import SHAPES
from harness.fixtures.switches import CAPTIONED, SIZES, Switches
from harness.fixtures.vocabulary import (
    END,
    LENGTH,
    PAD,
    SHAPE_WORDS,
    START,
    SUPERCLASSES,
    TEXTURE_WORDS,
    WORDS,
    decode,
    encode,
)

COUNT = 1000
TEXTURED = Switches(vivid=True, objects=(1, 3), object_texture=0.1)
captions_of_words = st.lists(st.sampled_from(WORDS[END + 1 :]), max_size=LENGTH - 2).map(" ".join)
NOUNS = [*SHAPE_WORDS, *SUPERCLASSES]
PHRASE = re.compile(
    rf"an? (?:(?P<size>small|large) )?(?:(?P<colour>{'|'.join(COLOUR_NAMES)}) )?"
    rf"(?:(?P<pattern>{'|'.join(TEXTURE_WORDS)}) )?(?P<noun>{'|'.join(NOUNS)})\b"
)
RELATIONS = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
BROAD = {shape: name for name, shapes in SUPERCLASSES.items() for shape in shapes}


@pytest.fixture(scope="module", params=SIZES)
def pictures(request) -> Pictures:
    return render(np.arange(COUNT), split="train", size=request.param, switches=TEXTURED)


def unit_areas() -> dict[str, float]:
    """Measure how much of the square around its circle each shape fills."""
    u, v = np.meshgrid(np.linspace(-1.2, 1.2, 481), np.linspace(-1.2, 1.2, 481))
    return {name: inside(u, v).mean() * 1.44 for name, inside in SHAPES.items()}


AREAS = unit_areas()


def colour_seen(image: np.ndarray, mask: np.ndarray) -> str:
    """Name the hue of the mean colour of an object's pixels."""
    red, green, blue = image[:, mask].mean(axis=1)
    hue = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    return COLOUR_NAMES[round(hue / SECTOR) % len(COLOUR_NAMES)]


def centre_seen(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    size = len(mask)
    return (columns.min() + columns.max() + 1) / 2 / size, (rows.min() + rows.max() + 1) / 2 / size


def fits(phrase: dict, pictures: Pictures, row: int, slot: int) -> bool:
    mask = pictures.owners[row] == slot
    shape = CLASS_NAMES[pictures.causes.shapes[row, slot]]
    word = SHAPE_WORDS[CLASS_NAMES.index(shape)]
    return (
        phrase["noun"] in (word, BROAD[shape])
        and phrase["colour"] in (None, colour_seen(pictures.images[row], mask))
        and phrase["pattern"] in (None, TEXTURE_WORDS[pictures.causes.patterns[row, slot]])
        and phrase["size"] in (None, "large" if pictures.causes.side[row, slot] > 0.33 else "small")
    )


def places(centre: tuple[float, float]) -> set[str]:
    names = (("left", "centre", "right"), ("top", "middle", "bottom"))
    return {words[int(share >= 0.44) + int(share >= 0.56)] for words, share in zip(names, centre, strict=True)}


def is_true(caption: str, pictures: Pictures, row: int) -> bool:
    """Read a caption without the writer's code and compare it with pixels and masks."""
    slots = [slot for slot in range(3) if (pictures.owners[row] == slot).any()]
    centres = [centre_seen(pictures.owners[row] == slot) for slot in slots]
    rest = caption.removeprefix("a picture of ")
    if match := re.search(r" on a (\S+) ground$", rest):
        rest = rest[: match.start()]
        if match[1] != TEXTURE_WORDS[pictures.textures[row]]:
            return False
    if match := re.match(r"there (?:is|are) (\w+) objects?(?: : )?", rest):
        rest = rest[match.end() :]
        if match[1] != ("one", "two", "three")[len(slots) - 1]:
            return False
    told = [match.groupdict() for match in PHRASE.finditer(rest)]
    candidates = [[slot for slot in slots if fits(phrase, pictures, row, slot)] for phrase in told]
    between = PHRASE.sub("#", rest)
    if between in ("", "#"):
        return all(candidates)
    if match := re.fullmatch(r"# at the ([a-z ]+)", between):
        return any(set(match[1].split()) <= places(centres[slot]) for slot in candidates[0])
    if re.fullmatch(r"#( , #)? and #", between):
        return len(told) == len(slots) and all(slot in fit for slot, fit in zip(slots, candidates, strict=True))
    if match := re.fullmatch(r"# (left of|right of|above|below) #", between):
        axis, sign = RELATIONS[match[1]]
        steps = [np.subtract(centres[a], centres[b]) for a in candidates[0] for b in candidates[1] if a != b]
        return any(step[axis] * sign > 0 and abs(step[axis]) >= abs(step[1 - axis]) for step in steps)
    raise AssertionError(f"{caption!r} is no known sentence")


def test_captions_are_true_of_their_pixels_and_masks(pictures) -> None:
    for number in (0, 1):
        captions = write_captions(pictures, number=number)
        false = [caption for row, caption in enumerate(captions) if not is_true(caption, pictures, row)]
        assert not false, false[:5]


def test_the_side_that_size_words_go_by_is_that_of_the_mask(pictures) -> None:
    areas = np.array(list(AREAS.values()))
    for slot in range(3):
        there = pictures.causes.counts > slot
        area = (pictures.owners == slot).mean(axis=(1, 2))[there]
        seen = np.sqrt(area / areas[pictures.causes.shapes[there, slot]]) * pictures.images.shape[-1]
        error = seen - pictures.causes.side[there, slot] * pictures.images.shape[-1]
        assert np.abs(error).max() < 2  # pixels: whole pixels make areas of small shapes coarse
        assert abs(error.mean()) < 0.1


def test_captions_of_other_pictures_are_mostly_false(pictures) -> None:
    captions = write_captions(pictures, style=CaptionStyle(attribute=1.0, superclass=0.0))
    shifted = [is_true(caption, pictures, row) for row, caption in enumerate([captions[-1], *captions[:-1]])]
    assert np.mean(shifted) < 0.15  # a bare count is true of every third picture


def test_every_kind_of_sentence_and_every_word_occurs(pictures) -> None:
    captions = write_captions(pictures) + write_captions(pictures, number=1)
    words = Counter(word for caption in captions for word in caption.split())
    assert set(words) == set(WORDS[END + 1 :])
    for sign in (" at the ", "there are ", " and ", " left of ", " above ", "a picture of ", " ground"):
        share = np.mean([sign in caption for caption in captions])
        assert 0.02 < share < 0.5, sign


def test_articles_suit_the_words_after_them(pictures) -> None:
    text = " ".join(write_captions(pictures))
    assert not re.search(r"\ba (?:[aeiou]|hour)", text)
    assert not re.search(r"\ban (?!(?:[aeio]|hour))", text)


def test_the_style_says_how_much_is_named(pictures) -> None:
    bare = write_captions(pictures, style=CaptionStyle(attribute=0.0, superclass=1.0))
    assert {word for caption in bare for word in caption.split()} & {
        *SHAPE_WORDS,
        *COLOUR_NAMES,
        *TEXTURE_WORDS,
    } == set()
    full = write_captions(pictures, style=CaptionStyle(attribute=1.0, superclass=0.0))
    assert not {word for caption in full for word in caption.split()} & set(SUPERCLASSES)
    told = [match.groupdict() for caption in full for match in PHRASE.finditer(caption)]
    assert all(all(phrase.values()) for phrase in told)


def test_plain_pictures_of_one_object_have_captions_without_relation_or_object_texture() -> None:
    plain = render(np.arange(300), split="test")
    for caption in write_captions(plain, style=CaptionStyle(attribute=1.0)):
        assert not set(caption.split()) & {"two", "three", "and", "above", "below"}
        assert sum(word in TEXTURE_WORDS for word in caption.split()) == caption.endswith("ground")


@settings(max_examples=15, deadline=None)
@given(indices=st.lists(st.integers(0, 10**9), min_size=1, max_size=20), number=st.integers(0, 10**6))
def test_the_caption_of_a_picture_depends_on_its_address_alone(indices, number) -> None:
    forth = render(np.array(indices), split="test", switches=CAPTIONED)
    back = render(np.array(indices[::-1]), split="test", switches=CAPTIONED)
    assert write_captions(forth, number=number) == write_captions(back, number=number)[::-1]
    other = render(np.arange(50), split="test", seed=1, switches=CAPTIONED)
    assert write_captions(other, number=number) != write_captions(other, number=number + 1)


@settings(max_examples=50, deadline=None)
@given(captions=st.lists(captions_of_words, max_size=5))
def test_tokens_can_be_turned_back_into_the_caption(captions) -> None:
    tokens = encode(captions)
    assert (tokens.shape, tokens.dtype) == ((len(captions), LENGTH), np.int64)
    assert decode(tokens) == captions
    for row, caption in zip(tokens, captions, strict=True):
        count = len(caption.split())
        assert (row[0], row[count + 1]) == (START, END)
        assert (row[count + 2 :] == PAD).all()


def test_every_caption_fits_into_the_length_of_the_tokens(pictures) -> None:
    captions = write_captions(pictures, style=CaptionStyle(attribute=1.0))
    assert decode(encode(captions)) == captions


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("a red disk", r"word 'disk' in caption 'a red disk' is not in the vocabulary. Did you mean 'disc'"),
        ("a <pad>", "word '<pad>'"),
        ("a " * 31, "has 31 words; allowed: up to 30"),
    ],
)
def test_unknown_words_and_long_captions_are_refused(caption, message) -> None:
    with pytest.raises(ValueError, match=message):
        encode([caption])


@pytest.mark.parametrize("row", [[5, 6, END], [START, 5, 6], [START, 1000, END], [START, PAD, END], [START, -1, END]])
def test_tokens_that_are_no_caption_are_refused(row) -> None:
    with pytest.raises(ValueError, match="tokens"):
        decode(np.array([row]))


@pytest.mark.parametrize("values", [{"attribute": 1.1}, {"superclass": -0.1}])
def test_a_style_that_is_no_probability_is_refused(values) -> None:
    with pytest.raises(ValueError, match="allowed: 0 to 1"):
        CaptionStyle(**values)


def test_words_are_different_and_name_every_class_texture_and_superclass_once() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert len(TEXTURE_WORDS) == len(TEXTURE_NAMES)
    assert sorted(shape for shapes in SUPERCLASSES.values() for shape in shapes) == sorted(CLASS_NAMES)


def test_attributes_have_declared_values_and_are_spread_over_them(pictures) -> None:
    attributes = main_attributes(pictures)
    assert set(attributes) == set(ATTRIBUTE_VALUES)
    for name, values in attributes.items():
        assert (values.shape, values.dtype) == ((COUNT,), np.int64)
        assert (values == -1).any() == (name == "relation")
        assert set(values[values >= 0]) == set(range(len(ATTRIBUTE_VALUES[name]))), name
    assert np.array_equal(attributes["shape"], pictures.labels)
    assert ((attributes["relation"] == -1) == (pictures.causes.counts == 1)).all()


def test_attributes_outside_the_label_say_nothing_about_it(pictures) -> None:
    attributes = main_attributes(pictures)
    for name in ("count", "colour", "pattern", "size", "ground"):
        table = np.zeros((len(CLASS_NAMES), len(ATTRIBUTE_VALUES[name])))
        np.add.at(table, (pictures.labels, attributes[name]), 1)
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / COUNT
        freedom = 9 * (table.shape[1] - 1)
        assert ((table - expected) ** 2 / expected).sum() < freedom + 4 * np.sqrt(2 * freedom), name


def test_relations_are_opposite_seen_from_the_other_object(pictures) -> None:
    relation = read_attributes(pictures).relation
    there = relation >= 0
    opposite = np.array([1, 0, 3, 2])[relation]
    assert np.array_equal(np.where(there, opposite, -1), relation.transpose(0, 2, 1))
