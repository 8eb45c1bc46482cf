"""What a training tells TensorBoard can be read again, and is what its record says."""

import struct

import pytest
from tensorboardX.proto.event_pb2 import Event

from harness import run
from harness.api import SpecError
from harness.cli import runs
from harness.training.log import Log

TASK = "synthetic/shift[length=16,shifts=2]"


def told(folder):
    """Read event files: of each name the values by their steps."""
    found = {}
    for path in folder.rglob("events.out.tfevents.*"):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + size])
            at += size + 16
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = value.simple_value
    return found


def test_loss_validation_rate_and_throughput_are_told(tmp_path):
    protocol = {"steps": 6, "batch": 8, "width": 8, "depth": 1, "evaluations": 2}
    [record] = run(TASK, "gru", protocol=protocol, results=str(tmp_path), log="tensorboard")
    assert record.outcome == "ok", record.reason

    found = told(tmp_path / "logs" / "synthetic" / "shift" / "gru" / record.run_id)

    assert list(found["loss"].items()) == pytest.approx(record.learned.curve)
    assert list(found["validation/r2"].items()) == pytest.approx(record.learned.validation)
    rates = list(found["learning_rate/group_0"].values())
    assert rates[0] == max(rates)
    assert min(found["examples_per_second"].values()) > 0
    assert len(found["examples_per_second"]) == 6


def test_a_long_training_tells_of_fewer_and_fewer_steps():
    steps = []

    class Listener:
        def log_metrics(self, metrics, step):
            steps.append(step)

    log = Log(8, [Listener()])
    for step in range(1, 12_001):
        log.step(step, 0.5, [0.1], 0.01)

    assert steps == [*range(1, 1000), *range(1000, 10_000, 10), *range(10_000, 12_001, 100)]


def test_a_missing_package_or_another_name_is_told_in_a_sentence(monkeypatch):
    with pytest.raises(SpecError, match="No log is called 'tensorbord'. Did you mean"):
        runs.known_log("tensorbord")
    monkeypatch.setattr(runs, "find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"pip install 'ssm-bench\[tensorboard\]'"):
        runs.known_log("tensorboard")
