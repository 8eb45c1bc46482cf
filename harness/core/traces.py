"""Where an error arose, in words that name no folder of this machine: records are published."""

import os
import re
import signal
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import IO

LAST = 20
"""Lines of a traceback that are kept."""
MOST_WORDS = 1 << 16
"""Bytes of a process's last words that are looked at."""
QUOTED = re.compile(r'File "([^"\n]+)"')


def shortened(file: str) -> str:
    """Name a source file as it is imported from, `torch/nn/modules/linear.py`; else by its name."""
    path = Path(file)
    roots = [root for root in map(Path, sys.path) if root != Path() and path.is_relative_to(root)]
    deepest = max(roots, key=lambda root: len(root.parts), default=path.parent)
    return path.relative_to(deepest).as_posix()


def last_lines(text: str) -> list[str]:
    """Return the last lines of a traceback, or of whatever a process said.

    Of what `faulthandler` wrote, whose calls stand the other way round, the first ones.
    """
    _, reversed_, calls = text.rstrip().rpartition("(most recent call first):\n")
    lines = calls.splitlines()[:LAST] if reversed_ else calls.splitlines()[-LAST:]
    return [QUOTED.sub(lambda match: f'File "{shortened(match[1])}"', line) for line in lines]


def last_words(said: IO[bytes]) -> list[str]:
    """Return the last lines of what a process wrote to a file, however much that was."""
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - MOST_WORDS))
    return last_lines(said.read(MOST_WORDS).decode(errors="replace"))


def signal_name(number: int) -> str:
    """Return what a signal is called; those for real time have no name of their own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def trace(error: BaseException) -> list[str]:
    """Return the last lines of an error's traceback."""
    return last_lines("".join(traceback.format_exception(error)))


def place(error: BaseException, sources: Iterable[Path]) -> str:
    """Say where an error arose: the last frame in some files or folders, else the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    homes = list(sources)
    own = [f for f in frames if any(Path(f.filename).is_relative_to(home) for home in homes)]
    frame = (own or frames)[-1]
    return f"{shortened(frame.filename)}, line {frame.lineno}, in {frame.name}"
