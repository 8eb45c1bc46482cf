"""Phone books with questions, as tokens: the layout of the Birdie paper, word by word.

    What are the phone numbers for <name>, <name>, and <name>? Find them in the phonebook below.

    Phonebook:
    <name>: ddd-ddd-dddd
    ...

    What are the phone numbers for <name>, <name>, and <name>? Find them in the phonebook above.
    ddd-ddd-dddd, ddd-ddd-dddd, ddd-ddd-dddd

A token is a digit, a sign, a word of the question, a line break, or a syllable of a name; blanks
between words are none.

Axes: n texts, e entries or questions, s tokens of a name or a number, l tokens of a text.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from suites.retrieval._cells import cells, concatenate, line, sign, table

DIGITS, SYLLABLES = 10, 64
ASK = "What are the phone numbers for"
BELOW = "? Find them in the phonebook below . \n \n Phonebook : \n"
ABOVE = "? Find them in the phonebook above . \n"
WORDS = ("<end>", *dict.fromkeys(f"\n - : , and {ASK} {BELOW} {ABOVE}".split(" ")))
END, BREAK, DASH, COLON, COMMA, AND = range(DIGITS, DIGITS + 6)
NAMES = DIGITS + len(WORDS)
"""The first syllable."""
VOCABULARY = NAMES + SYLLABLES


@final
@dataclass(frozen=True)
class Size:
    """How large a book is, and how long what stands in it."""

    entries: int
    """Of the longest book."""
    questions: int
    """Numbers that are asked at most."""
    groups: tuple[int, ...]
    """Digits of each group of a number; the very first digit is not 0."""
    syllables: int
    """Tokens of a name, first and last name together."""

    @property
    def digits(self) -> int:
        """Of a number."""
        return sum(self.groups)

    @property
    def names(self) -> int:
        """Different names."""
        return int(SYLLABLES**self.syllables)

    @property
    def number(self) -> int:
        """Tokens of a number."""
        return self.digits + len(self.groups) - 1

    @property
    def length(self) -> int:
        """Tokens of the longest text, at most."""
        fixed = len(words(f"{ASK} {BELOW} \n {ASK} {ABOVE}"))
        asked = 2 * (self.syllables + 1) + self.number + 1
        return fixed + self.entries * (self.syllables + self.number + 2) + self.questions * asked


SIZES: Mapping[str, Size] = {
    "small": Size(entries=24, questions=4, groups=(2, 2), syllables=2),
    "full": Size(entries=800, questions=32, groups=(3, 3, 4), syllables=4),
}


def words(text: str) -> Int[Tensor, " l"]:
    """Return the tokens of words that stand apart by blanks."""
    return torch.tensor([DIGITS + WORDS.index(word) for word in text.split(" ")])


def written(
    size: Size, entries: Int[Tensor, " n"], asked: Int[Tensor, " n"], rng: torch.Generator
) -> tuple[Int[Tensor, "n l"], Int[Tensor, " n"]]:
    """Draw books with so many entries, of which so many are asked for.

    Returns:
        The texts with their answers, padded on the right, and the number of tokens of each.
    """
    n, longest, most = len(entries), int(entries.max()), int(asked.max())
    names, numbers = drawn_names(size, n, longest, rng), drawn_numbers(size, n, longest, rng)
    present = torch.arange(longest) < entries[:, None]
    question = torch.arange(most) < asked[:, None]
    last = torch.arange(most) == asked[:, None] - 1
    lots = torch.rand(n, longest, generator=rng, dtype=torch.float64)
    chosen = lots.masked_fill(~present, -1.0).topk(most).indices[..., None]
    name, number = (x.gather(1, chosen.expand(-1, -1, x.shape[2])) for x in (names, numbers))
    comma = sign(COMMA, question & ~last)
    asking = table(sign(AND, last & (asked > 1)[:, None]), cells(name, question), comma)
    book = cells(names, present), sign(COLON, present), cells(numbers, present)
    answer = table(cells(number, question), comma, sign(END, last))
    fixed = (line(words(text), n) for text in (ASK, BELOW, f"\n {ASK}", ABOVE))
    first, below, again, above = fixed
    texts = first, asking, below, table(*book, sign(BREAK, present)), again, asking, above, answer
    return concatenate(texts, END)


def drawn_names(size: Size, n: int, count: int, rng: torch.Generator) -> Int[Tensor, "n e s"]:
    """Draw names, no two of a book alike: books in which two are alike are drawn again."""
    names = torch.randint(size.names, (n, count), generator=rng)
    while (again := names.sort(1).values.diff(dim=1).eq(0).any(1)).any():
        names[again] = torch.randint(size.names, (int(again.sum()), count), generator=rng)
    place = SYLLABLES ** torch.arange(size.syllables)
    return names[..., None] // place % SYLLABLES + NAMES


def drawn_numbers(size: Size, n: int, count: int, rng: torch.Generator) -> Int[Tensor, "n e s"]:
    """Draw numbers that do not begin with 0, with dashes between the groups of digits."""
    digits = torch.randint(10, (n, count, size.digits), generator=rng)
    digits[..., 0] = torch.randint(1, 10, (n, count), generator=rng)
    dash = torch.full((n, count, 1), DASH)
    groups = [part for group in digits.split(size.groups, 2) for part in (group, dash)]
    return torch.cat(groups[:-1], 2)


def looked_up(tokens: list[int], *, guess: bool = False) -> tuple[int, list[int]]:
    """Read a text line by line, and find what its last question asks for.

    Args:
        tokens: The text.
        guess: Whether every number is taken for the last one of the book.

    Returns:
        The position at which the answer's first token is predicted, and the answer.
    """
    start = len(tokens) - 1 - tokens[::-1].index(BREAK)
    lines = [list(text) for feed, text in groupby(tokens[:start], BREAK.__eq__) if not feed]
    known = {tuple(row[: row.index(COLON)]): row[row.index(COLON) + 1 :] for row in lines[1:-1]}
    if guess:
        known = dict.fromkeys(known, lines[-2][lines[-2].index(COLON) + 1 :])
    runs = [(syllable, tuple(run)) for syllable, run in groupby(lines[-1], NAMES.__le__)]
    answer = [token for syllable, name in runs if syllable for token in (*known[name], COMMA)]
    return start, [*answer[:-1], END]
