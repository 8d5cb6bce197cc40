"""Optimized pictures: closed forms of what they are measured by, units that are linear filters, and what is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from harness.cli.__main__ import main
from harness.fixtures.planted.featvis_worlds import APART, HALVES_SIZE, dull_pictures, half_units
from harness.readouts.featvis import readouts as featvis_readouts
from harness.readouts.featvis.augmentations import ViewRecipe, ViewSource
from harness.readouts.featvis.optimize import (
    Recipe,
    Wanted,
    activations,
    high_frequency_share,
    optimize,
    total_variation,
    transfer,
)
from harness.readouts.featvis.readouts import DrivesUnit, IsSpecific, pictures_of
from harness.readouts.units.members import UnitsOf
from harness.results.measurements import Store
from support.claims import loaded

QUICK = Recipe(steps=60, views=ViewRecipe(copies=4))
PLAIN = ViewRecipe(copies=1, jitter=0.0, colour=0.0, noise=0.0)
WANTED = Wanted(block=0, site="units", units=(0, 5, 9))


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_recipe_is_that_of_the_paper():
    recipe = Recipe.fit_for((224, 224))
    assert (recipe.steps, recipe.rate, recipe.betas, recipe.variation) == (400, 0.1, (0.5, 0.99), 0.0005)
    assert (recipe.views.copies, round(recipe.views.jitter * 224), recipe.views.noise) == (8, 32, 0.5)
    assert Recipe.fit_for((32, 32)).steps < recipe.steps
    assert recipe.ablated.views == PLAIN
    assert recipe.ablated.variation == 0.0


def test_total_variation_is_the_sum_of_four_norms():
    pixels = torch.rand(2, 3, 4, 5)
    expected = np.zeros(2)
    for picture in range(2):
        for channel in range(3):
            x = pixels[picture, channel].numpy()
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                squares = [
                    (x[r + down, c + right] - x[r, c]) ** 2
                    for r in range(4 - down)
                    for c in range(max(0, -right), 5 - max(0, right))
                ]
                expected[picture] += np.sqrt(np.sum(squares)) / 3
    np.testing.assert_allclose(total_variation(pixels).numpy(), expected, rtol=1e-5)


def test_the_share_of_high_frequencies_of_known_pictures():
    column = torch.arange(32).float()
    slow = torch.cos(2 * torch.pi * column * 4 / 32).expand(1, 3, 32, 32)
    fast = torch.cos(2 * torch.pi * column * 12 / 32).expand(1, 3, 32, 32)
    shares = high_frequency_share(torch.cat([slow, fast, slow + fast, torch.ones(1, 3, 32, 32)]))
    np.testing.assert_allclose(shares.numpy(), [0.0, 1.0, 0.5, 0.0], atol=1e-6)
    noise = torch.rand(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert high_frequency_share(noise).mean().item() == pytest.approx(1 - np.pi / 16, abs=0.01)


def test_views_roll_and_change_colours_as_said():
    pictures = torch.rand(2, 3, 8, 8)
    recipe = ViewRecipe(copies=3, jitter=0.25, noise=0.0)
    views = ViewSource(recipe, generators(1, 2), (8, 8), steps=2).step(1)
    assert views.roll.abs().max() <= 2
    shown = views.of(pictures).view(2, 3, 3, 8, 8)
    for picture in range(2):
        for copy in range(3):
            rolled = pictures[picture].roll(tuple(views.roll[picture, copy].tolist()), dims=(1, 2))
            expected = views.gain[picture, copy] * rolled + views.lift[picture, copy]
            torch.testing.assert_close(shown[picture, copy], expected)


def test_rolls_reach_both_ends_evenly():
    rolls = ViewSource(ViewRecipe(copies=8, jitter=0.25), generators(0), (8, 8), steps=500)._roll
    counts = np.bincount(rolls.flatten().numpy() + 2)
    assert len(counts) == 5
    np.testing.assert_allclose(counts / counts.sum(), 0.2, atol=0.02)


def test_noise_falls_linearly_to_nothing():
    source = ViewSource(ViewRecipe(copies=64, colour=0.0), generators(0), (8, 8), steps=10)
    spreads = [source.step(number).lift.std().item() for number in range(10)]
    np.testing.assert_allclose(spreads, 0.5 * (1 - np.arange(10) / 10), atol=0.08)
    per_pixel = ViewSource(ViewRecipe(copies=2, colour=0.0, per_pixel=True), generators(0), (8, 8), steps=10)
    assert per_pixel.step(0).lift.shape == (1, 2, 3, 8, 8)


def test_views_of_a_picture_do_not_depend_on_the_others():
    recipe = ViewRecipe(copies=2)
    together = ViewSource(recipe, generators(3, 4), (8, 8), steps=3).step(2)
    alone = ViewSource(recipe, generators(4), (8, 8), steps=3).step(2)
    assert torch.equal(together.lift[1:], alone.lift)
    assert torch.equal(together.roll[1:], alone.roll)


def test_a_linear_unit_without_regularizers_ends_at_the_signs_of_its_filter():
    subject = half_units(0)
    pixels = optimize(subject, WANTED, QUICK.ablated, seed=0)
    weights = subject.model.blocks[0].mlp.fc1.weight[list(WANTED.units), :3].sign()
    read = pixels[:, :, 1::APART, 1::APART]
    side = torch.where(torch.arange(1, HALVES_SIZE, APART) < HALVES_SIZE / 2, 1.0, -1.0)
    expected = (weights[:, :, None, None] * side + 1) / 2
    torch.testing.assert_close(read, expected.expand_as(read))


def test_regularizers_fill_the_halves_that_a_linear_unit_compares():
    subject = half_units(0)
    pixels = optimize(subject, WANTED, Recipe(steps=100, views=ViewRecipe(copies=4)), seed=0)
    left, right = pixels[..., 3:6].mean(dim=(-2, -1)), pixels[..., 11:14].mean(dim=(-2, -1))
    weights = subject.model.blocks[0].mlp.fc1.weight[list(WANTED.units), :3].sign()
    assert ((left - right) * weights > 0.8).all()
    fresh = transfer(subject, pixels, WANTED, QUICK, seed=0)
    plain = transfer(subject, optimize(subject, WANTED, QUICK.ablated, seed=0), WANTED, QUICK, seed=0)
    assert (fresh > 2 * plain).all()


def test_a_picture_does_not_depend_on_the_units_beside_it():
    subject = half_units(0)
    together = optimize(subject, WANTED, replace(QUICK, steps=10), seed=3)
    alone = optimize(subject, replace(WANTED, units=(5,)), replace(QUICK, steps=10), seed=3)
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=0)
    other = optimize(subject, replace(WANTED, units=(5,)), replace(QUICK, steps=10), seed=4)
    assert (other - alone).abs().max() > 0.1


def test_activations_are_patch_averages_of_what_passes_the_site():
    subject = half_units(0)
    pixels = torch.rand(2, 3, HALVES_SIZE, HALVES_SIZE)
    values = subject.respond((pixels - 0.5) / 0.5, 1, "units")
    torch.testing.assert_close(activations(subject, pixels, 1, "units"), values[:, 1:].mean(dim=1).detach())


def test_finished_pictures_are_read_back_and_not_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(featvis_readouts, "fingerprint", lambda *roots: "the same")
    table = loaded(half_units(0), dull_pictures(0), Store(tmp_path))
    units = np.array([1, 2])
    first = pictures_of(table.place("given", 64, lambda blocks: None), 0, units, replace(QUICK, steps=3))
    monkeypatch.setattr(featvis_readouts, "optimize", None)
    again = loaded(half_units(0), dull_pictures(0), Store(tmp_path))
    assert torch.equal(
        pictures_of(again.place("given", 32, lambda blocks: None), 0, units, replace(QUICK, steps=3)), first
    )


def test_equal_units_share_their_ranks():
    census = UnitsOf(blocks=(0,))
    place = loaded(half_units(0), dull_pictures(0)).place("given", 128, lambda blocks: None)
    members = np.arange(32)
    assert IsSpecific(census=census, recipe=QUICK).numbers(place, members).all()  # rank (4 - 1) / 2 of 32
    constant = loaded(half_units(0, reads=False), dull_pictures(0)).place("given", 128, lambda blocks: None)
    assert not IsSpecific(census=census, recipe=replace(QUICK, steps=2)).numbers(constant, members).any()


def test_results_keep_pictures_of_some_units():
    census = UnitsOf(blocks=(0,))
    place = loaded(half_units(0), dull_pictures(0)).place("given", 128, lambda blocks: None)
    readout = DrivesUnit(census=census, recipe=replace(QUICK, steps=2))
    shown = readout.pictures(place)
    assert 1 <= len(shown) <= 12
    assert all(len(picture.data) < 80_000 for picture in shown)
    assert replace(readout, picture="grey").pictures(place) == ()


def test_visualize_draws_a_sheet_per_block(tmp_path, capsys):
    arguments = ["visualize", "--model", "tiny_resnet", "--layers", "0,2-3", "--units", "2", "--steps", "2"]
    arguments += ["--pictures", "64", "--ablated", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    assert main(arguments) == 0
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == [f"tiny_resnet-units-block0{block}.png" for block in (0, 2, 3)]
    assert Image.open(tmp_path / "out" / files[0]).width > 400
    assert "2 units" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "7"], "blocks [7] in --layers; tiny_resnet has blocks 0 to 3"),
        (["--layers", "x"], "'x' in --layers; allowed: whole numbers"),
        (["--units", "3,99", "--layers", "0"], "units [99] in --units; allowed: 0 to 15"),
        (["--site", "query"], "'tiny_resnet' has no query"),
    ],
)
def test_visualize_refuses_what_the_model_lacks(tmp_path, capsys, arguments, message):
    fixed = ["visualize", "--model", "tiny_resnet", "--pictures", "64", "--steps", "1"]
    assert main([*fixed, "--out", str(tmp_path), "--cache", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err
