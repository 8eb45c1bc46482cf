"""A row of a paper's table of hyperparameters, and the run that it asks for."""

from dataclasses import dataclass
from typing import Literal

from harness import Protocol, RunSpec, Selector


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model on one task, with the numbers as they are printed."""

    task: str
    model: str
    """With its options, but for those that are learning rates."""
    width: int
    depth: int
    batch: int
    steps: int
    lr: float
    """Of all parameters that have no rate of their own."""
    ssm_lr: float | None = None
    """Of the state space parameters that train apart; None where the recipe has no such option."""
    dt_lr: float | None = None
    """Of the step sizes, likewise."""
    weight_decay: float = 0.0
    warmup: int = 0
    """Steps over which the rates rise."""
    schedule: Literal["cosine", "constant"] = "cosine"
    dropout: float = 0.0
    clip: float = 0.0
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    source: str

    def run(self) -> RunSpec:
        """Return the run; every rate is the printed one."""
        model, rates = Selector(self.model), {"ssm_lr": self.ssm_lr, "dt_lr": self.dt_lr}
        apart = {name: rate for name, rate in rates.items() if rate is not None}
        protocol = Protocol(
            steps=self.steps,
            batch=self.batch,
            width=self.width,
            depth=self.depth,
            dropout=self.dropout,
            lr=self.lr,
            weight_decay=self.weight_decay,
            warmup=self.warmup / self.steps,
            schedule=self.schedule,
            clip=self.clip,
            precision=self.precision,
        )
        model = Selector.of(model.name, {**model.options, **apart})
        return RunSpec(task=self.task, model=model, protocol=protocol)
