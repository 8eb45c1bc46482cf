"""How a verb meets the world: outputs that take any text, signals, readers that go away.

Standard output is UTF-8 unless it is a terminal or `PYTHONIOENCODING` says otherwise; what an
encoding lacks becomes `?`.
"""

import io
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TextIO, TypeVar

T = TypeVar("T")


CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""What a terminal obeys instead of showing it."""


class InterruptionError(KeyboardInterrupt):
    """A signal that asks to end, which is heeded as Ctrl-C is."""

    def __init__(self, signum: int) -> None:
        super().__init__()
        self.signum = signum


def exit_code(stop: KeyboardInterrupt) -> int:
    """Return the usual exit code of a process that a signal ended."""
    return 128 + (stop.signum if isinstance(stop, InterruptionError) else signal.SIGINT)


def prepare() -> None:
    """Let both outputs take any text, and let SIGTERM and SIGHUP end us as Ctrl-C does."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            chosen = stream.isatty() or os.environ.get("PYTHONIOENCODING")
            stream.reconfigure(encoding=None if chosen else "utf-8", errors="replace")
    warnings.showwarning = say
    for signum in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(signum) is signal.SIG_DFL:  # `nohup` has us ignore one
            signal.signal(signum, interrupt)


def inert(text: str) -> str:
    """Return text of whatever origin that moves no cursor and changes no title."""
    return CONTROL.sub("?", text)


def say(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - what `warnings` calls it with
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,
    line: str | None = None,  # noqa: ARG001
) -> None:
    """Write a warning as the sentence that it is."""
    (file or sys.stderr).write(inert(f"{message}\n"))


def interrupt(signum: int, _: FrameType | None) -> NoReturn:
    """Raise what ends the present verb."""
    raise InterruptionError(signum)


def answered(verb: Callable[[], T]) -> T:
    """Do a verb, and end as shells expect if its reader has gone or a signal came."""
    try:
        try:
            return verb()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt as stop:
        sys.exit(exit_code(stop))
