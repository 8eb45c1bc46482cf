"""A child's time: what it waits for its data does not count, and no wait lasts for ever."""

import pytest

from harness.core import codec
from harness.core.config import Limits, RunSpec
from harness.core.messages import Job, Planned, Progress, Result
from harness.runner import deadline
from harness.runner.deadline import PATIENCE_S, Deadline
from harness.runner.executors import process


class Clock:
    """A clock that is set by hand."""

    time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "now", clock)
    return clock


def said(status: str = "", drawn_s: float = 0.0) -> Progress:
    return Progress(step=0, steps=5, status=status, drawn_s=drawn_s)


def test_a_child_that_says_nothing_has_its_time_and_no_more(clock: Clock) -> None:
    ours = Deadline(60)
    clock.time += 50

    assert ours.left() == pytest.approx(10)
    assert Deadline(0).left() is None


def test_drawing_shard_after_shard_does_not_count(clock: Clock) -> None:
    ours = Deadline(60)
    clock.time += 10
    for number in range(5):
        ours.hear(said(f"shard {number}"))
        clock.time += 400
    ours.hear(said())
    clock.time += 20

    assert ours.left() == pytest.approx(30)
    assert ours.reason() == "Stopped after 60 s and 2000 s of drawing data."


def test_a_wait_that_says_nothing_new_is_over_after_ten_minutes(clock: Clock) -> None:
    ours = Deadline(60)
    ours.hear(said("shard 1"))
    clock.time += 5
    ours.hear(said("shard 1"))

    assert ours.left() == pytest.approx(60 + PATIENCE_S - 5)
    clock.time += 2 * PATIENCE_S
    ours.hear(said())
    assert ours.left() == pytest.approx(60 - PATIENCE_S - 5)


def test_batches_that_were_drawn_between_two_lines_are_given_back_once(clock: Clock) -> None:
    ours = Deadline(60)
    for drawn in (2.0, 5.0, 5.0):
        clock.time += 4
        ours.hear(said(drawn_s=drawn))

    assert ours.left() == pytest.approx(60 - 12 + 5)


def test_a_second_child_has_the_time_that_the_first_one_left(clock: Clock) -> None:
    ours = Deadline(60)
    clock.time += 8
    ours.hear(said("shard 1", drawn_s=5.0))
    clock.time += 7
    ours.listen()
    clock.time += 4
    ours.hear(said(drawn_s=3.0))

    assert ours.left() == pytest.approx(60 - 8 + 5 - 4 + 3)


@pytest.mark.parametrize(("words", "outcome"), [("drawing", "ok"), ("", "timed-out")])
def test_an_executor_lets_a_child_draw_for_longer_than_its_time(
    monkeypatch: pytest.MonkeyPatch, words: str, outcome: str
) -> None:
    lines = [codec.encode(each).decode() for each in (said(words), said(), Result(outcome="ok"))]
    script = "echo '{}'; sleep 2; echo '{}'; echo '{}'".format(*lines)
    monkeypatch.setattr(process, "python", lambda *_: ["sh", "-c", script])
    monkeypatch.setattr(process, "new_token", str)  # none: a shell has no way to read it
    spec = RunSpec(task="synthetic/cumsum", model="chance")
    planned = Planned(spec=spec, task=spec.task, model=spec.model, task_version=1, learns=True)
    job = Job(planned=planned, plugins=[], limits=Limits(timeout_s=1))

    assert process.execute(job, lambda _: None).outcome == outcome
