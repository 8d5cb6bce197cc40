"""Outcomes carry pictures: strips of pictures as files, each shown once, and the record that holds them."""

import base64
from dataclasses import asdict, dataclass, replace
from io import BytesIO

import numpy as np
import torch
from PIL import Image

from harness.images.thumbnails import GAP, MOST_SIDE, pixels_of, strip
from harness.interventions.intervention import Intervention
from harness.interventions.pixel_filters import Roll
from harness.measurement.illustrations import MOST_PICTURES, pictures_of
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Arm, Plan, level
from harness.measurement.record import record_of
from harness.measurement.runner import run
from harness.models.subject import Preprocessing
from harness.readouts.members import TheModel
from harness.results.measurements import Store
from harness.results.record import Context
from support.claims import bench, job, loaded
from support.planted import Planted, PlantedImages


@dataclass(frozen=True)
class Showing:
    """One half, and as many pictures as said."""

    low = 0.0
    high = 1.0
    count: int = 1

    def numbers(self, place, members):
        return np.full(len(members), 0.5)

    def pictures(self, place):
        loaded = pixels_of(place.load(place.grid[0]), place.subject.card.preprocessing)
        return [strip("a find", f"number {n} of {place.pictures}", [loaded[n]]) for n in range(self.count)]


def decoded(picture) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(picture.data))))


def census(*counts: int) -> Plan:
    arms = {f"arm {n}": Arm(readout=Showing(count)) for n, count in enumerate(counts)}
    arms |= {"untrained": Arm(readout=Showing(counts[0]), weights="untrained")}
    return Plan(arms=arms, effect=level("arm 0"), census=TheModel())


def test_a_strip_holds_small_pictures_side_by_side_to_the_pixel():
    levels = torch.arange(2 * 3 * 8 * 6).reshape(2, 3, 8, 6) % 256
    picture = strip("title", "caption", list(levels / 255))
    expected = np.concatenate(
        [levels[0].permute(1, 2, 0), np.full((8, GAP, 3), 255), levels[1].permute(1, 2, 0)], axis=1
    )
    assert picture.media == "image/png"
    np.testing.assert_array_equal(decoded(picture), expected)


def test_a_strip_of_large_pictures_is_made_small_and_of_one_channel_grey():
    picture = strip("title", "caption", [torch.full((3, 400, 200), 0.5), torch.full((1, 400, 200), 0.25)])
    shown = decoded(picture).astype(int)
    assert picture.media == "image/jpeg"
    assert shown.shape == (MOST_SIDE, 2 * (MOST_SIDE // 2) + GAP, 3)
    assert abs(shown[40, 20] - 128).max() <= 6
    assert abs(shown[40, -20] - 64).max() <= 6


def test_pixels_are_the_pictures_before_normalization():
    preprocessing = Preprocessing(size=(4, 4), mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3))
    pixels = torch.rand(2, 3, 4, 4)
    mean, std = (torch.tensor(part)[:, None, None] for part in (preprocessing.mean, preprocessing.std))
    torch.testing.assert_close(pixels_of((pixels - mean) / std, preprocessing), pixels)


def test_every_readout_is_asked_once_per_weights_and_shows_so_many_at_most():
    place = bench(Planted())
    assert len(pictures_of(census(1, 1), place, 32)) == 2  # equal readouts of two arms, and of the untrained twin
    assert len(pictures_of(census(1, 2), place, 32)) == 4
    assert len(pictures_of(census(2 * MOST_PICTURES), place, 32)) == MOST_PICTURES
    assert pictures_of(census(1), place, 8)[0].caption == "number 0 of 8"


def test_arms_that_edit_pixels_are_shown_beside_the_picture_each_edit_once():
    edits = {"left": Roll(0, 2), "also left": Roll(0, 2), "down": Roll(2, 0)}
    arms = {"clean": Arm(), **{n: Arm(intervention=Intervention(pixels=edit)) for n, edit in edits.items()}}
    shown = pictures_of(Plan(arms=arms, effect=level("clean")), OnImages.of(place := loaded(Planted())), 0)
    assert [picture.title for picture in shown] == [f"Picture {name}" for name in place.images.names[:3]]
    assert shown[0].caption == "As it is, then as in the arms left; down."
    looks = place.subject.card.preprocessing
    for number, picture in enumerate(shown):
        clean = pixels_of(place.load(range(3)), looks)[number]
        rows = [clean, clean.roll(2, dims=-1), clean.roll(2, dims=-2)]
        assert picture == strip(picture.title, picture.caption, rows)


def test_a_claim_about_several_models_shows_the_edits_of_the_first():
    edited = Intervention(pixels=Roll(0, 2))
    arms = {f"{role} {n}": Arm(subject=role, intervention=edited) for role in ("one", "other") for n in ("a", "b")}
    store = Store(None)
    both = OnImages({role: loaded(Planted(), PlantedImages(), store) for role in ("one", "other")})
    shown = pictures_of(Plan(arms=arms, effect=level("one a")), both, 0)
    assert [picture.caption for picture in shown] == ["As it is, then as in the arms one a."] * 3


def test_a_record_holds_the_pictures_of_its_outcome_as_its_file_declares_them():
    plan = census(1)
    place = bench(Planted())
    outcome = run([job(plan)], place)["planted-claim"]
    assert record_of(outcome, "model", Context()).pictures == ()
    shown = pictures_of(plan, place, 32)
    outcome = replace(outcome, pictures=shown)
    (first, _) = record_of(outcome, "model", Context()).pictures
    assert first.model_dump() == asdict(shown[0])
