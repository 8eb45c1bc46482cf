"""What the tasks share that are made of Pathfinder images.

Axes: b images, l pixels row by row, p pixels of a side.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import UInt8

from harness.api import Batch, OneLabel, PregeneratedTask, Protocol, Signal, Split, Tokens, stream
from suites._pathfinder.image import Picture, pictures
from suites._pathfinder.pool import Images, images
from suites._pathfinder.style import ANYWHERE, LRA, Style

SEEDS = 2**63 - 1
SMOKE: Mapping[Split, int] = {"train": 32, "validation": 16, "test": 16}
LAPTOP: Mapping[Split, int] = {"train": 32, "validation": 2, "test": 4}
"""Shards of each split."""


@dataclass(frozen=True, kw_only=True)
class PathfinderTask(PregeneratedTask, ABC):
    """Images of a style, each from a seed of its own out of the stream of its shard.

    Kept as bytes: neither what a batch is made of them nor how many there are matters to a shard.
    """

    sets: Literal["smoke", "laptop", "published"] = "laptop"
    """How many examples: some dozens, as many as are drawn in a minute or few, or all."""

    published: ClassVar[Mapping[Split, int]]
    """Examples of each split in the released sets."""

    @property
    @abstractmethod
    def style(self) -> Style:
        """Sizes and counts of what is drawn: an attribute of the class, or what its options say."""

    @property
    def causal(self) -> bool:
        """An image has no past: models may look both ways, as in all published results."""
        return False

    @property
    def max_length(self) -> int:
        """The pixels."""
        return self.style.size**2

    @property
    def examples(self) -> Mapping[Split, int]:
        """Some shards of each split, or what was published."""
        if self.sets == "laptop":
            return {split: self.shard_size * pieces for split, pieces in LAPTOP.items()}
        return SMOKE if self.sets == "smoke" else self.published

    def depends_on(self) -> object:
        """Return what is drawn."""
        return dataclasses.asdict(self.style)

    def pictures(self, split: Split) -> Iterator[Picture]:
        """Draw the images of a split again, in its order, each with all that is in it.

        Yields:
            A `Picture` for each example: pixels, classes, label, gap, and the places of the dashes
            of both long paths, of the short paths and of the discs.
        """
        count = self.count(split)
        for number, start in enumerate(range(0, count, self.shard_size)):
            rng = stream(self.name, self.version, split, number)
            seeds = _seeds(min(self.shard_size, count - start), rng)
            yield from pictures(self.style, seeds)

    def images(self, n: int, rng: torch.Generator) -> Images:
        """Draw images from a CPU generator, on as many cores as torch may use."""
        return images(self.style, _seeds(n, rng), torch.get_num_threads())


def _seeds(n: int, rng: torch.Generator) -> tuple[int, ...]:
    return tuple(torch.randint(SEEDS, (n,), generator=rng).tolist())


def flat(pixels: UInt8[np.ndarray, "b p p"]) -> UInt8[torch.Tensor, "b l"]:
    """Lay images out row by row."""
    return torch.from_numpy(pixels).flatten(1)


@dataclass(frozen=True, kw_only=True)
class JoinedTask(PathfinderTask, ABC):
    """Does one of the two long dashed paths join the two discs?

    Both classes have two long paths, two discs and the same short paths to distract; only which end
    carries the second disc differs. Snakes-style images, **not** the released files: no download.
    """

    variant: Literal["s4", "original"] = "s4"
    """Grey values in [0, 1] as real numbers, as in S4's code, or as tokens 0 to 255."""
    distractors: Literal["as-scripted", "asked"] = "as-scripted"
    """Short paths: those that the public script comes to, as the released files must have them, or
    as many as its settings ask for, as far as there is room."""

    size: ClassVar[int]
    """Height and width."""
    published: ClassVar[Mapping[Split, int]] = {
        "train": 160_000, "validation": 20_000, "test": 20_000,
    }  # fmt: skip
    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=16, width=64, depth=2)

    @property
    def style(self) -> Style:
        """That of Long Range Arena at this size."""
        style = LRA[self.size]
        if self.distractors == "as-scripted":
            return style
        return dataclasses.replace(style, openings=ANYWHERE)

    @property
    def inputs(self) -> Signal | Tokens:
        """A grey value."""
        return Signal(1) if self.variant == "s4" else Tokens(256)

    @property
    def outputs(self) -> OneLabel:
        """Apart (0) or joined (1)."""
        return OneLabel(2)

    @property
    def chance(self) -> float:
        """A fair coin says which."""
        return 0.5

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw images; looks at none to tell its label."""
        drawn = self.images(n, rng)
        return Batch(flat(drawn.pixels), torch.from_numpy(drawn.labels).to(torch.uint8))

    def prepare(self, batch: Batch) -> Batch:
        """Turn bytes into real numbers, if the variant wants them."""
        if self.variant == "original":
            return batch
        return Batch((batch.inputs / 255)[..., None], batch.targets)
