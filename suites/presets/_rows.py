"""A row of a paper's table of hyperparameters, and the run that it asks for."""

from dataclasses import dataclass
from typing import Literal

from harness import Protocol, RunSpec, Selector

RATES = {
    "dlr": 8e-4,
    "dss": 0.01,
    "hgrn2": 5e-3,
    "local-attention": 1e-3,
    "mamba": 1e-3,
    "s4": 0.01,
    "s4d": 0.01,
    "s5": 4e-3,
    "transformer": 1e-3,
}
"""The learning rate of each recipe, which a protocol scales; a test reads them back."""


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
        """Return the run; a recipe's own rates are scaled so that all come out as printed."""
        model = Selector(self.model)
        scale = self.lr / RATES[model.name]
        printed = {"ssm_lr": self.ssm_lr, "dt_lr": self.dt_lr}
        apart: dict[str, bool | int | float | str] = {
            name: rate / scale for name, rate in printed.items() if rate is not None
        }
        protocol = Protocol(
            steps=self.steps,
            batch=self.batch,
            width=self.width,
            depth=self.depth,
            dropout=self.dropout,
            lr_scale=scale,
            weight_decay=self.weight_decay,
            warmup=self.warmup / self.steps,
            schedule=self.schedule,
            clip=self.clip,
            precision=self.precision,
        )
        selector = Selector.of(model.name, {**model.options, **apart})
        return RunSpec(task=self.task, model=selector, protocol=protocol)
