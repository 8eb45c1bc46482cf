"""Documents as tokens: bytes as in LRA's own code, or characters as in the S4 repository's.

Axes: n documents, l positions, c characters.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int, Int16, Int64, UInt8

PAD = 0
BYTES = 257
"""Tokens of `original`: padding, and each of the 256 bytes."""
UNKNOWN, END, FIRST = 1, 2, 3
"""Tokens of `s4`: padding, what is not in the vocabulary, the end, and from here on characters."""
POINTS = 0x110000
"""Code points that Unicode has."""
WIDEST = 4
"""Bytes of the longest character in UTF-8."""


@dataclass(frozen=True)
class Vocabulary:
    """The characters of some texts, from the commonest to the rarest, and of equal ones by code."""

    table: UInt8[np.ndarray, " p"]
    """The token of each code point."""

    @classmethod
    def of(cls, counts: Int64[np.ndarray, " p"], size: int, least: int = 1) -> "Vocabulary":
        """Choose the characters.

        Args:
            counts: How often each code point occurs.
            size: Tokens at most, padding, the unknown and the end among them.
            least: How often a character must occur.
        """
        chosen = np.argsort(-counts, kind="stable")[: size - FIRST]
        chosen = chosen[counts[chosen] >= least]
        table = np.full(POINTS, UNKNOWN, np.uint8)
        table[chosen] = np.arange(FIRST, FIRST + len(chosen))
        return cls(table)

    def tokens(self, points: Int[np.ndarray, " l"]) -> UInt8[np.ndarray, " m"]:
        """Return the tokens of a text, and the end."""
        return np.append(self.table[points], np.uint8(END))


def bytes_of(text: bytes, most: int) -> Int[np.ndarray, " l"]:
    """Return the first bytes of a text as tokens: 1 more than their values."""
    return np.frombuffer(text[:most], np.uint8).astype(np.int16) + 1


def points_of(text: bytes, most: int) -> Int[np.ndarray, " l"]:
    """Return the code points of the first characters of a text in UTF-8."""
    start = text[: WIDEST * most].decode(errors="replace")[:most]
    return np.frombuffer(start.encode("utf-32-le"), "<i4")


def counted(rows: list[np.ndarray]) -> Int64[np.ndarray, " p"]:
    """Count the code points of texts, each an array (l,)."""
    return np.bincount(np.concatenate(rows), minlength=POINTS)


def padded(
    rows: list[np.ndarray], length: int
) -> tuple[Int16[torch.Tensor, "n m"], Int64[torch.Tensor, " n"]]:
    """Put texts, as tokens (l,), into one array, padded on the right; return their lengths too.

    An empty text counts as one position of padding, since no model reads nothing.
    """
    whole = np.full((len(rows), length), PAD, np.int16)
    for place, row in zip(whole, rows, strict=True):
        place[: len(row)] = row
    lengths = torch.tensor([max(len(row), 1) for row in rows])
    return torch.from_numpy(whole), lengths


def held_out(texts: list[bytes]) -> Bool[np.ndarray, " n"]:
    """Return which texts validate: the tenth whose SHA-256 is smallest.

    It depends neither on their order nor on a seed, and equal texts stay together.
    """
    digests = [hashlib.sha256(text).digest() for text in texts]
    last = sorted(digests)[max(len(digests) // 10, 1) - 1]
    return np.array([digest <= last for digest in digests])
