"""Recall a value of several tokens by a key of several tokens: fuzzy in-context recall.

Source: arXiv 2403.17844, its probe "fuzzy in-context recall". Its generator shuffles all
permutations of three tokens for every sequence; here the distinct tokens are drawn directly, which
has the same distribution and takes microseconds. Where the pair that is sure to come again stands
first is not quite alike, which moves no figure: 4.38 labels a sequence here, 4.39 there.

Axes: b batch, s tokens, l positions, m tokens of a motif, c classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from harness.api import Batch, SpecError, one_hot
from suites._options import by_default, within
from suites.mad._motifs import LONGEST, Motifs, Writer
from suites.mad._recall import RecallTask


@final
@dataclass(frozen=True, kw_only=True)
class FuzzyRecall(RecallTask):
    """Pairs of motifs, one to three distinct tokens each; a key motif keeps its value motif.

    One pair is sure to come again at the end. Keys are of three tokens in validation and test, of
    one to three in training, as in the source. The sequence ends with the last pair, and padding
    stands before its beginning.
    """

    length: int = 128
    """Positions."""
    vocabulary: int = 16
    """Keys, values and the padding."""

    def __post_init__(self) -> None:
        within("length", self.length, 1)
        within("vocabulary", self.vocabulary, 1)
        if (self.vocabulary - 1) // 2 < LONGEST or self.length < 6 * LONGEST:
            raise SpecError(
                f"The vocabulary must be at least {2 * LONGEST + 1} and the length at least "
                f"{6 * LONGEST}, not vocabulary={self.vocabulary}, length={self.length}."
            )

    @property
    def keys(self) -> int:
        """Tokens that keys are made of; the first ones."""
        return (self.vocabulary - 1) // 2

    @property
    def size(self) -> int:
        """Keys, values and the padding."""
        return self.vocabulary

    @property
    def max_length(self) -> int:
        """All tokens but the last."""
        return self.length

    @property
    def chance(self) -> float:
        """Any value."""
        return 1 / (self.vocabulary - 1 - self.keys)

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """The commonest value token, or what followed the last token like the one at the place."""
        return by_default(self, {"commonest value": 0.187, "beside the last occurrence": 0.291})

    def written(
        self, n: int, rng: torch.Generator, *, training: bool
    ) -> tuple[Int[Tensor, "b s"], Bool[Tensor, "b s"]]:
        """Append pairs to all sequences at once, until the next might not fit."""
        shortest = 1 if training else LONGEST
        keys = Motifs(0, self.keys, shortest)
        values = Motifs(self.keys, self.vocabulary - 1 - self.keys, 1)
        writer = Writer(n, self.length + 1, self.vocabulary - 1)
        probe_key, probe_value = keys.drawn(n, rng), values.drawn(n, rng)
        probe_size = (probe_key >= 0).sum(1) + (probe_value >= 0).sum(1)
        room = self.length - probe_size - 2 * LONGEST
        # The probe comes at the first place from here on; so early that it surely does.
        places = (room - 2 * LONGEST + 1).clamp(min=1)
        forced = (torch.rand(n, generator=rng, dtype=torch.float64) * places).long()
        shown = torch.zeros(n, dtype=torch.bool)
        while (growing := writer.filled < room).any():
            due = ~shown & (writer.filled >= forced)
            key = probe_key.where(due[:, None], keys.drawn(n, rng))
            own = (key == probe_key).all(1)
            writer.append(key, probe_value.where(own[:, None], values.drawn(n, rng)), growing)
            shown |= own & growing
        writer.append(probe_key, probe_value, torch.ones_like(shown))
        return writer.flushed_right()

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Read runs of keys and of values, and repeat the value that a run of keys first had."""
        answers = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            known: dict[tuple[int, ...], list[int]] = {}
            place = tokens.count(self.vocabulary - 1)
            while place < len(tokens):
                key = tuple(takewhile(lambda token: token < self.keys, tokens[place:]))
                place += len(key)
                value = list(takewhile(lambda token: token >= self.keys, tokens[place:]))
                found = known.setdefault(key, value)
                end = min(place - 1 + len(found), len(tokens))
                answers[row, place - 1 : end] = torch.tensor(found[: end - place + 1])
                place += len(value)
        return one_hot(answers, self.size)
