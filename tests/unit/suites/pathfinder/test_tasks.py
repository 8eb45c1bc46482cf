"""The tasks that are made of Pathfinder images."""

import numpy as np
import pytest
import torch

from harness.api import Tokens
from harness.core.seeding import stream
from suites._pathfinder.style import LRA
from suites.lra.path_256 import Path256
from suites.lra.path_x import PathX
from suites.lra.pathfinder import Pathfinder
from suites.lra.pathfinder_64 import Pathfinder64
from suites.synthetic.pathfinder_segmentation import PathfinderSegmentation

LARGE = (Pathfinder(), Pathfinder64(), PathX(), Path256())


@pytest.mark.parametrize(
    ("task", "size"),
    list(zip(LARGE, LRA, strict=True)),
    ids=lambda value: getattr(value, "name", None),
)
def test_the_tasks_have_the_sizes_of_long_range_arena(task: Pathfinder, size: int) -> None:
    assert (task.style.size, task.max_length, task.causal) == (size, size**2, False)
    assert task.outputs.classes == 2


def test_tokens_and_scalars_are_the_same_images_and_cached_once() -> None:
    scalars, tokens = Pathfinder(), Pathfinder(variant="original")
    cached = scalars.sample(4, stream("test"))
    real, whole = scalars.prepare(cached), tokens.prepare(cached)

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


def test_no_shard_is_larger_than_a_laptop_bears() -> None:
    for task in (*LARGE, *(PathfinderSegmentation(size=size) for size in (128, 256, 512))):
        bytes_each = task.max_length * (2 if task.outputs.metric == "macro_f1" else 1)
        assert task.shard_size * bytes_each <= 8 * 2**20


def test_the_published_sizes_are_those_of_the_released_sets() -> None:
    counts = [tuple(task(sets="published").examples.values()) for task in (PathX, Path256)]
    assert counts == [(160_000, 20_000, 20_000)] * 2
    counts = list(PathfinderSegmentation(sets="published").examples.values())
    assert counts == [80_000, 10_000, 10_000]
