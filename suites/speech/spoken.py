"""Recognise a synthetic word: a stand-in for Speech Commands that needs no download.

It is not Speech Commands: the words are the same, but espeak-ng speaks them, so scores on it never
stand beside scores on `speech/sc35`. Sources: espeak-ng 1.52 in the wheel espeakng-loader; Warden
2018, arXiv 1804.03209, for the words.

Axes: b batch, l samples, one channel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch

from harness.api import Batch, PregeneratedTask, Split
from suites.speech._clips import COMMANDS, WORDS, ClipTask
from suites.speech._voices import LEVEL, recorded


@final
@dataclass(frozen=True, kw_only=True)
class SpokenWords(ClipTask, PregeneratedTask):
    """A second with one word in it; 64 voices, none of them in two splits.

    Each word is said equally often in every shard. A word of usual loudness has a root mean square
    of 1.
    """

    words: Literal[35, 10] = 35
    """All words of Speech Commands, or the ten of SC10."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 3500, "validation": 700, "test": 700}
    shard_size: ClassVar[int] = 350
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

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Have n words spoken by the voices of the training split."""
        return self.draw("train", n, rng)

    def draw(self, split: Split, n: int, rng: torch.Generator) -> Batch:
        """Have n words spoken by a split's own voices, each word equally often."""
        labels = torch.randperm(n, generator=rng) % self.words
        return Batch(recorded(labels, self.vocabulary, split, rng), labels)

    def prepare(self, batch: Batch) -> Batch:
        """Scale samples to a word's usual loudness."""
        return Batch(batch.inputs[..., None].float() / LEVEL, batch.targets)
