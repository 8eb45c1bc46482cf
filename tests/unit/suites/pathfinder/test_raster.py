"""How dashes are drawn and what they mask."""

from dataclasses import replace
from math import dist

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suites._pathfinder.raster import FULL, composed, dash
from suites._pathfinder.style import SEGMENTATION
from tests.unit.suites.pathfinder.styles import STYLES


@given(st.integers(0, 359), st.sampled_from(sorted(STYLES)))
def test_a_dash_equals_the_same_dash_drawn_on_a_whole_image(degrees: int, name: str) -> None:
    style, angle = replace(STYLES[name], contrast=100), np.radians(degrees)
    margin = style.margins[-1]
    # Independently: points along the dash, each with a disc around it, reduced on a large image.
    side, scale = 2 * style.reach(margin) + 21, style.antialias
    fine = (np.arange(side * scale) + 0.5) / scale - side / 2
    y, x = np.meshgrid(fine, fine, indexing="ij")
    along = np.clip(x * np.cos(angle) + y * np.sin(angle), 0, style.dash)
    across = y * np.cos(angle) - x * np.sin(angle)
    beyond = x * np.cos(angle) + y * np.sin(angle) - along
    filled = (np.abs(across) <= style.thickness / 2 + 1e-6) & (np.abs(beyond) <= 1e-6)
    large = Image.fromarray(np.where(filled, 255, 0).astype(np.uint8))
    whole = np.asarray(large.resize((side, side), Image.Resampling.LANCZOS))
    own = dash(style, margin, float(angle)).image

    cut = (side - len(own)) // 2
    np.testing.assert_array_equal(own, whole[cut:-cut, cut:-cut])


def test_a_dash_has_the_contrast_of_its_style() -> None:
    full = dash(replace(SEGMENTATION[128], contrast=100), 3, 0.5).image
    shown = dash(replace(SEGMENTATION[128], contrast=90), 3, 0.5).image
    np.testing.assert_array_equal(shown, np.floor(0.9 * full.astype(float) + 0.5))


def test_a_mask_is_what_is_covered_and_dilated_it_is_a_margin_wider() -> None:
    margin = 3
    drawn = dash(SEGMENTATION[128], margin, float(np.radians(30)))
    covered = np.pad(drawn.cover, margin)
    half = np.argwhere(covered >= 0.5 * FULL).tolist()
    for (row, column), cover in np.ndenumerate(covered):
        assert drawn.mask[row, column] == (cover >= 0.9 * FULL)
        near = min(dist((row, column), other) for other in half) <= margin
        assert drawn.dilated[row, column] == near


def test_the_brightest_raster_wins_and_nothing_is_drawn_beyond_the_border() -> None:
    raster = np.arange(1, 10, dtype=np.uint8).reshape(3, 3)
    image = composed(4, [((0, 0), raster), ((1, 1), raster), ((3, 4), raster)])
    assert image.tolist() == [[5, 6, 3, 0], [8, 9, 6, 0], [7, 8, 9, 1], [0, 0, 0, 4]]
