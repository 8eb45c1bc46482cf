"""Speaks words with espeak-ng: run by its path in a process of its own, never imported.

    python -I _espeak.py LIBRARY DATA < utterances > samples

The library keeps state from word to word (phase, flutter, noise), so the same calls give the same
samples only in a fresh process. Only the standard library is loaded, to be ready soon.

Each line of standard input is `voice<TAB>rate<TAB>pitch<TAB>range<TAB>word`: words a minute, and
0 to 99 for the pitch and for how far it moves. For each, standard output gets the number of samples
as four bytes and then the samples, 16 bit at 22,050 Hz, all in the machine's byte order.
"""

import ctypes
import struct
import sys

SYNCHRONOUS = 2
"""`AUDIO_OUTPUT_SYNCHRONOUS`: samples are handed to a callback before the call returns."""
NEVER_EXIT = 0x8000
"""`espeakINITIALIZE_DONT_EXIT`: missing data are an error code, not the end of the process."""
HERTZ = 22_050
RATE, PITCH, RANGE = 1, 3, 4
"""Members of `espeak_PARAMETER`."""
UTF8, CHARACTERS = 1, 1

ON_SAMPLES = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class EspeakError(Exception):
    """The library refused a call."""


class Espeak:
    """The C library, its output collected."""

    def __init__(self, library: str, data: str) -> None:
        self._c = ctypes.CDLL(library)
        self._heard = bytearray()
        self._callback = ON_SAMPLES(self._hear)  # must live as long as the library may call it
        if self._c.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), NEVER_EXIT) != HERTZ:
            raise EspeakError(f"espeak-ng cannot be initialised with the data in {data}.")
        self._c.espeak_SetSynthCallback(self._callback)
        # Initialising seeds the noise of breath and flutter from the clock.
        self._c.espeak_ng_SetRandSeed(ctypes.c_long(1))

    def say(self, voice: str, rate: int, pitch: int, pitch_range: int, word: str) -> bytes:
        """Return the samples of a word; every setting is set again each time."""
        self._heard.clear()
        if self._c.espeak_SetVoiceByName(voice.encode()):
            raise EspeakError(f"espeak-ng has no voice {voice!r}.")
        for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
            self._c.espeak_SetParameter(parameter, value, 0)
        text = ctypes.create_string_buffer(word.encode())
        size = ctypes.c_size_t(len(text))
        if self._c.espeak_Synth(text, size, 0, CHARACTERS, 0, UTF8, None, None):
            raise EspeakError(f"espeak-ng cannot say {word!r}.")
        return bytes(self._heard)

    def _hear(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: object) -> int:
        if samples and count:
            self._heard += ctypes.string_at(samples, 2 * count)
        return 0


def main() -> None:
    """Say what standard input asks for."""
    espeak = Espeak(*sys.argv[1:])
    for line in sys.stdin:
        voice, rate, pitch, pitch_range, word = line.rstrip("\n").split("\t")
        samples = espeak.say(voice, int(rate), int(pitch), int(pitch_range), word)
        sys.stdout.buffer.write(struct.pack("=i", len(samples) // 2) + samples)


if __name__ == "__main__":
    main()
