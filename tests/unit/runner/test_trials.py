"""Trials say on validation with which values a run is made, and nothing is tested before."""

from dataclasses import asdict

import msgspec
import pytest

import harness
from harness.core.config import Limits, Protocol, RunSpec
from harness.core.messages import PlanRequest, Result
from harness.costs.forecast import forecasts
from harness.results.aggregate import cells
from harness.results.compare import compare
from harness.results.store import Store
from harness.results.table import read_records
from harness.runner import sweep as module
from harness.runner.planning import plan
from harness.runner.sweep import Sweep, perform
from tests.unit.report.made_records import scored
from tests.unit.runner.one_by_one import OneByOne

SWEEP = "lr_scale=0.3,1,3,10"
TINY = "synthetic/shift[length=32]"


class Scripted(OneByOne):
    """Executes nothing: a run scores on validation what its values are given, and 0.5 on test."""

    def __init__(self, validation):
        super().__init__()
        self.validation, self.done, self.lost = validation, [], None

    def execute(self, job, on_progress):
        """Score as if."""
        spec = job.planned.spec
        self.done.append(spec)
        if not spec.protocol.trial:
            return self.lost or result(0.5)
        found = self.validation(spec)
        return found if isinstance(found, Result) else result(found)


def result(score):
    learned = scored(score, chance=0.1).learned
    learned = msgspec.structs.replace(learned, train_s=2.0, evaluate_s=0.5)
    return Result(outcome="ok", learned=learned, parameters=7)


@pytest.fixture
def scripted(monkeypatch):
    """Let runs score what a function of their spec says; returns what remembers them."""

    def script(validation):
        executor = Scripted(validation)
        monkeypatch.setattr(module, "load_executor", lambda name: executor)
        return executor

    return script


def planned(*models, seeds=(0,), requirements=False, **changes):
    runs = [RunSpec(task="synthetic/shift", model=m, seed=s) for m in models for s in seeds]
    return plan(PlanRequest(runs=runs, plugins=[], changes=changes, requirements=requirements))


def swept(folder, *models, seeds=(0,), **changes):
    runs = {run.spec.run_id: run for run in planned(*models, seeds=seeds, **changes).runs}
    return list(perform(Sweep(runs=(), results=str(folder)), list(runs.values())))


def by_rate(scores):
    return lambda spec: scores[spec.protocol.lr_scale]


def test_the_best_on_validation_is_run_for_all_seeds_and_trials_for_the_first(tmp_path, scripted):
    executor = scripted(by_rate({0.3: 0.05, 1.0: 0.4, 3.0: 0.9, 10.0: 0.3}))

    *trials, first, second = swept(tmp_path, "s4d", seeds=(4, 5), sweep=SWEEP)

    assert [(spec.seed, spec.protocol.trial) for spec in executor.done] == [
        *[(4, True)] * 4,
        (4, False),
        (5, False),
    ]
    assert all(trial.trial for trial in trials)
    for record in (first, second):
        assert record.spec.protocol.lr_scale == 3.0
        assert record.model == "s4d"
        assert record.swept.chosen == {"lr_scale": 3.0}
        assert [trial.validation for trial in record.swept.trials] == [0.05, 0.4, 0.9, 0.3]
        assert record.swept.windows == {"lr_scale": (1.0, 10.0)}
        assert record.swept.seconds == 10.0


def test_a_model_that_trains_nothing_has_no_trials(tmp_path, scripted):
    executor = scripted(lambda _: 0.5)

    (record,) = swept(tmp_path, "chance", sweep=SWEEP)

    assert [spec.protocol.trial for spec in executor.done] == [False]
    assert record.swept is None
    assert record.spec.protocol.sweep == "lr_scale=0.3,1.0,3.0,10.0"


def test_what_is_stored_is_not_run_again_and_another_value_costs_its_trial_only(tmp_path, scripted):
    executor = scripted(lambda spec: 0.9 if spec.protocol.lr_scale == 1 else 0.4)
    swept(tmp_path, "s4d", sweep="lr_scale=1,3")
    before = len(executor.done)

    again = swept(tmp_path, "s4d", sweep="lr_scale=3,1")
    assert len(executor.done) == before
    assert again[-1].swept.chosen == {"lr_scale": 1.0}

    swept(tmp_path, "s4d", seeds=(0, 1), sweep="lr_scale=1,3")
    assert [spec.seed for spec in executor.done[before:]] == [1]

    swept(tmp_path, "s4d", sweep="lr_scale=1,3,10")
    more = executor.done[before + 1 :]
    assert [(spec.protocol.lr_scale, spec.protocol.trial) for spec in more] == [
        (10.0, True),
        (1.0, False),
    ]


def test_of_equally_good_values_the_middle_is_taken(tmp_path, scripted):
    scripted(by_rate({0.3: 1.0, 1.0: 1.0, 3.0: 1.0, 10.0: 0.1}))

    *_, final = swept(tmp_path, "s4d", sweep=SWEEP)

    assert final.swept.chosen == {"lr_scale": 1.0}
    assert final.swept.windows == {"lr_scale": (0.3, 3.0)}


def test_a_gap_ends_the_window_and_a_diverged_trial_is_kept_with_its_outcome(tmp_path, scripted):
    lost = Result(outcome="diverged", reason="The loss is nan.")
    scripted(by_rate({0.3: 0.6, 1.0: lost, 3.0: 0.8, 10.0: 0.7}))

    *_, final = swept(tmp_path, "s4d", sweep=SWEEP)

    assert final.swept.windows == {"lr_scale": (3.0, 10.0)}
    assert [trial.outcome for trial in final.swept.trials] == ["ok", "diverged", "ok", "ok"]
    assert final.swept.trials[1].validation is None


def test_where_nothing_learns_there_is_no_window_and_the_best_is_tested_all_the_same(
    tmp_path, scripted
):
    scripted(by_rate({0.3: 0.1, 1.0: 0.11, 3.0: 0.1, 10.0: 0.1}))

    *_, final = swept(tmp_path, "s4d", sweep=SWEEP)

    assert (final.outcome, final.swept.windows) == ("ok", {})


def test_where_every_trial_is_lost_the_run_is_too_and_says_with_which_values(tmp_path, scripted):
    lost = Result(outcome="diverged", reason="The loss is nan.")
    executor = scripted(lambda spec: lost)

    *_, final = swept(tmp_path, "s4d", sweep="lr_scale=1,3")

    assert final.outcome == "diverged"
    assert final.reason == "No trial has a score: lr_scale=1.0 diverged; lr_scale=3.0 diverged."
    assert all(spec.protocol.trial for spec in executor.done)


def test_options_and_fields_are_swept_together_and_models_of_one_sweep_stand_in_one_row(
    tmp_path, scripted
):
    best = {"s4d": ("s4d@1[state=16]", 3.0), "gru": ("gru@1", 1.0)}
    scripted(lambda s: 0.9 if (str(s.model), s.protocol.lr_scale) in best.values() else 0.2)

    records = swept(tmp_path, "s4d", "gru", sweep="lr_scale=1,3;state=16,32")

    finals = {record.model: record for record in records if not record.trial}
    assert len(records) == 4 + 1 + 2 + 1
    assert finals["s4d"].swept.chosen == {"lr_scale": 3.0, "state": 16}
    assert finals["s4d"].model_options["state"] == 16
    assert finals["gru"].swept.chosen == {"lr_scale": 1.0}
    assert [cell.model for cell in cells(records)] == ["gru", "s4d"]
    assert len({cell.task for cell in cells(records)}) == 1
    (change,) = compare([finals["gru"]], [finals["s4d"]]).changes
    assert change.model == "gru against s4d"


def test_trials_stand_in_no_table(tmp_path, scripted):
    scripted(lambda spec: 0.9)

    swept(tmp_path, "s4d", sweep="lr_scale=1,3")

    assert len(Store(tmp_path).records()) == 3
    (row,) = read_records(tmp_path).to_dict("records")
    assert row["score"] == 0.5
    assert row["chosen"] == {"lr_scale": 1.0}


def test_the_python_face_returns_no_trial(tmp_path, monkeypatch, scripted):
    scripted(lambda spec: 0.9)
    monkeypatch.setattr(module, "plan", lambda asked: planned("s4d", **asked.changes))

    found = harness.run(
        "synthetic/shift", "s4d", protocol={"sweep": "lr_scale=1,3"}, results=str(tmp_path)
    )

    assert [record.swept.chosen for record in found] == [{"lr_scale": 1.0}]


@pytest.mark.parametrize(
    ("model", "sweep", "said"),
    [
        ("s4d", "lr_scal=1,3", "Did you mean 'lr_scale'"),
        ("gru", "state=1,3", "No protocol field or option of these models is called 'state'"),
        ("s4d", "lr_scale=3", "leaves no choice"),
        ("s4d", "seed=1,3", "--seeds"),
        ("s4d[state=8]", "state=1,3", "has its 'state' already"),
        ("s4d", "state=few,many", "takes a value like"),
        ("s4d", "lr_scale=0,1", "lr_scale must be positive"),
    ],
)
def test_a_sweep_of_what_cannot_be_swept_is_a_sentence(model, sweep, said):
    assert said in planned(model, sweep=sweep).error


def test_nothing_is_chosen_for_a_task_that_trains_nothing():
    run = RunSpec(task="scaling/forward", model="s4d", protocol=Protocol(sweep="state=1,2"))

    assert "trains nothing" in plan(PlanRequest(runs=[run], plugins=[])).error


def test_a_dry_run_counts_trials_and_what_comes_after_them(tmp_path):
    runs = planned("s4d", requirements=True, sweep="lr_scale=1,3")
    expected = forecasts(runs, str(tmp_path), lambda _: Limits(), ())

    assert [run.expected for run in expected] == ["to run"] * 3
    assert [run.reason for run in expected] == [
        "trial of lr_scale=1.0",
        "trial of lr_scale=3.0",
        "after its 2 trials",
    ]


def really_swept(folder, sweep, **more):
    """Train the trials, and the runs that they decide."""
    found = harness.run(
        TINY,
        "gru",
        protocol={"steps": 4, "batch": 2, "width": 4, "depth": 1, "sweep": sweep},
        results=str(folder),
        **more,
    )
    chosen = {record.spec.protocol.lr_scale for record in found}
    [trial] = (
        each
        for each in Store(folder).records()
        if each.trial and {each.spec.protocol.lr_scale} == chosen
    )
    return trial, *found


def test_the_first_seed_is_trained_once_and_its_trial_only_tested(tmp_path):
    trial, first, second = really_swept(tmp_path / "swept", "lr_scale=1,3", seeds=2)
    [alone] = harness.run(
        TINY,
        "gru",
        protocol={**asdict(first.spec.protocol), "sweep": ""},
        results=str(tmp_path / "alone"),
    )

    assert first.learned.step_s == trial.learned.step_s  # measured, so no two trainings have them
    assert first.learned.curve == trial.learned.curve
    assert first.learned.scores["validation"] == trial.learned.scores["validation"]
    assert "test" in first.learned.scores
    assert "test" not in trial.learned.scores
    assert (first.learned.resumed, second.learned.resumed) == (0, 0)
    assert second.learned.step_s != trial.learned.step_s
    assert not any((tmp_path / "swept" / ".checkpoints").iterdir())
    assert alone.learned.scores == first.learned.scores, "as a training without trials has"
    assert alone.learned.curve == first.learned.curve
    assert trial.spec.training == first.spec.training == alone.spec


def test_what_is_swept_again_is_trained_again(tmp_path):
    asked = {"steps": 4, "batch": 2, "width": 4, "depth": 1}
    trial = {**asked, "lr_scale": 1, "trial": True}
    harness.run(TINY, "gru", protocol=trial, results=str(tmp_path), checkpoint_s=1000)
    [before] = Store(tmp_path).records()
    assert any(Store(tmp_path).checkpoints(before.spec).rglob("*.pt"))

    really_swept(tmp_path, "lr_scale=1,3", again=True)

    [after] = (each for each in Store(tmp_path).records() if each.run_id == before.run_id)
    assert after.started > before.started
    assert after.learned.step_s != before.learned.step_s


def test_a_run_that_is_lost_leaves_what_its_trial_left(tmp_path, scripted):
    executor = scripted(by_rate({1.0: 0.4, 3.0: 0.9}))
    runs = planned("s4d", sweep="lr_scale=1,3").runs
    for trial in runs[:2]:
        Store(tmp_path).checkpoints(trial.spec).mkdir(parents=True)
    executor.lost = Result(outcome="killed", reason="Signal 9.")

    *_, killed = swept(tmp_path, "s4d", sweep="lr_scale=1,3")
    assert killed.outcome == "killed"
    assert Store(tmp_path).checkpoints(killed.spec).is_dir()

    executor.lost = None
    *_, done = swept(tmp_path, "s4d", sweep="lr_scale=1,3")
    assert done.outcome == "ok"
    assert not any((tmp_path / ".checkpoints").iterdir())
