"""Reads Speech Commands v0.02: which clips there are, and the samples of some of them.

Source: Warden 2018, arXiv 1804.03209. The checksum and the size are those of TensorFlow Datasets.

Axes: b batch, l samples.
"""

import hashlib
import wave
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from jaxtyping import Int16
from torch import Tensor

from harness.api import RemoteFile, SpecError, members
from suites.speech._clips import SAMPLES

NAME = "speech_commands_v0.02.tar.gz"
ARCHIVE = RemoteFile(
    f"speech/{NAME}",
    (
        f"https://storage.googleapis.com/download.tensorflow.org/data/{NAME}",
        f"http://download.tensorflow.org/data/{NAME}",
    ),
    "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
    2_428_923_189,
)
VALIDATION, TEST = "validation_list.txt", "testing_list.txt"
FORMAT = (1, 2, 16_000)
"""Channels, bytes a sample, samples a second."""


class Contents(NamedTuple):
    """What an archive holds."""

    lengths: Mapping[str, int]
    """Samples of each clip, by its name, `word/speaker_nohash_number.wav`."""
    lists: Mapping[str, frozenset[str]]
    """Clips that `validation_list.txt` and `testing_list.txt` name."""


@lru_cache(maxsize=1)
def contents(archive: Path) -> Contents:
    """Go through an archive once for names and lengths; the background noise is passed over.

    Raises:
        SpecError: A list is missing, or names a clip that the archive does not hold.
    """
    lengths: dict[str, int] = {}
    lists: dict[str, frozenset[str]] = {}
    for name, file in members(archive):
        if name in {VALIDATION, TEST}:
            lists[name] = frozenset(file.read().decode().split())
        elif is_clip(name):
            lengths[name] = len(samples(name, file))
    for wanted in (VALIDATION, TEST):
        named = lists.get(wanted)
        if named is None:
            raise SpecError(f"The archive {archive} holds no {wanted}; fetch the original.")
        missing = sorted(named - lengths.keys())
        if missing:
            raise SpecError(
                f"{wanted} names {len(named):,} clips, {len(missing):,} of which are not in the "
                f"archive {archive}, such as {missing[0]}; fetch the original."
            )
    return Contents(lengths, lists)


def clips(archive: Path, wanted: Sequence[Sequence[str]]) -> list[Int16[Tensor, "b l"]]:
    """Go through an archive once for the samples of some clips.

    Args:
        archive: The archive.
        wanted: Names, in groups.

    Returns:
        The clips of each group in the order of their names, cut to a second, or filled up with
        zeros at the end.
    """
    groups = [np.zeros((len(names), SAMPLES), np.int16) for names in wanted]
    places = {name: (i, row) for i, names in enumerate(wanted) for row, name in enumerate(names)}
    for name, file in members(archive, "*.wav"):
        if name in places:
            group, row = places[name]
            clip = samples(name, file)[:SAMPLES]
            groups[group][row, : len(clip)] = clip
    return [torch.from_numpy(group) for group in groups]


def is_clip(name: str) -> bool:
    """Tell a word's recording from everything else."""
    return name.endswith(".wav") and not name.startswith("_background_noise_/")


def samples(name: str, file: BinaryIO) -> Int16[np.ndarray, " l"]:
    """Read a wav file.

    Raises:
        SpecError: It is not one channel of 16-bit samples at 16 kHz.
    """
    try:
        with wave.open(file) as sound:
            found = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            if found == FORMAT:
                return np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.int16)
    except (wave.Error, EOFError) as error:
        raise SpecError(f"The clip {name} is no wav file ({error}).") from error
    raise SpecError(
        f"The clip {name} has (channels, bytes a sample, samples a second) {found}, not {FORMAT}."
    )


def shuffled(names: Sequence[str]) -> list[str]:
    """Order names by their SHA-256: as good as at random, and the same everywhere."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
