"""A dry run says what is to be expected of every run, and no figure without a record behind it."""

import json
import subprocess
import sys
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from harness.cli import dry_run
from harness.core.config import Limits, Protocol, RunSpec, Selector
from harness.core.messages import Plan, Planned, PlanRequest, Requirements
from harness.core.record import Measured, Memory, Record
from harness.costs.curves import Evidence
from harness.costs.forecast import forecast, forecasts, spent
from harness.data.fetch import missing
from harness.plugins.loading import load_task
from harness.results.store import Store
from harness.runner.planning import plan
from harness.runner.sweep import Sweep

MACHINE = {"processor": "Acme", "cores": 2, "packages": {"torch": "2.13.0"}}


def cost(length):
    return 0.01 + 1e-5 * length + 1e-9 * length**2


def measured(length, model="m", task="scaling/train", *, call=cost, **protocol):
    protocol = Protocol(**{"batch": 1, "width": 64, "depth": 1, **protocol})
    return Record(
        run_id=f"{task}{model}{length}{protocol.width}{protocol.depth}",
        outcome="ok",
        task=Selector(f"{task}[length={length}]"),
        model=Selector(model),
        task_version=1,
        learns=False,
        spec=RunSpec(task=f"{task}@1[length={length}]", model=model, protocol=protocol),
        measured=Measured(
            length=length,
            batch=1,
            tokens=length,
            call_s=[call(length)] * 3,
            first_call_s=1.0,
            precision=0.0,
            flops=None,
            spent_s=1.0,
        ),
        memory=Memory(peak_bytes=1, delta_bytes=1000 * length, method="VmHWM"),
        machine=MACHINE,
    )


def planned(model="m", *, length=1024, task="synthetic/shift", learns=True, **protocol):
    protocol = Protocol(**{"steps": 10, "batch": 1, "width": 64, "depth": 1, **protocol})
    return Planned(
        spec=RunSpec(task=task, model=model, protocol=protocol),
        task=Selector(task),
        model=Selector(model),
        task_version=1,
        learns=learns,
        requirements=Requirements(length=length, parameters=7),
    )


LADDER = [measured(length) for length in (256, 1024, 4096, 16384)]


@given(st.integers(128, 65536))
def test_a_training_takes_its_steps_at_the_recorded_cost(length):
    told = forecast(planned(length=length), None, Evidence(LADDER))

    assert told.seconds == pytest.approx(10 * cost(length), rel=1e-3)
    assert told.bytes == pytest.approx(1000 * length, rel=1e-3)
    assert told.basis == "scaling/train of m, width 64, depth 1"
    assert told.machine == "Acme, 2 cores, torch 2.13.0"


def test_only_what_is_not_constant_grows_with_batch_and_width():
    told = forecast(planned(batch=8, width=256, depth=3), None, Evidence(LADDER))

    growing = cost(1024) - 0.01
    assert told.seconds == pytest.approx(10 * 3 * (0.01 + growing * 8 * 4**1.5), rel=1e-3)
    assert told.bytes == pytest.approx(3 * 1_024_000 * 8 * 4, rel=1e-3)


def test_two_documents_are_twice_the_batch_and_not_twice_the_length():
    pair = replace(planned(), requirements=Requirements(length=1024, documents=2))

    told = forecast(pair, None, Evidence(LADDER))

    assert told.seconds == pytest.approx(10 * (0.01 + 2 * (cost(1024) - 0.01)), rel=1e-3)


def test_the_same_options_go_before_the_same_size_and_the_nearer_before_the_farther():
    records = [
        measured(1024, "m", width=64, call=lambda n: 1.0),
        measured(1024, "m[state=8]", width=512, call=lambda n: 2.0),
        measured(1024, "m[state=8]", width=128, call=lambda n: 3.0),
    ]
    curve = Evidence(records).curve

    def chosen(model, width):
        asked = planned(model, width=width)
        size = SimpleNamespace(width=width, depth=1)
        return curve(asked, size).seconds[0][1]

    assert [chosen("m", 512), chosen("m[state=8]", 64), chosen("m[state=8]", 300)] == [1, 3, 2]
    assert chosen("m[state=9]", 110) == 3


def test_without_a_record_of_the_model_nothing_is_made_up():
    told = forecast(planned("other"), None, Evidence(LADDER))

    assert (told.seconds, told.bytes) == (None, None)
    assert told.basis == "unknown: no scaling record of other"


def test_a_run_of_unknown_cost_takes_at_most_its_limit():
    told = forecast(planned("other", seconds=90), None, Evidence(LADDER))

    assert told.seconds == 90
    assert told.basis == "unknown: no scaling record of other; at most its limit"


def test_records_of_one_device_say_nothing_of_another():
    asked = planned()
    spec = RunSpec(task="t", model="m", protocol=asked.spec.protocol, device="cuda")
    told = forecast(replace(asked, spec=spec), None, Evidence(LADDER))

    assert told.seconds is None
    assert told.basis == "unknown: no scaling record of m, cuda"


def test_a_model_whose_records_have_no_parameters_trains_in_no_time():
    asleep = Record(
        run_id="x",
        outcome="ok",
        task=Selector("t"),
        model=Selector("chance"),
        task_version=1,
        spec=RunSpec(task="t", model="chance"),
        parameters=0,
    )
    told = forecast(planned("chance"), None, Evidence([asleep]))

    assert told.seconds == 0


def test_a_measurement_is_carried_over_from_its_own_task_and_kept_to_its_budget():
    own = [measured(n, task="scaling/forward", call=lambda n: n / 1024) for n in (1024, 2048)]
    evidence = Evidence([*own, *LADDER])

    def told(length):
        asked = planned(task="scaling/forward[length=1]", learns=False, length=length, budget_s=16)
        return forecast(asked, None, evidence)

    assert told(4096).seconds == pytest.approx(1 + 3 * 4)
    assert told(4096).expected == "to run"
    assert told(8192).expected == "over budget"
    assert "24 s of a budget of 16 s" in told(8192).reason


def test_a_training_that_is_limited_in_seconds_takes_no_longer():
    assert spent(2.0, Protocol(steps=100, seconds=30), learns=True) == 30
    assert spent(2.0, Protocol(steps=100), learns=True) == 200


def test_what_is_stored_skipped_impossible_or_not_fetched_is_told_apart(tmp_path):
    asked = planned()
    runs = [
        asked,
        replace(asked, spec=RunSpec(task="t", model="m", seed=1), skip="Too long."),
        replace(planned(steps=11), requirements=Requirements(length=1, refusal="No.")),
        replace(planned("other", steps=12), requirements=Requirements(length=1, files={"a.gz": 5})),
    ]
    done = Record(
        run_id=asked.spec.run_id,
        outcome="diverged",
        reason="A loss.",
        task=Selector("t"),
        model=Selector("m"),
        task_version=1,
        spec=asked.spec,
    )
    Store(tmp_path).append(done)

    found = forecasts(Plan(runs=runs), str(tmp_path), Limits(), ())

    assert [told.expected for told in found] == ["stored", "skipped", "cannot run", "needs files"]
    assert [told.reason for told in found] == ["diverged. A loss.", "Too long.", "No.", ""]
    assert dry_run.totals(found) == {
        "runs": 4,
        "to_run": 1,
        "unknown": 1,
        "seconds": 0.0,
        "bytes": 0.0,
        "files": 1,
        "fetch_bytes": 5,
        "fetch_unknown": 0,
    }


def test_a_file_of_unknown_size_is_said_to_be_one(tmp_path):
    told = forecast(planned("other"), None, Evidence(LADDER))
    files = {"known": 1 << 20, "unknown": None}
    told = msgspec.structs.replace(told, expected="needs files", files=files)

    lines = dry_run.closing([told])

    assert "2 files to fetch: 1.00 MiB and 1 of unknown size." in lines
    assert lines[0] == "1 runs, 1 of them to be done."


def test_records_of_one_precision_say_nothing_of_another():
    told = forecast(planned(precision="64-true"), None, Evidence(LADDER))

    assert told.seconds is None


def test_a_run_above_the_limit_of_memory_is_told(tmp_path):
    runs = [planned("m")]
    store = Store(tmp_path)
    for record in LADDER:
        store.append(record)

    [free] = forecasts(Plan(runs=runs), str(tmp_path), Limits(), ())
    tight = Limits(memory_bytes=max(1, int(free.bytes) - 1))
    [refused] = forecasts(Plan(runs=runs), str(tmp_path), tight, ())

    assert free.expected == "to run"
    assert (refused.expected, "of a limit of" in refused.reason) == ("over budget", True)


def test_published_folders_serve_estimates_after_ones_own(tmp_path):
    own, tables, costs = (tmp_path / name for name in ("own", "records", "costs"))
    for record in LADDER:
        Store(costs).append(record)
    runs = [planned("m")]

    [unknown] = forecasts(Plan(runs=runs), str(own), Limits(), [str(tables)])
    [known] = forecasts(Plan(runs=runs), str(own), Limits(), [str(tables), str(costs)])

    assert (unknown.seconds, unknown.basis[:7]) == (None, "unknown")
    assert known.seconds == forecast(runs[0], None, Evidence(LADDER)).seconds


def test_a_prospect_counts_parameters_and_finds_out_what_cannot_be_built(tmp_path, monkeypatch):
    monkeypatch.setenv("SSM_BENCH_DATA", str(tmp_path))
    runs = [
        RunSpec(task="images/smnist[source=full]", model=model, protocol=Protocol(width=8, depth=1))
        for model in ("s4d[state=4]", "s4d[n_ssm=3]", "chance")
    ]
    fits, wrong, whole = (
        run.requirements for run in plan(PlanRequest(runs=runs, plugins=[], requirements=True)).runs
    )

    assert fits is not None
    assert fits.parameters is not None
    assert fits.parameters > 100
    assert (fits.length, fits.documents, fits.refusal) == (784, 1, "")
    assert "n_ssm" in wrong.refusal
    assert (whole.parameters, whole.refusal) == (None, "")


def test_files_are_missing_until_they_are_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SSM_BENCH_DATA", str(tmp_path))
    task = load_task("images/smnist[source=full]")
    before = missing(task.files())
    for file in before:
        (tmp_path / file.name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.name).touch()

    assert len(before) == 4
    assert sum(file.size for file in before) > 10_000_000
    assert missing(task.files()) == missing(load_task("synthetic/shift").files()) == []


def test_a_plan_without_a_look_ahead_builds_nothing(monkeypatch):
    monkeypatch.setattr("harness.runner.planning.requirements", None)
    run = RunSpec(task="synthetic/shift", model="s4d")

    assert plan(PlanRequest(runs=[run], plugins=[])).runs[0].requirements is None


def test_a_dry_run_runs_nothing_and_says_what_it_would(tmp_path):
    words = [
        *("run", "synthetic/shift[length=32]", "-m", "s4d", "-m", "chance", "--dry-run"),
        *("--results", str(tmp_path / "results"), "--protocol", "steps=3"),
    ]
    table, lines = (
        subprocess.run(
            [sys.executable, "-m", "harness.cli", *words, *more],
            capture_output=True,
            text=True,
            check=False,
        )
        for more in ([], ["--json"])
    )

    assert (table.returncode, lines.returncode) == (0, 0), table.stderr
    assert "2 runs, 2 of them to be done" in table.stdout
    *runs, last = map(json.loads, lines.stdout.splitlines())
    assert [run["model"] for run in runs] == ["s4d", "chance"]
    assert last["totals"]["to_run"] == 2
    assert not (tmp_path / "results").exists()


def test_what_cannot_be_built_makes_the_exit_code_1(capsys, tmp_path):
    asked = planned()
    broken = replace(asked, requirements=Requirements(length=1, refusal="No [bold]."))
    sweep = Sweep(runs=(), results=str(tmp_path))

    assert dry_run.show_dry_run(sweep, Plan(runs=[broken]), json=False) == 1
    assert "No [bold]." in capsys.readouterr().out
    assert dry_run.show_dry_run(sweep, Plan(runs=[asked]), json=False) == 0
