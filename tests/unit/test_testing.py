"""Every conformance check lets what is right pass and catches what is wrong, with its sentence."""

# ruff: noqa: D101 - the classes are faults, and their names say which

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
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
    MeasuredTask,
    Mixer,
    Model,
    Network,
    NetworkModel,
    OneLabel,
    Outputs,
    Signal,
    SpecError,
    StepLabels,
    Task,
    Tokens,
    Values,
    Workload,
)
from harness.core.seeding import stream
from harness.testing import Check, CheckError, NotApplicableError, checks_for, run_checks
from harness.testing.learning import LEARNING_CHECKS
from harness.testing.measured import MEASURED_CHECKS
from harness.testing.models import MODEL_CHECKS
from harness.testing.stepping import STEPPING_CHECKS
from harness.testing.tolerance import agree


def named(name: str) -> Check:
    checks = (*MODEL_CHECKS, *LEARNING_CHECKS, *MEASURED_CHECKS)
    [found] = [check for check in checks if check.name == name]
    return found


# ------------------------------------------------------------------------------------------ models


class Sound(Mixer):
    """A running sum under a linear map: right in every respect, if built causal."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.width, self.causal = width, causal
        self.linear = nn.Linear(width, width)

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u.cumsum(1))

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.width, dtype=self.linear.weight.dtype)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(state + u), state + u

    def state_bytes(self, length: int) -> int:
        return self.width * self.linear.weight.element_size()


class NoSteps(Mixer):
    """A feature-wise map that cannot step."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u)


class ZeroAtFirst(NoSteps):
    """A residual branch whose output map starts at zero, as many do: legitimate."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__(width, causal)
        self.out = nn.Parameter(torch.zeros(width))

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return u + self.out * self.linear(u)


class WrongShape(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u)[:, :-1]


class WrongDtype(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u).float()


class OverflowsWhenLong(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u) / (u.shape[1] < 20)


class ScalesWithLength(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u) / u.shape[1]


class SeesNext(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u + 1e-5 * nn.functional.pad(u[:, 1:], (0, 0, 0, 1)))


class SeesTheMean(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u - u.mean(1, keepdim=True))


class MixesTheBatch(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u - 1e-5 * u.mean(0))


class CountsTheBatch(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u) * len(u)


class CausalOrMean(Sound):
    """Leaks padding only where it may look ahead."""

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(u) if self.causal else self.linear(u + u.mean(1, keepdim=True))


class CountsPadding(Sound):
    """Blanks the padding but divides by its number."""

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        if self.causal or lengths is None:
            return super().forward(u) if self.causal else self.linear(u + u.mean(1, keepdim=True))
        valid = torch.arange(u.shape[1]) < lengths[:, None]
        return self.linear(u + (u * valid[..., None]).mean(1, keepdim=True))


class Idle(NoSteps):
    def __init__(self, width: int, causal: bool) -> None:
        super().__init__(width, causal)
        self.idle = nn.Parameter(torch.ones(width))


class Cancelled(Idle):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u) + 0 * self.idle


class InfiniteSlope(Idle):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u) + (self.idle - 1).abs().sqrt()


class Detached(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u).detach()


class HalfSlope(torch.autograd.Function):
    """The identity with a wrong derivative."""

    @staticmethod
    def forward(_ctx: Any, u: Tensor) -> Tensor:
        return u.clone()

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] / 2


class WrongGradient(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(HalfSlope.apply(u))


class OwnDraws(NoSteps):
    def __init__(self, width: int, causal: bool) -> None:
        super().__init__(width, causal)
        self.register_buffer("noise", torch.tensor(np.random.rand(width)))  # noqa: NPY002 - the fault


class NoisyForward(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u) * random.random()


class OffStep(Sound):
    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        output, state = super().step(u, state)
        return output * (1 + 1e-5), state


class ForgetfulPrefill(Sound):
    def prefill(self, u: Tensor) -> Tensor:
        return u[:, :-1].sum(1)


class ForgetfulPieces(Sound):
    def advance(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self(u), state + u.sum(1)


class RestartsOnNothing(Sound):
    def advance(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return super().advance(u, state) if u.shape[1] else (u, 0 * state)


class OneOutputOfNothing(Sound):
    def advance(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return super().advance(u, state) if u.shape[1] else (state[:, None], state)


class CoarseSteps(Sound):
    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        output, state = super().step(u, state)
        return output if output.dtype == u.dtype else output.round(), state


class StateInHalf(Sound):
    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        output, state = super().step(u, state)
        return output, state if output.dtype == u.dtype else state.to(output.dtype)


class CoarseProducts(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        mixed = self.linear(u)
        return mixed if mixed.dtype == u.dtype else (4 * mixed).round() / 4


class InfiniteSlopeInHalf(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        mixed = self.linear(u)
        return mixed if mixed.dtype == u.dtype else mixed + (mixed - mixed).abs().sqrt()


class LightState(Sound):
    def state_bytes(self, length: int) -> int:
        return super().state_bytes(length) - 1


class HiddenCache(Sound):
    """Grows in prefill, against what it says."""

    def prefill(self, u: Tensor) -> Tensor:
        return torch.cat([u.sum(1, keepdim=True), u], 1)[:, 0]


@dataclass(frozen=True, kw_only=True)
class Built(Model):
    """A recipe of any of these mixers."""

    mixer: Callable[[int, bool], Mixer]

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        return self.mixer(width, causal)


@dataclass(frozen=True, kw_only=True)
class OffStepAbove(Built):
    """Has a layer that steps otherwise, but not as the first of a stack."""

    def stack(self, *, depth: int, width: int, length: int, causal: bool) -> list[Mixer]:
        return [(OffStep if layer else Sound)(width, causal) for layer in range(depth)]


@dataclass(frozen=True, kw_only=True)
class LabelsOnly(NetworkModel):
    """A whole network that gives one label whatever it is asked."""

    def build_network(self, task: Task, *, width: int, depth: int) -> Network:
        return OneLabelNetwork()


class OneLabelNetwork(Network):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.bias.expand(len(inputs), 3)


@dataclass(frozen=True, kw_only=True)
class Unwilling(Built):
    def skip(self, task: Task) -> str:
        return "It does nothing on Sundays."


@pytest.mark.parametrize("check", MODEL_CHECKS, ids=str)
def test_a_sound_model_passes(check: Check) -> None:
    check(Built(mixer=Sound))


@pytest.mark.parametrize("mixer", [ZeroAtFirst, NoSteps])
def test_a_map_that_starts_at_zero_or_cannot_step_is_legitimate(mixer: type[Mixer]) -> None:
    for check in MODEL_CHECKS[: -len(STEPPING_CHECKS)]:
        check(Built(mixer=mixer))
    for check in STEPPING_CHECKS:
        with pytest.raises(NotApplicableError, match="no step mode"):
            check(Built(mixer=mixer))


BROKEN_MODELS: list[tuple[str, type[Mixer], str]] = [
    ("keeps-shape-and-dtype", WrongShape, r"gives an output of \(3, 15, 8\)"),
    ("keeps-shape-and-dtype", WrongDtype, "torch.float64 gives an output of .* torch.float32"),
    ("takes-other-lengths", OverflowsWhenLong, "for 33 positions in torch.float64 is not finite"),
    ("takes-other-lengths", ScalesWithLength, "changes when the rest is cut off"),
    ("sees-no-future", SeesNext, "change at position 1 moves the outputs before it: at "),
    ("sees-no-future", SeesTheMean, "Built with causal=true: A change at position 1 "),
    ("keeps-sequences-apart", MixesTheBatch, "Sequence 1 of the batch changes its neighbours"),
    ("keeps-sequences-apart", CountsTheBatch, "Sequence 1 comes out otherwise when it is alone"),
    ("ignores-padding", CausalOrMean, "causal=false: The content of 5 padded positions leaks"),
    ("ignores-padding", CountsPadding, "11 valid positions come out otherwise with padding"),
    ("gives-every-parameter-a-gradient", Idle, "'mixer.idle' gets no gradient"),
    ("gives-every-parameter-a-gradient", Cancelled, "'mixer.idle' is zero everywhere"),
    ("gives-every-parameter-a-gradient", InfiniteSlope, "'mixer.idle' is not finite"),
    ("gives-every-parameter-a-gradient", Detached, "depends on no parameter"),
    ("differentiates-exactly", WrongGradient, "A gradient is not the derivative"),
    ("repeats-itself", OwnDraws, "'mixer.noise' starts from other values the second time"),
    ("repeats-itself", NoisyForward, "same parameters give different bytes"),
    ("steps-as-it-sees", OffStep, "A step gives another output than forward: at "),
    ("prefills-as-it-steps", ForgetfulPrefill, "After a prefill of 1 positions"),
    ("advances-in-pieces", ForgetfulPieces, "Pieces of 1, 15 positions give other outputs"),
    ("takes-an-empty-piece", RestartsOnNothing, "changes the state after 8 positions"),
    ("takes-an-empty-piece", OneOutputOfNothing, r"gives an output of \(3, 1, 8\)"),
    ("steps-in-half-precision", CoarseSteps, r"the output of the steps is off by \d"),
    ("steps-in-half-precision", StateInHalf, r"state_bytes\(16\) says 32 bytes, but the state hol"),
    ("runs-in-half-precision", CoarseProducts, r"the output is off by \d"),
    ("runs-in-half-precision", InfiniteSlopeInHalf, "gradient of 'mixer.linear.weight' is not fin"),
    ("weighs-its-state", LightState, r"state_bytes\(1\) says 31 bytes, but the state holds 32"),
    ("weighs-its-state", HiddenCache, r"state_bytes\(1100\) says 32 bytes, but the state holds"),
]


@pytest.mark.parametrize(("name", "mixer", "sentence"), BROKEN_MODELS)
def test_a_broken_model_is_caught(name: str, mixer: type[Mixer], sentence: str) -> None:
    with pytest.raises(CheckError, match=sentence):
        named(name)(Built(mixer=mixer))


def test_a_layer_that_is_wrong_only_above_another_is_caught() -> None:
    check = named("steps-inside-the-backbone")
    check(Built(mixer=Sound))
    with pytest.raises(CheckError, match="Stepping gives other predictions than forward"):
        check(OffStepAbove(mixer=Sound))


def test_a_network_that_serves_one_kind_of_output_is_caught() -> None:
    with pytest.raises(CheckError, match=r"Predictions of StepLabels cannot be scored: .* against"):
        named("serves-every-output")(LabelsOnly())


def test_a_model_that_skips_the_probes_is_not_judged() -> None:
    for check in MODEL_CHECKS:
        with pytest.raises(NotApplicableError, match="nothing on Sundays"):
            check(Unwilling(mixer=SeesNext))


# ------------------------------------------------------------------------------------------- tasks


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
    solve: Callable[[Tensor], Tensor] = parity
    further: Callable[["Parity"], Callable[[], Batch]] = lambda task: (
        lambda: task.sample(9, apart())
    )

    max_length = 40
    causal = True

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
    ("leaves-global-generators-alone", {"draw": from_torch}, "global generator of torch"),
    ("leaves-global-generators-alone", {"draw": seeding_numpy}, "global generator of numpy"),
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
]


@pytest.mark.parametrize("check", LEARNING_CHECKS, ids=str)
def test_a_sound_task_passes(check: Check) -> None:
    check(Parity())


@pytest.mark.parametrize(("name", "fault", "sentence"), BROKEN_TASKS)
def test_a_broken_task_is_caught(name: str, fault: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CheckError, match=sentence):
        named(name)(Parity(**fault))


def test_a_task_that_nobody_can_solve_has_no_oracle_to_check() -> None:
    class Hard(Parity):
        def oracle(self, batch: Batch) -> None:
            return None

    with pytest.raises(NotApplicableError, match="no oracle"):
        named("oracle-scores-perfectly")(Hard())


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
    ladder: ClassVar[dict[str, tuple[int, ...]]] = {"length": (16, 8)}


class NoSuchOption(Timed):
    ladder: ClassVar[dict[str, tuple[int, ...]]] = {"depth": (1, 2)}


@pytest.mark.parametrize("check", MEASURED_CHECKS, ids=str)
def test_a_sound_measured_task_passes(check: Check) -> None:
    check(Timed())


@pytest.mark.parametrize(
    ("name", "task", "sentence"),
    [
        ("calls-process-the-tokens-they-claim", Timed(claim=7), "Call 1 with a batch of 1 shows"),
        ("calls-process-the-tokens-they-claim", Timed(shown=(8, 4)), "Call 2 with a batch of 1"),
        ("ladder-goes-up", Downwards(), "does not go up"),
        ("ladder-goes-up", NoSuchOption(), "is no option of it"),
    ],
)
def test_a_broken_measured_task_is_caught(name: str, task: Task, sentence: str) -> None:
    with pytest.raises(CheckError, match=sentence):
        named(name)(task)


# ----------------------------------------------------------------------------------------- running


def test_every_check_is_shown_to_catch_something() -> None:
    caught = {name for name, *_ in (*BROKEN_MODELS, *BROKEN_TASKS)}
    caught |= {"serves-every-output", "steps-inside-the-backbone"}

    assert {check.name for check in (*MODEL_CHECKS, *LEARNING_CHECKS)} == caught
    assert all(check.sentence.endswith(".") for check in (*MODEL_CHECKS, *LEARNING_CHECKS))


def test_nan_agrees_with_nothing_not_even_itself() -> None:
    with pytest.raises(CheckError, match="1 of 2 values are too far off"):
        agree(torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan]), "They differ")


def test_checks_are_those_of_the_kind() -> None:
    assert checks_for(Built(mixer=Sound)) == MODEL_CHECKS
    assert checks_for(Parity()) == LEARNING_CHECKS
    assert checks_for(Timed()) == MEASURED_CHECKS


PLUGIN = '''"""Looks ahead, breaks in float64, and says so."""

from dataclasses import dataclass

import torch

from harness.api import Mixer, Model


@dataclass(frozen=True, kw_only=True)
class Peek(Model):
    slope: float = 1.0

    def build(self, *, width, length, causal):
        return Peeking(width, self.slope)


class Peeking(Mixer):
    def __init__(self, width, slope):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.full((width,), slope))

    def forward(self, u, lengths=None):
        if lengths is not None:
            raise OverflowError("too much padding")
        return self.gain * (u + u.flip(1))
'''


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    path = tmp_path / "peek.py"
    path.write_text(PLUGIN)
    return str(path)


def test_results_say_what_passed_failed_or_did_not_apply_and_why(plugin: str) -> None:
    results = {result.name: result for result in run_checks("auto", "peek[slope=2.0]", (plugin,))}

    assert results["keeps-shape-and-dtype"].outcome == "passed"
    assert results["keeps-shape-and-dtype"].reason == ""
    assert results["sees-no-future"].outcome == "failed"
    assert results["steps-as-it-sees"].outcome == "not-applicable"
    assert "no step mode" in results["steps-as-it-sees"].reason
    assert results["ignores-padding"].outcome == "failed"
    assert "OverflowError (peek.py, line 25): too much padding" in results["ignores-padding"].reason
    assert all(result.seconds > 0 for result in results.values())


def test_a_process_of_its_own_prints_a_json_line_for_each_result(plugin: str) -> None:
    command = [sys.executable, "-m", "harness.testing", "model", "peek", "--json"]
    done = subprocess.run(
        [*command, "--plugin", plugin], capture_output=True, text=True, check=False
    )

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["name"] for line in lines] == [check.name for check in MODEL_CHECKS]
    assert set(lines[0]) == {"name", "outcome", "sentence", "reason", "seconds"}
    assert done.returncode == 1


def test_a_name_that_nobody_has_gets_the_near_miss(plugin: str) -> None:
    with pytest.raises(SpecError, match=r"No model or task is called 'peke'.* 'peek'"):
        next(run_checks("auto", "peke", (plugin,)))
