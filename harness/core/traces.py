"""Where an error arose, in words that name no folder of this machine: records are published."""

import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

LAST = 20
"""Lines of a traceback that are kept."""
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
