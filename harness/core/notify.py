"""Tells what goes on to whoever waits: a person at a terminal, or who listens to a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Listener = Callable[[str, bool], None]
"""Called with words and whether they are to stay. Those that are not to stay say what is waited for
just now; they are empty when the wait is over."""

_listener: ContextVar[Listener | None] = ContextVar("_listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let another hear what a person would be told here."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def terminal() -> "Console":
    """Return standard error, for what a person shall see; mute if another listens instead."""
    from rich.console import Console  # noqa: PLC0415 - only where something is told

    return Console(stderr=True, quiet=_listener.get() is not None)


def say(sentence: str) -> None:
    """Tell a sentence that stays."""
    if listener := _listener.get():
        listener(sentence, True)
    terminal().print(sentence, markup=False, highlight=False, soft_wrap=True)


def tell(words: str) -> None:
    """Tell a listener what is waited for; a person sees what the terminal shows of it."""
    if listener := _listener.get():
        listener(words, False)


@contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Tell what is waited for, on a terminal as long as the wait lasts.

    Yields:
        What changes the words.
    """
    from rich.markup import escape  # noqa: PLC0415 - as above

    with terminal().status(escape(what)) as status:

        def change(words: str) -> None:
            status.update(escape(words))
            tell(words)

        tell(what)
        try:
            yield change
        finally:
            tell("")
