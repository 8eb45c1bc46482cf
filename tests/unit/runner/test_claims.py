"""Seeds are added until a claim is decided, the budget ends, or nothing more would help."""

from dataclasses import replace

import pytest
from msgspec import structs

from harness.core.errors import SpecError
from harness.core.messages import Plan, Result
from harness.results.claims import parse_claim
from harness.results.decisions import Question
from harness.results.store import Store
from harness.runner import claims as module
from harness.runner import sweep as sweeps
from harness.runner.claims import claimed, question, rounds
from harness.runner.sweep import Sweep, ignore
from tests.unit.report.made_records import planned, scored
from tests.unit.runner.one_by_one import OneByOne

LINE = "mamba > s4d on synthetic/shift"


class Scripted(OneByOne):
    """Executes nothing: scores are given by model and seed, and a run takes ten seconds."""

    def __init__(self, scores):
        super().__init__()
        self.scores = scores
        self.done = []
        self.clock = 0.0

    def execute(self, job, trail):
        """Score as it is written."""
        spec = job.planned.spec
        self.done.append((str(spec.model.label), spec.seed))
        self.clock += 10
        score = self.scores(spec.model.name, spec.seed)
        if score is None:
            return Result(outcome="skipped", reason="It cannot.")
        return Result(outcome="ok", learned=scored(score).learned)


@pytest.fixture
def scripted(monkeypatch):
    """Return a function that has runs executed by a script."""

    def use(scores):
        executor = Scripted(scores)
        monkeypatch.setattr(sweeps, "load_executor", lambda name: executor)
        monkeypatch.setattr(module, "now", lambda: executor.clock)
        return executor

    return use


def asked(seeds=10, line=LINE):
    """Return a question whose runs are planned."""
    runs = []
    for model in ("mamba@1", "s4d@1"):
        run = planned("synthetic/shift@1", model)
        for seed in range(seeds):
            spec = replace(run.spec, seed=seed)
            labels = {"task": spec.task.label, "model": spec.model.label}
            runs.append(structs.replace(run, spec=spec, **labels))
    return Question(parse_claim(line), tuple(runs))


def done(tmp_path, observer=ignore, budget_s=1e9, **options):
    """Run a claim; return all that was decided on the way."""
    sweep = Sweep(runs=(), results=str(tmp_path))
    return list(rounds(asked(**options), sweep, observer, budget_s))


def apart(model, seed):
    return (0.9 if model == "mamba" else 0.5) + seed / 1000 * (model == "s4d")


def noise(model, seed):
    return 0.5 + (0.1 * (-1) ** seed if model == "mamba" else 0.0)


def test_a_true_claim_takes_three_seeds_and_no_more(tmp_path, scripted):
    executor = scripted(apart)

    decisions = done(tmp_path)

    assert [each.answer for each in decisions] == ["undecided", "undecided", "holds"]
    assert executor.done == [(m, seed) for seed in range(3) for m in ("mamba", "s4d")]


def test_a_false_claim_fails(tmp_path, scripted):
    scripted(lambda model, seed: 1 - apart(model, seed))

    assert done(tmp_path)[-1].answer == "fails"


def test_seeds_are_added_up_to_the_most_while_nothing_is_decided(tmp_path, scripted):
    executor = scripted(noise)

    decisions = done(tmp_path, seeds=6)

    assert decisions[-1].answer == "undecided"
    assert decisions[-1].seeds == (0, 1, 2, 3, 4, 5)
    assert len(executor.done) == 12


def test_no_round_is_begun_that_would_leave_the_budget(tmp_path, scripted):
    executor = scripted(noise)

    decisions = done(tmp_path, budget_s=99)

    assert len(decisions) == 4
    assert executor.clock == 80


def test_what_is_stored_is_not_run_again_and_more_seeds_are_added_to_it(tmp_path, scripted):
    scripted(noise)
    done(tmp_path, budget_s=50)
    executor = scripted(noise)
    updates = []

    decisions = done(tmp_path, observer=updates.append, budget_s=50)

    assert executor.done[0] == ("mamba", 2)
    assert len(decisions[-1].seeds) == 4
    ended = [(update.number, update.stored) for update in updates if update.record]
    assert ended == [(number, number <= 4) for number in range(1, 9)]
    assert {update.total for update in updates} == {20}
    assert len(Store(tmp_path).records()) == 8


def test_a_model_that_cannot_do_the_task_ends_it_at_once(tmp_path, scripted):
    executor = scripted(lambda model, seed: None if model == "s4d" else 0.9)

    [decision] = done(tmp_path)

    assert "s4d on synthetic/shift is skipped: It cannot." in decision.sentence
    assert len(executor.done) == 2


def test_all_runs_of_a_claim_are_asked_for_under_its_protocol():
    claim = parse_claim("s4 > s4d on synthetic/shift, synthetic/cumsum at steps=5")

    sweep = claimed(claim, 2, Sweep(runs=()))

    assert [(run.model, run.task, run.seed) for run in sweep.runs[:3]] == [
        ("s4", "synthetic/shift", 0),
        ("s4", "synthetic/shift", 1),
        ("s4", "synthetic/cumsum", 0),
    ]
    assert len(sweep.runs) == 8
    assert sweep.changes == {"steps": 5}


def test_trials_of_a_sweep_come_before_every_seed_and_are_told_of_once(tmp_path, scripted):
    executor, updates = scripted(noise), []
    runs = []
    for run in asked(seeds=3).runs:
        tried = replace(run.spec.protocol, lr=0.1, trial=True)
        trial = replace(run.spec, seed=0, protocol=tried)
        if run.spec.seed == 0:
            runs.append(structs.replace(run, spec=trial, point={"lr": 0.1}))
        spec = replace(run.spec, protocol=replace(run.spec.protocol, sweep="lr=0.1,0.3"))
        runs.append(structs.replace(run, spec=spec, trials=[trial.run_id]))
    swept = Question(parse_claim(LINE), tuple(runs))

    decisions = list(rounds(swept, Sweep(runs=(), results=str(tmp_path)), updates.append, 1e9))

    assert decisions[-1].seeds == (0, 1, 2)
    assert len(executor.done) == 8
    assert [update.number for update in updates if update.record] == list(range(1, 9))


def test_what_cannot_be_planned_is_the_users_mistake(monkeypatch):
    monkeypatch.setattr(module, "plan", lambda sweep: Plan(problems=["s4d cannot be imported."]))

    with pytest.raises(SpecError, match=r"s4d cannot be imported\."):
        question(parse_claim(LINE), Sweep(runs=()))
