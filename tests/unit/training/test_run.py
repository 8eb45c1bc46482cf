"""A trained network is scored on every further set of its task."""

import math
from dataclasses import dataclass

import pytest
import torch

from harness.api import (
    Batch,
    Evaluation,
    GeneratedTask,
    Network,
    Protocol,
    Recipe,
    Signal,
    UnsupportedError,
    Values,
)
from harness.core.config import RunSpec
from harness.core.errors import DivergedError
from harness.training.run import train_and_score


@dataclass(frozen=True, kw_only=True)
class Held(GeneratedTask):
    """Say how coarsely the input was sampled: all targets are the rate."""

    inputs = property(lambda self: Signal(1))
    outputs = property(lambda self: Values(1, last=1))
    max_length = property(lambda self: 8)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def sample(self, n, rng):
        return Batch(torch.zeros(n, 8, 1), torch.ones(n, 1, 1))

    def evaluations(self):
        def made(length, rate):
            return lambda: Evaluation(
                Batch(torch.zeros(6, length, 1), torch.tensor([rate, 0.0] * 3)[:, None, None]), rate
            )

        return {"longer": made(32, 1.0), "coarser": made(4, 2.0), "infinite": made(9, math.inf)}


class Clock(Network):
    """Predicts its rate, has nothing to train, and remembers the batches that it saw."""

    def __init__(self, follows=True):
        super().__init__()
        self.follows, self.seen = follows, []
        self.register_buffer("rate", torch.ones(()))

    def resample(self, rate):
        if rate != 1 and not self.follows:
            raise UnsupportedError("It has no clock.")
        self.rate = torch.tensor(float(rate))

    def forward(self, inputs, lengths=None):
        self.seen.append(tuple(inputs.shape[:2]))
        return self.rate.expand(len(inputs), 1, 1)


class Untrained(Recipe):
    """What is asked of a recipe whose network is given."""

    def assemble(self, *_):
        raise AssertionError


def evaluated(network, recipe=Untrained):
    """Score a network; returns the figures of the further sets, and why others have none."""
    spec = RunSpec(task="held", model="clock", protocol=Protocol(batch=4))
    found, _ = train_and_score(network, Held(), recipe(), spec, lambda step, loss: None)
    further = {name: found.scores[name] for name in found.scores if name in Held().evaluations()}
    return further, found.unscored


def test_each_set_is_scored_at_its_own_rate_and_the_rate_is_put_back():
    network = Clock()

    scores, unscored = evaluated(network)

    assert scores["longer"]["mse"] == pytest.approx(0.5)
    assert scores["coarser"]["mse"] == pytest.approx(2.0)
    assert unscored == {"infinite": "Its predictions are not finite."}
    assert network.rate == 1


def test_longer_sets_come_in_smaller_batches():
    network = Clock()

    evaluated(network)

    assert {shape for shape in network.seen if shape[1] == 32} == {(1, 32)}
    assert {shape for shape in network.seen if shape[1] == 4} == {(4, 4), (2, 4)}


def test_what_cannot_follow_a_rate_leaves_its_reason_and_the_other_figures():
    scores, unscored = evaluated(Clock(follows=False))

    assert list(scores) == ["longer"]
    assert unscored == {"coarser": "It has no clock.", "infinite": "It has no clock."}


def test_a_set_longer_than_the_model_takes_leaves_its_reason_and_is_not_shown_to_it():
    class Short(Untrained):
        max_length = 8

    network = Clock()
    scores, unscored = evaluated(network, Short)

    assert list(scores) == ["coarser"]
    assert unscored["longer"] == "It takes 8 positions at most, and these are 32."
    assert max(length for _, length in network.seen) == 8


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory."),
    ],
)
def test_a_set_for_which_memory_is_lacking_leaves_its_reason_and_the_other_figures(error):
    class Hungry(Clock):
        def forward(self, inputs, lengths=None):
            if inputs.shape[1] > 8:
                raise error
            return super().forward(inputs, lengths)

    network = Hungry()
    scores, unscored = evaluated(network)

    assert list(scores) == ["coarser"]
    assert "memory" in unscored["longer"]
    assert network.training


def test_another_error_in_a_further_set_is_not_hidden():
    class Wrong(Clock):
        def forward(self, inputs, lengths=None):
            if inputs.shape[1] > 8:
                raise RuntimeError("shapes do not match")
            return super().forward(inputs, lengths)

    with pytest.raises(RuntimeError, match="shapes do not match"):
        evaluated(Wrong())


def test_a_trial_is_scored_on_validation_and_touches_no_other_set():
    @dataclass(frozen=True, kw_only=True)
    class Sealed(Held):
        def split(self, name):
            assert name != "test", "tested before anything was chosen"
            return super().split(name)

        def evaluations(self):
            raise AssertionError("evaluated before anything was chosen")

    spec = RunSpec(task="held", model="clock", protocol=Protocol(batch=4, trial=True))
    found, _ = train_and_score(Clock(), Sealed(), Untrained(), spec, lambda step, loss: None)

    assert list(found.scores) == ["validation"]
    assert found.score == found.scores["validation"]["r2"]


def test_a_score_that_is_no_number_is_a_divergence_though_no_loss_was_one():
    class Overflowing(Clock):
        def forward(self, inputs, lengths=None):
            return super().forward(inputs, lengths) * math.inf

    with pytest.raises(DivergedError, match=r"of the validation split is .* after training"):
        evaluated(Overflowing())
