"""A training that goes on from a checkpoint is the one that was never ended, bit for bit."""

import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from harness.api import Batch, GeneratedTask, Mixer, Model, PregeneratedTask, Signal, Values
from harness.core.config import Protocol
from harness.core.notify import redirect
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.training.checkpoint import KEPT, Checkpoints
from harness.training.loop import Kept, fit, prepared
from harness.training.run import WARMUP_STEPS, samples

PROTOCOL = Protocol(steps=14, batch=4, width=8, depth=1, dropout=0.3, evaluations=3, clip=1.0)


class Leak(Mixer):
    """Averages over the past."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, u, lengths=None):
        return u.cumsum(1) * self.weight


@dataclass(frozen=True, kw_only=True)
class LeakModel(Model):
    """A model."""

    def build(self, *, width, length, causal):
        return Leak(width)


class Sums:
    """What both tasks ask: running sums."""

    examples: ClassVar = {"train": 64, "validation": 32, "test": 32}
    inputs = property(lambda self: Signal(1))
    outputs = property(lambda self: Values(1, last=4))
    max_length = property(lambda self: 4)
    causal = property(lambda self: True)
    chance = property(lambda self: 0.0)

    def sample(self, n, rng):
        x = torch.randn(n, 4, 1, generator=rng)
        return Batch(x, x.cumsum(1), torch.randint(1, 5, (n,), generator=rng).clamp(min=4))


@dataclass(frozen=True, kw_only=True)
class Fresh(Sums, GeneratedTask):
    """Batches that are drawn."""


@dataclass(frozen=True, kw_only=True)
class Cached(Sums, PregeneratedTask):
    """Epochs that are shuffled: three batches each."""

    shard_size: ClassVar = 12


class Killed(BaseException):
    """What ends a training here."""


class Heard:
    """Keeps what a person would be told."""

    def __init__(self):
        self.said = []

    def tell(self, sentence):
        self.said.append(sentence)

    def wait(self, words):
        pass

    def drew(self, seconds):
        pass


def trained(task, protocol, folder, until=None, every_s=0.0, code="one"):
    """Train in what might be a process of its own, until a step after which it is killed.

    Returns the history, the network, and what was said; None for the history if it was killed.
    """

    def on_step(step, loss):
        if step == until:
            raise Killed

    heard = Heard()
    with scope(0, "init"):
        network = LeakModel().assemble(Backbone, task, protocol.width, protocol.depth, 0.3)
    trainer = prepared(network, task, LeakModel(), protocol, "cpu")
    checkpoints = Checkpoints(folder, every_s, code) if folder else None
    with redirect(heard), scope(0, "train"):
        try:
            history = fit(trainer, task, protocol, on_step, kept=Kept(checkpoints))
        except Killed:
            history = None
    return history, network.state_dict(), heard.said


def assert_same(whole, resumed):
    (history, weights, _), (again, others, _) = whole, resumed
    assert again.curve == history.curve
    assert again.validation == history.validation
    assert all(torch.equal(weights[name], others[name]) for name in weights)


@settings(max_examples=6)
@given(
    task=st.sampled_from([Fresh(), Cached()]),
    changes=st.sampled_from([{}, {"precision": "bf16-mixed"}, {"schedule": "constant"}]),
    kills=st.lists(st.integers(1, PROTOCOL.steps), min_size=1, max_size=3),
)
def test_it_goes_on_to_the_bit_wherever_and_however_often_it_was_killed(task, changes, kills):
    protocol = replace(PROTOCOL, **changes)
    with tempfile.TemporaryDirectory() as folder:
        for step in kills:
            trained(task, protocol, Path(folder), until=step)
        resumed = trained(task, protocol, Path(folder))

    assert_same(trained(task, protocol, None), resumed)
    assert len(resumed[0].step_s) == protocol.steps
    assert resumed[0].interference is not None


def test_what_was_killed_after_its_last_step_trains_no_more(tmp_path):
    whole = trained(Fresh(), PROTOCOL, tmp_path)
    again = trained(Fresh(), PROTOCOL, tmp_path)

    assert_same(whole, again)
    assert again[0].step_s == whole[0].step_s
    assert again[0].starts == [0]


def test_seconds_of_both_parts_count_where_seconds_end_a_training(tmp_path):
    protocol = replace(PROTOCOL, steps=0, seconds=0.5)
    trained(Fresh(), protocol, tmp_path, until=3)
    history, _, _ = trained(Fresh(), protocol, tmp_path)

    assert history.starts == [0, 2]
    assert sum(history.step_s) >= 0.5 > sum(history.step_s[:-1])


def test_the_first_steps_of_every_process_are_no_samples(tmp_path):
    trained(Fresh(), PROTOCOL, tmp_path, until=8)
    history, _, _ = trained(Fresh(), PROTOCOL, tmp_path)

    assert len(samples(history)) == PROTOCOL.steps - 2 * WARMUP_STEPS


def test_two_stay_and_nothing_half_written(tmp_path):
    trained(Fresh(), PROTOCOL, tmp_path, until=9)
    (tmp_path / "one" / "77.part").write_bytes(b"half")
    assert len(list((tmp_path / "one").glob("*.pt"))) == KEPT

    trained(Fresh(), PROTOCOL, tmp_path, until=12)

    names = sorted(path.name.partition("-")[0] for path in (tmp_path / "one").iterdir())
    assert names == ["000000000010", "000000000011"]


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty", "hostile"])
def test_a_damaged_checkpoint_is_told_of_and_the_one_before_counts(tmp_path, damage):
    trained(Fresh(), PROTOCOL, tmp_path, until=9)
    newest = max((tmp_path / "one").glob("*.pt"))
    hurt(newest, damage, tmp_path)
    resumed = trained(Fresh(), PROTOCOL, tmp_path)

    assert "is damaged" in resumed[2][0]
    assert resumed[2][1:] == ["Goes on after step 7."]
    assert not (tmp_path / "harmed").exists()
    assert_same(trained(Fresh(), PROTOCOL, None), resumed)


class Hostile:
    """Makes a file if it is unpickled as Python would."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def hurt(path, damage, folder):
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "hostile":
        torch.save({"history": Hostile(folder / "harmed")}, path)
        rename_to_digest(path)
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"torn": content[:middle], "empty": b"", "flipped": flipped}[damage])


def rename_to_digest(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    path.rename(path.with_name(f"{path.name.partition('-')[0]}-{digest}.pt"))


def test_if_all_are_damaged_or_of_another_network_it_starts_afresh(tmp_path):
    trained(Fresh(), replace(PROTOCOL, width=4), tmp_path, until=9)
    fresh = trained(Fresh(), PROTOCOL, tmp_path)

    assert [sentence.count("is damaged") for sentence in fresh[2]] == [1, 1]
    assert fresh[0].starts == [0]
    assert_same(trained(Fresh(), PROTOCOL, None), fresh)


def test_other_code_starts_afresh_and_says_so(tmp_path):
    trained(Fresh(), PROTOCOL, tmp_path, until=9)
    history, _, said = trained(Fresh(), PROTOCOL, tmp_path, code="another")

    assert said == ["Its checkpoints are of other code or other settings, so it starts afresh."]
    assert history.starts == [0]


def test_a_first_checkpoint_that_was_torn_is_not_taken_for_other_code(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "77.part").write_bytes(b"half")

    assert trained(Fresh(), PROTOCOL, tmp_path)[2] == []


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    trained(Fresh(), PROTOCOL, tmp_path, until=9)
    before = sorted((tmp_path / "one").iterdir())

    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(RuntimeError, match="allocate memory"):
        trained(Fresh(), PROTOCOL, tmp_path)

    assert sorted((tmp_path / "one").iterdir()) == before


def refuse(*_, **__):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(tmp_path):
    (tmp_path / "one").write_text("a file where the folder should be")
    history, _, said = trained(Fresh(), PROTOCOL, tmp_path)

    assert len(history.curve) == PROTOCOL.steps
    assert all("No checkpoint was written after step" in sentence for sentence in said[-2:])
