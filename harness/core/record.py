"""What one run leaves: the product of this project. No torch.

The order and the meaning of the fields are part of the format; `schema` is raised when either
changes, and `store` upgrades what older versions wrote.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec

from harness.core.config import Limits, Option, RunSpec, Selector
from harness.core.interference import SHARE, Interference
from harness.core.per_example import PerExample

SCHEMA = 2
S = TypeVar("S", bound=msgspec.Struct)

Outcome = Literal[
    "ok", "skipped", "not-run", "diverged", "out-of-memory", "timed-out", "killed", "failed"
]
FAILURES: frozenset[Outcome] = frozenset(
    {"diverged", "out-of-memory", "timed-out", "killed", "failed"}
)
"""Outcomes of runs that were started and have no score."""


class Pretraining(msgspec.Struct, frozen=True, kw_only=True):
    """What a training on the inputs alone left, which came before the labels."""

    steps: int
    train_s: float
    """Seconds of its timed steps."""
    evaluate_s: float
    """Of its evaluations and, where a mixture is chosen as it goes, of choosing."""
    curve: list[tuple[int, float]]
    """(step, training loss), thinned."""
    validation: list[tuple[int, float]]
    """(step, loss on inputs of the validation split)."""
    shares: list[tuple[int, dict[str, float]]] = []
    """Of a mixture: from which step on which class of objectives had which share."""
    interference: Interference | None = None
    resumed: int = 0


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a training left."""

    metric: str
    """The name of the score."""
    higher_is_better: bool
    chance: float
    """The score of the best prediction that ignores the input, as the task says."""
    score: float
    """The metric on the test split, of the parameters that scored best on validation; of a trial,
    which is not tested, on validation, as its interval is."""
    interval: tuple[float, float]
    """95 % bootstrap interval of the score over the test examples of this one run."""
    scores: dict[str, dict[str, float]]
    """Every figure of every split and of every further evaluation: `scores["test"]["accuracy"]`."""
    curve: list[tuple[int, float]]
    """(step, training loss), thinned to a few hundred points."""
    validation: list[tuple[int, float]]
    """(step, metric on the validation split)."""
    steps: int
    """Optimiser steps done; fewer than the protocol's if it limits seconds."""
    step_s: list[float]
    """Seconds of single training steps, warm-up left out, thinned to at most a thousand."""
    first_step_s: float | None
    """Seconds of the first step, which pays for lazy set-up; None if nothing was trained."""
    train_s: float
    """Seconds of all timed steps together: no data, no evaluation, no logging."""
    evaluate_s: float
    unscored: dict[str, str] = {}
    """Further evaluations without figures, and why, in a sentence."""
    shortcuts: dict[str, float] = {}
    """Scores that ways around the question reach, by name, as the task says."""
    recalls: int = 0
    """Values that a sequence may be asked for, each one of 1 / chance; 0 where the score is not the
    share of recalled ones, and in older records."""
    interference: Interference | None = None
    """What else used the processors, from the first step to the last; None in older records."""
    per_example: PerExample | None = None
    """Errors of the first test examples; None of a trial, in older records, and where outputs do
    not say the error of an example."""
    resumed: int = 0
    """How often it went on from a checkpoint after its process had ended."""
    pretraining: Pretraining | None = None
    """What came before the labels. `steps`, `train_s`, `evaluate_s`, `interference` and `resumed`
    hold both; `curve`, `validation`, `step_s` and `first_step_s` are of the labels alone."""

    def scored(self, evaluation: str = "") -> float:
        """Return the score of a further evaluation, or without its name that of the test split.

        Raises:
            KeyError: It has none.
        """
        return self.scores[evaluation][self.metric] if evaluation else self.score

    @property
    def beats_chance(self) -> bool:
        """Whether its interval over examples lies beyond chance."""
        low, high = self.interval
        return low > self.chance if self.higher_is_better else high < self.chance


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement left."""

    length: int
    batch: int
    tokens: int
    """Positions that one call processes."""
    call_s: list[float]
    """Seconds of single calls after the warm-up: raw samples."""
    first_call_s: float
    precision: float | None
    """Relative half-width of the median's 95 % interval that was reached; None below 3 calls."""
    flops: int | None
    """Floating-point operations of one call; None where an operator has no formula."""
    spent_s: float
    """Seconds that the whole measurement took, all passes and the set-up."""
    interference: Interference | None = None
    """What else used the processors during the timed calls; None in older records."""
    eager: str = ""
    """Why calls that replay CUDA graphs on a GPU, as the path then says, did not; empty if they
    did, and wherever nothing is replayed."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Peak memory of a step or a call, from a pass of its own."""

    peak_bytes: int
    """Highest resident (CPU) or allocated (CUDA) size of the process during the pass."""
    delta_bytes: int
    """The same above what was held before the pass."""
    method: str
    """How it was read, such as `VmHWM`."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a plugin came from."""

    origin: str
    """The distribution or the file."""
    version: str = ""
    """Of the distribution."""
    digest: str = ""
    """SHA-256 of the code; empty for the plugins of this project, whose versions stand for it."""
    packages: dict[str, str] = {}
    """Versions of the distributions that the code imports."""


class Partial(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run came that was started and has no score."""

    step: int = 0
    """The last training step that was told of."""
    steps: int = 0
    """Those that it should have done."""
    status: str = ""
    """What it did last that is no step, such as drawing data."""
    curve: list[tuple[int, float]] = []
    """(step, training loss) as it was told of, a few times a second, thinned."""
    traceback: list[str] = []
    """The last lines of the traceback, or of what the process said."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One point of a sweep; a record of its own has the rest."""

    values: dict[str, Option]
    run_id: str
    outcome: Outcome
    validation: float | None = None
    """Its score on validation, if it has one."""
    learned: bool = False
    """Whether that beats chance, as `Learned.beats_chance` says."""
    seconds: float = 0.0
    """Training and scoring; of a trial without a score, from its start to its end."""


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep chose on validation, among what, and what that cost."""

    chosen: dict[str, Option]
    """Values of the best trial, of equally good ones of the middle; empty if none has a score."""
    trials: list[Trial]
    windows: dict[str, tuple[float, float]] = {}
    """By the name of a number: the smallest and the largest value with which the model learns,
    without a gap between them and the chosen one, all else as chosen. None if it does not learn."""

    @property
    def seconds(self) -> float:
        """What all trials took."""
        return sum(trial.seconds for trial in self.trials)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One run and what it left."""

    schema: int = SCHEMA
    run_id: str
    outcome: Outcome
    reason: str = ""
    """Why there is no score, in a sentence; empty for `ok`."""
    task: Selector
    """The task with the options that differ from their defaults, for people."""
    model: Selector
    """The model, likewise."""
    task_version: int
    task_options: dict[str, Option] = {}
    """Every option of the task with its value, defaults too, for people and for reports."""
    model_options: dict[str, Option] = {}
    """The same of the model."""
    sources: dict[str, Source] = {}
    """Where `task` and `model` came from."""
    learns: bool = True
    """Whether the task trains and scores a network, or only measures one."""
    averages: dict[str, dict[str, float | None]] = {}
    """Averages over several tasks in which it counts, by name, as the task says: all their tasks,
    each with the least that a run counts there, None if it must have a score."""
    spec: RunSpec
    """What was chosen, with the versions that stand for the rest; `run_id` is its hash."""
    limits: Limits = Limits()
    learned: Learned | None = None
    measured: Measured | None = None
    memory: Memory | None = None
    partial: Partial | None = None
    """Only of a run that failed in whatever way."""
    swept: Swept | None = None
    """Only of a run whose protocol has a sweep."""
    parameters: int | None = None
    """Trainable numbers of the network."""
    state_bytes: int | None = None
    """What generation holds for one sequence of the task's length; None without a step mode."""
    path: str = ""
    """The implementations that ran, such as `sdpa` or `split`."""
    prediction: dict[str, float] = {}
    """What the frontier predicted for a run that was `not-run`: seconds, bytes."""
    machine: dict[str, Any] = {}
    """Commit, packages, processor, threads, load: see `harness.measure.machine`."""
    started: str = ""
    """UTC, ISO 8601."""
    ended: str = ""

    @property
    def trial(self) -> bool:
        """Whether it only helped to choose among the values of a sweep."""
        return self.spec.protocol is not None and self.spec.protocol.trial

    @property
    def digests(self) -> dict[str, str]:
        """What code its plugins are."""
        return digests(self.sources)

    @property
    def place(self) -> str:
        """The machine and the torch that it was made with, in a few words.

        What is timed or weighed is compared on one place only. The allocator belongs to it; records
        that do not name theirs are of glibc's as it comes, and so are those that say `glibc`. So do
        the jobs that might go on at once, each on cores of its own: they share caches and memory.
        A process that was forked is another place than one that was started anew.
        """
        torch = self.machine.get("packages", {}).get("torch", "unknown")
        processor, cores = (self.machine.get(key, "unknown") for key in ("processor", "cores"))
        threads = self.machine.get("threads", cores)  # a run that never started has none yet
        accelerator = self.machine.get("accelerator")
        card = f"{accelerator}, " if accelerator else ""
        known = f"{card}{processor}, {cores} cores, {threads} threads, torch {torch}"
        jobs = self.machine.get("jobs", 1)
        known += f", {jobs} jobs side by side" if jobs != 1 else ""
        known += ", forked" if self.machine.get("isolation") == "warm" else ""
        allocator = self.machine.get("allocator", "glibc")
        return known if allocator == "glibc" else f"{known}, allocator {allocator}"

    @property
    def interference(self) -> Interference | None:
        """What else used the processors while it was timed."""
        timed = self.learned or self.measured
        return timed.interference if timed else None

    @property
    def disturbed(self) -> bool | None:
        """Whether other work disturbed its times; None where nobody knows."""
        return self.interference.disturbed if self.interference else self._starved

    @property
    def _starved(self) -> bool | None:
        """Whether an older record's calls took more time than the process had of a processor.

        A call on a processor is busy from its start to its end, if nobody takes the core away.
        """
        states = [self.machine.get(when, {}).get("cpu_s") for when in ("before", "after")]
        if self.spec.device != "cpu" or None in states:
            return None
        called = self.learned.train_s if self.learned else 0.0
        if self.measured:
            called = self.measured.first_call_s + sum(self.measured.call_s)
        return True if states[1] - states[0] < (1 - SHARE) * called else None

    def outweighs(self, later: "Record") -> bool:
        """Say whether it is shown nevertheless when the same run was tried again.

        Only a measurement is, beside one of the same code that others disturbed no less, or
        beside a try that was not even started.
        """
        places = [(each.place, each.machine.get("commit")) for each in (self, later)]
        if self.measured is None or places[0] != places[1]:
            return False
        if later.measured is None:
            return later.outcome == "not-run"
        ours, theirs = self.interference, later.interference
        return bool(ours and theirs and theirs.disturbed and theirs.most >= ours.most)


def digests(sources: Mapping[str, Source]) -> dict[str, str]:
    """Return the digests of a task and a model; empty where a version stands for the code."""
    return {kind: sources[kind].digest if kind in sources else "" for kind in ("task", "model")}


def merged(kind: type[S], *parts: msgspec.Struct, **rest: Any) -> S:
    """Make a struct of the fields that others have under the same names, and of the rest."""
    known = {name: value for part in parts for name, value in msgspec.structs.asdict(part).items()}
    shared = {name: known[name] for name in kind.__struct_fields__ if name in known}
    return kind(**shared, **rest)
