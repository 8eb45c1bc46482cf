"""The training loop: groups, schedule, what is timed, what is kept."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from harness.api import (
    Batch,
    GeneratedTask,
    Mixer,
    Model,
    ParameterGroup,
    PregeneratedTask,
    Signal,
    Values,
)
from harness.core.config import Protocol, RunSpec
from harness.core.errors import DivergedError, SpecError
from harness.core.seeding import scope
from harness.data.cache import use_shard_dir
from harness.nn.backbone import Backbone
from harness.training.evaluate import evaluate, interval
from harness.training.loop import fit, optimizer_groups, prepared
from harness.training.pace import Pace, evaluation_marks
from harness.training.run import thinned, train_and_score


class Scale(Mixer):
    """Multiplies."""

    def __init__(self, width):
        super().__init__()
        self.special = nn.Parameter(torch.ones(width, 1))

    def forward(self, u, lengths=None):
        return u * self.special[:, 0]


@dataclass(frozen=True, kw_only=True)
class ScaleModel(Model):
    """A model with one parameter apart."""

    lr: ClassVar[float] = 0.01
    groups: ClassVar = {"special": ParameterGroup(lr=1e-4)}

    def build(self, *, width, length, causal):
        return Scale(width)


@dataclass(frozen=True, kw_only=True)
class Double(GeneratedTask):
    """y = 2 x, or not a number."""

    poison: bool = False
    examples: ClassVar = {"train": 64, "validation": 64, "test": 64}
    inputs = property(lambda self: Signal(1))
    outputs = property(lambda self: Values(1, last=4))
    max_length = property(lambda self: 4)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def sample(self, n, rng):
        x = torch.randn(n, 4, 1, generator=rng)
        return Batch(x, x * (math.nan if self.poison else 2))


PROTOCOL = Protocol(steps=40, batch=16, width=8, depth=1, evaluations=4)


def trainer(protocol=PROTOCOL, seed=0, task=None):
    recipe, task = ScaleModel(), task or Double()
    with scope(seed, "init"):
        network = recipe.assemble(Backbone, task, protocol.width, protocol.depth, 0.0)
    return prepared(network, task, recipe, protocol, "cpu")


def listen(step, loss):
    pass


def test_what_a_recipe_sets_apart_has_its_own_rate_and_vectors_do_not_decay():
    network = trainer().network
    groups = optimizer_groups(network, ScaleModel(), replace(PROTOCOL, weight_decay=0.3))

    settings = {
        name: (group["lr"], group["weight_decay"])
        for group in groups
        for name, parameter in network.named_parameters()
        if any(parameter is member for member in group["params"])
    }

    assert {v for k, v in settings.items() if k.endswith("special")} == {(1e-4, 0.0)}
    assert {v for k, v in settings.items() if k.endswith("bias")} == {(0.01, 0.0)}
    assert {v for k, v in settings.items() if k.endswith("head.weight")} == {(0.01, 0.3)}
    assert len(settings) == len(list(network.parameters()))


@pytest.mark.parametrize(
    ("group", "settings"),
    [
        (ParameterGroup(), (0.01, 0.0)),
        (ParameterGroup(lr=1e-3, weight_decay=None), (1e-3, 0.3)),
        (ParameterGroup(weight_decay=0.1), (0.01, 0.1)),
    ],
)
def test_what_a_group_leaves_open_is_the_recipes_rate_and_the_protocols_decay(group, settings):
    @dataclass(frozen=True, kw_only=True)
    class OwnGroups(ScaleModel):
        def parameter_groups(self):
            return {"special": group}

    network = trainer().network
    groups = optimizer_groups(network, OwnGroups(), replace(PROTOCOL, weight_decay=0.3))

    [special] = [p for name, p in network.named_parameters() if name.endswith("special")]
    [found] = [g for g in groups if any(special is member for member in g["params"])]
    assert (found["lr"], found["weight_decay"]) == settings


def test_a_protocols_own_rate_goes_before_the_recipes_and_not_before_those_set_apart():
    settings = [
        {group["lr"] for group in optimizer_groups(trainer().network, ScaleModel(), protocol)}
        for protocol in (PROTOCOL, replace(PROTOCOL, lr=0.5), replace(PROTOCOL, lr=0.5, lr_scale=2))
    ]
    usual, apart = ScaleModel.lr, settings[0] - {ScaleModel.lr}

    assert settings == [{usual, *apart}, {0.5, *apart}, {1.0, *(2 * rate for rate in apart)}]


def test_a_protocol_scales_every_rate_alike():
    groups = optimizer_groups(trainer().network, ScaleModel(), replace(PROTOCOL, lr_scale=2.0))

    assert {group["lr"] for group in groups} == {0.02, 2e-4}


def test_the_rate_rises_linearly_and_falls_as_a_cosine_to_zero():
    factor = Pace(Protocol(steps=100, warmup=0.1)).factor

    assert [factor(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert factor(55) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0.0)


def test_a_constant_schedule_stays():
    factor = Pace(Protocol(steps=100, warmup=0.1, schedule="constant")).factor

    assert factor(99) == 1.0


def test_a_budget_in_seconds_stretches_the_schedule_over_itself_whatever_a_step_takes():
    """Fast or slow, a model has its highest rate after the warm-up's share and none at the end."""
    budget = Protocol(steps=0, seconds=60, warmup=0.1)
    for step_s in (0.01, 1.0):
        at = {spent: Pace(budget, round(spent / step_s), spent) for spent in (6.0, 33.0, 60.0)}
        factors = [pace.factor(pace.steps) for pace in at.values()]

        assert factors == pytest.approx([1.0, 0.5, 0.0], abs=0.01)
        assert [pace.over for pace in at.values()] == [False, False, True]


def test_a_training_of_so_many_seconds_does_what_fits_and_is_evaluated_evenly():
    short = replace(PROTOCOL, steps=0, seconds=0.2, evaluations=4)
    worker = trainer(short)

    history = fit(worker, Double(), short, listen)

    spent = np.cumsum(history.step_s)
    assert spent[-2] < 0.2 <= spent[-1]
    assert worker.optimizer.param_groups[0]["lr"] < 0.1 * ScaleModel.lr
    marks = [spent[step - 1] for step, _ in history.validation]
    assert marks == pytest.approx([0.05, 0.1, 0.15, 0.2], abs=0.04)


def test_no_steps_without_seconds_are_no_budget():
    with pytest.raises(SpecError, match="steps must be positive"):
        Protocol(steps=0)


def test_training_lowers_the_loss_and_records_every_step():
    history = fit(trainer(), Double(), PROTOCOL, listen)

    assert len(history.step_s) == len(history.curve) == 40
    assert history.curve[-1][1] < history.curve[0][1] / 3
    assert [step for step, _ in history.validation] == [10, 20, 30, 40]


def test_the_parameters_that_scored_best_are_left_in_the_network():
    wild = replace(PROTOCOL, lr_scale=50.0, schedule="constant", evaluations=10)
    worker = trainer(wild)
    history = fit(worker, Double(), wild, listen)
    outputs, rows = Double().outputs, Double().rows("validation")

    score = outputs.score(evaluate(worker.network, rows.batches(16), outputs), 16)["r2"]

    assert score == pytest.approx(max(value for _, value in history.validation))


@dataclass(frozen=True, kw_only=True)
class Halves(PregeneratedTask):
    """y = x, cached as bytes; how many examples are made real numbers at once is noted."""

    made: ClassVar[list[int]] = []
    examples: ClassVar = {"train": 64, "validation": 40, "test": 50}
    shard_size: ClassVar[int] = 30
    inputs = property(lambda self: Signal(1))
    outputs = property(lambda self: Values(1, last=4))
    max_length = property(lambda self: 4)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def sample(self, n, rng):
        x = torch.randint(256, (n, 4, 1), generator=rng)
        return Batch(x, x)

    def prepare(self, batch):
        self.made.append(len(batch))
        return Batch(batch.inputs / 255, batch.targets / 255)


def test_a_split_is_scored_batch_by_batch_and_as_it_would_be_at_once(tmp_path):
    task, protocol = Halves(), replace(PROTOCOL, steps=5, evaluations=2)
    worker, spec = trainer(protocol, task=task), RunSpec(task="t", model="m", protocol=protocol)
    Halves.made.clear()
    with use_shard_dir(tmp_path):
        found, _ = train_and_score(worker.network.module, task, ScaleModel(), spec, listen)
        most, splits = max(Halves.made), {name: task.split(name) for name in found.scores}

    assert most == protocol.batch
    assert max(Halves.made) == task.examples["test"], "a whole split would have been noticed"
    for name, split in splits.items():
        whole = evaluate(worker.network, [split], task.outputs)
        at_once = task.outputs.score(whole, protocol.batch)
        assert found.scores[name] == pytest.approx(at_once)


def test_a_loss_that_is_no_number_stops_the_training_with_its_step():
    poisoned = Double(poison=True)

    with pytest.raises(DivergedError, match="The loss is nan at step 1 of 40"):
        fit(trainer(task=poisoned), poisoned, PROTOCOL, listen)


@dataclass(frozen=True, kw_only=True)
class Unscored(Double):
    """What it trains on is as it should be; what it is validated on is not a number."""

    def split(self, name):
        batch = super().split(name)
        return batch if name == "train" else Batch(batch.inputs, batch.targets * math.nan)


def test_a_training_whose_every_validation_is_no_number_has_diverged():
    """The parameters that it began with must not be scored as if they were trained."""
    task = Unscored()

    with pytest.raises(DivergedError, match="Every r2 of the validation split"):
        fit(trainer(task=task), task, PROTOCOL, listen)


def test_a_score_that_is_not_finite_is_no_point_of_the_curve(monkeypatch):
    """It would end the sweep: JSON holds no such number."""
    scores = iter([0.5, -math.inf, math.nan, 0.25])
    monkeypatch.setattr(Values, "score", lambda self, figures, batch: {"r2": next(scores)})
    history = fit(trainer(), Double(), PROTOCOL, listen)

    assert history.validation == [(10, 0.5), (40, 0.25)]


def test_a_training_says_what_else_used_the_processors():
    seen = fit(trainer(), Double(), PROTOCOL, listen).interference

    assert seen.cpu_s > 0
    assert seen.wall_s > 0


def test_seconds_end_a_training_early_and_the_end_is_scored():
    short = replace(PROTOCOL, steps=100_000, seconds=0.05)

    history = fit(trainer(short), Double(), short, listen)

    assert len(history.step_s) < 100_000
    assert sum(history.step_s) >= 0.05
    assert history.validation[-1][0] == len(history.step_s)


def test_evaluations_are_spread_evenly_and_include_the_last_step():
    assert evaluation_marks(Protocol(steps=10, evaluations=3)) == [3, 7, 10]
    assert evaluation_marks(Protocol(steps=2, evaluations=5)) == [1, 2]
    assert evaluation_marks(Protocol(steps=0, seconds=60, evaluations=3)) == [20, 40, 60]


def test_clipping_bounds_the_gradient():
    clipped = replace(PROTOCOL, clip=1e-8, steps=1)
    loud = trainer(replace(clipped, lr_scale=100.0))
    seen = []

    def note(*_):
        seen.append(sum(p.grad.square().sum() for p in loud.network.parameters()).sqrt())

    loud.optimizer.optimizer.register_step_pre_hook(note)
    loud.step(next(Double().train_batches(4)))

    assert seen[0] <= 1.001e-8


def test_the_interval_holds_the_score_and_narrows_with_examples():
    outputs = Values(1, last=4)
    rng = torch.Generator().manual_seed(0)
    targets = torch.randn(400, 4, 1, generator=rng)
    predictions = targets + 0.5 * torch.randn(400, 4, 1, generator=rng)
    figures = outputs.per_example(predictions, targets)

    low, high = interval(figures, outputs, 16, "test")
    few_low, few_high = interval(figures[:40], outputs, 16, "test")

    assert low < outputs.score(figures, 16)["r2"] < high
    assert high - low < few_high - few_low


def test_thinning_keeps_the_last_value_and_at_most_so_many():
    assert thinned(list(range(1000)), 300)[-1] == 999
    assert len(thinned(list(range(1000)), 300)) <= 300
    assert thinned([1, 2], 300) == [1, 2]
    assert thinned([], 300) == []


def test_a_seed_decides_what_the_protocol_lets_vary():
    made = [
        RunSpec(task="a/b", model="s4d", seed=3, protocol=Protocol(vary=vary))
        for vary in ("init", "data", "both")
    ]

    assert [(run.init, run.draw) for run in made] == [(3, 0), (0, 3), (3, 3)]
    assert len({run.run_id for run in made}) == 3


def test_a_task_without_draws_refuses_another_one_in_a_sentence():
    class Fixed(Double):
        def train_batches(self, size):
            return super().train_batches(size)

    with pytest.raises(SpecError, match="train_batches takes no `draw`"):
        fit(trainer(task=Fixed()), Fixed(), PROTOCOL, listen, draw=1)
    assert fit(trainer(task=Fixed()), Fixed(), PROTOCOL, listen).curve
