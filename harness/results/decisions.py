"""What records say of a claim: holds, fails, or undecided. No torch.

Scores of A and B are paired by seed, and their differences averaged over the claim's tasks. The
interval of their mean may be looked at after every seed: see `statistics.sequential_interval`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Literal

from harness.core.config import RunSpec, Selector
from harness.core.errors import SpecError, quoted
from harness.core.messages import Planned
from harness.core.record import Record
from harness.results.claims import Claim
from harness.results.statistics import FIRST_LOOK, Interval, sequential_interval, values_needed

Answer = Literal["holds", "fails", "undecided"]
CODES: Mapping[Answer, int] = {"holds": 0, "fails": 1, "undecided": 3}
MOST = 100
"""Seeds beyond which nobody is told how many it would take."""


@dataclass(frozen=True, kw_only=True)
class TaskMeans:
    """Both sides of a claim on one task, over the seeds that count."""

    task: str
    metric: str
    mean_a: float
    mean_b: float


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What records say of a claim."""

    claim: Claim
    answer: Answer
    seeds: tuple[int, ...]
    """Those with a score of both models on every task; a run that diverged has the score of
    chance."""
    tasks: tuple[TaskMeans, ...] = ()
    difference: float | None = None
    """Of the scores, averaged over tasks and then over seeds; above 0 if A is better."""
    interval: Interval | None = None
    """Of the difference, and valid at whatever seed one stops; None before the first look."""
    needed: int | None = None
    """Seeds that an undecided claim would take, if the next ones were as these; None for more than
    `MOST`."""
    obstacle: str = ""
    """Why further seeds would not help, in a sentence."""

    @property
    def code(self) -> int:
        """The exit code."""
        return CODES[self.answer]

    @property
    def sentence(self) -> str:
        """The answer and what it rests on."""
        return f"{self.answer.capitalize()}: {' '.join(filter(None, self._reasons()))}"

    def _reasons(self) -> tuple[str, ...]:
        count = len(self.seeds)
        seeds = f"{count} seed{'s' * (count != 1)}"
        if self.difference is None:
            return (self.obstacle or "no seed has scores of both models.",)
        a, b = (
            mean(side) for side in zip(*((t.mean_a, t.mean_b) for t in self.tasks), strict=True)
        )
        means = f"{self.claim.a} has {a:.4g} and {self.claim.b} {b:.4g} over {seeds}"
        if self.interval is None:
            return f"{means}; a first look takes {FIRST_LOOK}.", self.obstacle
        low, high = self.interval
        ends = f"[{low:+.4g}, {high:+.4g}]"
        found = f"{means}; the first less the second is {self.difference:+.4g} {ends}"
        if self.answer != "undecided":
            return (f"{found}.",)
        needed = f"about {self.needed}" if self.needed else f"more than {MOST}"
        return f"{found}; at this spread it would take {needed} seeds.", self.obstacle


@dataclass(frozen=True)
class Question:
    """A claim, and the runs that answer it."""

    claim: Claim
    runs: tuple[Planned, ...]
    """Those of A before those of B, of one seed or of several; trials are no answers."""

    def __post_init__(self) -> None:
        measured = next((run.task for run in self.runs if not run.learns), None)
        if measured:
            raise SpecError(f"{measured} is measured and has no score; claim something of a score.")
        if len(self.models) == 1:
            raise SpecError(
                f"{self.claim.a} and {self.claim.b} are one model, {self.runs[0].model}; compare "
                "two."
            )

    @property
    def models(self) -> tuple[Selector, ...]:
        """A and B with their versions, as they were asked for."""
        return tuple(dict.fromkeys(run.spec.asked for run in self.runs))

    @property
    def tasks(self) -> tuple[str, ...]:
        """What both are asked."""
        return tuple(dict.fromkeys(run.task for run in self.runs))

    def decide(self, records: Iterable[Record]) -> Decision:
        """Say what follows from all seeds that are there; other records do not count."""
        (a, b), evaluation = self.models, self.claim.evaluation
        asked = {seedless(run.spec) for run in self.runs if not is_trial(run)}
        found: dict[tuple[str, Selector, int], Record] = {
            (record.task, record.spec.asked, record.spec.seed): record
            for record in records
            if seedless(record.spec) in asked
        }
        whole = {}
        for seed in sorted({seed for _, _, seed in found}):
            pairs = [
                _scores(found.get((task, a, seed)), found.get((task, b, seed)), evaluation)
                for task in self.tasks
            ]
            if None not in pairs:
                whole[seed] = [pair for pair in pairs if pair]
        return _decision(self.claim, self.tasks, whole, _obstacle(found.values(), evaluation))


@dataclass(frozen=True)
class Scores:
    """What A and B scored, one task and one seed."""

    metric: str
    a: float
    b: float
    sign: int
    """1 if more is better, else -1."""

    @property
    def difference(self) -> float:
        """By how much A is better."""
        return self.sign * (self.a - self.b)


def is_trial(run: Planned) -> bool:
    """Say whether a run only helps to choose among the values of a sweep."""
    return run.spec.protocol is not None and run.spec.protocol.trial


def seedless(spec: RunSpec) -> str:
    """Name what runs that differ in their seed have in common."""
    return replace(spec, seed=0).run_id


def _scores(a: Record | None, b: Record | None, evaluation: str) -> Scores | None:
    """Return a pair of scores; None if a run has none, or both diverged."""
    if a is None or b is None or not {a.outcome, b.outcome} <= {"ok", "diverged"}:
        return None
    known = a.learned or b.learned
    if known is None:
        return None
    try:
        first, second = (
            each.learned.scored(evaluation) if each.learned else known.chance for each in (a, b)
        )
    except KeyError:
        return None
    return Scores(known.metric, first, second, 1 if known.higher_is_better else -1)


def _obstacle(records: Iterable[Record], evaluation: str) -> str:
    """Say which run would have no score with another seed either; nothing if none."""
    for record in records:
        learned = record.learned
        if learned and evaluation and learned.metric not in learned.scores.get(evaluation, {}):
            why = learned.unscored.get(evaluation) or f"it has {', '.join(learned.scores)}."
            return f"{record.model} on {record.task} has no score at {quoted(evaluation)}: {why}"
        if record.outcome not in {"ok", "diverged"}:
            return f"{record.model} on {record.task} is {record.outcome}: {record.reason}"
    return ""


def _decision(
    claim: Claim, tasks: Sequence[str], whole: Mapping[int, Sequence[Scores]], obstacle: str
) -> Decision:
    if not whole:
        return Decision(claim=claim, answer="undecided", seeds=(), obstacle=obstacle)
    differences = [mean(pair.difference for pair in pairs) for pairs in whole.values()]
    middle = mean(differences)
    means = [
        TaskMeans(
            task=task,
            metric=pairs[0].metric,
            mean_a=mean(pair.a for pair in pairs),
            mean_b=mean(pair.b for pair in pairs),
        )
        for task, pairs in zip(tasks, zip(*whole.values(), strict=True), strict=True)
    ]
    known = Decision(
        claim=claim,
        answer="undecided",
        seeds=tuple(whole),
        tasks=tuple(means),
        difference=middle,
        obstacle=obstacle,
    )
    if len(differences) < FIRST_LOOK:
        return known
    interval, count = sequential_interval(differences), len(differences)
    answer = _answer(interval, claim.margin)
    needed = values_needed(stdev(differences), abs(abs(middle) - claim.margin), count, MOST)
    return replace(
        known, answer=answer, interval=interval, needed=needed if answer == "undecided" else None
    )


def _answer(interval: Interval, margin: float) -> Answer:
    """Say what follows if the difference lies in an interval; a margin of 0: A is to be better."""
    low, high = interval
    if margin:
        inside, outside = -margin < low and high < margin, high < -margin or margin < low
    else:
        inside, outside = low > 0, high < 0
    return "holds" if inside else "fails" if outside else "undecided"
