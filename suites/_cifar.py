"""CIFAR-10 in its binary form, and the two ways in which it is divided.

Sources: Krizhevsky 2009 for the images; Tay et al. 2020, arXiv 2011.04006, for reading them as
sequences. The Python form of the same archive holds pickles, which are never read here.

Axes: n images, 1024 pixels row by row from the top left, 3 colours (red, green, blue).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from harness.api import (
    Batch,
    FileTask,
    OneLabel,
    Protocol,
    RemoteFile,
    SpecError,
    Split,
    members,
)

PIXELS = 32 * 32
RECORD = 1 + 3 * PIXELS
"""Bytes of an image: its label, then all its red values, all its green ones, all its blue ones."""
SEED = 42
"""Of the division that the S4 repository draws."""
ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
    # As TensorFlow Datasets publishes it; the archive's home publishes an MD5.
    "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    170_052_171,
)

Colours = UInt8[np.ndarray, "n 1024 3"]


@dataclass(frozen=True, kw_only=True)
class CifarTask(FileTask, ABC):
    """1,024 pixels, one of ten kinds of things. Models may look both ways, as in all results.

    50,000 images are released for training, 5,000 of which validate here, and 10,000 for testing,
    1,000 of each kind.
    """

    outputs: ClassVar[OneLabel] = OneLabel(10)
    max_length: ClassVar[int] = PIXELS
    causal: ClassVar[bool] = False
    chance: ClassVar[float] = 0.1
    """There are as many of each kind."""
    protocol: ClassVar[Protocol] = Protocol(steps=1000, batch=50, width=64, depth=2)

    @property
    @abstractmethod
    def random_validation(self) -> bool:
        """Whether the images that validate are drawn, or are the last tenth."""

    @abstractmethod
    def reduced(self, images: Colours) -> UInt8[np.ndarray, "n 1024 ..."]:
        """Return the bytes of the images that are cached, of which `prepare` makes inputs."""

    def files(self) -> tuple[RemoteFile, ...]:
        """The binary archive."""
        return (ARCHIVE,)

    def load(self, split: Split, folder: Path) -> Batch:
        """Read the images of a split."""
        images, labels = read(folder / ARCHIVE.name, "test_batch" if split == "test" else "data_*")
        if split != "test":
            count = len(labels)
            order = random_order(count, SEED) if self.random_validation else np.arange(count)
            most = count * 9 // 10
            rows = np.sort(order[:most] if split == "train" else order[most:])
            images, labels = images[rows], labels[rows]
        return Batch(torch.from_numpy(self.reduced(images)), torch.from_numpy(labels))


def read(path: Path, name: str) -> tuple[Colours, UInt8[np.ndarray, " n"]]:
    """Read the images and labels of those files in the archive that a pattern names, in order.

    Raises:
        SpecError: A file does not consist of such records, or there is none.
    """
    found = members(path, f"*/{name}.bin")
    files = dict(sorted((member, file.read()) for member, file in found))
    for member, content in files.items():
        if not content or len(content) % RECORD or max(content[::RECORD]) > 9:
            raise SpecError(
                f"{member} in {path} is no file of CIFAR-10: it must hold records of {RECORD:,} "
                f"bytes that begin with a label from 0 to 9."
            )
    if not files:
        raise SpecError(f"The archive {path} has no {name}.bin; it must be CIFAR-10's binary form.")
    records = np.frombuffer(bytearray().join(files.values()), np.uint8).reshape(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, PIXELS).swapaxes(1, 2), records[:, 0]


def random_order(count: int, seed: int) -> Int64[np.ndarray, " n"]:
    """Return the numbers below `count` as torch's `random_split` orders them under a seed.

    Torch swaps each place with one that lies behind it, chosen by a word of the Mersenne Twister;
    numpy's legacy generator yields the same words, and its draws never change.
    """
    words = np.random.RandomState(seed).randint(0, 2**32, count - 1, dtype=np.uint32)
    order = list(range(count))
    for place, word in enumerate(words.tolist()):
        other = place + word % (count - place)
        order[place], order[other] = order[other], order[place]
    return np.array(order)


def normalised(
    batch: Batch, mean: tuple[float, ...] | float, std: tuple[float, ...] | float
) -> Batch:
    """Scale bytes (n, 1024, c) to [0, 1], then subtract a mean and divide by a deviation."""
    scaled = batch.inputs.float() / 255
    inputs = (scaled - torch.tensor(mean)) / torch.tensor(std)
    return Batch(inputs, batch.targets)
