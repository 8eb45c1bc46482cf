"""Planning fills in every option, goes up ladders, and knows whose mistake it is."""

from pathlib import Path

import pytest

from harness.core.config import Protocol, RunSpec
from harness.core.messages import PlanRequest
from harness.data.fetch import missing
from harness.plugins.loading import load_task
from harness.plugins.registry import registry
from harness.runner.planning import plan
from harness.runner.sweep import in_turns, preset_runs, requests


def planned(*runs, plugins=(), **changes):
    return plan(PlanRequest(runs=list(runs), plugins=list(plugins), changes=changes))


def test_a_planned_run_is_named_by_its_choices_and_holds_every_option():
    (run,) = planned(RunSpec(task="synthetic/shift[length=64]", model="s4d[state=8]")).runs

    assert (run.spec.task, run.spec.model) == ("synthetic/shift@1[length=64]", "s4d@1[state=8]")
    assert run.task_options == {"length": 64, "shifts": 8}
    assert run.model_options["dt_min"] == 0.001
    assert run.spec.protocol is not None
    assert (run.task, run.model) == ("synthetic/shift[length=64]", "s4d[state=8]")


def test_a_default_that_is_spelled_out_is_the_same_run():
    short, long = planned(
        RunSpec(task="synthetic/shift", model="s4d"),
        RunSpec(task="synthetic/shift@1[shifts=8,length=512]", model="s4d[state=64]"),
    ).runs

    assert short.spec.run_id == long.spec.run_id


def test_a_bare_measured_task_is_a_ladder_and_a_given_length_one_rung():
    bare = planned(RunSpec(task="scaling/forward", model="s4d")).runs
    one = planned(RunSpec(task="scaling/forward[length=4096]", model="s4d")).runs

    assert [run.length for run in bare] == [1024, 4096, 16384, 65536, 262144]
    assert len({run.ladder for run in bare}) == 1
    assert [run.spec.run_id for run in one] == [bare[1].spec.run_id]
    assert one[0].ladder == bare[0].ladder


def test_ladders_of_other_models_or_protocols_are_other_ladders():
    runs = planned(
        RunSpec(task="scaling/forward[length=1024]", model="s4d"),
        RunSpec(task="scaling/forward[length=1024]", model="dlr"),
        RunSpec(task="scaling/forward[length=1024]", model="s4d", protocol=Protocol(width=7)),
        RunSpec(task="scaling/train[length=1024]", model="s4d"),
    ).runs

    assert len({run.ladder for run in runs}) == 4


def test_the_protocol_is_the_tasks_own_unless_it_is_given_or_changed():
    own, changed = (
        planned(RunSpec(task="synthetic/shift", model="s4d"), **changes).runs[0].spec.protocol
        for changes in ({}, {"steps": 7})
    )

    assert changed == own.changed({"steps": 7})
    assert changed != own


def test_a_model_says_why_it_skips_a_task():
    (run, *_) = planned(RunSpec(task="scaling/forward", model="chance")).runs

    assert run.skip


def test_a_users_mistake_ends_the_plan_and_a_broken_plugin_does_not(tmp_path):
    wreck = Path(tmp_path) / "wreck.py"
    wreck.write_text("from harness.api import Model\nclass W(Model): pass\nraise RuntimeError('x')")

    mistake = planned(RunSpec(task="synthetic/shift", model="s4d[a=1]"))
    partly = planned(
        RunSpec(task="synthetic/shift", model="wreck"),
        RunSpec(task="synthetic/shift", model="s4d"),
        plugins=[str(wreck)],
    )

    assert "No option of 's4d'" in mistake.error
    assert partly.error == ""
    assert "RuntimeError: x" in partly.problems[0]
    assert [run.model for run in partly.runs] == ["s4d"]


def test_requests_are_every_task_with_every_model_and_seed():
    runs = requests(["synthetic"], ["s4d", "dlr", "s4d"], seeds=(0, 4))

    tasks = [name for name in registry().of("task") if name.startswith("synthetic/")]
    assert len(runs) == len(set(runs)) == len(tasks) * 2 * 2


@pytest.mark.parametrize("name", sorted(registry().of("preset")))
def test_every_preset_can_be_planned(name):
    runs = preset_runs(name, None, "cpu")
    found = planned(*runs)

    assert found.error == ""
    assert found.problems == []
    assert len(found.runs) >= len(runs)


def test_seeds_repeat_every_run_of_a_preset():
    once, thrice = preset_runs("smoke", None, "cpu"), preset_runs("smoke", (0, 4, 5), "cpu")

    assert len(thrice) == 3 * len(once)
    assert {run.seed for run in thrice} == {0, 4, 5}


def test_requirements_count_parameters_and_say_what_cannot_be_built(tmp_path, monkeypatch):
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


def test_a_plan_that_is_not_asked_for_requirements_builds_nothing(monkeypatch):
    monkeypatch.setattr("harness.runner.planning.requirements", None)
    run = RunSpec(task="synthetic/shift", model="s4d")

    assert plan(PlanRequest(runs=[run], plugins=[])).runs[0].requirements is None


def test_trainings_are_measured_by_what_times_training_steps_and_measurements_by_themselves():
    runs = [RunSpec(task=task, model="s4d") for task in ("synthetic/shift", "scaling/decode")]
    found = plan(PlanRequest(runs=runs, plugins=[], requirements=True)).runs

    by = {run.task.name: run.requirements.measured_by for run in found if run.requirements}
    assert by == {"synthetic/shift": ["scaling/train"], "scaling/decode": ["scaling/decode"]}
    assert load_task("scaling/train").times_training, "the source says what the class is"


def test_a_device_that_is_not_here_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run = RunSpec(task="synthetic/shift", model="s4d", device="cuda")

    made = plan(PlanRequest(runs=[run], plugins=[]))

    assert (made.runs, made.error) == (
        [],
        "There is no CUDA device here that torch can use; leave out --device cuda.",
    )


def test_two_models_are_measured_in_turns():
    runs = in_turns(["scaling/train", "scaling/decode"], ("s4d", "dlr"), rounds=2)

    assert [(run.seed, run.task.name[8:], run.model) for run in runs] == [
        (0, "train", "s4d"),
        (0, "train", "dlr"),
        (0, "decode", "s4d"),
        (0, "decode", "dlr"),
        (1, "train", "dlr"),
        (1, "train", "s4d"),
        (1, "decode", "dlr"),
        (1, "decode", "s4d"),
    ]
