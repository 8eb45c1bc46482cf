"""Draws many images, over several processes if there are many.

Each image has a seed of its own, so it does not matter who draws it. A helper is this module, run:
it reads lines of JSON, a style and seeds, and answers with arrays, until its input ends. (A pool of
`multiprocessing` imports its user's script again, which must be written for that.)

Axes: n images, p pixels of a side.
"""

import atexit
import dataclasses
import io
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import IO, NamedTuple, cast, final

import numpy as np
from jaxtyping import Bool, UInt8

from suites._pathfinder.image import pictures
from suites._pathfinder.style import Style

WORTH = 16
"""Images that are worth a helper, which takes a second or two to begin."""


class Images(NamedTuple):
    """Images without the places of what is in them."""

    pixels: UInt8[np.ndarray, "n p p"]
    classes: UInt8[np.ndarray, "n p p"]
    """As of `Picture.classes`."""
    labels: Bool[np.ndarray, " n"]


def images(style: Style, seeds: Sequence[int], processes: int) -> Images:
    """Draw images in the order of their seeds.

    Args:
        style: Sizes and counts.
        seeds: Each says all that is random about one image.
        processes: How many may draw, this one included.
    """
    share = max(1, min(processes, len(seeds) // WORTH))
    while len(_helpers) < share - 1:
        _helpers.append(Helper())
    asked = _helpers[: share - 1]
    try:
        for number, helper in enumerate(asked, 1):
            helper.ask(style, seeds[number::share])
        parts = [_images(style, seeds[::share]), *(helper.answer() for helper in asked)]
    except BaseException:
        _dismiss()  # or what they still have to say would be taken for their next answer
        raise
    order = np.argsort(np.concatenate([np.arange(len(seeds))[i::share] for i in range(share)]))
    return Images(*(np.concatenate(columns)[order] for columns in zip(*parts, strict=True)))


def _images(style: Style, seeds: Sequence[int]) -> Images:
    some = pictures(style, seeds)
    return Images(
        np.stack([one.pixels for one in some]),
        np.stack([one.classes for one in some]),
        np.array([one.label for one in some]),
    )


@final
class Helper:
    """Another process that draws."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "suites._pathfinder.pool"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, style: Style, seeds: Sequence[int]) -> None:
        """Let it begin to draw."""
        line = json.dumps([dataclasses.asdict(style), list(seeds)])
        tube = cast("IO[bytes]", self.process.stdin)
        tube.write(f"{line}\n".encode())
        tube.flush()

    def answer(self) -> Images:
        """Wait for its images.

        Raises:
            ChildProcessError: It has ended.
        """
        tube = cast("IO[bytes]", self.process.stdout)
        size = int.from_bytes(tube.read(8), "big")
        if not size:
            raise ChildProcessError("A process that draws images has ended; run the command again.")
        with np.load(io.BytesIO(tube.read(size)), allow_pickle=False) as arrays:
            return Images(*(arrays[name] for name in Images._fields))

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


_helpers: list[Helper] = []


@atexit.register
def _dismiss() -> None:
    while _helpers:
        _helpers.pop().close()


def _help(asked: IO[bytes], answers: IO[bytes]) -> None:
    """Be a helper."""
    for line in asked:
        style, seeds = json.loads(line)
        whole = _images(Style(**style | {"margins": tuple(style["margins"])}), seeds)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **whole._asdict())
        answers.write(buffer.tell().to_bytes(8, "big") + buffer.getvalue())
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked ends it
    _help(sys.stdin.buffer, sys.stdout.buffer)
