"""Tell a good review of a film from a bad one, byte by byte or character by character (LRA's Text).

Sources: Maas et al. 2011 for the reviews (IMDb); Long Range Arena (Tay et al. 2020, arXiv
2011.04006) for the variant `original`; the S4 repository (Gu et al. 2022, arXiv 2111.00396) for
`s4`.

The release has no validation split: LRA's code and S4's both watch the test reviews, so what they
select is selected on them. Here a tenth of the training reviews validates, and models train on
22,500 reviews where those train on 25,000.

Axes: n reviews, l positions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, final

import numpy as np
import torch

from harness.api import (
    Batch,
    FileTask,
    OneLabel,
    Protocol,
    RemoteFile,
    SpecError,
    Split,
    Tokens,
)
from suites._options import within
from suites.lra._averages import Averages, both
from suites.lra._documents import (
    BYTES,
    Vocabulary,
    bytes_of,
    counted,
    held_out,
    padded,
    points_of,
)
from suites.lra._reviews import ARCHIVE, reviews

CHARACTERS = 135
"""Tokens of `s4`: what the S4 repository counts with characters that occur 15 times or more."""
OFTEN = 15
PUBLISHED = {"s4": 4096, "original": 4000}
"""Positions that are read of a review."""

LONGEST = 65_536
"""No review has as many characters."""


@final
@dataclass(frozen=True, kw_only=True)
class Text(FileTask):
    """Is the review positive? 25,000 of each kind, with their `<br />`s."""

    variant: Literal["s4", "original"] = "s4"
    """Characters and an end, as in S4's code; or bytes, as in LRA's."""
    length: int = 0
    """Positions that are read of a review; 0 for 4,096 in `s4` and for 4,000 in `original`, whose
    configuration file says 1,000 while its paper's results are the best of 1,000 to 4,000."""

    protocol: ClassVar[Protocol] = Protocol(steps=1000, batch=16, width=64, depth=2)

    def __post_init__(self) -> None:
        within("length", self.length, 0, LONGEST)
        if self.length == 1:
            raise SpecError(f"The length must be 0 or at least 2, not {self.length}.")

    @property
    def inputs(self) -> Tokens:
        """Characters or bytes, and padding."""
        return Tokens(CHARACTERS if self.variant == "s4" else BYTES)

    @property
    def outputs(self) -> OneLabel:
        """Negative (0) or positive (1)."""
        return OneLabel(2)

    @property
    def max_length(self) -> int:
        """As published, or as asked for."""
        return self.length or PUBLISHED[self.variant]

    @property
    def causal(self) -> bool:
        """A classifier may see everything."""
        return False

    @property
    def chance(self) -> float:
        """As many of each kind."""
        return 0.5

    def averages(self) -> Averages:
        """Those of the variant, at its published length."""
        return both(self.variant) if self.max_length == PUBLISHED[self.variant] else {}

    def files(self) -> tuple[RemoteFile, ...]:
        """The reviews."""
        return (ARCHIVE,)

    def load(self, split: Split, folder: Path) -> Batch:
        """Read a split.

        Raises:
            SpecError: The archive holds no reviews.
        """
        path = folder / ARCHIVE.name
        texts, labels = reviews(path, "test" if split == "test" else "train")
        encode, rows = self.encoder(path), np.arange(len(texts))
        if split != "test":
            rows = np.flatnonzero(held_out(texts) == (split == "validation"))
        inputs, lengths = padded([encode(texts[row]) for row in rows], self.max_length)
        return Batch(inputs, torch.from_numpy(labels[rows]), lengths)

    def encoder(self, path: Path) -> Callable[[bytes], np.ndarray]:
        """Return what turns a text into tokens.

        The vocabulary is that of all released training reviews, as in S4's code; no label is used.
        """
        most = self.max_length
        if self.variant == "original":
            return lambda text: bytes_of(text, most)
        every = [points_of(text, most - 1) for text in reviews(path, "train")[0]]
        known = Vocabulary.of(counted(every), CHARACTERS, OFTEN)
        return lambda text: known.tokens(points_of(text, most - 1))
