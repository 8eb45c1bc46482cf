"""What is in Pathfinder images, and that it depends on the seed alone."""

import hashlib
import subprocess
import sys
from math import atan2, pi

import numpy as np
import pytest

from suites._pathfinder.image import pictures
from suites._pathfinder.raster import FULL
from suites._pathfinder.style import LRA
from tests.unit.suites.pathfinder.styles import FAST, STYLES, some

each = pytest.mark.parametrize("name", FAST)


@each
def test_both_classes_have_two_long_paths_of_all_their_dashes(name: str) -> None:
    style = STYLES[name]
    for shown in some(name):
        # The first dash has two ends, of which the outer is kept.
        assert [len(path.tips) for path in shown.paths] == [style.dashes] * 2
        assert {len(tips) for tips in shown.distractors} <= {style.distractor}
        assert len(shown.distractors) <= style.distractors


@each
def test_the_label_says_whether_both_discs_are_on_one_path(name: str) -> None:
    for shown in some(name):
        first, last = shown.discs

        starts = [path.tips[0] == first for path in shown.paths]
        ends = [path.tips[-1] == last for path in shown.paths]
        assert sum(starts) == sum(ends) == 1
        assert shown.label == (starts == ends)


@each
def test_paths_do_not_cross(name: str) -> None:
    for shown in some(name):
        strong = [path.image > 0.6 * FULL for path in shown.paths]

        assert all(path.image.max() > 0.3 * FULL for path in shown.paths)
        assert not (strong[0] & strong[1]).any()


@each
def test_an_image_is_all_it_says_and_spans_all_greys(name: str) -> None:
    for shown in some(name):
        assert (shown.pixels.min(), shown.pixels.max()) == (0, FULL)
        assert all((shown.pixels >= path.image).all() for path in shown.paths)
        assert all(shown.pixels[place] == FULL for place in shown.discs)


@each
def test_paths_turn_less_than_their_continuity_allows(name: str) -> None:
    style = STYLES[name]
    for shown in some(name):
        # An end lies this far from the last pivot; pivots and ends are rounded to pixels.
        step = style.dash + shown.margin
        steepest = pi / 2 / style.continuity + 2 * atan2(1, step)
        for tips in [path.tips for path in shown.paths]:
            moves = np.diff(np.array(tips[1:]), axis=0)
            angles = np.arctan2(moves[:, 0], moves[:, 1])
            turns = np.abs((np.diff(angles) + pi) % (2 * pi) - pi)
            assert turns.max() <= steepest


@each
def test_the_classes_are_the_paths(name: str) -> None:
    for shown in some(name):
        joined = shown.paths[shown.marked[0]].where

        assert set(np.unique(shown.classes)) == ({0, 1, 2} if shown.label else {0, 1})
        assert ((shown.classes > 0) == (shown.paths[0].where | shown.paths[1].where)).all()
        assert ((shown.classes == 2) == (joined & shown.label)).all()


def test_every_short_path_of_the_segmentation_begins_with_a_disc() -> None:
    for shown in some("segmentation-512"):
        starts = [tips[0] for tips in shown.distractors]
        # The disc lies around the pivot, a margin before the dash, and covers its beginning.
        assert starts
        assert all(shown.pixels[place] > 0.9 * FULL for place in starts)
        assert all(shown.classes[place] == 0 for place in starts)


def test_an_image_depends_on_its_seed_alone_also_in_another_process() -> None:
    script = (
        "import hashlib, sys; from suites._pathfinder.image import pictures; "
        "from suites._pathfinder.style import LRA; "
        "sys.stdout.write(hashlib.sha256(pictures(LRA[32], [5])[0].pixels.tobytes()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    np.random.random(3)  # noqa: NPY002 - the generator that must not matter

    among_others = pictures(LRA[32], [4, 5, 6])[1]
    assert hashlib.sha256(among_others.pixels.tobytes()).hexdigest() == other
