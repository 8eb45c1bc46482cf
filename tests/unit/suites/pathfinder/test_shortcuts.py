"""What tells the classes apart without following a path."""

from math import dist

import numpy as np
import pytest

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
