"""Has words spoken by espeak-ng, whose library and voices come in the wheel espeakng-loader.

Source: espeak-ng 1.52, a formant synthesiser. It speaks at 22,050 Hz; the words are resampled to
16 kHz by 320/441.
"""

import importlib.util
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.signal import firwin, upfirdn

from harness.api import UnsupportedError

SCRIPT = Path(__file__).with_name("_espeak.py")
UP, DOWN = 320, 441
DELAY = 10
"""Samples at 16 kHz that the low-pass needs on either side."""
LOW_PASS = UP * firwin(2 * DELAY * DOWN + 1, 1 / DOWN, window=("kaiser", 5.0))
"""The filter of `scipy.signal.resample_poly`, which would design it anew for each word."""


class Utterance(NamedTuple):
    """What is to be said, and how."""

    voice: str
    """A language and a variant of espeak-ng: `en-US+f1`."""
    rate: int
    """Words a minute."""
    pitch: int
    """0 to 99."""
    pitch_range: int
    """0 to 99, how far the pitch moves."""
    word: str


def spoken(utterances: list[Utterance]) -> list[Float64[np.ndarray, " l"]]:
    """Say words, the same samples for the same list in every process.

    Returns:
        One sound each at 16 kHz, in units of 16-bit samples.

    Raises:
        UnsupportedError: espeak-ng is not installed.
    """
    text = "".join("\t".join(map(str, utterance)) + "\n" for utterance in utterances)
    package = _package()
    # A new process for each list: what espeak-ng says depends on all that it has said before.
    done = subprocess.run(
        [sys.executable, "-I", SCRIPT, _library(package), package / "espeak-ng-data"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.decode().strip().rpartition("\n")[2]
        raise UnsupportedError(f"espeak-ng could not speak: {reason}")
    return [resampled(sound) for sound in _sounds(done.stdout)]


def resampled(sound: Float64[np.ndarray, " l"]) -> Float64[np.ndarray, " k"]:
    """Bring a sound from 22,050 Hz to 16 kHz, what lies above 8 kHz removed."""
    length = -(-len(sound) * UP // DOWN)
    return upfirdn(LOW_PASS, sound, UP, DOWN)[DELAY : DELAY + length]


def _package() -> Path:
    """Find the wheel without importing it."""
    found = importlib.util.find_spec("espeakng_loader")
    if found is None or found.origin is None:
        raise UnsupportedError(
            "The words are spoken by espeak-ng, which is not installed; run "
            "`pip install espeakng-loader`."
        )
    return Path(found.origin).parent


def _library(package: Path) -> Path:
    ending = {"win32": "espeak-ng.dll", "darwin": "libespeak-ng.dylib"}
    return package / ending.get(sys.platform, "libespeak-ng.so")


def _sounds(data: bytes) -> list[Float64[np.ndarray, " l"]]:
    """Cut what the script wrote into sounds."""
    sounds, at = [], 0
    while at < len(data):
        (count,) = struct.unpack_from("=i", data, at)
        sounds.append(np.frombuffer(data, np.int16, count, at + 4).astype(np.float64))
        at += 4 + 2 * count
    return sounds
