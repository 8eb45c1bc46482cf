"""Room for short paths."""

import numpy as np

from suites._pathfinder.distractors import Canvas
from suites._pathfinder.style import LRA, SEGMENTATION
from suites._pathfinder.tables import tables_for


def test_a_dash_on_a_canvas_takes_the_pixels_of_its_masks() -> None:
    tables = tables_for(SEGMENTATION[128], 3)
    dash, half, frame = tables.dashes[210], tables.grid.half, tables.grid.frame
    canvas = Canvas(tables, iter(()).__next__)
    empty = canvas.masked.copy(), canvas.dilated.copy()
    canvas.enter(tables.grid.pixel(60, 50), 210)

    top, left = 60 + frame - half, 50 + frame - half
    around = slice(top, top + len(dash.mask)), slice(left, left + len(dash.mask))
    assert (canvas.masked[around] == dash.mask).all()
    assert (canvas.dilated[around] == dash.dilated).all()
    canvas.masked[around] = canvas.dilated[around] = False
    assert (canvas.masked == empty[0]).all()
    assert (canvas.dilated == empty[1]).all()


def test_a_crowded_canvas_has_no_room() -> None:
    canvas = Canvas(tables_for(LRA[32], 1), np.random.default_rng(1).random)
    assert not canvas.crowded()
    assert canvas.tip(180) is not None
    canvas.masked[:] = True
    assert canvas.crowded()
    assert canvas.tip(180) is None
    assert canvas.distractors() == []
