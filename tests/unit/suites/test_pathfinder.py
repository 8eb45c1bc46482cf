"""Pathfinder images: what is in them, what tells the classes apart, and that bytes do not move."""

import hashlib
import subprocess
import sys
from functools import cache
from math import atan2, cos, dist, pi

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.api import Tokens
from harness.seeding import stream
from suites._snakes.brush import FULL, stroke
from suites._snakes.canvas import Canvas
from suites._snakes.grid import grid, moved
from suites._snakes.picture import Picture, drawn, uniform
from suites._snakes.style import LRA, SEGMENTATION, Style
from suites.lra.path_256 import Path256
from suites.lra.path_x import PathX
from suites.lra.pathfinder import Pathfinder
from suites.lra.pathfinder_64 import Pathfinder64
from suites.synthetic.pathfinder_segmentation import PathfinderSegmentation

STYLES = {f"lra-{size}": style for size, style in LRA.items()} | {
    f"segmentation-{size}": style for size, style in SEGMENTATION.items()
}
FAST = {"lra-32": 60, "lra-256": 4, "segmentation-512": 2}
"""Styles, and how many images of each, that take little time."""


@cache
def some(name: str) -> list[Picture]:
    return [drawn(STYLES[name], seed) for seed in range(FAST[name])]


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


def test_labels_are_as_good_as_a_fair_coins_and_discs_sit_on_either_path() -> None:
    shown = some("lra-32")

    assert abs(np.mean([one.label for one in shown]) - 0.5) < 3 * 0.5 / len(shown) ** 0.5
    assert abs(np.mean([one.marked[0] for one in shown]) - 0.5) < 3 * 0.5 / len(shown) ** 0.5


def test_brightness_does_not_tell_the_class() -> None:
    shown = some("lra-32")
    means = np.array([one.pixels.mean() for one in shown])
    labels = np.array([one.label for one in shown])
    apart = means[labels].mean() - means[~labels].mean()

    assert abs(apart) < 3 * means.std() * (1 / labels.sum() + 1 / (~labels).sum()) ** 0.5


def test_every_short_path_of_the_segmentation_begins_with_a_disc() -> None:
    for shown in some("segmentation-512"):
        starts = [tips[0] for tips in shown.distractors]
        # The disc lies around the pivot, a margin before the dash, and covers its beginning.
        assert starts
        assert all(shown.pixels[place] > 0.9 * FULL for place in starts)
        assert all(shown.classes[place] == 0 for place in starts)


@given(st.integers(0, 359), st.sampled_from(sorted(STYLES)))
def test_a_dash_equals_the_same_dash_drawn_on_a_whole_image(degrees: int, name: str) -> None:
    style, angle = STYLES[name], np.radians(degrees)
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
    own = stroke(style.dash, style.thickness, margin, scale, float(angle)).image

    cut = (side - len(own)) // 2
    np.testing.assert_array_equal(own, whole[cut:-cut, cut:-cut])


@given(st.integers(-180, 179), st.sampled_from(sorted(STYLES)))
def test_ends_lie_on_a_circle_and_weigh_what_their_turn_says(degrees: int, name: str) -> None:
    style, angle = STYLES[name], float(np.radians(degrees))
    pixels = grid(style, style.margins[0])
    turns, radius = pixels.turns(angle), style.dash + style.margins[0]

    for end, towards, weight in zip(turns.ends, turns.angles, turns.weights, strict=True):
        row, column = pixels.place(pixels.pixel(9, 9) + end)
        assert abs(dist((row, column), (9, 9)) - radius) <= 0.5**0.5
        assert atan2(row - 9, column - 9) == towards
        turn = abs((towards - angle + pi) % (2 * pi) - pi)
        assert weight / 2**20 == pytest.approx(cos(style.continuity * turn) ** 2, abs=1e-6)
        assert style.continuity * turn < pi / 2
    assert len(turns.ends) >= radius * pi / style.continuity / 2


def test_a_dash_takes_the_pixels_of_its_mask_and_no_end_comes_near() -> None:
    pixels = grid(SEGMENTATION[128], 3)
    canvas = Canvas(pixels, uniform(1).__next__)
    path = canvas.begun(pixels.pixel(60, 50), 30)
    canvas.enter(path)
    mask = path.dashes[0].stroke.mask
    half = len(mask) // 2
    strong = {(60 + y - half, 50 + x - half) for y, x in np.argwhere(mask >= 0.9 * FULL).tolist()}
    weak = [(60 + y - half, 50 + x - half) for y, x in np.argwhere(mask >= 0.5 * FULL).tolist()]
    for row in range(20, 100):
        for column in range(20, 100):
            bit = pixels.pixel(row, column)
            assert (canvas.firm >> bit & 1) == ((row, column) in strong)
            near = min(dist((row, column), other) for other in weak) <= 3
            assert (canvas.near >> bit & 1) == near


def test_a_move_of_half_a_pixel_is_rounded_alike_everywhere() -> None:
    assert moved(pi / 3, 11) == moved(pi / 3 - 1e-12, 11) == moved(pi / 3 + 1e-12, 11) == (10, 6)


def test_a_crowded_canvas_has_no_room() -> None:
    pixels = grid(LRA[32], 1)
    canvas = Canvas(pixels, uniform(1).__next__)
    assert not canvas.crowded()
    assert canvas.room(0) is not None
    canvas.firm = (1 << pixels.width**2) - 1
    assert canvas.crowded()
    assert canvas.room(0) is None


@pytest.mark.parametrize(
    ("task", "size"),
    [(Pathfinder(), 32), (Pathfinder64(), 64), (PathX(), 128), (Path256(), 256)],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_tasks_have_the_sizes_of_long_range_arena(task: Pathfinder, size: int) -> None:
    assert (task.style.size, task.max_length, task.causal) == (size, size**2, False)
    assert task.outputs.classes == 2


def test_tokens_and_scalars_are_the_same_images() -> None:
    scalars = Pathfinder().sample(4, stream("test"))
    tokens = Pathfinder(variant="original").sample(4, stream("test"))

    assert Pathfinder(variant="original").inputs == Tokens(256)
    assert (scalars.inputs.dtype, tokens.inputs.dtype) == (torch.float32, torch.long)
    assert scalars.inputs.shape == (4, 1024, 1)
    torch.testing.assert_close(scalars.inputs[..., 0] * 255, tokens.inputs.float())
    assert torch.equal(scalars.targets, tokens.targets)


@pytest.mark.parametrize("size", [128, 256, 512])
def test_calling_every_pixel_ground_scores_the_stated_chance(size: int) -> None:
    task = PathfinderSegmentation(size=size)
    targets = task.sample(3, stream("test", size)).targets
    nothing = torch.tensor([1.0, 0, 0]).expand(*targets.shape, 3)
    score = task.outputs.score(task.outputs.examine(nothing, targets), 3)["macro_f1"]

    assert targets.shape == (3, size**2)
    assert task.chance == pytest.approx(score, abs=0.01)


def test_segmentation_inputs_span_minus_one_to_one() -> None:
    batch = PathfinderSegmentation().sample(1, stream("test"))
    assert batch.inputs.shape == (1, 128 * 128, 1)
    assert (batch.inputs.min(), batch.inputs.max()) == (-1, 1)


def test_an_image_depends_on_its_seed_alone_also_in_another_process() -> None:
    script = (
        "import hashlib, sys; from suites._snakes.picture import drawn; "
        "from suites._snakes.style import LRA; "
        "sys.stdout.write(hashlib.sha256(drawn(LRA[32], 5).pixels.tobytes()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    np.random.random(3)  # noqa: NPY002 - the generator that must not matter

    assert drawn(LRA[32], 5) is not drawn(LRA[32], 5)
    assert hashlib.sha256(drawn(LRA[32], 5).pixels.tobytes()).hexdigest() == other


def test_styles_are_whole_at_the_fine_scale() -> None:
    """The published script refuses a thickness that is no whole number of fine pixels."""
    for style in STYLES.values():
        assert isinstance(style, Style)
        assert (style.thickness * style.antialias) % 1 == 0
