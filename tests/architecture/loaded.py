"""A model whose path names the libraries that its run has loaded for nothing."""

import sys
from dataclasses import dataclass
from typing import final

from torch import Tensor

from harness.api import Network, NetworkModel, Task

FOR_NOTHING = ("lightning_fabric", "matplotlib", "pandas", "scipy", "sympy", "torch._dynamo")


class Frozen(Network):
    """An encoder and a head that are not trained."""

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        self.outputs = task.outputs
        self.encoder, self.head = task.inputs.encoder(width), task.outputs.head(width)
        self.requires_grad_(requires_grad=False)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Predict from each position alone."""
        predicted: Tensor = self.head(self.outputs.gather(self.encoder(inputs), lengths))
        return predicted

    def path(self) -> str:
        """Name what is loaded, at the end of the run."""
        return ", ".join(name for name in FOR_NOTHING if name in sys.modules)


@final
@dataclass(frozen=True, kw_only=True)
class Loaded(NetworkModel):
    """Tells on its run."""

    def build_network(self, task: Task, *, width: int, depth: int) -> Frozen:
        """Build the network."""
        return Frozen(task, width)
