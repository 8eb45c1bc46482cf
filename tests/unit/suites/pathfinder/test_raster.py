"""How dashes are drawn and what they mask."""

from dataclasses import replace
from math import dist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suites._pathfinder.raster import FULL, composed, dash
from suites._pathfinder.style import LRA, SEGMENTATION
from tests.unit.suites.pathfinder.styles import STYLES


@given(st.integers(0, 359), st.sampled_from(sorted(STYLES)))
def test_a_dash_equals_the_same_dash_drawn_on_a_whole_image(degrees: int, name: str) -> None:
    style, angle = replace(STYLES[name], contrast=100), np.radians(degrees)
    margin = style.margins[-1]
    # Independently: how deep points lie in a rectangle or how far from it, on a large image.
    side, scale = 2 * style.reach(margin) + 21, style.antialias
    fine = (np.arange(side * scale) + 0.5) / scale - side / 2
    y, x = np.meshgrid(fine, fine, indexing="ij")
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    first, last, edge = -0.5 / scale, style.dash + 0.5 / scale, style.thickness / 2
    deep = np.min([along - first, last - along, edge - across, edge + across], axis=0)
    apart = np.hypot(along - along.clip(first, last), across - across.clip(-edge, edge))
    shade = np.clip(0.5 + scale * np.where(deep > 0, deep, -apart), 0, 1)
    large = Image.fromarray(np.floor(255 * shade + 0.5 + 1e-6).astype(np.uint8))
    whole = np.asarray(large.resize((side, side), Image.Resampling.LANCZOS))
    own = dash(style, margin, float(angle)).image

    cut = (side - len(own)) // 2
    np.testing.assert_array_equal(own, whole[cut:-cut, cut:-cut])


@pytest.mark.parametrize("name", sorted(STYLES))
def test_a_dash_has_equal_light_in_every_direction(name: str) -> None:
    style = replace(STYLES[name], contrast=100)
    dashes = [dash(style, style.margins[0], np.radians(turn)).image for turn in range(0, 360, 3)]
    lights = np.array([image.sum() / FULL for image in dashes])

    # What Lanczos makes of a thin line is not quite the same everywhere.
    assert abs(lights / lights.mean() - 1).max() < (0.1 if style.thickness < 1 else 0.07)


def test_a_dash_at_32_pixels_is_as_bright_as_the_public_scripts() -> None:
    images = [dash(LRA[32], 1, np.radians(turn)).image / FULL for turn in range(360)]

    # Of the script's dashes of the same 360 directions: 1.50, 0.47 and 3.2 pixels.
    assert np.mean([image.sum() for image in images]) == pytest.approx(1.50, abs=0.06)
    assert np.mean([image.max() for image in images]) == pytest.approx(0.47, abs=0.02)
    assert np.mean([(image > 0.25).sum() for image in images]) == pytest.approx(3.2, abs=0.35)


def test_a_dash_has_the_contrast_of_its_style() -> None:
    full = dash(replace(SEGMENTATION[128], contrast=100), 3, 0.5).image
    shown = dash(replace(SEGMENTATION[128], contrast=90), 3, 0.5).image
    np.testing.assert_array_equal(shown, np.floor(0.9 * full.astype(float) + 0.5))


def test_a_mask_is_what_is_covered_and_dilated_it_is_a_margin_wider() -> None:
    margin = 3
    drawn = dash(SEGMENTATION[128], margin, float(np.radians(30)))
    half = np.argwhere(drawn.cover >= 0.5 * FULL).tolist()
    for (row, column), cover in np.ndenumerate(drawn.cover.astype(int)):
        assert drawn.mask[row, column] == (cover >= 0.9 * FULL)
        assert drawn.room[row, column] == min(FULL, np.ceil(1.8 * FULL) - 1 - cover)
        near = min(dist((row, column), other) for other in half) <= margin
        assert (drawn.dilated[row, column] >= 0.5 * FULL) == near


def test_the_brightest_raster_wins_and_nothing_is_drawn_beyond_the_border() -> None:
    raster = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)
    image = composed(4, [((0, 0), raster), ((1, 1), raster), ((3, 4), raster)])
    assert image.tolist() == [[5, 6, 3, 0], [8, 9, 6, 0], [7, 8, 9, 1], [0, 0, 0, 4]]
