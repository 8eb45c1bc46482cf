"""A device that works on its own is asked for several steps at once; a fake one counts how often.

It computes on the processor, and notes the seconds of its steps by a clock of its own.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from harness.api import Batch, GeneratedTask, Mixer, Model, Signal, Values
from harness.contract.batch import sent
from harness.core.config import Protocol
from harness.core.errors import DivergedError
from harness.core.seeding import scope
from harness.measure.stopwatch import Clock, Events, Stopwatch
from harness.nn.backbone import Backbone
from harness.training.checkpoint import Checkpoints
from harness.training.loop import History, Kept, Trainer, fit, prepared
from harness.training.pace import BLOCK_S, Pace, evaluation_marks

READS = ("item", "tolist", "cpu", "__float__", "__bool__", "numpy")
PROTOCOL = Protocol(steps=100, batch=4, width=8, depth=1, evaluations=3, clip=1.0)


class Scale(Mixer):
    """Multiplies."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(width))

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Multiply."""
        return u * self.factor


@dataclass(frozen=True, kw_only=True)
class ScaleModel(Model):
    """The least there is to train."""

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        """Build the layer."""
        return Scale(width)


@dataclass(frozen=True, kw_only=True)
class Double(GeneratedTask):
    """y = 2 x, until a batch after which it is not a number."""

    until: float = math.inf
    examples: ClassVar = {"train": 64, "validation": 8, "test": 8}
    inputs = property(lambda _: Signal(1))
    outputs = property(lambda _: Values(1, last=4))
    max_length = property(lambda _: 4)
    causal = property(lambda _: True)
    chance = property(lambda _: 0.0)

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw some."""
        x = torch.randn(n, 4, 1, generator=rng)
        return Batch(x, 2 * x)

    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Spoil what comes late."""
        for number, batch in enumerate(super().train_batches(size, draw)):
            late = math.nan if number >= self.until else 1.0
            yield Batch(batch.inputs, late * batch.targets)


class Card:
    """Counts how often it is asked, and needs so many seconds for each step."""

    def __init__(self, step_s: Callable[[], float] = lambda: 0.001) -> None:
        self.asked: Counter[str] = Counter()
        self.step_s, self.at, self.events = step_s, 0.0, 0
        self.begun = 0
        self.unread: list[int] = []
        """Steps that were begun before each question."""

    def ask(self, what: str) -> None:
        """Note a question for which one has to wait."""
        self.asked[what] += 1
        if not self.unread or self.unread[-1] != self.begun:
            self.unread.append(self.begun)

    def event(self) -> "Event":
        """Return an event."""
        return Event(self)

    def lives_here(self, trainer: Trainer) -> Trainer:
        """Let a training's losses lie on this card, and its steps be timed there."""
        card, plain = self, trainer.loss

        class OnCard(Tensor):
            @classmethod
            def __torch_function__(
                cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                if getattr(function, "__name__", "") in READS:
                    card.ask("loss")
                plainly: Any = super().__torch_function__
                return plainly(function, types, args, kwargs or {})

        trainer.loss = lambda *given: plain(*given).as_subclass(OnCard)
        trainer.stopwatch = Events(self.event)
        return trainer


class Event:
    """Something that the card comes to; every second one ends a step."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def record(self) -> Self:
        """Pass by."""
        card = self.card
        card.events += 1
        if card.events % 2:
            card.begun += 1
        else:
            card.at += card.step_s()
        self.at = card.at
        return self

    def synchronize(self) -> None:
        """Wait."""
        self.card.ask("event")

    def elapsed_time(self, other: "Event") -> float:
        """Return milliseconds."""
        return 1e3 * (other.at - self.at)


def trainer(protocol: Protocol, task: Double) -> Trainer:
    """Prepare a small training."""
    with scope(0, "init"):
        network = ScaleModel().assemble(Backbone, task, protocol.width, protocol.depth, 0.0)
    return prepared(network, task, ScaleModel(), protocol, "cpu")


def trained(
    protocol: Protocol, card: Card | None = None, task: Double | None = None, **more: Any
) -> History:
    """Train on a card, or on the processor."""
    task = task or Double()
    worker = trainer(protocol, task)
    return fit(card.lives_here(worker) if card else worker, task, protocol, silent, **more)


def silent(step: int, loss: float) -> None:
    """Hear nothing."""


def test_a_card_is_asked_at_most_once_a_block_and_the_training_is_the_same() -> None:
    card, protocol = Card(), PROTOCOL

    history, usual = trained(protocol, card), trained(protocol)

    # The first step alone, then blocks of 16 that end where an evaluation is due.
    ends = [1, 17, 33, 49, 65, 67, 83, 99, 100]
    assert (history.curve, history.validation) == (usual.curve, usual.validation)
    assert [step for step, _ in history.validation] == evaluation_marks(protocol) == [33, 67, 100]
    assert card.unread == ends
    assert card.asked == {"loss": len(ends), "event": len(ends)}
    assert history.step_s == pytest.approx([0.001] * 100)


def test_the_processor_is_asked_after_every_step() -> None:
    assert isinstance(trainer(PROTOCOL, Double()).stopwatch, Clock)
    assert Clock.most == 1


def test_long_steps_make_small_blocks() -> None:
    card = Card(lambda: 0.06)
    trained(replace(PROTOCOL, steps=10, evaluations=1), card)

    assert card.unread == [1, 4, 7, 10], "three of 60 ms are the most that take no more than 200 ms"


def test_a_block_with_a_loss_that_is_no_number_names_its_first_step() -> None:
    card = Card()
    with pytest.raises(DivergedError, match="The loss is nan at step 21 of 100"):
        trained(PROTOCOL, card, Double(until=20))

    assert card.begun == 33, "it was noticed when its block was read"


def test_a_gradient_that_is_no_number_is_told_by_the_loss_when_it_would_be_clipped() -> None:
    """To ask for the gradient's norm would be to wait for the device at every step."""
    with pytest.raises(DivergedError, match="The loss is nan at step 1 of 100"):
        trained(PROTOCOL, None, Double(until=0))


def test_checkpoints_are_written_between_blocks_and_gone_on_from(tmp_path: Any) -> None:
    protocol = replace(PROTOCOL, steps=40, evaluations=1)
    kept = Kept(Checkpoints(tmp_path, 0.0, "one"))
    whole = trained(protocol, Card())

    with pytest.raises(DivergedError):
        trained(protocol, Card(), Double(until=30), kept=kept)
    resumed = trained(protocol, Card(), kept=kept)

    assert resumed.starts == [0, 17]
    assert (resumed.curve, resumed.validation) == (whole.curve, whole.validation)


@pytest.mark.parametrize(("step_s", "questions"), [(0.001, 43), (0.03, 15)])
def test_seconds_that_end_a_training_are_exceeded_by_less_than_a_step(
    step_s: float, questions: int
) -> None:
    protocol = replace(PROTOCOL, steps=0, seconds=0.5, evaluations=2)
    card = Card(lambda: step_s)
    spent = trained(protocol, card).step_s

    assert sum(spent[:-1]) < 0.5 <= sum(spent) + 1e-9
    assert len(card.unread) <= questions, "and yet it is asked seldom"


@given(
    step_s=st.floats(1e-6, 10.0),
    spent=st.integers(0, 99),
    changes=st.sampled_from([{}, {"seconds": 1e4}, {"steps": 0, "seconds": 1e4}]),
    evaluations=st.integers(1, 12),
    most=st.integers(1, 32),
)
def test_nothing_is_due_before_the_last_step_of_a_block(
    step_s: float, spent: int, changes: dict[str, Any], evaluations: int, most: int
) -> None:
    pace = Pace(replace(PROTOCOL, evaluations=evaluations, **changes), spent, spent * step_s)
    pace.due()
    block = pace.ahead(most, [step_s])

    assert 1 <= block <= most
    assert block == 1 or block * step_s <= BLOCK_S * (1 + 1e-9)
    for _ in range(block - 1):
        pace.took([step_s])
        assert not pace.over
        assert not pace.due()


def test_a_stopwatch_returns_what_a_step_returns_and_forgets_what_was_read() -> None:
    watches: list[Stopwatch] = [Clock(), Events(Card().event)]
    for watch in watches:
        assert [watch.time(lambda: 3), watch.time(lambda: 4)] == [3, 4]
        assert len(watch.read()) == 2
        watch.time(lambda: 5)
        assert len(watch.read()) == 1


def test_what_is_sent_to_a_card_is_pinned_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Any] = []

    def pin(tensor: Tensor) -> Tensor:
        seen.append("pinned")
        return tensor

    def move(tensor: Tensor, *to: object, **how: object) -> Tensor:
        seen.append((to, how))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", pin)
    monkeypatch.setattr(Tensor, "to", move)
    for device in ("cuda", "cpu"):
        sent(torch.ones(2), torch.device(device))

    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    wanted: list[Any] = ["pinned", ((cuda,), {"non_blocking": True})]
    assert seen == [*wanted, ((cpu,), {"non_blocking": False})]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_events_of_a_card_agree_with_the_clock() -> None:
    factor = torch.randn(4096, 4096, device="cuda")
    watch, clock = Events(), Clock()

    def step() -> None:
        for _ in range(20):
            factor @ factor

    def waited() -> None:
        step()
        torch.cuda.synchronize()

    waited()
    for _ in range(5):
        watch.time(step)
    events = watch.read()
    for _ in range(5):
        clock.time(waited)

    assert sorted(events)[2] == pytest.approx(sorted(clock.read())[2], rel=0.1)
