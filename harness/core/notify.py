"""Tells what goes on to whoever waits: a person at a terminal, or who receives a run's notices.

Rich takes as long to import as many a measurement, so it is imported where something is told.
"""

# ruff: noqa: PLC0415

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Receiver(Protocol):
    """Has what a person would be shown."""

    def tell(self, sentence: str) -> None:
        """Take a sentence that stays."""

    def wait(self, words: str) -> None:
        """Take what is waited for at the moment; it is empty when the wait is over."""

    def drew(self, seconds: float) -> None:
        """Take the seconds of a wait that was too short for words."""


_receiver: ContextVar[Receiver | None] = ContextVar("_receiver", default=None)


@contextmanager
def redirect(receiver: Receiver) -> Iterator[None]:
    """Let a receiver have what a person would be shown here."""
    token = _receiver.set(receiver)
    try:
        yield
    finally:
        _receiver.reset(token)


def inform(sentence: str) -> None:
    """Tell a sentence that stays."""
    if receiver := _receiver.get():
        receiver.tell(sentence)
    _terminal().print(sentence, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def status(text: str) -> Iterator[Callable[[str], None]]:
    """Tell what is waited for, on a terminal as long as the wait lasts.

    Yields:
        What changes the text.
    """
    if _receiver.get():
        with _wait():
            _send(text)
            yield _send
        return

    from rich.markup import escape

    with _terminal().status(escape(text)) as spinner:
        yield lambda text: spinner.update(escape(text))


def drew(seconds: float) -> None:
    """Tell a receiver how long a batch was drawn, which nobody need be shown."""
    if receiver := _receiver.get():
        receiver.drew(seconds)


@contextmanager
def progress(name: str, total: int | None, done: int) -> Iterator[Callable[[int], None]]:
    """Tell how many bytes of a file have come, on a terminal as a bar that goes when all have.

    Args:
        name: What the file is called.
        total: Its bytes; None if nobody says how many.
        done: Bytes that were there before.

    Yields:
        What adds bytes.
    """
    from rich.filesize import decimal
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    console = _terminal()
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    bars.add_task(escape(name), total=total, completed=done)
    [bar] = bars.tasks

    def add(size: int) -> None:
        bars.advance(bar.id, size)
        share = f"{bar.percentage:.0f} %" if total else decimal(int(bar.completed))
        _send(f"fetching {name}: {share}")

    with bars, _wait():
        yield add


@contextmanager
def _wait() -> Iterator[None]:
    try:
        yield
    finally:
        _send("")


def _send(words: str) -> None:
    if receiver := _receiver.get():
        receiver.wait(words)


def _terminal() -> "Console":
    """Return standard error, for what a person shall see; mute if a receiver has it instead."""
    from rich.console import Console

    return Console(stderr=True, quiet=_receiver.get() is not None)
