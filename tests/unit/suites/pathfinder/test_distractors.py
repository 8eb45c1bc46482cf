"""Room for short paths."""

from dataclasses import replace
from math import ceil, cos, radians, sin

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import grey_dilation

from suites._pathfinder.distractors import Canvas
from suites._pathfinder.image import pictures
from suites._pathfinder.raster import FULL
from suites._pathfinder.style import ANYWHERE, LRA, SEGMENTATION, Style
from suites._pathfinder.tables import DEGREES, tables_for


def test_a_dash_on_a_canvas_takes_the_pixels_of_its_masks() -> None:
    tables = tables_for(SEGMENTATION[128], 3)
    dash, half, frame = tables.dashes[210], tables.grid.half, tables.grid.frame
    canvas = Canvas(tables, iter(()).__next__)
    empty = canvas.covered.copy(), canvas.dilated.copy()
    canvas.enter(tables.grid.pixel(60, 50), 210)

    top, left = 60 + frame - half, 50 + frame - half
    around = slice(top, top + len(dash.cover)), slice(left, left + len(dash.cover))
    assert (canvas.covered[around] == dash.cover).all()
    assert (canvas.dilated[around] == dash.dilated).all()
    canvas.covered[around] = canvas.dilated[around] = 0
    assert (canvas.covered == empty[0]).all()
    assert (canvas.dilated == empty[1]).all()


def test_a_crowded_canvas_has_no_room() -> None:
    canvas = Canvas(tables_for(LRA[32], 1), np.random.default_rng(1).random)
    assert not canvas.crowded()
    assert canvas.tip(180) is not None
    canvas.covered[:] = FULL
    assert canvas.crowded()
    assert canvas.tip(180) is None
    assert canvas.distractors() == []


def scripted_cover(style: Style, margin: int, angle: float) -> np.ndarray:
    """Draw a dash and its margin as the public script does, from its tip at the centre."""
    scale, reach = style.antialias, style.reach(margin)
    middle, length = reach * scale, style.dash * scale
    line = Image.new("L", (2 * middle + 1, 2 * middle + 1))
    end = ceil(middle + length * cos(angle)), ceil(middle + length * sin(angle))
    width = round(style.thickness * scale)
    ImageDraw.Draw(line).line([(middle, middle), end], fill=FULL, width=width)
    fine = np.arange(-margin * scale, margin * scale + 1)
    round_brush = fine[:, None] ** 2 + fine**2 <= (margin * scale) ** 2
    wide = Image.fromarray(grey_dilation(np.asarray(line), footprint=round_brush))
    return np.asarray(wide.resize((2 * reach + 1, 2 * reach + 1), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("size", LRA)
def test_short_paths_begin_where_the_scripts_dilation_meets_no_border_alone(size: int) -> None:
    style = LRA[size]
    margin, found = style.margins[-1], []
    for degrees in DEGREES:
        cover, reach = scripted_cover(style, margin, radians(degrees)), style.dash + margin
        # The script takes the dash one pixel too far down and right, and crops it.
        start = len(cover) // 2 - 1 - reach
        kernel = cover[start:, start:][: 2 * reach + 1, : 2 * reach + 1] == FULL
        # scipy's dilation turns its footprint, OpenCV's does not.
        empty, turned = np.zeros((40, 40)), kernel[::-1, ::-1]
        dilated = grey_dilation(empty, footprint=turned, mode="constant", cval=-np.inf)
        found.append(dilated.min() >= 0)
    least, beyond = style.openings
    stated = [least <= degrees < beyond for degrees in DEGREES]

    # At 64 the script loses -135 degrees in the middle, too.
    assert np.mean(np.array(found) != stated) < 0.005


@pytest.mark.parametrize(
    ("size", "openings", "short", "none"),
    [
        (32, LRA[32].openings, 1.2, 0.26),
        (32, ANYWHERE, 4.5, 0),
        (64, LRA[64].openings, 1.8, 0.07),
        (64, ANYWHERE, 3.6, 0),
    ],
)
def test_the_script_places_fewer_short_paths_than_are_asked_for(
    size: int, openings: tuple[int, int], short: float, none: float
) -> None:
    shown = pictures(replace(LRA[size], openings=openings), range(9000 // size))
    counts = np.array([len(one.distractors) for one in shown])

    # The script has 1.2, 26 % of the images without any, and 2.5.
    assert counts.mean() == pytest.approx(short, abs=0.25)
    assert (counts == 0).mean() == pytest.approx(none, abs=0.08)
