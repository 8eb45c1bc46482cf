"""Reads Speech Commands v0.02: which clips there are, and the samples of some of them.

Source: Warden 2018, arXiv 1804.03209. The checksum and the size are those of TensorFlow Datasets.

Axes: b batch, l samples.
"""

import hashlib
import io
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
from suites.speech._clips import SAMPLES, WORDS

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
EXTENSIBLE = b"\xfe\xff"
PCM = bytes.fromhex("0100 0000 0000 1000 8000 00aa 0038 9b71")
"""The format tag that stands for another one, and the other one in its long form."""
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
        SpecError: A list is missing, is no text, or names no clip or one that the archive does not
            hold; or a clip is none of a known word.
    """
    lengths: dict[str, int] = {}
    lists: dict[str, frozenset[str]] = {}
    for name, file in members(archive):
        if name in {VALIDATION, TEST}:
            lists[name] = listed(name, file.read())
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
    """Tell a word's recording from everything else.

    Raises:
        SpecError: It is a recording of another word.
    """
    word = name.partition("/")[0]
    recorded = name.endswith(".wav") and word != "_background_noise_"
    if recorded and word not in WORDS:
        raise SpecError(
            f"The clip {name} is of none of the {len(WORDS)} words; fetch the original archive."
        )
    return recorded


def listed(name: str, text: bytes) -> frozenset[str]:
    """Read a list of clips.

    Raises:
        SpecError: It is not UTF-8, or empty.
    """
    try:
        named = frozenset(text.decode().split())
    except UnicodeDecodeError as error:
        raise SpecError(f"{name} is no text in UTF-8 ({error}); fetch the original.") from error
    if not named:
        raise SpecError(f"{name} names no clip; fetch the original.")
    return named


def samples(name: str, file: BinaryIO) -> Int16[np.ndarray, " l"]:
    """Read a wav file.

    Raises:
        SpecError: It is not one channel of 16-bit samples at 16 kHz, or shorter than it says.
    """
    try:
        with wave.open(io.BytesIO(plain(file.read()))) as sound:
            found = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
            count = sound.getnframes()
            frames = sound.readframes(count)
    except (wave.Error, EOFError, RuntimeError) as error:  # the last of a part that ends too soon
        why = str(error) or "it is cut short"
        raise SpecError(f"The clip {name} is no wav file ({why}).") from error
    if found != FORMAT:
        raise SpecError(
            f"The clip {name} has (channels, bytes a sample, samples a second) {found}, "
            f"not {FORMAT}."
        )
    if len(frames) != 2 * count:
        raise SpecError(f"The clip {name} ends before its last sample; fetch the archive again.")
    return np.frombuffer(frames, "<i2").astype(np.int16)


def plain(content: bytes) -> bytes:
    """Return a wav file with the long form of the format tag, if it is PCM, in the short form.

    Python's reader knows the long form (WAVE_FORMAT_EXTENSIBLE) from 3.12 on only.
    """
    start = content.find(b"fmt ") + 8
    tag, kind = content[start : start + 2], content[start + 24 : start + 40]
    if tag == EXTENSIBLE and kind == PCM:
        return content[:start] + kind[:2] + content[start + 2 :]
    return content


def shuffled(names: Sequence[str]) -> list[str]:
    """Order names by their SHA-256: as good as at random, and the same everywhere."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
