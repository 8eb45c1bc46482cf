"""Tasks: what is asked of a network, and where the data come from or what is measured."""

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final, get_args

import torch
from torch import Tensor

from harness.contract.batch import Batch, Inputs, Rows
from harness.contract.network import Network
from harness.contract.outputs import Outputs
from harness.contract.remote_file import RemoteFile
from harness.core.config import Protocol
from harness.core.plugin_names import plugin_name
from harness.core.seeding import stream

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Runner(typing.Protocol):
    """What the worker offers a task: to train and score a network, or to measure one."""

    def train(self, task: "LearningTask") -> None:
        """Train on the task and score its splits."""

    def measure(self, task: "MeasuredTask") -> None:
        """Time the task's workload and weigh its memory."""


class Task(ABC):
    """One question with its inputs, its outputs and its version."""

    kind: ClassVar[str] = "task"
    name: ClassVar[str] = ""
    """The plugin's name, which its module has given it since the class was made."""
    version: ClassVar[int] = 1
    """Raised whenever the bytes of its data, the meaning of its score or its defaults change."""
    protocol: ClassVar[Protocol] = Protocol()
    """The protocol a run of this task has unless another is asked for."""
    ladder: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    """Options that a run of the bare name goes through, upwards."""
    learns: ClassVar[bool] = True
    """Whether networks are trained and scored on it, or only measured."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = plugin_name(cls.__module__, "task")

    @property
    @abstractmethod
    def inputs(self) -> Inputs:
        """What goes in."""

    @property
    @abstractmethod
    def outputs(self) -> Outputs:
        """What is asked."""

    @property
    @abstractmethod
    def max_length(self) -> int:
        """The longest input, in positions."""

    @property
    @abstractmethod
    def causal(self) -> bool:
        """Whether the task wants models that see only the past."""

    def files(self) -> tuple[RemoteFile, ...]:
        """Return what must be fetched first; nothing, if the data need no download."""
        return ()

    @property
    def cache_name(self) -> str:
        """The folder of the shards that it caches, below that of all; empty if it caches none."""
        return ""

    def shards(self, split: Split) -> list[Callable[[], Batch]]:  # noqa: ARG002
        """Return what reads each shard of a split, and makes and caches it if it is not there."""
        return []

    def averages(self) -> Mapping[str, Mapping[str, float | None]]:
        """Return the averages over several tasks in which a score of these very options counts.

        Returns:
            By the average's name all its tasks, each with the least that a run counts there, which
            is also what a diverged one counts, if more is better; None if a run without a score
            leaves the average open. Whatever must not be mixed, such as another preprocessing, has
            another name.
        """
        return {}

    @abstractmethod
    def perform(self, runner: Runner) -> None:
        """Do a run of this task with what the worker offers."""


@final
@dataclass(frozen=True)
class Evaluation:
    """A set on which a trained network is scored, beside validation and test."""

    batch: Batch
    rate: float = 1.0
    """How many times more coarsely its inputs are sampled than those of the training."""


class LearningTask(Task):
    """A task on which networks are trained and scored. Subclass one of its two kinds."""

    @property
    @abstractmethod
    def chance(self) -> float:
        """The score of the best prediction that ignores the input."""

    @abstractmethod
    def train_batches(self, size: int, draw: int = 0) -> Iterator[Batch]:
        """Yield training batches without end, the same ones in every process.

        Args:
            size: Examples in a batch.
            draw: Which of many draws: other examples, or the same in another order.
        """

    def training_stream(self, draw: int, *purpose: str) -> torch.Generator:
        """Return what training data are drawn from or ordered by; the first draw has no number."""
        return stream(self.name, self.version, *purpose, *([draw] if draw else []))

    @abstractmethod
    def split(self, split: Split) -> Batch:
        """Return a whole split as one batch; of endless training data, a sample."""

    def count(self, split: Split) -> int:
        """Return how many examples a split has; of endless training data, a sample of them."""
        return len(self.split(split))

    def new_examples(self, n: int, rng: torch.Generator) -> Batch | None:  # noqa: ARG002
        """Draw n examples of no split from a CPU generator; None if its examples are read."""
        return None

    def rows(self, split: Split) -> Rows:
        """Return a whole split to be gone through batch by batch."""
        return Rows(self.split(split))

    def first_examples(self, split: Split) -> Batch:
        """Return the first examples of a split, without making all of it if they take long."""
        return self.split(split)

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """Scores that ways around the question reach, by name, from the lowest to the highest."""
        return {}

    @property
    def recalls(self) -> int:
        """How many values a sequence may be asked for, each one of 1 / `chance` that are alike.

        From that and from the score follow the bits that a state has kept; 0 of a task whose score
        is not the share of values that were recalled.
        """
        return 0

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Answer a batch from its inputs alone as its shortcuts do, by their names.

        `ssm-bench data inspect` scores what is returned beside what `shortcuts` states.
        """
        return {}

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Return further sets by name, each made when it is its turn: longer, coarser, fuller."""
        return {}

    def oracle(self, batch: Batch) -> Tensor | None:  # noqa: ARG002
        """Solve a batch from its inputs alone, by a way of its own; None where nobody can.

        Returns:
            Predictions that score perfectly, used to check the task.
        """
        return None

    @final
    def perform(self, runner: Runner) -> None:
        """Train and score."""
        runner.train(self)


@final
@dataclass(frozen=True)
class Workload:
    """Something to be measured."""

    call: Callable[[], object]
    """What is timed."""
    tokens: int
    """Positions that one call processes, over the whole batch."""
    forget: Callable[[], tuple[str, str]] | None = None
    """Ends replays, if calls are, before one is weighed; returns their path, and why not if so."""


class MeasuredTask(Task):
    """A task in which a network is not trained but timed and weighed."""

    learns = False
    times_training: ClassVar[bool] = False
    """Whether a call is one step of training, so that its records say what trainings will take.
    It is read from the source, so the class that is True writes it out."""

    @abstractmethod
    def workload(self, network: Network, batch: int, rng: torch.Generator) -> Workload:
        """Prepare what is measured on a network that stands on its device."""

    @final
    def perform(self, runner: Runner) -> None:
        """Measure."""
        runner.measure(self)
