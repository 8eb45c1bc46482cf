"""Decides by the trials of a sweep with which values a run is made. No torch.

The best on validation is taken. The test split has no part in it: a trial never sees it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from msgspec import structs

from harness.core.grid import point_text
from harness.core.messages import Planned, Result
from harness.core.record import Outcome, Record, Swept, Trial

Tried = tuple[Planned, Record]


def decided(planned: Planned, tried: Sequence[Tried]) -> Planned:
    """Give a run the values of the best of its trials; without trials it has all of its values."""
    if not tried:
        return planned
    trials = [_trial(*each) for each in tried]
    best = _best(trials, tried)
    if best is None:
        return structs.replace(planned, swept=Swept(chosen={}, trials=trials))
    source = tried[best][0]
    ours, theirs = planned.spec.protocol, source.spec.protocol
    assert ours is not None
    assert theirs is not None
    protocol = replace(theirs, sweep=ours.sweep, trial=False)
    return structs.replace(
        planned,
        spec=replace(source.spec, seed=planned.spec.seed, protocol=protocol),
        model_options=source.model_options,
        skip=source.skip,
        swept=Swept(chosen=source.point, trials=trials, windows=_windows(trials[best], trials)),
    )


def undecided(planned: Planned) -> Result | None:
    """Return the result of a run for which no trial has a score; None if there is no such lack."""
    swept = planned.swept
    if swept is None or swept.chosen:
        return None
    outcomes = {trial.outcome for trial in swept.trials}
    said = "; ".join(f"{point_text(trial.values)} {trial.outcome}" for trial in swept.trials)
    outcome: Outcome = outcomes.pop() if len(outcomes) == 1 else "failed"
    return Result(outcome=outcome, reason=f"No trial has a score: {said}.")


def _trial(planned: Planned, record: Record) -> Trial:
    learned = record.learned
    if learned:
        seconds = learned.train_s + learned.evaluate_s
    else:
        ends = [datetime.fromisoformat(time) for time in (record.started, record.ended)]
        seconds = (ends[1] - ends[0]).total_seconds()
    return Trial(
        values=planned.point,
        run_id=record.run_id,
        outcome=record.outcome,
        validation=learned.score if learned else None,
        learned=learned.beats_chance if learned else False,
        seconds=seconds,
    )


def _best(trials: Sequence[Trial], tried: Sequence[Tried]) -> int | None:
    """Return which trial is the best on validation, of equally good ones the middle."""
    signs = [record.learned.higher_is_better for _, record in tried if record.learned]
    scores = [trial.validation for trial in trials if trial.validation is not None]
    if not scores:
        return None
    top = max(scores) if signs[0] else min(scores)
    equal = [number for number, trial in enumerate(trials) if trial.validation == top]
    return equal[(len(equal) - 1) // 2]


def _windows(best: Trial, trials: Sequence[Trial]) -> dict[str, tuple[float, float]]:
    """Return for each number the reach of values around the best with which the model learns."""
    found = {}
    for name, value in best.values.items():
        if isinstance(value, str | bool) or not best.learned:
            continue
        rest = {**best.values, name: None}
        line = {
            float(trial.values[name]): trial.learned
            for trial in trials
            if {**trial.values, name: None} == rest
        }
        found[name] = _reach(line, float(value))
    return found


def _reach(line: dict[float, bool], best: float) -> tuple[float, float]:
    """Return the ends of the unbroken stretch of values around one."""
    below = takewhile(line.get, sorted((each for each in line if each < best), reverse=True))
    above = takewhile(line.get, sorted(each for each in line if each > best))
    return min([best, *below]), max([best, *above])
