"""Turned hues: against the standard library's HSV pixel by pixel, inside of the masks alone."""

import colorsys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.interventions.hues import TurnHue

LEVELS = st.floats(0, 1, allow_subnormal=False, width=32)


def turned(pixels: torch.Tensor, degrees: int, masks: torch.Tensor) -> torch.Tensor:
    return TurnHue(degrees).apply(pixels, SimpleNamespace(masks_of=lambda whose: masks))


@settings(max_examples=200, deadline=None)
@given(LEVELS, LEVELS, LEVELS, st.sampled_from([120, 240]))
def test_a_hue_is_turned_as_in_hsv(red, green, blue, degrees):
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    expected = colorsys.hsv_to_rgb((hue + degrees / 360) % 1.0, saturation, value)
    found = turned(torch.tensor([red, green, blue]).view(1, 3, 1, 1), degrees, torch.ones(1, 1, 1, dtype=torch.bool))
    np.testing.assert_allclose(found.flatten(), expected, atol=1e-5)


def test_a_hue_is_turned_as_in_the_8_bit_hsv_of_pillow():
    pixels = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (3, 16, 16))) / 255
    image = Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).numpy()).convert("HSV")
    hue, saturation, value = image.split()
    moved = hue.point(lambda level: (level + 85) % 256)  # a third of 256, as near as 8 bits allow
    expected = np.asarray(Image.merge("HSV", (moved, saturation, value)).convert("RGB")).astype(float) / 255
    found = turned(pixels[None].float(), 120, torch.ones(1, 16, 16, dtype=torch.bool))[0].permute(1, 2, 0)
    assert np.abs(found.numpy() - expected).max() < 0.04


def test_pixels_outside_of_the_object_stay():
    pixels = torch.rand(2, 3, 6, 6)
    masks = torch.zeros(2, 6, 6, dtype=torch.bool)
    masks[0, 2:4, 1:5] = True
    found = turned(pixels, 120, masks)
    assert torch.equal(found[1], pixels[1])
    assert torch.equal(found[0, :, ~masks[0]], pixels[0, :, ~masks[0]])
    assert torch.equal(found[0, :, masks[0]], pixels[0][[2, 0, 1]][:, masks[0]])


def test_a_turn_by_anything_but_a_third_is_refused():
    with pytest.raises(ValueError, match=r"TurnHue\(degrees=60\): allowed: 120 and 240 degrees"):
        TurnHue(60)
