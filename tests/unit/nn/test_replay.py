"""Steps that are recorded once and replayed: what they give, and when none are."""

import gc
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple, TypeVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from harness.api import Network, State
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.nn.recording import counted, recording
from harness.nn.replay import MOST, Steps
from harness.plugins.loading import load_model
from harness.testing import features_task
from harness.testing.replaying import tape

T = TypeVar("T")


class Recorder:
    """A tape that counts its recordings and their replays."""

    def __init__(self) -> None:
        self.seen = Counter[str]()

    def __call__(
        self, work: Callable[[], T], rehearse: Callable[[], object]
    ) -> tuple[Callable[[], object], T]:
        """Record."""
        self.seen["recorded"] += 1
        replay, result = tape(work, rehearse)

        def replays() -> None:
            self.seen["replayed"] += 1
            replay()

        return replays, result


class Scripted(Network):
    """Steps as it is told; its whole forward is nobody's business."""

    def __init__(self, advance: Callable[[Tensor, Any], tuple[Tensor, Any]]) -> None:
        super().__init__()
        self.advanced = advance

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map nothing."""
        return inputs

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Do as told."""
        return self.advanced(u, state)


class Pair(NamedTuple):
    """Two parts of a state."""

    first: Tensor
    second: Tensor


def summed(u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return 2 * (state + u), state + u


def summed_in_place(u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return state.add_(u), state


def changing_places(u: Tensor, state: Pair) -> tuple[Tensor, Pair]:
    return state.first - 2 * state.second, Pair(state.second, state.first.add_(u))


def numbered(u: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
    rows, count = state
    at = counted(count)
    if isinstance(at, int):
        rows[:, at % 3] = u
    else:
        rows.index_copy_(1, at % 3, u[:, None])
    return rows.sum(1), (rows, count + 1)


def turning(u: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, Any]:
    """Do the work of four positions at every fourth, which the state's shape tells."""
    held, *left = state
    if not left:
        held, left = held * 0.5, [held] * 4
    return held + len(left), (held.add_(u), *left[1:])


def growing(u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    after = torch.cat([state, u[:, None]], 1)
    return after.mean(1), after


def reading(u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return (u if int(state.sum()) % 2 else -u), state + u


def zeros(*shape: int) -> Tensor:
    return torch.zeros(2, *shape, 3, dtype=torch.float64)


def inputs(count: int) -> Tensor:
    return torch.randn(count, 2, 3, generator=stream("replay"), dtype=torch.float64)


def stepped(network: Network, state: State, u: Tensor) -> list[Tensor]:
    outputs = []
    for each in u:
        output, state = network.step(each, state)
        outputs.append(output.clone())
    return outputs


REPLAYED = {
    summed: zeros,
    summed_in_place: zeros,
    changing_places: lambda: Pair(zeros(), zeros() + 1),
    numbered: lambda: (zeros(3), torch.tensor(7)),
    turning: lambda: (zeros() + 1,),
}


@pytest.mark.parametrize("advance", REPLAYED)
def test_replays_give_what_steps_give(advance: Callable[..., Any]) -> None:
    network, record, u = Scripted(advance), Recorder(), inputs(12)
    expected = stepped(network, REPLAYED[advance](), u)

    steps = Steps(network, REPLAYED[advance](), record)
    found = [steps(each).clone() for each in u]

    torch.testing.assert_close(found, expected)
    assert steps.refusal == ""
    rounds = 4 if advance is turning else 1
    assert record.seen == {"recorded": rounds, "replayed": 12}
    assert steps.forget() == ("graphs", "")


@pytest.mark.parametrize("advance", REPLAYED)
@given(before=st.integers(0, 7), after=st.integers(1, 7))
def test_who_forgets_goes_on_from_the_same_state(
    advance: Callable[..., Any], before: int, after: int
) -> None:
    network, u = Scripted(advance), inputs(before + after)
    expected = stepped(network, REPLAYED[advance](), u)

    steps = Steps(network, REPLAYED[advance](), tape)
    for each in u[:before]:
        steps(each)
    assert steps.forget() == ("graphs" * (before > 0), "")

    found = [steps(each).clone() for each in u[before:]]
    torch.testing.assert_close(found, expected[before:])


@pytest.mark.parametrize(
    ("advance", "why"), [(reading, "_local_scalar_dense"), (growing, f"more than {MOST} shapes")]
)
def test_what_cannot_be_recorded_is_stepped_and_says_why(
    advance: Callable[..., Any], why: str
) -> None:
    network, u = Scripted(advance), inputs(MOST + 9)
    state = zeros(1) if advance is growing else zeros()
    expected = stepped(network, state.clone(), u)

    steps = Steps(network, state, tape)
    found = [steps(each).clone() for each in u]

    torch.testing.assert_close(found, expected)
    assert why in steps.refusal
    assert steps.forget() == ("", steps.refusal)


def test_nothing_is_recorded_where_nobody_asks_for_it() -> None:
    asked = []

    def advance(u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(recording())
        return u, state

    for record in (None, tape):
        steps = Steps(Scripted(advance), zeros(), record)
        for each in inputs(2):
            steps(each)
    assert asked == [False, False, True, True]
    assert not recording()


def test_a_replay_works_at_the_addresses_of_its_recording() -> None:
    steps = Steps(Scripted(summed), zeros(), tape)
    assert len({steps(each).data_ptr() for each in inputs(5)}) == 1


@pytest.mark.parametrize(
    ("name", "read", "count", "recorded"),
    [
        ("mamba", 5, 40, 1),
        ("s4d", 5, 50, 16),
        ("transformer", 1020, 10, 2),
        ("local-attention[chunk=8]", 5, 40, 1),
        ("sgconv", 37, 100, 1),
        ("hybrid[m=s4d,a=hyena]", 0, 80, 16),
    ],
)
def test_a_recording_serves_until_the_state_grows(
    name: str, read: int, count: int, recorded: int
) -> None:
    record, task = Recorder(), features_task(True)
    with scope("replay", "init"):
        network = load_model(name).assemble(Backbone, task, 8, 2, 0.0).eval()
    u = task.inputs.random(2, read + count, stream("replay"))
    state = network.prefill(u[:, :read])
    expected = stepped(network, network.prefill(u[:, :read]), u[:, read:].transpose(0, 1))

    steps = Steps(network, state, record)
    found = [steps(u[:, at]).clone() for at in range(read, read + count)]

    torch.testing.assert_close(found, expected)
    assert record.seen["recorded"] == recorded
    assert record.seen["replayed"] >= 0.7 * count


def test_the_memory_of_recordings_goes_with_them() -> None:
    steps = Steps(Scripted(turning), (zeros() + 1,), tape)
    held = [weakref.ref(steps(each)) for each in inputs(9)]
    gc.disable()
    try:
        steps.forget()
        assert [one() for one in held] == [None] * 9
    finally:
        gc.enable()


def refuse(why: str) -> None:
    raise RuntimeError(why)


def test_what_was_wrong_first_is_what_is_said() -> None:
    def record(work: Callable[[], T], rehearse: Callable[[], object]) -> Any:
        with ExitStack() as capture:
            capture.callback(refuse, "the capture was invalidated")
            refuse("operation not permitted\nand more")

    steps = Steps(Scripted(summed), zeros(), record)
    steps(inputs(1)[0])
    assert steps.forget() == ("", "Its step cannot be recorded: operation not permitted")
