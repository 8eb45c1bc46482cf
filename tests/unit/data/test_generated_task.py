"""What takes long to draw is drawn once, shard by shard, from streams of their own."""

from inspect import signature
from itertools import islice
from pathlib import Path

import torch

from harness.api import stream
from harness.core.notify import redirect
from harness.plugins.loading import load_task
from harness.plugins.registry import registry
from tests.unit.data.tasks import Ragged, Samples


def test_a_split_is_drawn_in_shards_and_read_back_as_it_was(folder: Path) -> None:
    first, second = Ragged().split("test"), Ragged().split("test")

    assert Ragged.drawn == [4, 3]
    assert len(first) == 7
    assert first.to(torch.device("cpu")).inputs.dtype == torch.int64
    for one, other in zip(vars(first).values(), vars(second).values(), strict=True):
        assert torch.equal(one, other)


def test_an_interrupted_drawing_goes_on_where_it_stopped(folder: Path) -> None:
    task = Ragged()
    before = task.split("test")
    [*_, last] = sorted(folder.rglob("*.npz"))
    last.write_bytes(last.read_bytes()[:50])
    Ragged.drawn.clear()

    assert torch.equal(task.split("test").inputs, before.inputs)
    assert Ragged.drawn == [3]


def test_shards_lie_where_they_always_lay(folder: Path) -> None:
    task = Ragged()
    task.split("test")

    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.npz"))]
    assert names == [f"drawn/{task.key}/test-0000x4.npz", f"drawn/{task.key}/test-0001x3.npz"]


def test_new_examples_belong_to_no_split_and_are_not_cached(folder: Path) -> None:
    batch = Samples().new_examples(5, stream("new"))

    assert len(batch) == 5
    assert batch.inputs.dtype == torch.float32
    assert list(folder.iterdir()) == []


def test_the_first_examples_are_those_of_the_first_shard(folder: Path) -> None:
    first = Samples().first_examples("test")

    assert Ragged.drawn == []
    assert len(list(folder.rglob("*.npz"))) == 1
    assert torch.equal(first.inputs, Samples().split("test").inputs[:4])


class Listener:
    """Hears what is waited for."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.drawn: list[float] = []

    def tell(self, sentence: str) -> None:
        raise AssertionError(sentence)

    def wait(self, words: str) -> None:
        self.words.append(words)

    def drew(self, seconds: float) -> None:
        self.drawn.append(seconds)


def test_who_waits_is_told_of_a_split_and_how_long_batches_take() -> None:
    task, listener = load_task("synthetic/cumsum"), Listener()
    with redirect(listener):
        task.split("validation")
        batches = iter(task.train_batches(4))
        next(batches)
        next(batches)

    assert listener.words == ["drawing synthetic/cumsum: validation", ""]
    assert len(listener.drawn) == 2
    assert min(listener.drawn) > 0


def test_another_draw_trains_on_other_examples_and_tests_on_the_same() -> None:
    task = load_task("synthetic/shift[length=16]")
    first, again, other = (next(task.train_batches(4, draw)).inputs for draw in (0, 0, 1))

    assert torch.equal(first, again)
    assert torch.equal(first, next(task.train_batches(4)).inputs)
    assert not torch.equal(first, other)


def test_another_draw_of_stored_examples_is_another_order_of_the_same(folder: Path) -> None:
    task = Ragged()
    epochs = [
        [
            tuple(row.tolist())
            for batch in islice(task.train_batches(2, draw), 5)
            for row in batch.inputs
        ]
        for draw in (0, 1)
    ]

    assert epochs[0] != epochs[1]
    assert set(epochs[0]) == set(epochs[1])


def test_every_task_of_this_project_has_draws() -> None:
    tasks = [load_task(name) for name in registry().of("task")]
    learning = [task for task in tasks if task.learns]

    assert len(learning) > 40
    assert all("draw" in signature(task.train_batches).parameters for task in learning)
