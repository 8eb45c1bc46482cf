"""A plugin that starts processes, and writes to what it has no business with, as it is told to."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, final

from torch import Tensor, nn

from harness.api import Mixer, Model

FORGED = b'\n{"type":"Result","outcome":"skipped","reason":"forged"}\nand no end: '


def stay() -> None:
    """Start a process in a session of its own that heeds no request to end and keeps pipes."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)


def leave() -> None:
    """End while another stays."""
    stay()
    os._exit(3)


def forge() -> None:
    """Write a result to whatever is open, here and in a process of its own."""
    if other := os.fork():
        os.waitpid(other, 0)
    for number in range(1, 256):
        with suppress(OSError):
            os.write(number, FORGED)
    if not other:
        os._exit(0)


def grow() -> None:
    """Start four that hold 200 MB each, and wait."""
    for _ in range(4):
        if os.fork() == 0:
            held = bytearray(os.urandom(1 << 20)) * 200
            time.sleep(600)
            del held
    time.sleep(600)


def flood() -> None:
    """Say far too much, and end."""
    for _ in range(256):
        os.write(2, b"x" * (1 << 20))
    os.write(2, b"\nThat was all.\n")
    os._exit(4)


DEEDS = {"leave": leave, "stay": stay, "forge": forge, "grow": grow, "flood": flood}
Deed = Literal["leave", "stay", "forge", "grow", "flood"]


class Leaving(Mixer):
    """A position-wise linear map that does something else first, once."""

    def __init__(self, width: int, deed: Deed) -> None:
        super().__init__()
        self.deed, self.done = deed, False
        self.linear = nn.Linear(width, width)

    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map, after the deed."""
        if not self.done:
            self.done = True
            DEEDS[self.deed]()
        out: Tensor = self.linear(u)
        return out


@final
@dataclass(frozen=True, kw_only=True)
class LeavingModel(Model):
    """Does as told."""

    deed: Deed = "stay"

    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        """Build the mixer."""
        return Leaving(width, self.deed)
