"""The console that verbs write to."""

from collections.abc import Iterator
from typing import NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from harness.cli.process import inert


class Terminal(Console):
    """Rich's console, for tables and bars, and for sentences with text of users in them."""

    def say(self, sentence: str) -> None:
        """Write a sentence as it is: no word of it is markup, and it is not broken."""
        self.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the verb's end, which knows the usual exit code."""
        raise  # noqa: PLE0704 - rich calls this while it handles the error

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield what is written: styles are rich's own, and text has no escape sequences."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=inert(segment.text))
