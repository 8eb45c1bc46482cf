"""The tiny tasks on which models are checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from harness.contract.batch import Batch, Inputs, Signal, Tokens
from harness.contract.labels import OneLabel, PairLabel, StepLabels
from harness.contract.outputs import Outputs, Values
from harness.contract.task import Split
from harness.data.generated_task import GeneratedTask

WIDTH = 8
LENGTH = 16
CLASSES = 3
FEATURES = Signal(WIDTH)
A_LABEL_EACH = StepLabels(WIDTH)


@final
@dataclass(frozen=True, kw_only=True)
class TinyTask(GeneratedTask):
    """Inputs and targets that have nothing to do with each other."""

    target: Callable[[int, torch.Generator], Tensor]
    """Draws so many targets."""
    inputs: Inputs = FEATURES
    outputs: Outputs = A_LABEL_EACH
    causal: bool = True
    padded: bool = False

    examples: ClassVar[dict[Split, int]] = {"train": 8, "validation": 8, "test": 8}
    max_length = LENGTH
    chance = 0.0

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw n examples, each of its own length if they are padded."""
        documents = self.outputs.documents
        inputs = self.inputs.random(n * documents, LENGTH, rng)
        lengths = torch.randint(2, LENGTH + 1, (n * documents,), generator=rng)
        if documents > 1:
            inputs, lengths = inputs.unflatten(0, (n, -1)), lengths.unflatten(0, (n, -1))
        return Batch(inputs, self.target(n, rng), lengths if self.padded else None)


def _labels(*shape: int) -> Callable[[int, torch.Generator], Tensor]:
    return lambda n, rng: torch.randint(CLASSES, (n, *shape), generator=rng)


def _values(*shape: int) -> Callable[[int, torch.Generator], Tensor]:
    return lambda n, rng: torch.randn(n, *shape, generator=rng)


def features_task(causal: bool) -> TinyTask:
    """Return the task whose networks have a mixer's face: (b, l, d) to (b, l, d)."""
    return TinyTask(target=_labels(LENGTH), causal=causal)


EVERY_OUTPUT: tuple[TinyTask, ...] = (
    TinyTask(inputs=Tokens(5), outputs=OneLabel(CLASSES), target=_labels(), padded=True),
    TinyTask(
        inputs=Tokens(5), outputs=OneLabel(CLASSES, pool="last"), target=_labels(), padded=True
    ),
    TinyTask(inputs=Signal(2), outputs=OneLabel(CLASSES), target=_labels(), causal=False),
    TinyTask(inputs=Tokens(5), outputs=PairLabel(CLASSES), target=_labels(), padded=True),
    TinyTask(inputs=Signal(2), outputs=StepLabels(CLASSES), target=_labels(LENGTH)),
    TinyTask(inputs=Signal(2), outputs=Values(2, last=4), target=_values(4, 2)),
)
"""One task for each kind of output and of inputs."""
