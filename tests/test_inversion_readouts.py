"""Readouts of linear inverses on models that keep a known part of pixels: errors, swaps, colours, shapes, sheets."""

import base64
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import ClaimsError
from harness.fixtures.planted.inversion_worlds import coder, embedder, forgetter, noise, objects
from harness.fixtures.planted.pixel_keepers import COLOURS, GRID, LOOKS, SIZE, PixelKeeper, basis
from harness.images.cells import cells_of
from harness.interventions.hues import TurnHue
from harness.interventions.pixel_filters import LowPass
from harness.judging.statements import Holds, every
from harness.measurement.illustrations import pictures_of
from harness.measurement.on_images import OnImages
from harness.measurement.plan import Arm, Plan, level
from harness.measurement.runner import run
from harness.models.patch_projection import patch_projection
from harness.probes.patch_inverse import PatchInverses, inverse_after
from harness.probes.statistic import Collected
from harness.readouts.inversion import errors, projection, shapes
from harness.readouts.inversion.colours import ColourShifted, ShiftKept
from harness.readouts.inversion.errors import ErrorRise, PictureError
from harness.readouts.inversion.reconstruction import coded, reconstructed
from harness.readouts.inversion.shapes import DetailError, ShapeOverlap
from harness.readouts.inversion.sheets import shown_blocks
from harness.readouts.inversion.swaps import SwappedError
from harness.readouts.reading import Reading
from support.claims import job, loaded
from support.planted import Planted

FEW, EDIT = 24, TurnHue(120)


class Scene:
    """A model beside pictures, with its inverses, and readings after every block, chained as a run chains them."""

    def __init__(self, model, draw, chained: bool = True) -> None:
        self.model, self.images = model, draw(3, count=FEW)
        train = draw(3, count=80, split=1)
        with torch.inference_mode():
            numbers = PatchInverses().collect(model, [train.load(range(80), LOOKS)])
            self.fits = {PatchInverses(): Collected(numbers=numbers)}
            self.pixels = torch.from_numpy(self.images.pixels)
            self.readings = list(self._readings(chained))
        self.mean = numbers["picture"]

    def _readings(self, chained: bool):
        chunk = loaded(self.model, self.images, batch_size=FEW).chunk(range(FEW))
        stream, before, earlier = self.model.start(self.images.load(range(FEW), LOOKS)), None, {}
        for block in range(-1, self.model.card.depth):
            if block >= 0:
                before, stream = stream, self.model.step(block, stream)
            shared = earlier if chained else {}
            found = Reading(self.model, stream, block, chunk, self.fits, None, before=before, earlier=shared)
            yield found
            earlier = found.shared

    def read(self, readout, block: int) -> torch.Tensor:
        with torch.inference_mode():
            return readout.read(self.readings[block + 1].lent_to(readout.exchanges, ()))

    def back(self, block: int, by: int, codes: torch.Tensor | None = None) -> torch.Tensor:
        """Bring cells back in the plainest way."""
        own, other = (inverse_after(one, self.fits[PatchInverses()].numbers) for one in (block, by))
        tokens = own.standardized(self.readings[block + 1].stream.tokens) if codes is None else codes
        return other.targets(tokens)

    @property
    def cells(self) -> torch.Tensor:
        return cells_of(self.pixels, (GRID, GRID))

    @property
    def of_mean(self) -> torch.Tensor:
        return (self.pixels - self.mean).square().mean(dim=(1, 2, 3))


@pytest.fixture(scope="module")
def forgets() -> Scene:
    return Scene(forgetter(True, True, 4), objects)


@pytest.fixture(scope="module")
def turns() -> Scene:
    return Scene(coder(True, 4), noise)


def test_the_error_is_that_of_the_picture_over_that_of_the_mean_picture(forgets):
    for block in (-1, 0, 3):
        expected = (forgets.back(block, block) - forgets.cells).square().mean(dim=(1, 2)) / forgets.of_mean
        torch.testing.assert_close(forgets.read(PictureError(layer=block), block), expected.clamp(max=errors.MOST))


def test_the_error_of_what_is_kept_is_the_share_that_is_forgotten(forgets):
    rows = torch.from_numpy(basis()).float()
    coordinates = (cells_of(forgets.pixels - forgets.mean, (GRID, GRID)) @ rows.T).square().sum(dim=1)
    for block in range(-1, 4):
        gone = ~torch.from_numpy(forgets.model.kept[block + 1]).bool()
        expected = coordinates[:, gone].sum(dim=1) / coordinates.sum(dim=1)
        found = forgets.read(PictureError(layer=block), block)
        assert float((found - expected).abs().mean()) < 0.03


def test_a_rise_is_relative_to_the_sum_and_needs_a_block(forgets):
    before, after = (forgets.read(PictureError(layer=block), block) for block in (1, 2))
    expected = ((after - before) / (after + before)).clamp(-errors.STEEPEST, errors.STEEPEST)
    assert 0.01 < float(expected.mean()) < errors.STEEPEST
    torch.testing.assert_close(forgets.read(ErrorRise(layer=2), 2), expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(ClaimsError, match="nothing enters the embedding"):
        forgets.read(ErrorRise(layer=-1), -1)


def test_what_a_block_shares_changes_no_number():
    chained, alone = (Scene(forgetter(True, True, 4), objects, chained=one) for one in (True, False))
    for readout in (ErrorRise(layer=2), ShiftKept(layer=2, edit=EDIT), PictureError(layer=2)):
        for block in range(2):  # as a run reads them: block after block
            chained.read(type(readout)(**{**vars(readout), "layer": block}), block)
        torch.testing.assert_close(chained.read(readout, 2), alone.read(readout, 2))


def test_tokens_are_shuffled_within_pictures_and_turned_alike_everywhere(turns):
    reading = turns.readings[1]
    own, shuffled, turned = (coded(reading, of) for of in ("own", "shuffled", "turned"))
    assert not torch.equal(own, shuffled)
    torch.testing.assert_close(own.sum(dim=1), shuffled.sum(dim=1), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(own @ own.mT, turned @ turned.mT, atol=1e-2, rtol=1e-3)
    for of, codes in (("own", own), ("shuffled", shuffled), ("turned", turned)):
        expected = (turns.back(0, 0, codes) - turns.cells).square().mean(dim=(1, 2)) / turns.of_mean
        found = turns.read(PictureError(layer=0, of=of), 0)
        torch.testing.assert_close(found, expected.clamp(max=errors.MOST), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("of", ["own", "shuffled", "turned"])
def test_a_swapped_error_is_that_of_the_picture_that_the_other_inverse_makes(turns, of):
    for block, by in ((0, 0), (0, 2), (4, 1)):
        codes = coded(turns.readings[block + 1], of)
        expected = (turns.back(block, by, codes) - turns.cells).square().mean(dim=(1, 2)) / turns.of_mean
        found = turns.read(SwappedError(layer=block, by=by, of=of), block)
        torch.testing.assert_close(found, expected.clamp(max=4.0), atol=1e-4, rtol=1e-4)


def test_a_code_that_is_turned_by_an_angle_errs_by_its_chord():
    model = coder(True, 4)
    whole = Scene(PixelKeeper(kept=np.ones_like(model.kept), codes=model.codes), noise)
    for distance in (0, 1, 2, 4):
        found = float(whole.read(SwappedError(layer=distance, by=0), distance).mean())
        assert found == pytest.approx(2 - 2 * np.cos(np.deg2rad(20 * distance)), abs=0.05)


def test_a_change_of_colour_is_kept_as_far_as_colours_are(forgets):
    rows = torch.from_numpy(basis()).float()[COLOURS]
    edited = EDIT.apply(forgets.pixels, SimpleNamespace(masks_of=lambda whose: torch.from_numpy(forgets.images.marked)))
    change = (cells_of(edited - forgets.pixels, (GRID, GRID)) @ rows.T).sum(dim=1)
    first = change[:, 0] ** 2 / change.square().sum(dim=1)
    assert forgets.read(ColourShifted(layer=-1, edit=EDIT), -1).tolist() == [1.0] * FEW
    # Block 0 forgets no colour, block 1 the first kind, block 2 both.
    for block, expected in ((-1, torch.ones(FEW)), (0, torch.ones(FEW)), (1, 1 - first), (2, torch.zeros(FEW))):
        found = forgets.read(ShiftKept(layer=block, edit=EDIT), block)
        torch.testing.assert_close(found, expected, atol=0.1, rtol=0)
    assert 0.1 < float(first.mean()) < 0.9


def faint(seed: int, *, count: int, split: int = 0):
    """Draw the same pictures with so little colour that a turned hue is hardly seen."""
    drawn = objects(seed, count=count, split=split)
    grey = drawn.pixels.mean(axis=1, keepdims=True)
    return replace(drawn, pixels=(grey + 0.05 * (drawn.pixels - grey)).astype(np.float32))


def test_without_a_change_of_colour_nothing_is_kept():
    scene = Scene(forgetter(False, False, 1), faint)
    assert scene.read(ColourShifted(layer=-1, edit=EDIT), -1).sum() == 0
    assert scene.read(ShiftKept(layer=-1, edit=EDIT), -1).abs().sum() == 0
    scene.readings[1].chunk.marks.__dict__["masks"] = torch.zeros(FEW, SIZE, SIZE, dtype=torch.bool)
    assert scene.read(ShiftKept(layer=0, edit=EDIT), 0).abs().sum() == 0


def test_the_threshold_separates_as_otsu_does():
    numbers = torch.cat([torch.randn(300) * 0.3 + 1, torch.randn(100) * 0.2 + 4])
    found = float(shapes.separating(numbers[None])[0])

    def between(cut: float) -> float:
        low, high = numbers[numbers <= cut].double(), numbers[numbers > cut].double()
        return len(low) * len(high) * float(low.mean() - high.mean()) ** 2 if len(low) and len(high) else 0.0

    levels = numbers.min() + (numbers.max() - numbers.min()) * torch.arange(shapes.LEVELS) / shapes.LEVELS
    assert between(found) == pytest.approx(max(between(float(level)) for level in levels), rel=1e-6)
    assert 1.5 < found < 3.5


def test_what_stands_out_is_far_from_the_mean_of_the_window_around():
    pixels = torch.rand(2, 3, 12, 8)
    around = torch.zeros_like(pixels)
    for row in range(12):
        for column in range(8):
            window = pixels[:, :, max(0, row - 3) : row + 4, max(0, column - 2) : column + 3]
            around[:, :, row, column] = window.mean(dim=(2, 3))
    distance = (pixels - around).norm(dim=1)
    expected = distance > shapes.separating(distance.flatten(1))[:, None, None]
    assert torch.equal(shapes.standing_out(pixels), expected)


def test_what_is_finer_than_a_patch_is_what_a_low_pass_takes_away():
    pixels = torch.rand(2, 3, 16, 16) * 0.2 + 0.4
    chunk = SimpleNamespace()
    torch.testing.assert_close(shapes.finer(pixels, 4), pixels - LowPass(2 / 4).apply(pixels, chunk), atol=1e-5, rtol=0)


def test_shape_stays_where_detail_is_gone_and_only_its_own(forgets):
    overlap = forgets.read(ShapeOverlap(layer=3), 3)
    found = shapes.standing_out(reconstructed(forgets.readings[4]).clamp(0, 1))
    marked = torch.from_numpy(forgets.images.marked)
    expected = (found & marked).sum(dim=(1, 2)) / (found | marked).sum(dim=(1, 2))
    torch.testing.assert_close(overlap, expected)
    assert overlap.mean() > 0.7
    assert forgets.read(ShapeOverlap(layer=3, whose="donor"), 3).mean() < 0.3
    assert forgets.read(ShapeOverlap(layer=3, of="mean picture"), 3).mean() < 0.3
    assert forgets.read(ShapeOverlap(layer=3, of="picture"), 3).mean() > 0.7
    last, first = (float(forgets.read(DetailError(layer=block), block).mean()) for block in (3, -1))
    assert last > 0.8 > first


def test_shapes_of_feature_maps_are_refused():
    with pytest.raises(ClaimsError, match="no patches that tell what is finer"):
        DetailError(layer=0).read(SimpleNamespace(card=SimpleNamespace(grid=None, name="maps")))


def test_a_projection_is_inverted_as_far_as_it_goes():
    place = SimpleNamespace(subject=embedder(24, False, 1), charge=lambda blocks: None)
    seen = projection._embed(patch_projection(place.subject), place)
    rows = seen.matrix
    solved = torch.linalg.lstsq(rows @ rows.mT, (seen.tokens - seen.nothing).flatten(0, 1).mT).solution
    back = (rows.mT @ solved).mT.view_as(seen.cells)
    torch.testing.assert_close(projection._back(seen, "own"), back, atol=1e-6, rtol=0)
    assert projection.pixel_error(seen, "own") < 1e-4
    lost = float((back - seen.cells).square().sum() / seen.cells.square().sum())
    assert 0.4 < lost < 0.6  # half of the directions of white noise
    assert projection.energy_error(seen, "own") < 1e-4
    assert projection.energy_error(seen._replace(tokens=0.8 * seen.tokens), "own") > 0.01
    assert min(projection.pixel_error(seen, by) for by in ("other position", "other matrix")) > 0.05


def test_a_wide_projection_must_give_all_pixels_back():
    for twice, least, most in ((False, 0.0, 1e-4), (True, 0.05, 1.0)):
        place = SimpleNamespace(
            subject=embedder(48, twice, 2), charge=lambda blocks: None, once=lambda name, make: make()
        )
        (found,) = projection.ProjectionError(number="pixels").numbers(place, np.arange(1))
        assert least <= found <= most


def test_a_subject_without_its_projection_is_refused():
    with pytest.raises(ClaimsError, match="'planted late reader' shows no module with `patch_embed` or `stem`"):
        patch_projection(Planted())


def test_sheets_show_every_model_once():
    source = OnImages.of(loaded(forgetter(True, True, 5), objects(5, count=32), train=objects(5, count=40, split=1)))
    readouts = {f"kept@{b}": ShiftKept(layer=b, edit=EDIT) for b in (-1, 3)} | {"overlap": ShapeOverlap(layer=3)}
    arms = {name: Arm(readout=readout) for name, readout in readouts.items()}
    arms |= {"twin": Arm(readout=readouts["kept@3"], weights="untrained"), "error": Arm(readout=PictureError(layer=3))}
    plan = Plan(arms=arms, effect=every(*[Holds(level(name)) for name in arms]))
    run([job(plan)], source)
    shown = pictures_of(plan, source, 0)
    assert [picture.title.split(" from ")[0] for picture in shown] == [
        "Brought back",
        "Outlined in what comes back",
        "Brought back",
        "Brought back",
    ]
    assert shown[0].caption.endswith(
        "the embedding and blocks 0, 1, 2, 3; below it the same with its object in another colour."
    )
    sheet = np.asarray(Image.open(BytesIO(base64.b64decode(shown[0].data))))
    assert sheet.shape == (4 * SIZE + 3 * 2, 6 * SIZE + 5 * 2, 3)
    loaded_pixels = source.models[0].images.pixels[0].transpose(1, 2, 0)
    assert np.abs(sheet[:SIZE, :SIZE] / 255 - loaded_pixels).mean() < 0.1  # but for JPEG
    # Below stands the picture in another colour; the embedding brings either back, the last block the first alone.
    tiles = np.stack([[_tile(sheet, row, column) for column in range(6)] for row in range(2)])
    object_ = torch.from_numpy(source.models[0].images.marked[0]).numpy()
    moved = np.abs(tiles[1] - tiles[0])[:, object_].mean(axis=(1, 2))
    assert moved[:2].min() > 0.15
    assert moved[-1] < 0.05


def _tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    step = SIZE + 2
    return sheet[row * step : row * step + SIZE, column * step : column * step + SIZE] / 255


def test_shown_blocks_are_spread_over_the_chain():
    assert shown_blocks(12) == (-1, 1, 4, 6, 9, 11)
    assert shown_blocks(3) == (-1, 0, 1, 2)
