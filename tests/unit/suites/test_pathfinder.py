"""Pathfinder images: what is in them, what tells the classes apart, and that bytes do not move."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from math import atan2, cos, dist, pi, radians
from typing import final

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from harness.api import Tokens
from harness.core.seeding import stream
from suites._snakes import crew
from suites._snakes.brush import FULL, stroke
from suites._snakes.canvas import Canvas
from suites._snakes.crew import images
from suites._snakes.dashes import dash, ends, moved
from suites._snakes.grid import grid
from suites._snakes.pairs import attempted, draws
from suites._snakes.picture import Picture, Place, drawn
from suites._snakes.style import LRA, SEGMENTATION, Style
from suites._snakes.ways import ways
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
    return drawn(STYLES[name], range(FAST[name]))


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


@pytest.mark.slow  # half a minute
@pytest.mark.parametrize(
    "task", [Pathfinder(), Pathfinder64(), Path256()], ids=lambda task: task.name
)
def test_the_distance_of_the_discs_tells_as_much_as_is_stated(task: Pathfinder) -> None:
    shown = drawn(task.style, range(1024))
    apart, labels = (
        np.array([dist(*one.discs) for one in shown]),
        np.array([one.label for one in shown]),
    )
    cuts = np.unique(apart)[:, None]
    shares = []
    for fitted, scored in (
        (slice(None, 512), slice(512, None)),
        (slice(512, None), slice(None, 512)),
    ):
        right = ((apart[fitted] <= cuts) == labels[fitted]).mean(1)
        best = abs(right - 0.5).argmax()
        guesses = (apart[scored] <= cuts[best]) == (right[best] > 0.5)
        shares.append((guesses == labels[scored]).mean())

    assert np.mean(shares) == pytest.approx(task.shortcuts["distance of the discs"], abs=0.05)


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
    found, radius = ends(style, style.margins[0], angle), style.dash + style.margins[0]

    for end in found:
        assert abs(np.hypot(end.down, end.right) - radius) <= 0.5**0.5
        turn = abs((end.towards - angle + pi) % (2 * pi) - pi)
        assert end.weight / 2**20 == pytest.approx(cos(style.continuity * turn) ** 2, abs=1e-6)
        assert style.continuity * turn < pi / 2
        assert abs(abs(end.back - end.towards) - pi) < 1e-9
    assert len(found) >= radius * pi / style.continuity / 2


def test_a_dash_takes_the_pixels_of_its_mask_and_no_end_comes_near() -> None:
    pixels = grid(SEGMENTATION[128], 3)
    canvas, tip, angle = (
        Canvas(pixels, iter(()).__next__),
        pixels.pixel(60, 50),
        float(np.radians(30)),
    )
    canvas.enter([tip], [angle])
    mask = dash(SEGMENTATION[128], 3, angle).stroke.mask
    half = len(mask) // 2
    strong = {(60 + y - half, 50 + x - half) for y, x in np.argwhere(mask >= 0.9 * FULL).tolist()}
    weak = [(60 + y - half, 50 + x - half) for y, x in np.argwhere(mask >= 0.5 * FULL).tolist()]
    for row in range(20, 100):
        for column in range(20, 100):
            bit = pixels.pixel(row, column)
            assert (canvas.firm >> bit & 1) == ((row, column) in strong)
            near = min(dist((row, column), other) for other in weak) <= 3
            assert (canvas.near >> bit & 1) == near


@final
class WholeCanvas:
    """The taken pixels of one attempt, each dash entered as an image of the whole canvas."""

    def __init__(self, style: Style, margin: int) -> None:
        self.style, self.margin, self.frame = style, margin, 4 * style.reach(margin)
        side = style.size + 2 * self.frame
        inner = slice(self.frame + style.padding, -self.frame - style.padding)
        self.firm, self.half = np.ones((2, side, side), bool)
        self.firm[inner, inner] = self.half[inner, inner] = False

    def mask(self, tip: Place, angle: float) -> np.ndarray:
        whole = np.zeros(self.firm.shape, np.uint8)
        stamp = stroke(
            self.style.dash, self.style.thickness, self.margin, self.style.antialias, angle
        ).mask
        row, column = (at + self.frame - len(stamp) // 2 for at in tip)
        whole[row : row + len(stamp), column : column + len(stamp)] = stamp
        return whole

    def enter(self, tip: Place, angle: float) -> None:
        self.firm |= self.mask(tip, angle) >= 0.9 * FULL
        self.half |= self.mask(tip, angle) >= 0.5 * FULL

    def fits(self, *dashes: tuple[Place, float]) -> bool:
        """Tell whether the first dash overlaps neither what is entered nor the others."""
        strong, *others = (self.mask(*one) >= 0.9 * FULL for one in dashes)
        return not (strong & np.logical_or.reduce([self.firm, *others])).any()

    def near(self, pixel: Place) -> bool:
        row, column = (at + self.frame for at in pixel)
        around = range(-self.margin, self.margin + 1)
        return any(
            self.half[row + y, column + x]
            for y in around
            for x in around
            if y**2 + x**2 <= self.margin**2
        )


@dataclass
class SlowPath:
    """A path that grows on a whole canvas."""

    dashes: list[tuple[Place, float]]
    pivot: Place
    onwards: float


def begun(canvas: WholeCanvas, uniform: list[float]) -> tuple[SlowPath, SlowPath] | None:
    style, degrees = canvas.style, [radians(int(u * 360) - 180) for u in uniform]
    whole = (canvas.mask((0, 0), degrees[0]) >= 0.9 * FULL).nonzero()
    low = [2 * style.seed_distance + canvas.frame - int(axis.min()) for axis in whole]
    high = [style.size - 2 * style.seed_distance + canvas.frame - int(axis.max()) for axis in whole]
    if high[0] <= low[0] or high[1] <= low[1]:
        return None
    row, column = (
        least + int(u * (most - least))
        for least, most, u in zip(low, high, uniform[1:3], strict=True)
    )
    first = (row, column), degrees[0]
    for away, own in zip(degrees[3:9:2], degrees[4:9:2], strict=True):
        second = moved_from(first[0], away, style.seed_distance), own
        if canvas.fits(second, first):
            one, other = (
                SlowPath([dash], moved_from(dash[0], dash[1], canvas.margin, -1), dash[1])
                for dash in (first, second)
            )
            return one, other
    return None


def longer(canvas: WholeCanvas, path: SlowPath, other: SlowPath, uniform: list[float]) -> bool:
    style, margin = canvas.style, canvas.margin
    row, column = moved_from(path.pivot, path.onwards, style.dash + 2 * margin)
    options = {
        end: 0 if canvas.near((row + end.down, column + end.right)) else end.weight
        for end in ends(style, margin, path.onwards)
    }
    heap = dict(zip(options, accumulate(options.values()), strict=True))
    total = sum(options.values())
    for u in uniform if total else ():
        end = next(end for end, share in heap.items() if share > u * total)
        new = (row + end.down, column + end.right), end.back
        if canvas.fits(new, other.dashes[-1]):
            canvas.enter(*path.dashes[-1])
            path.dashes.append(new)
            path.pivot, path.onwards = (row, column), end.towards
            return True
    return False


def attempted_on_a_canvas(style: Style, margin: int, uniform: list[float]) -> list[list[Place]]:
    """Make one attempt at a pair of long paths, as the published script does, pixel by pixel."""
    canvas = WholeCanvas(style, margin)
    pair = begun(canvas, uniform)
    for step in range(2 * style.dashes - 2 if pair else 0):
        if not longer(canvas, pair[step % 2], pair[1 - step % 2], uniform[9 + 3 * step :][:3]):
            return []
    return [[place for place, _ in path.dashes] for path in pair or ()]


def moved_from(place: Place, angle: float, distance: int, sign: int = 1) -> Place:
    down, right = moved(angle, distance)
    return place[0] + sign * down, place[1] + sign * right


@pytest.mark.parametrize(("size", "margin", "attempts"), [(32, 1, 400), (128, 3, 60)])
def test_many_attempts_at_once_equal_each_alone_on_a_whole_canvas(
    size: int, margin: int, attempts: int
) -> None:
    style = replace(LRA[size], dashes=7)
    tables = ways(grid(style, margin))
    uniform = np.random.default_rng(size).random((attempts, draws(tables)))
    whole = attempted(tables, uniform)
    found = {
        number: [[tables.grid.place(tip) for tip in tips[path::2]] for path in range(2)]
        for number, tips in zip(whole.number.tolist(), whole.tips.tolist(), strict=True)
    }

    alone = [attempted_on_a_canvas(style, margin, row) for row in uniform.tolist()]
    assert found == {number: paths for number, paths in enumerate(alone) if paths}
    assert attempts / 50 < len(found) < attempts


def test_a_move_of_half_a_pixel_is_rounded_alike_everywhere() -> None:
    assert moved(pi / 3, 11) == moved(pi / 3 - 1e-12, 11) == moved(pi / 3 + 1e-12, 11) == (10, 6)


def test_a_crowded_canvas_has_no_room() -> None:
    pixels = grid(LRA[32], 1)
    canvas = Canvas(pixels, np.random.default_rng(1).random)
    assert not canvas.crowded()
    assert canvas.room(0.0) is not None
    canvas.firm = (1 << pixels.width**2) - 1
    assert canvas.crowded()
    assert canvas.room(0.0) is None


LARGE = (Pathfinder(), Pathfinder64(), PathX(), Path256())


@pytest.mark.parametrize(
    ("task", "size"),
    list(zip(LARGE, LRA, strict=True)),
    ids=lambda value: getattr(value, "name", None),
)
def test_the_tasks_have_the_sizes_of_long_range_arena(task: Pathfinder, size: int) -> None:
    assert (task.style.size, task.max_length, task.causal) == (size, size**2, False)
    assert task.outputs.classes == 2


def test_tokens_and_scalars_are_the_same_images_and_kept_once() -> None:
    scalars, tokens = Pathfinder(), Pathfinder(variant="original")
    kept = scalars.sample(4, stream("test"))
    real, whole = scalars.prepare(kept), tokens.prepare(kept)

    assert scalars.key == tokens.key == Pathfinder(sets="published").key
    assert tokens.inputs == Tokens(256)
    assert (real.inputs.dtype, whole.inputs.dtype) == (torch.float32, torch.uint8)
    assert real.inputs.shape == (4, 1024, 1)
    torch.testing.assert_close(real.inputs[..., 0] * 255, whole.inputs.float())


@pytest.mark.parametrize("size", [128, 256, 512])
def test_calling_every_pixel_ground_scores_the_stated_chance(size: int) -> None:
    task = PathfinderSegmentation(size=size)
    targets = task.sample(3, stream("test", size)).targets.long()
    nothing = torch.tensor([1.0, 0, 0]).expand(*targets.shape, 3)
    score = task.outputs.score(task.outputs.per_example(nothing, targets), 3)["macro_f1"]

    assert targets.shape == (3, size**2)
    assert task.chance == pytest.approx(score, abs=0.01)


def test_segmentation_inputs_span_minus_one_to_one() -> None:
    task = PathfinderSegmentation()
    batch = task.prepare(task.sample(1, stream("test")))
    assert batch.inputs.shape == (1, 128 * 128, 1)
    assert (batch.inputs.min(), batch.inputs.max()) == (-1, 1)


def test_a_split_and_what_is_in_its_images_are_the_same_images() -> None:
    for task in (Pathfinder(sets="smoke"), PathfinderSegmentation(sets="smoke")):
        whole, shown = task.split("test"), list(task.pictures("test"))

        assert len(whole) == len(shown) == 16
        pixels = torch.from_numpy(np.stack([one.pixels for one in shown]))
        spread = whole.inputs - whole.inputs.min()
        torch.testing.assert_close(spread[..., 0] / spread.max(), pixels.flatten(1) / 255)
        targets = [one.classes if whole.targets.ndim > 1 else one.label for one in shown]
        assert (whole.targets.numpy().ravel() == np.array(targets).ravel()).all()


def test_no_piece_is_larger_than_a_laptop_bears() -> None:
    for task in (*LARGE, *(PathfinderSegmentation(size=size) for size in (128, 256, 512))):
        bytes_each = task.max_length * (2 if task.outputs.metric == "macro_f1" else 1)
        assert task.shard_size * bytes_each <= 8 * 2**20


def test_the_published_sizes_are_those_of_the_released_sets() -> None:
    counts = [tuple(task(sets="published").examples.values()) for task in (PathX, Path256)]
    assert counts == [(160_000, 20_000, 20_000)] * 2
    counts = list(PathfinderSegmentation(sets="published").examples.values())
    assert counts == [80_000, 10_000, 10_000]


def test_helpers_draw_the_same_images_and_end_with_their_asker() -> None:
    seeds = list(range(40))
    alone, helped = images(LRA[32], seeds, 1), images(LRA[32], seeds, 2)
    (helper,) = crew._helpers

    assert all((one == other).all() for one, other in zip(alone, helped, strict=True))
    helper.process.kill()
    with pytest.raises(ChildProcessError, match="has ended"):
        images(LRA[32], seeds, 2)
    assert not crew._helpers
    assert helper.process.returncode is not None


def test_an_image_depends_on_its_seed_alone_also_in_another_process() -> None:
    script = (
        "import hashlib, sys; from suites._snakes.picture import drawn; "
        "from suites._snakes.style import LRA; "
        "sys.stdout.write(hashlib.sha256(drawn(LRA[32], [5])[0].pixels.tobytes()).hexdigest())"
    )
    other = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    np.random.random(3)  # noqa: NPY002 - the generator that must not matter

    among_others = drawn(LRA[32], [4, 5, 6])[1]
    assert hashlib.sha256(among_others.pixels.tobytes()).hexdigest() == other


def test_styles_are_whole_at_the_fine_scale() -> None:
    """The published script refuses a thickness that is no whole number of fine pixels."""
    for style in STYLES.values():
        assert isinstance(style, Style)
        assert (style.thickness * style.antialias) % 1 == 0
