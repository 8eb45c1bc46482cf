"""Chance: the best constant prediction, the floor of every table."""

from dataclasses import dataclass
from typing import final

from jaxtyping import Float, Int, Shaped
from torch import Tensor

from harness.api import LearningTask, Network, NetworkModel, Outputs, Task, UnsupportedError


@final
@dataclass(frozen=True, kw_only=True)
class Chance(NetworkModel):
    """The best prediction that ignores the input."""

    trains = False

    def skip(self, task: Task) -> str:
        """Skip tasks in which nothing is learned."""
        return "" if task.learns else "A constant prediction has nothing to measure."

    def build_network(self, task: Task, *, width: int, depth: int) -> "Constant":  # noqa: ARG002
        """Look at the training targets; there is nothing to train, so width and depth are unused.

        Raises:
            UnsupportedError: The task has no training targets.
        """
        if not isinstance(task, LearningTask):
            raise UnsupportedError(self.skip(task))
        return Constant(task.outputs, task.split("train").targets)


@final
class Constant(Network):
    """Predicts one value, whatever comes in. It has no parameters."""

    constant: Tensor

    def __init__(self, outputs: Outputs, targets: Shaped[Tensor, "n ..."]) -> None:
        super().__init__()
        self.outputs = outputs
        self.register_buffer("constant", outputs.constant(targets))

    def forward(
        self, inputs: Shaped[Tensor, "b ..."], lengths: Int[Tensor, "b ..."] | None = None
    ) -> Float[Tensor, "b ..."]:
        """Repeat the constant wherever the task's outputs read the features."""
        documents = inputs.flatten(0, 1) if self.outputs.documents > 1 else inputs
        features = self.constant.new_zeros(documents.shape[0], documents.shape[1], 1)
        read = self.outputs.gather(features, None if lengths is None else lengths.flatten())
        return self.constant.expand(*read.shape[:-1], -1)
