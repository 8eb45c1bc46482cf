"""`--device cuda` from the plan to the result, as far as a machine without a card can tell."""

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch

from harness.core.config import Limits, RunSpec
from harness.core.messages import Job, Plan, PlanRequest
from harness.core.record import Memory
from harness.nn.backbone import Backbone
from harness.runner import worker
from harness.runner.planning import plan
from harness.testing.replaying import tape
from suites.scaling.decode import POSITIONS

T = TypeVar("T")
ANSWERS = {
    "is_available": True,
    "get_device_name": "A card",
    "synchronize": None,
    "empty_cache": None,
    "reset_peak_memory_stats": None,
    "memory_allocated": 10,
    "max_memory_allocated": 110,
    "max_memory_reserved": 200,
}


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Counter[object]:
    """Let the processor pass for a card, and count what is asked of it."""
    asked: Counter[object] = Counter()
    autocast = torch.autocast

    def answering(name: str, answer: object) -> None:
        def called(*_: object) -> object:
            asked[name] += 1
            return answer

        monkeypatch.setattr(f"torch.cuda.{name}", called)

    def moved(module: torch.nn.Module, device: str) -> torch.nn.Module:
        asked["moved", device] += 1
        return module

    def mixed(device: str, dtype: torch.dtype = torch.bfloat16, **options: bool) -> torch.autocast:
        asked["mixed", device, dtype] += bool(options.get("enabled", True))
        return autocast("cpu", dtype, **options)

    for name, answer in ANSWERS.items():
        answering(name, answer)
    monkeypatch.setattr("torch.nn.Module.to", moved)
    monkeypatch.setattr("torch.autocast", mixed)
    return asked


def planned(precision: str) -> Plan:
    """Plan a small measurement on the card."""
    run = RunSpec(task="scaling/forward[length=16]", model="transformer", device="cuda")
    changes = {"precision": precision, "width": 8, "budget_s": 0.5}
    return plan(PlanRequest(runs=[run], plugins=[], changes=changes))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_measurement_on_a_card_is_moved_synchronised_weighed_there_and_in_its_precision(
    precision: str, card: Counter[object]
) -> None:
    (found,) = planned(precision).runs
    result = worker.run(
        Job(planned=found, plugins=[], limits=Limits(), keeps_memory=False), lambda _: None
    )

    assert (result.outcome, found.accelerator) == ("ok", "A card"), result.reason
    assert found.spec.protocol is not None
    assert (found.spec.device, found.spec.protocol.precision) == ("cuda", precision)
    assert card["moved", "cuda"] == 1
    assert result.measured is not None
    assert card["synchronize"] >= 1 + len(result.measured.call_s) + 2, "each call, and the weighing"
    method = "max_memory_allocated (reserved 200 bytes)"
    assert result.memory == Memory(peak_bytes=110, delta_bytes=100, method=method)
    mixed = precision == "bf16-mixed"
    assert bool(card["mixed", "cuda", torch.bfloat16]) is mixed


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_path_is_the_one_of_the_precision_in_which_it_was_measured(
    precision: str, card: Counter[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = {"32-true": "False", "bf16-mixed": "True"}
    monkeypatch.setattr(Backbone, "path", lambda _: str(torch.is_autocast_enabled("cpu")))
    (found,) = planned(precision).runs
    result = worker.run(
        Job(planned=found, plugins=[], limits=Limits(), keeps_memory=False), lambda _: None
    )
    assert result.path == rounds[precision]


def test_a_card_that_cannot_be_measured_in_double_precision_says_so(card: Counter[object]) -> None:
    (found,) = planned("64-true").runs
    result = worker.run(
        Job(planned=found, plugins=[], limits=Limits(), keeps_memory=False), lambda _: None
    )

    assert result.outcome == "skipped"
    assert result.reason.startswith("It is measured in 32-true or bf16-mixed")
    assert not card["synchronize"]


def elsewhere() -> Job:
    """Plan a small measurement on another machine's card."""
    run = RunSpec(task="scaling/forward[length=16]", model="transformer", device="cuda")
    changes = {"width": 8, "budget_s": 0.5}
    request = PlanRequest(runs=[run], plugins=[], changes=changes, elsewhere=True)
    (found,) = plan(request).runs
    return Job(planned=found, plugins=[], limits=Limits(), keeps_memory=False)


def test_a_run_on_another_machines_card_is_planned_without_one_and_refused_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    job = elsewhere()
    result = worker.run(job, lambda _: None)

    assert job.planned.accelerator == ""
    assert result.outcome == "failed"
    assert result.reason.startswith("There is no CUDA device here")


def test_a_card_that_planning_did_not_know_is_named_by_the_run(card: Counter[object]) -> None:
    assert worker.run(elsewhere(), lambda _: None).conditions["accelerator"] == "A card"


@pytest.mark.parametrize("read", [False, True])
def test_steps_on_a_card_are_replayed_and_weighed_without_replays_and_the_record_says_so(
    read: bool, card: Counter[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Counter[str]()

    def record(work: Callable[[], T], rehearse: Callable[[], object]) -> Any:
        if read:
            raise RuntimeError("operation not permitted when stream is capturing\nand more")
        replay, result = tape(work, rehearse)

        def counted() -> None:
            recorded["replays"] += 1
            replay()

        return counted, result

    monkeypatch.setattr("suites.scaling.decode.recorder", lambda device: record)
    run = RunSpec(task="scaling/decode[length=16]", model="mamba", device="cuda")
    request = PlanRequest(runs=[run], plugins=[], changes={"width": 8, "budget_s": 0.1})
    (found,) = plan(request).runs
    result = worker.run(
        Job(planned=found, plugins=[], limits=Limits(), keeps_memory=False), lambda _: None
    )

    assert result.measured is not None, result.reason
    calls, more = divmod(recorded["replays"], POSITIONS)
    assert more == 0
    assert calls == 0 if read else calls >= 1 + len(result.measured.call_s)
    assert result.path.endswith("+graphs") is not read
    why = "Its step cannot be recorded: operation not permitted when stream is capturing"
    assert result.measured.eager == (why if read else "")
    assert result.measured.flops, "replays have no operators to count"
