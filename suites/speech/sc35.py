"""Recognise one of 35 spoken words in 16,000 raw samples (Speech Commands v0.02, official lists).

Sources: Warden 2018, arXiv 1804.03209, for the data; Gu et al. 2022, "On the parameterization and
initialization of diagonal state space models", arXiv 2206.11893, for the task.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from harness.api import Split
from suites.speech._clips import WORDS
from suites.speech._commands import TEST, VALIDATION, Contents
from suites.speech._recordings import RecordedTask


@final
@dataclass(frozen=True, kw_only=True)
class SpeechCommands35(RecordedTask):
    """All 105,829 clips; the archive's two lists say which validate and which test."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words of the archive."""
        return WORDS

    @property
    def chance(self) -> float:
        """The commonest word. About, since words are not equally frequent."""
        return 0.04

    def split_names(self, found: Contents) -> Mapping[Split, list[str]]:
        """Follow the lists; what stands on neither trains."""
        validation, test = found.lists[VALIDATION], found.lists[TEST]
        train = found.lengths.keys() - validation - test
        return {"train": sorted(train), "validation": sorted(validation), "test": sorted(test)}
