"""What the speech tasks share: one second of sound at 16 kHz, and the word in it.

Source: Speech Commands v0.02, Warden 2018, arXiv 1804.03209, for the words; Goel et al. 2022 and Gu
et al. 2022 (S4D), for reading the samples themselves, and for testing at half the rate.

Axes: b batch, l samples, one channel.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from harness.api import Batch, CachedTask, Evaluation, OneLabel, Protocol, Signal

SAMPLES = 16_000
"""One second."""
COMMANDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The ten words of SC10."""
ALL = (
    "backward bed bird cat dog down eight five follow forward four go happy house learn left "
    "marvin nine no off on one right seven sheila six stop three tree two up visual wow yes zero"
)
WORDS = tuple(ALL.split())
"""The 35 words of Speech Commands v0.02."""


@dataclass(frozen=True, kw_only=True)
class ClipTask(CachedTask, ABC):
    """Which word is said? Clips are cached as 16-bit samples; a class says how they are scaled."""

    protocol: ClassVar[Protocol] = Protocol(steps=400, batch=16, width=32, depth=2)

    @property
    @abstractmethod
    def vocabulary(self) -> tuple[str, ...]:
        """The words, in the order of their labels."""

    @property
    def inputs(self) -> Signal:
        """A sample."""
        return Signal(1)

    @property
    def outputs(self) -> OneLabel:
        """The word."""
        return OneLabel(len(self.vocabulary))

    @property
    def max_length(self) -> int:
        """One second."""
        return SAMPLES

    @property
    def causal(self) -> bool:
        """The answer is asked for at the end, so nothing forbids looking ahead."""
        return False

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Score the trained network at half the sampling rate, without more training."""
        return {"8 kHz": self._halved}

    def _halved(self) -> Evaluation:
        """Keep every second sample of the test clips, without a low-pass, as S4's code does."""
        test = self.split("test")
        return Evaluation(Batch(test.inputs[:, ::2], test.targets), rate=2)
