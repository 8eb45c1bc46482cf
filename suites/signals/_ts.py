"""Reads the archive's `.ts` files: header lines `@...`, then one window a line.

A window is its channels and its target, divided by colons: `1.5,2,...:3,4,...:93`.

Axes: l samples, c channels.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from harness.api import SpecError


def cases(
    path: Path, channels: int, samples: int
) -> Iterator[tuple[Float32[np.ndarray, "l c"], float]]:
    """Read a file line by line.

    Raises:
        SpecError: A line is not what it should be, the last one has no end, or there is none; the
            message says which.
    """
    with path.open(encoding="latin-1") as file:
        told = ((number, line) for number, line in enumerate(file, 1) if line.strip())
        lines = ((number, line) for number, line in told if line.lstrip()[0] not in "#%")
        for number, line in lines:
            if line.strip().lower() == "@data":
                break
            if line.lstrip()[0] != "@":
                raise broken(path, number, "it comes before @data")
        else:
            raise broken(path, 1, "no line @data follows")
        for number, line in lines:
            if not line.endswith("\n"):
                raise broken(path, number, "it has no end, as if the file were cut short")
            try:
                yield case(line.strip(), channels, samples)
            except ValueError as error:
                raise broken(path, number, str(error)) from error


def broken(path: Path, number: int, reason: str) -> SpecError:
    """Build the error for a line."""
    return SpecError(
        f"Line {number} of {path} is broken ({reason[:200]}); remove the file, so that it is "
        "fetched again."
    )


def case(line: str, channels: int, samples: int) -> tuple[Float32[np.ndarray, "l c"], float]:
    """Read a window and its target.

    Raises:
        ValueError: It has another form, or is not all numbers.
    """
    *parts, target = line.split(":")
    if not parts:
        raise ValueError("it has no target")
    counts = [part.count(",") + 1 for part in parts]
    if counts != [samples] * channels:
        wanted = " and ".join([str(samples)] * channels)
        raise ValueError(f"it has {' and '.join(map(str, counts))} values, not {wanted}")
    window = np.loadtxt(parts, np.float32, delimiter=",", ndmin=2, comments=None)
    value = float(target)
    if not (np.isfinite(window).all() and math.isfinite(value)):
        raise ValueError("a number is missing or infinite")
    return np.ascontiguousarray(window.T), value
