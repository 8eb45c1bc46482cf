"""Objectives that take spans out of a text and leave gaps: infilling and autoencoding.

Blouir et al. 2024, "Birdie", section 3 and appendix A.
"""

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import torch

from harness.training.objectives import GAP, Objective, Sample


@dataclass(frozen=True, kw_only=True)
class Spanned(Objective, ABC):
    """An objective that takes spans out of a text and leaves a gap for each."""

    masked: float = 0.15
    """Share of the tokens that is taken out."""
    span: int = 3
    """Tokens of a span, on average."""

    @final
    def spans(self, length: int, rng: torch.Generator) -> list[tuple[int, int]]:
        """Draw where spans begin and end; something stays between any two."""
        masked = min(length - 1, max(1, round(self.masked * length)))
        count = max(1, min(round(masked / self.span), length - masked + 1))
        taken, left = parts(masked, count, rng), parts(length - masked + 2, count + 1, rng)
        spans, at = [], -1
        for kept, gone in zip(left[:-1], taken, strict=True):
            spans.append((at + kept, at + kept + gone))
            at += kept + gone
        return spans


@final
@dataclass(frozen=True, kw_only=True)
class Infilling(Spanned):
    """What is missing from a text is given back, span by span, each behind a gap."""

    kind = "infill"

    @property
    def growth(self) -> tuple[float, int]:
        """The piece and two gaps for each span."""
        return 1 + 2 * self.masked / self.span, 5

    def write(self, text: list[int], vocabulary: int, rng: torch.Generator) -> Sample:
        """Take spans out, and ask for them."""
        spans = self.spans(len(text), rng)
        gap = vocabulary + GAP
        answer = [token for start, end in spans for token in [gap, *text[start:end]]]
        return joined(kept(text, spans), gap), answer


@final
@dataclass(frozen=True, kw_only=True)
class Autoencoding(Spanned):
    """A text is written whole, from which spans are missing."""

    kind = "autoencode"
    shuffle: bool = False
    """Whether what is left between the gaps changes places."""

    @property
    def growth(self) -> tuple[float, int]:
        """The piece, what is left of it, and a gap for each span."""
        return 2 - self.masked + self.masked / self.span, 5

    def write(self, text: list[int], vocabulary: int, rng: torch.Generator) -> Sample:
        """Take spans out, and ask for all."""
        left = kept(text, self.spans(len(text), rng))
        if self.shuffle:
            left = [left[at] for at in torch.randperm(len(left), generator=rng).tolist()]
        return joined(left, vocabulary + GAP), text


def parts(total: int, count: int, rng: torch.Generator) -> list[int]:
    """Draw so many positive numbers with a sum."""
    cuts = torch.randint(total - count + 1, (count - 1,), generator=rng).sort().values.tolist()
    return [1 + end - start for start, end in pairwise([0, *cuts, total - count])]


def kept(text: list[int], spans: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Return what stands before, between and behind spans."""
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def joined(pieces: Sequence[list[int]], mark: int) -> list[int]:
    """Return pieces with a mark between each two."""
    first, *rest = pieces
    return first + [token for piece in rest for token in [mark, *piece]]
