"""Training on inputs before labels: what is asked, what goes along, what it costs."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

import harness
from harness.api import (
    IGNORED,
    Batch,
    GeneratedTask,
    Inputs,
    OneLabel,
    Protocol,
    Signal,
    SpecError,
    Tokens,
    UnsupportedError,
    Values,
)
from harness.core.config import RunSpec
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.training.checkpoint import Checkpoints
from harness.training.loop import Kept
from harness.training.pretraining import asked_of, carry, phases, pretrained, refusal
from harness.training.run import train_and_score

PROTOCOL = Protocol(steps=12, batch=4, width=8, depth=2, lr_scale=10, evaluations=2, clip=1.0)


@dataclass(frozen=True, kw_only=True)
class Texts(GeneratedTask):
    """Texts that count upwards, of every length, with a label that is the first token's parity."""

    causal: bool = True
    longest: int = 120
    examples: ClassVar = {"train": 64, "validation": 32, "test": 32}
    inputs = property(lambda self: Tokens(12))
    outputs = property(lambda self: OneLabel(2, pool="last"))
    max_length = property(lambda self: self.longest)
    chance = property(lambda self: 0.5)

    def sample(self, n, rng):
        start = torch.randint(12, (n, 1), generator=rng)
        lengths = torch.randint(self.longest // 2, self.longest + 1, (n,), generator=rng)
        texts = (start + torch.arange(self.longest)) % 12
        texts[torch.arange(self.longest) >= lengths[:, None]] = 0
        return Batch(texts.to(torch.uint8), start[:, 0] % 2, lengths)


@dataclass(frozen=True, kw_only=True)
class Waves(GeneratedTask):
    """Two channels."""

    causal: bool = False
    examples: ClassVar = {"train": 64, "validation": 32, "test": 32}
    inputs = property(lambda self: Signal(2))
    outputs = property(lambda self: Values(1, last=None))
    max_length = property(lambda self: 16)
    chance = property(lambda self: 0.0)

    def sample(self, n, rng):
        x = torch.randn(n, 16, 2, generator=rng)
        return Batch(x, x.mean((1, 2))[:, None, None])


@dataclass(frozen=True)
class Strange(Inputs):
    """Inputs that nobody can hide."""

    def encoder(self, width):
        return torch.nn.Identity()

    def random(self, batch, length, rng):
        return torch.zeros(batch, length)


@dataclass(frozen=True, kw_only=True)
class StrangeTask(Waves):
    """Asks about them."""

    inputs = property(lambda self: Strange())


def made(task, protocol=PROTOCOL, model="gated-ssm"):
    recipe = harness.load_model(model)
    with scope(0, "init"):
        return recipe, recipe.assemble(Backbone, task, protocol.width, protocol.depth, 0.0)


def run(task, pretrain, kept=None, on_step=lambda step, loss: None, **changes):
    protocol = replace(PROTOCOL, pretrain=pretrain, **changes)
    spec = RunSpec(task="texts", model="gated-ssm", protocol=protocol)
    recipe, network = made(task, protocol)
    with scope(0, "train"):
        learned, _ = train_and_score(network, task, recipe, spec, on_step, kept or Kept())
    return learned, network


def first(task, kind, count=2):
    batches = iter(asked_of(task, kind)[0].train_batches(4))
    return [next(batches) for _ in range(count)]


def test_a_causal_network_is_asked_for_the_next_position_up_to_the_last_one():
    [asked] = first(Texts(), "self", 1)
    [own] = [next(iter(Texts().train_batches(4)))]
    assert torch.equal(asked.inputs, own.inputs)
    for targets, text, n in zip(asked.targets, own.inputs, own.lengths, strict=True):
        assert targets[: n - 1].tolist() == text[1:n].tolist()
        assert (targets[n - 1 :] == IGNORED).all()


@pytest.mark.parametrize("task", [Texts(causal=False), Waves()])
def test_a_network_that_sees_both_ways_is_asked_for_what_is_hidden(task):
    denoising = task.inputs.denoising()
    for asked, own in zip(first(task, "self"), task.train_batches(4), strict=False):
        predictions = torch.zeros(*own.inputs.shape[:2], denoising.columns)
        losses, where = denoising.errors(predictions, asked.targets)
        share = where.double().sum() / (where.numel() if own.lengths is None else own.lengths.sum())
        assert 0.1 < share < 0.4
        assert torch.equal(asked.inputs[~where].double(), own.inputs[~where].double())
        assert torch.equal(asked.targets[where].double(), own.inputs[where].double())
        assert not (asked.inputs[where] == own.inputs[where]).any()
        assert (losses[~where] == 0).all()


@pytest.mark.parametrize("kind", ["self", "ntp", "ul2", "fixed", "birdie"])
def test_what_is_asked_is_the_tasks_own_and_the_same_each_time(kind):
    for one, other in zip(first(Texts(), kind), first(Texts(), kind), strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
    seen, again = (asked_of(Texts(), kind)[0].split("validation") for _ in range(2))
    assert torch.equal(seen.inputs, again.inputs)


def test_what_two_networks_share_goes_along_and_nothing_else():
    task = Texts()
    inner, _ = asked_of(task, "ntp")
    recipe, network = made(task)
    with scope(1, "init"):
        twin = recipe.assemble(Backbone, inner, 8, 2, 0.0)
    head = network.head.weight.clone()

    carry(twin, network, inner.symbols)

    assert torch.equal(network.encoder.weight, twin.encoder.weight[:12])
    assert torch.equal(network.head.weight, head), "two classes are no twelve tokens"
    for own, other in zip(network.blocks.parameters(), twin.blocks.parameters(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("pretrain", ["self", "ntp", "birdie"])
def test_a_record_says_what_it_cost_and_the_budget_is_that_of_a_run_without(pretrain):
    told = []
    learned, _ = run(Texts(), pretrain, on_step=lambda step, loss: told.append(step))
    before = learned.pretraining

    assert (learned.steps, before.steps) == (12, 6)
    assert told == list(range(1, 13))
    assert learned.train_s > before.train_s > 0
    assert learned.evaluate_s > before.evaluate_s > 0
    assert [step for step, _ in before.curve] == list(range(1, 7))
    assert before.validation[-1][1] < before.validation[0][1]
    assert len(learned.curve) == 6
    assert bool(before.shares) == (pretrain != "self")


def test_a_run_without_has_no_part_of_it():
    learned, _ = run(Texts(), "")
    assert (learned.pretraining, learned.steps, len(learned.curve)) == (None, 12, 12)


def test_a_share_of_the_seconds_is_what_it_takes_where_they_decide():
    first, rest = phases(replace(PROTOCOL, pretrain="self", steps=0, seconds=10.0))
    assert (first.steps, first.seconds, rest.steps, rest.seconds) == (0, 5.0, 0, 5.0)
    first, rest = phases(replace(PROTOCOL, pretrain="self", pretrain_share=0.25))
    assert (first.steps, rest.steps) == (3, 9)


class KilledError(Exception):
    """What ends a training here."""


@pytest.mark.parametrize("pretrain", ["self", "birdie"])
@pytest.mark.parametrize("at", [5, 8])
def test_it_goes_on_to_the_bit_in_either_phase(pretrain, at, tmp_path):
    def killed(step, loss):
        if step == at:
            raise KilledError

    whole, weights = run(Texts(), pretrain)
    with pytest.raises(KilledError):
        run(Texts(), pretrain, Kept(Checkpoints(tmp_path, 0, "code")), killed)
    resumed, others = run(Texts(), pretrain, Kept(Checkpoints(tmp_path, 0, "code")))

    assert (whole.resumed, resumed.resumed) == (0, 1)
    assert resumed.curve == whole.curve
    assert resumed.score == whole.score
    assert resumed.pretraining.curve == whole.pretraining.curve
    assert resumed.pretraining.shares == whole.pretraining.shares
    held = others.state_dict()
    assert all(torch.equal(value, held[name]) for name, value in weights.state_dict().items())


@pytest.mark.parametrize(
    ("task", "changes", "why"),
    [
        (Texts(), {"devices": 2}, "on one device"),
        (Texts(causal=False), {"pretrain": "birdie"}, "take --pretrain self"),
        (Texts(longest=60), {"pretrain": "ntp"}, "60 tokens at most"),
        (Waves(), {"pretrain": "ul2"}, "no tokens"),
        (StrangeTask(), {}, "no `denoising`"),
    ],
)
def test_what_cannot_be_pretrained_says_why(task, changes, why):
    protocol = replace(PROTOCOL, **{"pretrain": "self", **changes})
    assert why in refusal(protocol, task)
    assert refusal(replace(protocol, pretrain=""), task) == ""


def test_a_run_that_cannot_be_pretrained_is_skipped(tmp_path):
    asked = {"pretrain": "self"}
    [record] = harness.run("scaling/forward[length=64]", "gru", protocol=asked, results=tmp_path)
    assert (record.outcome, record.spec.protocol.pretrain) == ("skipped", "self")
    assert "measured" in record.reason


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(SpecError, match="birdie"):
        PROTOCOL.changed({"pretrain": "birdy"})
    with pytest.raises(SpecError, match="pretrain_share must be"):
        PROTOCOL.changed({"pretrain_share": 0})


def test_a_network_that_shares_nothing_is_refused():
    task = Texts()
    recipe, network = made(task)
    spec = RunSpec(task="texts", model="m", protocol=replace(PROTOCOL, pretrain="self"))
    with pytest.raises(UnsupportedError, match="shares no parameter"):
        pretrained(torch.nn.Linear(3, 3), task, recipe, spec, lambda step, loss: None)
    assert network is not None
