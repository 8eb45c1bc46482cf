"""Recognise a synthetic word: a stand-in for Speech Commands that needs no download.

It is not Speech Commands: the words are the same, but espeak-ng speaks them, so scores on it never
stand beside scores on `speech/sc35`. Sources: espeak-ng 1.52 in the wheel espeakng-loader; Warden
2018, arXiv 1804.03209, for the words.

Axes: b batch, l samples, one channel.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, final

import torch

from harness.api import Batch, DrawnTask, Split
from suites.speech._clips import COMMANDS, WORDS, ClipTask
from suites.speech._voices import LEVEL, recorded

_heard: ContextVar[Split] = ContextVar("_heard", default="train")
"""The split whose voices speak; `sample` is not told it."""


@final
@dataclass(frozen=True, kw_only=True)
class SpokenWords(ClipTask, DrawnTask):
    """A second with one word in it; 64 voices, none of them in two splits.

    Each word is said equally often in every piece. A word of usual loudness has a root mean square
    of 1.
    """

    words: Literal[35, 10] = 35
    """All words of Speech Commands, or the ten of SC10."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 3500, "validation": 700, "test": 700}
    piece: ClassVar[int] = 350
    shortcuts: ClassVar[Mapping[str, float]] = {
        "duration and energy (35 words)": 0.05,
        "mean spectrum (35 words)": 0.44,
    }

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words."""
        return WORDS if self.words == 35 else COMMANDS

    @property
    def chance(self) -> float:
        """Any word."""
        return 1 / self.words

    def pieces(self, split: Split) -> list[Callable[[], Batch]]:
        """Return what reads each piece of a split, and has it spoken by the split's own voices."""
        return [partial(_by_voices_of, split, piece) for piece in super().pieces(split)]

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Have n words spoken, each equally often."""
        labels = torch.randperm(n, generator=rng) % self.words
        return Batch(recorded(labels, self.vocabulary, _heard.get(), rng), labels)

    def ready(self, batch: Batch) -> Batch:
        """Scale samples to a word's usual loudness."""
        return Batch(batch.inputs[..., None].float() / LEVEL, batch.targets)


def _by_voices_of(split: Split, piece: Callable[[], Batch]) -> Batch:
    token = _heard.set(split)
    try:
        return piece()
    finally:
        _heard.reset(token)
