"""Runs what a claim needs, seed by seed, until it is decided or the time is up. No torch."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from harness.core.config import RunSpec
from harness.core.errors import SpecError
from harness.core.messages import Planned
from harness.core.record import Record
from harness.measure.clock import now
from harness.plugins.registry import registry
from harness.results.claims import Claim
from harness.results.decisions import Decision, Question, is_trial
from harness.runner.course import Observer, Update
from harness.runner.sweep import Sweep, perform, plan, requests


def claimed(claim: Claim, seeds: int, sweep: Sweep, device: str = "cpu") -> Sweep:
    """Return all runs that may be needed, those of A before those of B.

    Args:
        claim: What is to be tested.
        seeds: The most.
        sweep: How they are to be run.
        device: Of every run.

    Raises:
        SpecError: A pattern matches nothing, or a side is several models.
    """
    for side in (claim.a, claim.b):
        if len(registry(sweep.plugins).match("model", side)) != 1:
            raise SpecError(f"{side} names several models; a claim is about two.")
    runs: list[RunSpec] = []
    for side in (claim.a, claim.b):
        runs += requests(
            claim.tasks, [side], seeds=range(seeds), device=device, plugins=sweep.plugins
        )
    return replace(sweep, runs=tuple(runs), changes=claim.changes)


def question(claim: Claim, sweep: Sweep) -> Question:
    """Plan the runs.

    Raises:
        SpecError: One cannot be planned, or they cannot answer.
    """
    planned = plan(sweep)
    if planned.problems:
        raise SpecError(planned.problems[0])
    return Question(claim, tuple(planned.runs))


@dataclass
class Once:
    """Tells an observer of several sweeps as if they were one, and of each run once."""

    observer: Observer
    total: int
    told: set[str] = field(default_factory=set)
    fresh: int = 0
    """Runs that were not stored."""

    def __call__(self, update: Update) -> None:
        """Pass an update on, with its place among all runs."""
        name, number = update.planned.spec.run_id, len(self.told) + 1
        if name in self.told:
            return
        if update.record is not None:
            self.told.add(name)
            self.fresh += not update.stored
        self.observer(replace(update, number=number, total=self.total))


def rounds(
    asked: Question, sweep: Sweep, observer: Observer, budget_s: float
) -> Iterator[Decision]:
    """Run a seed after the other, and yield after each what is known.

    It ends when the claim is decided, when other seeds would not help, when all that were planned
    are done, or when a round as long as the last one would leave the budget.

    Args:
        asked: What is to be answered.
        sweep: How it is run.
        observer: Is told of every run.
        budget_s: Seconds for all of it.

    Raises:
        SpecError: Records cannot be stored.
    """
    began, last = now(), 0.0
    once, records = Once(observer, len(asked.runs)), list[Record]()
    for runs in by_seed(asked):
        start, fresh = now(), once.fresh
        if start - began + last > budget_s:
            return
        records += perform(sweep, runs, once)
        if once.fresh > fresh:
            last = now() - start
        decision = asked.decide(records)
        yield decision
        if decision.answer != "undecided" or decision.obstacle:
            return


def by_seed(asked: Question) -> list[list[Planned]]:
    """Return the runs of each seed, each behind its trials, which all seeds share."""
    trials = {run.spec.run_id: run for run in asked.runs if is_trial(run)}
    found: dict[int, list[Planned]] = {}
    for run in asked.runs:
        if not is_trial(run):
            before = [trials[name] for name in run.trials]
            found.setdefault(run.spec.seed, []).extend([*before, run])
    return list(found.values())
