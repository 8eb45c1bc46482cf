"""Every check of a model lets what is right pass and catches what is wrong, with its sentence."""

# ruff: noqa: D101 - the classes are faults, and their names say which

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.api import Mixer, Model, Network, NetworkModel, SpecError, Task, recording
from harness.testing import Check, CheckError, NotApplicableError, checks_for, features_task


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


class ReplaysOtherwise(Sound):
    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        output, state = super().step(u, state)
        return output * (1 + 1e-5 * recording()), state


class ForgetfulPrefill(Sound):
    def prefill(self, u: Tensor) -> Tensor:
        return u[:, :-1].sum(1)


class ForgetfulPieces(Sound):
    def advance(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self(u), state + u.sum(1)


class DividesByNothing(Sound):
    """Never asked for nothing: the contract answers for it."""

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(u, lengths) + 0 // u.numel()

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return super().step(u + 0 // len(u), state)


class Whole(Network):
    """A whole network, which answers for itself."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.mixer = Sound(width, causal)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        mixed: Tensor = self.mixer(inputs, lengths)
        return mixed

    def initial_state(self, batch: int) -> Tensor:
        return self.mixer.initial_state(batch)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.mixer.step(u, state)


class OneSequenceOfNothing(Whole):
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(inputs) if len(inputs) else inputs.new_zeros(1, *inputs.shape[1:])


class RestartsOnNothing(Whole):
    def advance(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return super().advance(u, state) if u.shape[1] else (u, 0 * state)


class OneOutputOfNothing(Whole):
    def advance(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return super().advance(u, state) if u.shape[1] else (state[:, None], state)


class OneStepOfNothing(Whole):
    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return super().step(u, state) if len(u) else (u.new_zeros(1, self.mixer.width), state)


class ScratchInTheLayer(Sound):
    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        self.sum = state + u
        time.sleep(1e-5)
        return self.linear(self.sum), self.sum


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


class FailsInHalf(NoSteps):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("The following operation failed.\nNo rule for complex numbers.")
        return self.linear(u)


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


class ComplexPoles(Mixer):
    """A rotating memory a feature, its poles complex numbers: right, and its state is weighed."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        turn = torch.exp(1j * torch.linspace(0.1, 1, width))
        self.pole, self.read = nn.Parameter(0.9 * turn), nn.Parameter(turn.flip(0))

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        powers = self.pole ** torch.arange(u.shape[1])[:, None]
        ages = (torch.arange(u.shape[1])[:, None] - torch.arange(u.shape[1])).tril()
        kernel = torch.where(torch.ones_like(ages).tril()[..., None] > 0, powers[ages], 0)
        return torch.einsum("ijd,bjd->bid", self.read * kernel, u.to(kernel.dtype)).real

    def initial_state(self, batch: int) -> Tensor:
        return self.pole.new_zeros(batch, len(self.pole))

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = self.pole * state + u
        return (self.read * state).real, state


class StepsInReal(ComplexPoles):
    """Steps as if its poles had no imaginary part."""

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = self.pole.real * state + u
        return (self.read * state).real, state


class Unweighed(Sound):
    """Leaves the state to be weighed."""

    state_bytes = Mixer.state_bytes


class GrowsFromNothing(Unweighed):
    """Keeps all that it has read, and does not say how much that is."""

    def initial_state(self, batch: int) -> Tensor:
        return super().initial_state(batch)[:, None][:, :0].clone()

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        state = torch.cat([state, u[:, None]], 1)
        return self.linear(state.sum(1)), state


class GrowsFromOne(GrowsFromNothing):
    def initial_state(self, batch: int) -> Tensor:
        return Sound.initial_state(self, batch)[:, None]


class CountsInPython(Sound):
    def initial_state(self, batch: int) -> tuple[Tensor, int]:  # type: ignore[override]
        return super().initial_state(batch), 0

    def step(self, u: Tensor, state: tuple[Tensor, int]) -> Any:  # type: ignore[override]
        output, memory = super().step(u, state[0])
        return output, (memory, state[1] + 1)


class ForwardBySteps(Sound):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.advance(u, self.initial_state(len(u)))[0]


class Float32Inside(Sound):
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward((u / 3).float().to(u.dtype))


class LearnedPositions(NoSteps):
    """Knows 16 positions."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__(width, causal)
        self.positions = nn.Parameter(torch.randn(16, width))

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.linear(u + self.positions.expand(len(u), -1, -1)[:, : u.shape[1]])


@dataclass(frozen=True, kw_only=True)
class Built(Model):
    """A recipe of any of these mixers."""

    mixer: Callable[[int, bool], Mixer]

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        return self.mixer(width, causal)


@dataclass(frozen=True, kw_only=True)
class BuiltWhole(NetworkModel):
    """A recipe of any of these networks."""

    network: Callable[[int, bool], Network]

    def build_network(self, task: Task, *, width: int, depth: int) -> Network:
        return self.network(width, task.causal)


@dataclass(frozen=True, kw_only=True)
class UpTo16(Built):
    """Declares the most positions that it takes."""

    max_length = 16


@dataclass(frozen=True, kw_only=True)
class UpToSome(Built):
    """Has the most positions that it takes as an option."""

    max_length: int = 300


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


CHECKS = {check.name: check for check in checks_for(Built(mixer=Sound))}


@pytest.mark.parametrize("check", CHECKS.values(), ids=str)
def test_a_sound_model_passes(check: Check) -> None:
    check(Built(mixer=Sound))


@pytest.mark.parametrize("mixer", [ComplexPoles, Unweighed])
@pytest.mark.parametrize("check", CHECKS.values(), ids=str)
def test_complex_parameters_and_states_that_nobody_weighed_are_sound(
    check: Check, mixer: type[Mixer]
) -> None:
    check(Built(mixer=mixer))


@pytest.mark.parametrize("recipe", [UpTo16, UpToSome])
def test_a_model_is_asked_for_no_more_positions_than_it_takes(recipe: type[Built]) -> None:
    model = recipe(mixer=LearnedPositions) if recipe is UpTo16 else recipe(mixer=Unweighed)
    for check in CHECKS.values():
        try:
            check(model)
        except NotApplicableError as reason:
            assert "no step mode" in str(reason)  # noqa: PT017 - what passes raises nothing


def test_a_longer_task_is_refused_in_a_sentence_and_another_is_not() -> None:
    task = features_task(causal=True)
    assert UpToSome(mixer=Sound, max_length=16).refusal(task) == ""
    assert UpToSome(mixer=Sound, max_length=0).refusal(task) == ""
    assert UpToSome(mixer=Sound, max_length=15).refusal(task) == (
        "It takes 15 positions at most, and these are 16."
    )
    with pytest.raises(NotApplicableError, match="takes 8 positions at most"):
        CHECKS["sees-no-future"](UpToSome(mixer=Sound, max_length=8))


@pytest.mark.parametrize("mixer", [ZeroAtFirst, NoSteps])
def test_a_map_that_starts_at_zero_or_cannot_step_is_legitimate(mixer: type[Mixer]) -> None:
    unasked = {}
    for name, check in CHECKS.items():
        try:
            check(Built(mixer=mixer))
        except NotApplicableError as reason:
            unasked[name] = str(reason)
    assert list(unasked) == [
        "steps-as-it-sees",
        "prefills-as-it-steps",
        "advances-in-pieces",
        "takes-an-empty-piece",
        "steps-an-empty-batch",
        "steps-inside-the-backbone",
        "steps-in-two-threads",
        "steps-in-half-precision",
        "weighs-its-state",
        "replays-as-it-steps",
    ]
    assert all("no step mode" in reason for reason in unasked.values())


BROKEN_MODELS: list[tuple[str, type[Mixer], str]] = [
    ("keeps-shape-and-dtype", WrongShape, r"gives an output of \(3, 15, 8\)"),
    ("keeps-shape-and-dtype", WrongDtype, "torch.float64 gives an output of .* torch.float32"),
    ("takes-other-lengths", OverflowsWhenLong, "for 33 positions in torch.float64 is not finite"),
    ("takes-other-lengths", ScalesWithLength, "changes when the rest is cut off"),
    ("sees-no-future", SeesNext, "change at position 1 moves the outputs before it: at "),
    ("sees-no-future", SeesTheMean, "Built with causal=true: A change at position 1 "),
    ("keeps-sequences-apart", MixesTheBatch, "Sequence 1 of the batch changes its neighbours"),
    ("keeps-sequences-apart", CountsTheBatch, "Sequence 1 comes out otherwise when it is alone"),
    ("ignores-padding", CausalOrMean, "causal=false: 11 valid positions come out otherwise wi"),
    ("ignores-padding", CountsPadding, "11 valid positions come out otherwise with padding"),
    ("gives-every-parameter-a-gradient", Idle, "'mixer.idle' gets no gradient"),
    ("gives-every-parameter-a-gradient", Cancelled, "'mixer.idle' is zero everywhere"),
    ("gives-every-parameter-a-gradient", InfiniteSlope, "'mixer.idle' is not finite"),
    ("gives-every-parameter-a-gradient", Detached, "depends on no parameter"),
    ("differentiates-exactly", WrongGradient, "A gradient is not the derivative"),
    ("repeats-itself", OwnDraws, "'mixer.noise' starts from other values the second time"),
    ("repeats-itself", NoisyForward, "same parameters give different bytes"),
    ("steps-as-it-sees", OffStep, "A step gives another output than forward: at "),
    ("replays-as-it-steps", ReplaysOtherwise, "Replayed after 0 positions, it gives another"),
    ("prefills-as-it-steps", ForgetfulPrefill, "After a prefill of 1 positions"),
    ("advances-in-pieces", ForgetfulPieces, "Pieces of 1, 15 positions give other outputs"),
    ("steps-in-two-threads", ScratchInTheLayer, "Stepped from two threads at once it gives other"),
    ("steps-in-half-precision", CoarseSteps, r"the output of the steps is off by \d"),
    ("steps-in-half-precision", StateInHalf, r"state_bytes\(16\) says 32 bytes, but the state hol"),
    ("runs-in-half-precision", CoarseProducts, r"the output is off by \d"),
    ("runs-in-half-precision", InfiniteSlopeInHalf, "gradient of 'mixer.linear.weight' is not fin"),
    ("runs-in-half-precision", FailsInHalf, "raises No rule for complex numbers. Leave autocast"),
    ("gives-every-parameter-a-gradient", Idle, "Use it, or freeze it with `requires_grad_.False.`"),
    ("weighs-its-state", LightState, r"state_bytes\(1\) says 31 bytes, but the state holds 32"),
    ("steps-as-it-sees", StepsInReal, "A step gives another output than forward: at "),
    ("steps-as-it-sees", Float32Inside, "It is float32 inside .`float` makes float32 of float64.,"),
    (
        "differentiates-exactly",
        Float32Inside,
        "Finite differences cannot tell its gradients. It is fl",
    ),
    ("gives-every-parameter-a-gradient", ForwardBySteps, "`forward` calls `advance`, which carr"),
    ("weighs-its-state", GrowsFromNothing, r"starts empty and no `state_bytes\(length\)` says how"),
    ("weighs-its-state", GrowsFromOne, "whose state grows must write its own `state_bytes`"),
    ("weighs-its-state", HiddenCache, r"state_bytes\(1100\) says 32 bytes, but the state holds"),
]


@pytest.mark.parametrize(("name", "mixer", "sentence"), BROKEN_MODELS)
def test_a_broken_model_is_caught(name: str, mixer: type[Mixer], sentence: str) -> None:
    with pytest.raises(CheckError, match=sentence):
        CHECKS[name](Built(mixer=mixer))


BROKEN_NETWORKS: list[tuple[str, type[Network], str]] = [
    ("takes-empty-inputs", OneSequenceOfNothing, r"\(0, 16, 8\) .* an output of \(1, 16, 8\)"),
    ("takes-an-empty-piece", RestartsOnNothing, "changes the state after 8 positions"),
    ("takes-an-empty-piece", OneOutputOfNothing, r"gives an output of \(3, 1, 8\)"),
    ("steps-an-empty-batch", OneStepOfNothing, r"No sequences give an output of \(1, 8\)"),
]


@pytest.mark.parametrize(("name", "network", "sentence"), BROKEN_NETWORKS)
def test_a_broken_network_is_caught(name: str, network: type[Network], sentence: str) -> None:
    CHECKS[name](BuiltWhole(network=Whole))
    with pytest.raises(CheckError, match=sentence):
        CHECKS[name](BuiltWhole(network=network))


def test_a_layer_that_stumbles_over_nothing_is_not_asked_for_it() -> None:
    for name in ("takes-empty-inputs", "takes-an-empty-piece", "steps-an-empty-batch"):
        CHECKS[name](Built(mixer=DividesByNothing))


@pytest.mark.parametrize("name", ["takes-an-empty-piece", "weighs-its-state"])
def test_a_state_of_something_else_than_tensors_is_told_in_a_sentence(name: str) -> None:
    with pytest.raises(SpecError, match=r"A state holds .int., .* a counter included"):
        CHECKS[name](Built(mixer=CountsInPython))


def test_a_layer_that_is_wrong_only_above_another_is_caught() -> None:
    check = CHECKS["steps-inside-the-backbone"]
    check(Built(mixer=Sound))
    with pytest.raises(CheckError, match="Stepping gives other predictions than forward"):
        check(OffStepAbove(mixer=Sound))


class Overflows(OneLabelNetwork):
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        return super().forward(inputs, lengths) / 0


@dataclass(frozen=True, kw_only=True)
class Infinite(NetworkModel):
    """A whole network whose predictions are no numbers."""

    def build_network(self, task: Task, *, width: int, depth: int) -> Network:
        return Overflows()


def test_a_network_whose_loss_is_no_number_is_caught() -> None:
    with pytest.raises(CheckError, match="The loss on a task with OneLabel is nan"):
        CHECKS["serves-every-output"](Infinite())


def test_a_network_that_serves_one_kind_of_output_is_caught() -> None:
    with pytest.raises(CheckError, match=r"Predictions of StepLabels cannot be scored: .* against"):
        CHECKS["serves-every-output"](LabelsOnly())


def test_a_model_that_skips_the_probes_is_not_judged() -> None:
    for check in CHECKS.values():
        with pytest.raises(NotApplicableError, match="nothing on Sundays"):
            check(Unwilling(mixer=SeesNext))


def test_every_check_is_shown_to_catch_something() -> None:
    caught = {name for name, *_ in (*BROKEN_MODELS, *BROKEN_NETWORKS)}
    assert CHECKS.keys() == caught | {"serves-every-output", "steps-inside-the-backbone"}
