"""A forecast says what is to be expected of a run, and no figure without a record behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from harness.core.config import Limits, Protocol, RunSpec
from harness.core.messages import Plan, Requirements
from harness.costs import forecast as module
from harness.costs.curves import CostCurves
from harness.costs.forecast import forecasts
from harness.results.store import Store
from tests.unit.report import made_records
from tests.unit.report.made_records import blank

PLACE = "A processor @ 2.5 GHz, 2 cores, 2 threads, torch 2.13.0"


def cost(length):
    return 0.01 + 1e-5 * length + 1e-9 * length**2


def protocol(**changes):
    return Protocol(**{"steps": 10, "batch": 1, "width": 64, "depth": 1, **changes})


def measured(length, model="m", task="scaling/train", *, call=cost, **changes):
    calls, held = [call(length)] * 3, protocol(**changes)
    return made_records.measured(length, calls, task=task, model=model, protocol=held)


def planned(model="m", *, length=1024, task="synthetic/shift", needs=None, **changes):
    name = task.partition("[")[0]
    by = ["scaling/train"] if not name.startswith("scaling/") else [name]
    needs = {"length": length, "parameters": 7, "measured_by": by, **(needs or {})}
    needs = Requirements(**needs)
    return made_records.planned(task, model, protocol=protocol(**changes), requirements=needs)


def forecast(run, records, limits=None):
    return module.forecast(run, None, CostCurves(records), limits or Limits())


LADDER = [measured(length) for length in (256, 1024, 4096, 16384)]


@given(st.integers(128, 65536))
def test_a_training_takes_its_steps_at_the_recorded_cost(length):
    run = forecast(planned(length=length), LADDER)

    assert run.seconds == pytest.approx(10 * cost(length), rel=1e-3)
    assert run.bytes == pytest.approx(500 * length, rel=1e-3)
    assert run.basis == "scaling/train of m, width 64, depth 1"
    assert run.machine == PLACE


def test_only_what_is_not_constant_grows_with_batch_and_width():
    run = forecast(planned(batch=8, width=256, depth=3), LADDER)

    growing = cost(1024) - 0.01
    assert run.seconds == pytest.approx(10 * 3 * (0.01 + growing * 8 * 4**1.5), rel=1e-3)
    assert run.bytes == pytest.approx(3 * 512_000 * 8 * 4, rel=1e-3)


def test_two_documents_are_twice_the_batch_and_not_twice_the_length():
    run = forecast(planned(needs={"documents": 2}), LADDER)

    assert run.seconds == pytest.approx(10 * (0.01 + 2 * (cost(1024) - 0.01)), rel=1e-3)


def test_the_same_options_go_before_the_same_size_and_the_nearer_before_the_farther():
    records = [
        measured(1024, "m", width=64, call=lambda n: 1.0),
        measured(1024, "m[state=8]", width=512, call=lambda n: 2.0),
        measured(1024, "m[state=8]", width=128, call=lambda n: 3.0),
    ]

    def chosen(model, width):
        basis = forecast(planned(model, width=width), records).basis
        return basis.removeprefix("scaling/train of ").removesuffix(", depth 1")

    assert chosen("m", 512) == "m, width 64"
    assert chosen("m[state=8]", 64) == "m[state=8], width 128"
    assert chosen("m[state=8]", 300) == "m[state=8], width 512"
    assert chosen("m[state=9]", 110) == "m[state=8], width 128"


def test_without_a_record_of_the_model_nothing_is_made_up():
    run = forecast(planned("other"), LADDER)

    assert (run.seconds, run.bytes) == (None, None)
    assert run.basis == "unknown: no scaling record of other"


def test_only_records_of_tasks_that_measure_such_steps_say_what_they_cost():
    run = forecast(planned(needs={"measured_by": ["acme/steps"]}), LADDER)

    assert run.basis == "unknown: no scaling record of m"


def test_a_disturbed_record_says_nothing():
    record = measured(1024)
    busy = replace(record.measured, interference=made_records.ran_beside(0.9))

    assert forecast(planned(), [replace(record, measured=busy)]).seconds is None


def test_a_run_of_unknown_cost_takes_at_most_its_limit():
    run = forecast(planned("other", seconds=90), LADDER)

    assert run.seconds == 90
    assert run.basis == "unknown: no scaling record of other; at most its limit"


def test_records_of_one_device_say_nothing_of_another():
    asked = planned()
    spec = RunSpec(task="t", model="m", protocol=asked.spec.protocol, device="cuda")
    run = forecast(replace(asked, spec=spec), LADDER)

    assert run.seconds is None
    assert run.basis == "unknown: no scaling record of m, cuda"


def test_records_of_one_precision_say_nothing_of_another():
    assert forecast(planned(precision="64-true"), LADDER).seconds is None


def test_a_model_whose_records_have_no_parameters_trains_in_no_time():
    asleep = blank("t", "chance", parameters=0)

    assert forecast(planned("chance"), [asleep]).seconds == 0


def test_a_measurement_is_extrapolated_from_its_own_task_and_kept_to_its_budget():
    own = [measured(n, task="scaling/forward", call=lambda n: n / 1024) for n in (1024, 2048)]

    def run(length):
        task = f"scaling/forward[length={length}]"
        return forecast(planned(task=task, length=length, budget_s=16), [*own, *LADDER])

    assert run(4096).seconds == pytest.approx(1 + 3 * 4)
    assert run(4096).expected == "to run"
    assert run(8192).expected == "over budget"
    assert "24 s of a budget of 16 s" in run(8192).reason


def test_a_training_that_is_limited_in_seconds_takes_no_longer():
    slow = [measured(1024, call=lambda n: 2.0)]

    assert forecast(planned(steps=100, seconds=30), slow).seconds == 30
    assert forecast(planned(steps=100), slow).seconds == pytest.approx(200)


def test_what_is_stored_skipped_impossible_or_not_fetched_is_kept_apart(tmp_path):
    asked = planned()
    runs = [
        asked,
        replace(planned(steps=9), skip="Too long."),
        planned(steps=11, needs={"refusal": "No."}),
        planned("other", steps=12, needs={"files": {"a.gz": 5}}),
    ]
    done = blank("t", "m", outcome="diverged", reason="A loss.")
    Store(tmp_path).append(replace(done, spec=asked.spec, run_id=asked.spec.run_id))

    found = forecasts(Plan(runs=runs), str(tmp_path), lambda _: Limits(), ())

    assert [run.expected for run in found] == ["stored", "skipped", "cannot run", "needs files"]
    assert [run.reason for run in found] == ["diverged. A loss.", "Too long.", "No.", ""]
    assert found[3].files == {"a.gz": 5}


def test_a_run_above_the_limit_of_memory_is_over_budget():
    free = forecast(planned(), LADDER)
    tight = forecast(planned(), LADDER, Limits(memory_bytes=int(free.bytes) - 1))

    assert free.expected == "to run"
    assert (tight.expected, tight.reason[:17]) == ("over budget", "Predicted to need")


def test_published_folders_serve_forecasts_after_ones_own(tmp_path):
    own, tables, costs = (tmp_path / name for name in ("own", "records", "costs"))
    for record in LADDER:
        Store(costs).append(record)
    runs = [planned("m")]

    [unknown] = forecasts(Plan(runs=runs), str(own), lambda _: Limits(), [str(tables)])
    [known] = forecasts(Plan(runs=runs), str(own), lambda _: Limits(), [str(tables), str(costs)])

    assert (unknown.seconds, unknown.basis[:7]) == (None, "unknown")
    assert known.seconds == forecast(runs[0], LADDER).seconds
