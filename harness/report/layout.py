"""Fits a table to a terminal without breaking a name inside a word.

A column narrows by folding at spaces, before a `[` and behind a comma of options. If that does not
do, sentences go below their row, then names above it; if there are still too many columns, they
follow in further parts, each with its names again.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.console import Console, ConsoleOptions
from rich.text import Text

UNIT = r"(?:[mµ]?s|min|h|[kKMGT]?i?B|[kMGT])\b"
BREAK = re.compile(rf"([ \n]+)(?!±|{UNIT})(?<!± )|(?<=,)(?=[a-z])|(?<=\S)(?=\[)")
"""Where a text may be folded; a mean stays with its interval, and a number with its unit."""
SENTENCE = 24
"""Columns that a sentence takes at the least beside others."""
GAP = 2
"""Blanks between columns."""
INDENT = 4
"""Blanks before what stands below a row, or below its names."""


@dataclass(frozen=True)
class Fitted:
    """A table that takes the room that there is."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    labels: int = 1
    """Columns at the left that name the row."""
    prose: int = 0
    """Columns at the right that hold sentences."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Yield lines."""
        rule = "-" if options.ascii_only else "─"
        room, first = options.max_width, True
        for part in self.parts(room):
            if not first:
                yield Text("")
            first = False
            yield from part.lines(room, rule)

    def parts(self, room: int) -> "Iterator[Part]":
        """Choose the first arrangement that fits."""
        every = range(len(self.columns))
        names, end = every[: self.labels], len(every) - self.prose
        numbers, prose = every[self.labels : end], every[end:]
        ways = (
            Part(self, (), every, ()),
            Part(self, (), every[:end], prose),
            Part(self, names, numbers, prose),
        )
        for way in ways:
            if way.shown and way.width(least=True) <= room:
                yield way
                return
        yield from self.split(room, names, list(numbers), prose)

    def split(
        self, room: int, names: Sequence[int], numbers: list[int], prose: Sequence[int]
    ) -> "Iterator[Part]":
        """Show as many columns at a time as fit beside the names, or below them."""
        beside = all(Part(self, (), (*names, n), ()).width(least=True) <= room for n in numbers)
        above, left = ((), tuple(names)) if beside else (tuple(names), ())
        chosen: list[int] = []
        for number in numbers:
            if chosen and Part(self, above, (*left, *chosen, number), ()).width(True) > room:
                yield Part(self, above, (*left, *chosen), ())
                chosen = []
            chosen.append(number)
        yield Part(self, above, (*left, *chosen), prose)

    def is_number(self, place: int) -> bool:
        """Say whether a column holds numbers, which stand at its right."""
        return self.labels <= place < len(self.columns) - self.prose

    def least(self, place: int) -> int:
        """Return the longest piece of a column that must not be broken; more of sentences."""
        longest = max(len(piece) for text in self.texts(place) for _, piece in pieces(text))
        prose = place >= len(self.columns) - self.prose
        return max(longest, min(SENTENCE, self.natural(place))) if prose else longest

    def natural(self, place: int) -> int:
        """Return the longest text of a column."""
        return max(map(len, self.texts(place)))

    def texts(self, place: int) -> list[str]:
        """Return what stands in a column, its heading first."""
        return [self.columns[place], *(row[place].plain for row in self.rows)]


@dataclass(frozen=True)
class Part:
    """Some columns of a table, side by side, with others above and below each row."""

    table: Fitted
    above: Sequence[int]
    shown: Sequence[int]
    below: Sequence[int]

    def width(self, least: bool) -> int:
        """Return the room that the columns take, folded as far as they can be or not at all."""
        size = self.table.least if least else self.table.natural
        return self.indent + sum(map(size, self.shown)) + GAP * (len(self.shown) - 1)

    @property
    def indent(self) -> int:
        """Blanks before what is side by side."""
        return INDENT if self.above else 0

    def widths(self, room: int) -> dict[int, int]:
        """Share the room out: to each what it needs, then to those that lack least to be whole."""
        table = self.table
        given = {place: table.least(place) for place in self.shown}
        left = max(0, room - self.width(least=True))
        for place in sorted(self.shown, key=lambda place: table.natural(place) - given[place]):
            more = min(left, table.natural(place) - given[place])
            given[place], left = given[place] + more, left - more
        return {place: min(width, room) for place, width in given.items()}

    def lines(self, room: int, rule: str) -> Iterator[Text]:
        """Yield headings, a rule, and rows."""
        widths, table = self.widths(room), self.table
        across = self.indent + sum(widths.values()) + GAP * (len(widths) - 1)
        heading = [Text(column, "bold") for column in table.columns]
        yield from self.row(heading, widths, room)
        yield Text(rule * min(room, across), "dim")
        for row in table.rows:
            yield from self.row(row, widths, room)

    def row(self, cells: Sequence[Text], widths: dict[int, int], room: int) -> Iterator[Text]:
        """Yield the lines of one row."""
        if self.above:
            yield from self.free([cells[place] for place in self.above], room, 0)
        folded = [fold(cells[place].plain, width) for place, width in widths.items()]
        for parts in zip_longest(*folded, fillvalue=""):
            line = Text(" " * self.indent)
            for (place, width), part in zip(widths.items(), parts, strict=True):
                cell = cells[place]
                right = self.table.is_number(place) and cell.justify != "left"
                line.append(part.rjust(width) if right else part.ljust(width), cell.style)
                line.append(" " * GAP)
            line.rstrip()
            yield line
        if self.below and any(cells[place].plain for place in self.below):
            yield from self.free([cells[place] for place in self.below], room, INDENT)

    def free(self, cells: Sequence[Text], room: int, indent: int) -> Iterator[Text]:
        """Yield cells one behind the other over the whole width."""
        text = "  ".join(cell.plain for cell in cells if cell.plain)
        for line in fold(text, room - indent):
            yield Text(" " * indent + line, cells[0].style)


def pieces(text: str) -> list[tuple[str, str]]:
    """Split a text where it may be folded; each piece comes with the blanks before it."""
    first, *rest = BREAK.split(text)
    return [("", first), *((rest[at] or "", rest[at + 1]) for at in range(0, len(rest), 2))]


def fold(text: str, width: int) -> list[str]:
    """Fold a text to lines; a piece that is longer than a line is broken after all."""
    lines = [""]
    for blanks, piece in pieces(text):
        if len(lines[-1]) + len(blanks) + len(piece) <= width:
            lines[-1] += blanks + piece
            continue
        parts = [piece[at : at + width] for at in range(0, len(piece), width)]
        lines += parts if lines[-1] else []
        if not lines[0]:
            lines = parts
    return lines
