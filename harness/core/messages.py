"""What goes between the parent and its children, as JSON: requests, plans, jobs, results."""

from dataclasses import dataclass
from typing import Any

import msgspec

from harness.core.config import LONGEST_S, Limits, Option, RunSpec, Selector
from harness.core.errors import SpecError, quoted, unknown
from harness.core.record import Learned, Measured, Memory, Outcome, Partial, Source, Swept


class PlanRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Runs as a person or a preset wrote them."""

    runs: list[RunSpec]
    plugins: list[str]
    changes: dict[str, Option] = {}
    """What is changed in every protocol."""
    requirements: bool = False
    """Whether to say of each run what it will need."""
    token: str = ""
    """What each line of the answer begins with; see `harness.runner.channel`."""
    elsewhere: bool = False
    """Whether the runs are done on other machines, whose devices nobody knows yet."""


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a run will need, as far as its plugins can say without starting it."""

    length: int
    """Positions of the longest input that is trained on."""
    documents: int = 1
    """Sequences in one example."""
    parameters: int | None = None
    """Trainable numbers; None for a model that builds its whole network, maybe from the data."""
    measured_by: list[str] = []
    """Tasks whose records say what a step or a call costs."""
    files: dict[str, int | None] = {}
    """What is still to be fetched, with its bytes; None where nobody says how many."""
    refusal: str = ""
    """Why the network cannot be built."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One run whose name is settled; its record takes over what it has too."""

    spec: RunSpec
    task: Selector
    model: Selector
    task_version: int
    task_options: dict[str, Option] = {}
    model_options: dict[str, Option] = {}
    sources: dict[str, Source] = {}
    learns: bool
    averages: dict[str, dict[str, float | None]] = {}
    skip: str = ""
    """Why the model cannot do the task."""
    ladder: str = ""
    """What the runs of one ladder have in common; empty if the task has none."""
    length: int = 0
    """The run's place on its ladder."""
    accelerator: str = ""
    """The card that its device is; empty for a CPU."""
    point: dict[str, Option] = {}
    """Of a trial: the values that are tried."""
    trials: list[str] = []
    """Names of the trials that must come before: the best on validation says with which values
    the run is made."""
    swept: Swept | None = None
    """What they said, once they are there."""
    requirements: Requirements | None = None
    """Only where it was asked for."""

    @property
    def scored_alone(self) -> bool:
        """Whether nothing but its score counts: it trains, and not for so many seconds."""
        protocol = self.spec.protocol
        return self.learns and not (protocol and (protocol.seconds or protocol.devices > 1))


class Plan(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What planning gave: runs, sentences about what had to be left out, or the user's mistake."""

    runs: list[Planned] = []
    problems: list[str] = []
    error: str = ""


LOGS = ("tensorboard", "mlflow=URI")
"""Where a training may tell of itself."""


@dataclass(frozen=True, kw_only=True)
class Keeping:
    """What a training leaves on the disk beside its record. Not part of a run's name."""

    checkpoint_s: float = 0.0
    """Seconds between two checkpoints, from which a run that was ended goes on; 0 for none."""
    weights: bool = False
    """Whether the parameters that scored best on validation are kept."""
    log: str = ""
    """Where the training tells of itself while it goes on: `tensorboard`, `mlflow=http://...`."""

    def __post_init__(self) -> None:
        """Refuse an interval that is none, and a place to tell that nobody knows.

        Raises:
            SpecError: One is.
        """
        kind, _, address = self.log.partition("=")
        if self.log not in {"", "tensorboard"} and kind != "mlflow":
            raise unknown("log", self.log, list(LOGS))
        if kind == "mlflow" and not address.startswith(("http://", "https://")):
            raise SpecError(
                "A log for MLflow wants the address of its server, as in "
                f"mlflow=http://127.0.0.1:5000, not {quoted(self.log)}."
            )
        if not 0 <= self.checkpoint_s <= LONGEST_S:
            raise SpecError(
                f"checkpoint_s must be from 0, which is for none, to {LONGEST_S:.2g}, not "
                f"{self.checkpoint_s}."
            )


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a child is told to do."""

    planned: Planned
    plugins: list[str]
    limits: Limits
    results: str = ""
    """The folder of records, beside which a training leaves what it keeps."""
    keeping: Keeping = Keeping()
    rank: int = 0
    """Which process of a training on several devices the child is; all but 0 only train."""
    keeps_memory: bool = True
    """Whether the child's allocator keeps what is freed, which is faster and takes more memory."""
    token: str = ""
    """What each line of the answer begins with; see `harness.runner.channel`."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How far a child has come."""

    step: int
    steps: int
    loss: float | None = None
    status: str = ""
    """What it does just now that is no step, such as drawing data."""
    drawn_s: float = 0.0
    """Seconds that it has drawn batches without saying so in `status`."""
    notice: str = ""
    """A sentence that the person shall read."""


class Result(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What came of a run; its record takes over what it has too."""

    outcome: Outcome
    reason: str = ""
    learned: Learned | None = None
    measured: Measured | None = None
    memory: Memory | None = None
    parameters: int | None = None
    state_bytes: int | None = None
    path: str = ""
    traceback: list[str] = []
    """The last lines of it, or of what a child said that left no result."""
    partial: Partial | None = None
    """Put together by the parent, from that and from the progress that it was told of."""
    conditions: dict[str, Any] = {}
    """Threads, allocator, and the load before and after, as the child saw them."""


Event = Progress | Result
