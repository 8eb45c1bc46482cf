"""A plugin that misbehaves only in a process that was forked, as it is told to."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor, nn

from harness.api import Mixer, Model

FORKED = b"harness.runner.warm" in Path("/proc/self/cmdline").read_bytes()
KNOWN: list[str] = []
"""What runs leave in this process, which should be none but ours."""


def fail() -> None:
    """Raise."""
    raise ValueError("I do not like to be forked.")


def orphan() -> None:
    """Kill what forked the process that watches this one."""
    watcher = Path(f"/proc/{os.getppid()}/status").read_text("utf-8")
    parent = next(line for line in watcher.splitlines() if line.startswith("PPid:"))
    os.kill(int(parent.split()[1]), signal.SIGKILL)
    signal.pause()


def remember() -> None:
    """Find nothing of another run, and leave something."""
    if KNOWN or "SSM_BENCH_FORKED" in os.environ:
        raise ValueError("Another run was here.")
    KNOWN.append("here")
    os.environ["SSM_BENCH_FORKED"] = "here"


DEEDS = {
    "fail": fail,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: os._exit(3),
    "orphan": orphan,
    "remember": remember,
}


class Forked(Mixer):
    """A position-wise linear map, from numbers that nobody seeded."""

    def __init__(self, width: int, deed: str) -> None:
        super().__init__()
        if FORKED:
            DEEDS[deed]()
        self.linear = nn.Linear(width, width)
        with torch.no_grad():
            self.linear.bias.copy_(torch.from_numpy(np.random.rand(width)))  # noqa: NPY002

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map."""
        out: Tensor = self.linear(u)
        return out


@final
@dataclass(frozen=True, kw_only=True)
class ForkedModel(Model):
    """Misbehaves as told."""

    deed: Literal["fail", "kill", "exit", "orphan", "remember"] = "remember"

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        """Build the mixer."""
        return Forked(width, self.deed)
