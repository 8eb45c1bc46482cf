"""Recognise one of ten spoken words in 16,000 raw samples (the SC10 subset of S4 and CKConv).

Sources: Warden 2018, arXiv 1804.03209, for the data; Kidger et al. 2020, Romero et al. 2022
(CKConv, arXiv 2102.02611) and Gu et al. 2022 (S4, arXiv 2111.00396) for the subset.

Speakers are heard in training and in the test, so scores are higher than on the official lists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final, get_args

import numpy as np

from harness.api import Split
from suites.speech._clips import COMMANDS, SAMPLES
from suites.speech._commands import Contents, shuffled
from suites.speech._recordings import RecordedTask


@final
@dataclass(frozen=True, kw_only=True)
class SpeechCommands10(RecordedTask):
    """Clips of exactly one second, 34,975 of them; 70 % of each word train, 15 % validate or test.

    The published split is random in the order in which a file system lists the clips, which nobody
    can repeat. This one has its sizes, and deals out each word's clips by hashes of their names.
    """

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The ten commands."""
        return COMMANDS

    @property
    def chance(self) -> float:
        """The ten words are about equally frequent."""
        return 0.1

    def split_names(self, found: Contents) -> Mapping[Split, list[str]]:
        """Deal out the clips of a whole second, word by word."""
        whole = [name for name, length in found.lengths.items() if length == SAMPLES]
        words = [shuffled([n for n in whole if n.startswith(f"{word}/")]) for word in COMMANDS]
        train, rest = stratified(words, 0.7)
        validation, test = stratified(rest, 0.5)
        return {
            split: [name for word in words for name in word]
            for split, words in zip(get_args(Split), (train, validation, test), strict=True)
        }


def stratified(
    classes: Sequence[list[str]], share: float
) -> tuple[list[list[str]], list[list[str]]]:
    """Take a share of all, rounded down, from classes as evenly as whole numbers allow.

    Returns:
        What was taken of each class, and what was left.
    """
    sizes = np.array([len(names) for names in classes])
    total = int(share * sizes.sum())
    exact = sizes * total / sizes.sum()
    taken = np.floor(exact).astype(int)
    largest = np.argsort(taken - exact, kind="stable")[: total - taken.sum()]
    taken[largest] += 1
    return (
        [names[:count] for names, count in zip(classes, taken, strict=True)],
        [names[count:] for names, count in zip(classes, taken, strict=True)],
    )
