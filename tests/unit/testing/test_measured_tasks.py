"""Every check of a task that is measured lets what is right pass and catches what is wrong."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from harness.api import MeasuredTask, Network, Signal, Task, Values, Workload
from harness.testing import Check, CheckError, checks_for


@dataclass(frozen=True, kw_only=True)
class Timed(MeasuredTask):
    """A right measured task, and with `claim` or a ladder a wrong one."""

    length: int = 8
    claim: int = 8
    shown: tuple[int, ...] = (8, 8)
    rungs: ClassVar[tuple[int, ...]] = (8, 16)

    inputs = Signal(1)
    causal = True

    @property
    def outputs(self) -> Values:
        return Values(1, last=1)

    @property
    def max_length(self) -> int:
        return self.length

    def workload(self, network: Network, batch: int, rng: torch.Generator) -> Workload:
        shown = iter(self.shown)

        def call() -> Tensor:
            return network(self.inputs.random(batch, next(shown), rng))

        return Workload(call, tokens=batch * self.claim)


class Downwards(Timed):
    """Its ladder goes down."""

    ladder: ClassVar[dict[str, tuple[int, ...]]] = {"length": (16, 8)}


class NoSuchOption(Timed):
    """Its ladder is along an option that it lacks."""

    ladder: ClassVar[dict[str, tuple[int, ...]]] = {"depth": (1, 2)}


CHECKS = {check.name: check for check in checks_for(Timed())}


class Shrinks(Timed):
    """Is shorter where its option is larger."""

    ladder: ClassVar[dict[str, tuple[int, ...]]] = {"length": (8, 16)}

    @property
    def max_length(self) -> int:
        return 100 - self.length


@pytest.mark.parametrize("check", CHECKS.values(), ids=str)
def test_a_sound_measured_task_passes(check: Check) -> None:
    check(Timed())


BROKEN_TASKS: list[tuple[str, Task, str]] = [
    ("calls-process-the-tokens-they-claim", Timed(claim=7), "Call 1 with a batch of 1 shows"),
    ("calls-process-the-tokens-they-claim", Timed(shown=(8, 4)), "Call 2 with a batch of 1"),
    ("ladder-goes-up", Downwards(), "does not go up"),
    ("ladder-goes-up", NoSuchOption(), "is no option of it"),
    ("ladder-goes-up", Shrinks(), r"max_length is \[92, 84\]"),
]


@pytest.mark.parametrize(("name", "task", "sentence"), BROKEN_TASKS)
def test_a_broken_measured_task_is_caught(name: str, task: Task, sentence: str) -> None:
    with pytest.raises(CheckError, match=sentence):
        CHECKS[name](task)


def test_every_check_is_shown_to_catch_something() -> None:
    assert CHECKS.keys() == {name for name, *_ in BROKEN_TASKS}
