"""A plugin that fails as it is told to, once training has begun."""

import math
import os
import signal
import time
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor, nn

from harness.api import Mixer, Model

Fault = Literal["none", "nap", "hog", "crash", "late", "diverge", "kill", "exit", "chatter"]


def hog() -> None:
    """Take memory, in pieces that are touched, until something gives."""
    held = []
    while True:
        held.append(torch.ones(8_000_000))


FAULTS = {
    "none": lambda: None,
    "nap": lambda: time.sleep(600),
    "hog": hog,
    "crash": lambda: {}["missing"],
    "late": lambda: None,
    "diverge": lambda: None,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "chatter": lambda: os.write(1, b"not a line of ours\n"),
}


class Faulty(Mixer):
    """A position-wise linear map that does something else first."""

    def __init__(self, width: int, fault: Fault) -> None:
        super().__init__()
        self.fault, self.calls = fault, 0
        self.linear = nn.Linear(width, width)

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map, after the fault."""
        FAULTS[self.fault]()
        self.calls += 1
        if self.fault == "late" and self.calls == 3:
            u = u[..., 1:]  # which torch refuses, in a file of its own
        out: Tensor = self.linear(u)
        return out * (math.nan if self.fault == "diverge" else 1.0)


@final
@dataclass(frozen=True, kw_only=True)
class FaultyModel(Model):
    """Fails as told."""

    fault: Fault = "none"

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        """Build the mixer."""
        return Faulty(width, self.fault)
