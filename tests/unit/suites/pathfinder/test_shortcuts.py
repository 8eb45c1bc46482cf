"""What tells the classes apart without following a path."""

from math import dist

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from sklearn.ensemble import HistGradientBoostingClassifier

from suites._pathfinder.image import pictures
from suites.lra.path_256 import Path256
from suites.lra.pathfinder import Pathfinder
from suites.lra.pathfinder_64 import Pathfinder64
from tests.unit.suites.pathfinder.styles import some


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


@pytest.mark.slow  # a quarter of a minute
@pytest.mark.parametrize(
    "task", [Pathfinder(), Pathfinder64(), Path256()], ids=lambda task: task.name
)
def test_the_distance_of_the_discs_tells_as_much_as_is_stated(task: Pathfinder) -> None:
    shown = pictures(task.style, range(1024))
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


def of_discs(pixels: np.ndarray) -> list[float]:
    """Return cheap figures of the two brightest spots and of the light around and between them."""
    size = len(pixels)
    y, x = np.mgrid[:size, :size]
    light = pixels / 255
    smooth = uniform_filter(light, 3)
    first = np.unravel_index(smooth.argmax(), smooth.shape)
    elsewhere = np.where((y - first[0]) ** 2 + (x - first[1]) ** 2 > 9, smooth, -1)
    second = np.unravel_index(elsewhere.argmax(), smooth.shape)
    apart = dist(first, second)
    middle = np.hypot(y - (first[0] + second[0]) / 2, x - (first[1] + second[1]) / 2)
    (top, bottom), (left, right) = map(sorted, zip(first, second, strict=True))
    box = light[top : bottom + 1, left : right + 1]
    near = [
        sorted(
            light[np.hypot(y - place[0], x - place[1]) < reach].sum() for place in (first, second)
        )
        for reach in (5, 8)
    ]
    centre = ((size - 1) / 2,) * 2
    return [
        *(apart, light[middle < apart / 2].sum(), box.mean(), box.sum(), *near[0], *near[1]),
        *(light.sum(), light.std(), smooth[first], smooth[second]),
        *(dist(first, centre), dist(second, centre)),
    ]


@pytest.mark.slow  # a minute: 12,000 images
def test_boosted_trees_on_cheap_figures_of_the_discs_reach_what_is_stated() -> None:
    shown = list(pictures(Pathfinder().style, range(12_000)))
    figures = np.array([of_discs(one.pixels) for one in shown])
    labels = np.array([one.label for one in shown])
    trees = HistGradientBoostingClassifier(
        random_state=0, learning_rate=0.03, max_iter=150, max_leaf_nodes=8
    ).fit(figures[:8000], labels[:8000])

    reached = trees.score(figures[8000:], labels[8000:])

    assert reached == pytest.approx(Pathfinder.shortcuts["boosted trees on the discs"], abs=0.02)
