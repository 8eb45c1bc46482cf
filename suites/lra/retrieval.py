"""Tell whether one paper cites the other, each read on its own (LRA's Retrieval, AAN).

Sources: Radev et al. 2013 for the papers (ACL Anthology Network); Long Range Arena (Tay et al.
2020, arXiv 2011.04006) for the pairs and the variant `original`; the S4 repository (Gu et al. 2022,
arXiv 2111.00396) for `s4`. Both documents go through the same network, which never sees them
together; only the head does.

The splits are of pairs, so a paper of the test split may well be known from training.

Axes: b pairs, 2 documents, l positions.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal, final

import numpy as np
import torch

from harness.api import (
    Batch,
    FileTask,
    PairLabel,
    Protocol,
    RemoteFile,
    SpecError,
    Split,
    Tokens,
)
from suites.lra._averages import Averages, both
from suites.lra._documents import (
    BYTES,
    FIRST,
    POINTS,
    Vocabulary,
    bytes_of,
    padded,
    points_of,
)
from suites.lra._pairs import Pair, pairs

TABLES: dict[Split, str] = {
    "train": "new_aan_pairs.train.tsv",
    "validation": "new_aan_pairs.eval.tsv",
    "test": "new_aan_pairs.test.tsv",
}
RELEASE = RemoteFile(
    "lra/lra_release.gz",
    ("https://storage.googleapis.com/long-range-arena/lra_release.gz",),
    None,
    None,
)
COPY = (
    "https://huggingface.co/datasets/OpenNLPLab/lra/resolve/"
    "6cb133c44f406da743661488df9e977b87d98775/data/aan/"
)
COPIES = {
    split: RemoteFile(f"lra/{table}", (COPY + table,), None, None)
    for split, table in TABLES.items()
}
PRINTABLE = range(32, 127)
"""95 characters, with which `s4` has 98 tokens."""
PUBLISHED = 4000
CUT = 10_000
"""Bytes of a document beyond which LRA's code does not look; a limit that the length undercuts."""


@final
@dataclass(frozen=True, kw_only=True)
class Retrieval(FileTask):
    """Two documents of up to 4,000 positions each; the label says whether one cites the other."""

    variant: Literal["s4", "original"] = "s4"
    """Characters and an end, as in S4's code; or bytes, as in LRA's."""
    length: int = PUBLISHED
    """Positions that are read of each document, the end among them."""
    source: Literal["release", "copies"] = "release"
    """LRA's whole archive, some 8 GB of which the tables are a part; or copies of the three tables,
    kept by others."""

    published: ClassVar[Mapping[Split, int]] = {
        "train": 147_086, "validation": 18_090, "test": 17_437,
    }  # fmt: skip
    """Pairs of each split, as every paper that counts them does."""
    shuffle_buffer: ClassVar[int] = 10
    shard_size: ClassVar[int] = 1000
    """Pairs that are cached together; ten such shards are shuffled, as many pairs as LRA's code."""
    protocol: ClassVar[Protocol] = Protocol(steps=1000, batch=8, width=64, depth=2)

    def __post_init__(self) -> None:
        if not 2 <= self.length <= CUT:
            raise SpecError(f"The length must be 2 to {CUT:,}, not {self.length}.")

    @property
    def inputs(self) -> Tokens:
        """Characters or bytes, and padding."""
        return Tokens(FIRST + len(PRINTABLE) if self.variant == "s4" else BYTES)

    @property
    def outputs(self) -> PairLabel:
        """Unrelated (0) or citing (1)."""
        return PairLabel(2)

    @property
    def max_length(self) -> int:
        """Of one document."""
        return self.length

    @property
    def causal(self) -> bool:
        """A classifier may see everything."""
        return False

    @property
    def chance(self) -> float:
        """As published; about as many pairs of each kind."""
        return 0.5

    def averages(self) -> Averages:
        """Those of the variant, at the published length and from whatever source."""
        return both(self.variant) if self.length == PUBLISHED else {}

    def files(self) -> tuple[RemoteFile, ...]:
        """The release, or the three tables."""
        return (RELEASE,) if self.source == "release" else tuple(COPIES.values())

    def load(self, split: Split, folder: Path) -> Iterator[Batch]:
        """Read a split in one pass, so many pairs at a time.

        Raises:
            SpecError: A table is broken, or has other than the published number of pairs.
        """
        file = RELEASE if self.source == "release" else COPIES[split]
        found, encode = pairs(folder / file.name, TABLES[split]), self.encoder()
        count = 0
        while some := list(islice(found, self.shard_size)):
            count += len(some)
            yield self.encoded(some, encode)
        if count != self.published[split]:
            raise SpecError(
                f"{TABLES[split]} in {folder / file.name} has {count:,} pairs, not the published "
                f"{self.published[split]:,}; remove the file, so that it is fetched again."
            )

    def encoder(self) -> Callable[[bytes], np.ndarray]:
        """Return what turns a text into tokens."""
        if self.variant == "original":
            return lambda text: bytes_of(text, self.length)
        known = Vocabulary.of(np.bincount(PRINTABLE, minlength=POINTS), self.inputs.size)
        return lambda text: known.tokens(points_of(text, self.length - 1))

    def encoded(self, some: list[Pair], encode: Callable[[bytes], np.ndarray]) -> Batch:
        """Turn pairs into tokens (b, 2, l)."""
        inputs, lengths = padded([encode(t) for pair in some for t in pair.texts], self.length)
        labels = torch.tensor([pair.label for pair in some])
        return Batch(inputs.unflatten(0, (-1, 2)), labels, lengths.view(-1, 2))
