"""Every check of a task that is learnt lets what is right pass and catches what is wrong."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.api import (
    IGNORED,
    Batch,
    Evaluation,
    GeneratedTask,
    Inputs,
    OneLabel,
    Outputs,
    PregeneratedTask,
    Signal,
    Split,
    StepLabels,
    Tokens,
    Values,
)
from harness.contract.task import SPLITS
from harness.core.seeding import stream
from harness.testing import Check, CheckError, NotApplicableError, checks_for


def parity(bits: Tensor) -> Tensor:
    return bits.sum(1) % 2


def apart() -> torch.Generator:
    return stream("further")


@dataclass(frozen=True, kw_only=True)
class Parity(GeneratedTask):
    """A right task, of which every part can be replaced by a wrong one."""

    draw: Callable[[int, torch.Generator], Tensor] = lambda n, rng: torch.randint(
        2, (n, 40), generator=rng
    )
    label: Callable[[Tensor], Tensor] = parity
    lengths: Callable[[int], Tensor | None] = lambda _: None
    batches: Callable[["Parity", int], Iterator[Batch]] | None = None
    inputs: Inputs = field(default=Tokens(2))
    outputs: Outputs = field(default=OneLabel(2))
    chance: float = 0.5
    ways: tuple[tuple[str, float], ...] = (("first bit", 0.51), ("first two bits", 0.52))
    solve: Callable[[Tensor], Tensor] = parity
    further: Callable[["Parity"], Callable[[], Batch]] = lambda task: (
        lambda: task.sample(9, apart())
    )

    max_length = 40
    causal = True

    @property
    def shortcuts(self) -> dict[str, float]:
        return dict(self.ways)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        bits = self.draw(n, rng)
        return Batch(bits, self.label(bits), self.lengths(n))

    def train_batches(self, size: int) -> Iterator[Batch]:
        return self.batches(self, size) if self.batches else super().train_batches(size)

    def evaluations(self) -> dict[str, Callable[[], Evaluation]]:
        made = self.further(self)
        return {"more": lambda: Evaluation(made())}

    def oracle(self, batch: Batch) -> Tensor | None:
        return nn.functional.one_hot(self.solve(batch.inputs), 2).float()


def moving_on(task: Parity) -> Callable[[], Batch]:
    """Keep one stream, so that a second call draws what comes after the first."""
    rng = apart()
    return lambda: task.sample(9, rng)


def labels_out_of_range(task: Parity) -> Callable[[], Batch]:
    return lambda: Batch(task.sample(9, apart()).inputs, torch.full((9,), 2))


def nothing_labelled(task: Parity) -> Callable[[], Batch]:
    return lambda: Batch(task.sample(9, apart()).inputs, torch.full((9,), IGNORED))


def from_torch(n: int, rng: torch.Generator) -> Tensor:
    """Fill from torch's global generator beside the given one, as zoology's MQAR does."""
    bits = torch.randint(2, (n, 40), generator=rng)
    bits[:, 20:] = torch.randint(2, (n, 20))
    return bits


def from_numpy(n: int, rng: torch.Generator) -> Tensor:
    return torch.from_numpy(np.random.randint(2, size=(n, 40)))  # noqa: NPY002 - the fault


def from_python(n: int, rng: torch.Generator) -> Tensor:
    return torch.tensor([[random.getrandbits(1) for _ in range(40)] for _ in range(n)])


def seeding_torch(n: int, rng: torch.Generator) -> Tensor:
    torch.manual_seed(7)
    return torch.randint(2, (n, 40), generator=rng)


def seeding_numpy(n: int, rng: torch.Generator) -> Tensor:
    np.random.seed(7)  # noqa: NPY002 - the fault
    return torch.randint(2, (n, 40), generator=rng)


def drawn(*shape: int, high: int = 2) -> Callable[[int, torch.Generator], Tensor]:
    return lambda n, rng: torch.randint(high, (n, *shape), generator=rng)


def noise(*shape: int, fault: float = 0.0) -> Callable[[int, torch.Generator], Tensor]:
    return lambda n, rng: torch.randn(n, *shape, generator=rng) + fault


def half(task: Parity, size: int) -> Iterator[Batch]:
    return (batch[: size // 2] for batch in GeneratedTask.train_batches(task, size))


def again(task: Parity, size: int) -> Iterator[Batch]:
    return repeat(next(GeneratedTask.train_batches(task, size)))


def from_padded_test(task: Parity, size: int) -> Iterator[Batch]:
    """Hand out the test split behind other padding than it has there."""
    whole = task.split("test")
    padded = nn.functional.pad(whole.inputs, (0, 3))
    lengths = torch.full((len(whole),), whole.inputs.shape[1])
    return (Batch(padded, whole.targets, lengths)[s : s + size] for s in range(0, 999, size))


def from_test(task: Parity, size: int) -> Iterator[Batch]:
    whole = task.split("test")
    return (whole[start : start + size] for start in range(0, len(whole), size))


def table(n: int, rng: torch.Generator) -> Tensor:
    """Pick from so few rows that every split has all of them."""
    return (torch.randint(8, (n, 1), generator=rng) >> torch.arange(40).clamp(max=3)) & 1


BROKEN_TASKS: list[tuple[str, dict[str, Any], str]] = [
    ("further-sets-ask-the-same", {"further": moving_on}, "'more' is another one when"),
    ("further-sets-ask-the-same", {"further": labels_out_of_range}, "'more' is not what the task"),
    ("further-sets-ask-the-same", {"further": nothing_labelled}, "'more' are not finite, or none"),
    ("draws-only-from-its-stream", {"draw": from_torch}, "data change when torch's, numpy's or"),
    ("draws-only-from-its-stream", {"draw": from_numpy}, "data change when torch's, numpy's or"),
    ("draws-only-from-its-stream", {"draw": from_python}, "data change when torch's, numpy's or"),
    ("draws-only-from-its-stream", {"draw": seeding_torch}, "global generator of torch"),
    ("draws-only-from-its-stream", {"draw": seeding_numpy}, "global generator of numpy"),
    ("inputs-are-what-it-says", {"draw": drawn(40, 1)}, r"the train split are \(64, 40, 1\)"),
    ("inputs-are-what-it-says", {"draw": drawn(41)}, "has 41 positions, max_length is 40"),
    ("inputs-are-what-it-says", {"draw": drawn(40, high=3)}, "not legal Tokens"),
    ("inputs-are-what-it-says", {"draw": noise(40)}, "torch.float32, not .* torch.int64"),
    (
        "inputs-are-what-it-says",
        {"draw": noise(40, 2, fault=float("nan")), "inputs": Signal(2)},
        "inputs of the train split are not finite",
    ),
    ("inputs-are-what-it-says", {"lengths": torch.arange}, "not in 1 to 40"),
    ("inputs-are-what-it-says", {"lengths": torch.ones}, "torch.float32, not integ"),
    ("targets-are-what-it-says", {"label": lambda b: b.sum(1)}, "not what OneLabel"),
    ("targets-are-what-it-says", {"label": lambda b: parity(b) - 1}, "not what OneLabel"),
    ("targets-are-what-it-says", {"label": lambda b: b % 2}, "not what OneLabel"),
    ("targets-are-what-it-says", {"outputs": StepLabels(2)}, "not what StepLabels"),
    (
        "targets-are-what-it-says",
        {"label": lambda b: parity(b)[:, None].float(), "outputs": Values(1, last=1)},
        "not what Values",
    ),
    (
        "targets-are-what-it-says",
        {"label": lambda b: b[:, :1, None] / 0.0, "outputs": Values(1, last=1)},
        "not finite",
    ),
    ("batches-have-their-size", {"batches": half}, "batch of 4 holds 2 examples"),
    ("batches-have-their-size", {"batches": again}, "second training batch is the first one again"),
    ("splits-share-no-example", {"draw": table}, "of the validation split stand in the test split"),
    ("splits-share-no-example", {"batches": from_test}, "64 inputs of the training batches stand"),
    ("splits-share-no-example", {"batches": from_padded_test}, "64 inputs of the training batches"),
    ("oracle-scores-perfectly", {"solve": lambda b: parity(b[:, 1:])}, "oracle scores accuracy ="),
    ("chance-is-what-the-best-constant-scores", {"chance": 0.4}, "states a chance of 0.4, but"),
    ("chance-is-what-the-best-constant-scores", {"chance": 0.6}, "states a chance of 0.6, but"),
    ("shortcuts-are-better-than-chance", {"ways": (("", 0.6),)}, "'' is not named in words"),
    ("shortcuts-are-better-than-chance", {"ways": (("a", 0.4),)}, "'a' scores 0.4, which does not"),
    ("shortcuts-are-better-than-chance", {"ways": (("a", float("nan")),)}, "'a' scores nan, which"),
    ("shortcuts-are-better-than-chance", {"ways": (("a", 0.7), ("b", 0.6))}, "stand in order"),
]


CHECKS = {check.name: check for check in checks_for(Parity())}


@pytest.mark.parametrize("check", CHECKS.values(), ids=str)
def test_a_sound_task_passes(check: Check) -> None:
    check(Parity())


@pytest.mark.parametrize(("name", "fault", "sentence"), BROKEN_TASKS)
def test_a_broken_task_is_caught(name: str, fault: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CheckError, match=sentence):
        CHECKS[name](Parity(**fault))


def test_a_task_that_nobody_can_solve_has_no_oracle_to_check() -> None:
    class Hard(Parity):
        def oracle(self, batch: Batch) -> None:
            return None

    with pytest.raises(NotApplicableError, match="no oracle"):
        CHECKS["oracle-scores-perfectly"](Hard())


def test_all_checks_draw_an_uncached_shard_once_for_the_cache_and_once_more() -> None:
    drawn: list[str] = []

    @dataclass(frozen=True, kw_only=True)
    class Cached(PregeneratedTask):
        inputs = Tokens(2)
        outputs = OneLabel(2)
        max_length = 40
        causal = True
        chance = 0.5
        examples: ClassVar = {"train": 64, "validation": 64, "test": 512}
        name = "cached"

        def depends_on(self) -> str:
            return "nothing else"

        def sample(self, n: int, rng: torch.Generator) -> Batch:
            bits = torch.randint(2, (n, 40), generator=rng)
            return Batch(bits, parity(bits))

        def draw(self, split: Split, n: int, rng: torch.Generator) -> Batch:
            drawn.append(split)
            return self.sample(n, rng)

    for check in CHECKS.values():
        with suppress(NotApplicableError):
            check(Cached())

    assert sorted(drawn) == sorted([*SPLITS, *SPLITS])


def test_every_check_is_shown_to_catch_something() -> None:
    assert CHECKS.keys() == {name for name, *_ in BROKEN_TASKS}
