"""Say which state a grammar is in, when its symbols stand far apart among others that mean nothing.

In the manner of SelectivBench (arXiv 2601.12598): what matters is passed on through gaps, what does
not is passed over. The grammar is of our own: a walk on six states with two ways out of each.

Axes: b batch, l positions, c classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import IGNORED, Batch, Evaluation, Protocol, SpecError, one_hot
from suites._lengths import at_lengths
from suites._options import by_default, within
from suites._tokens import TokenTask

NEXT = ((1, 3), (2, 0), (5, 4), (4, 1), (0, 5), (3, 2))
"""Where the two symbols lead from each state: what one symbol does depends on all before it."""
STATES = len(NEXT)
NOISE = 16
FACTORS = (2, 4)


@final
@dataclass(frozen=True, kw_only=True)
class Gaps(TokenTask):
    """Symbols 0 and 1 move a state; all other tokens are noise. Asked is the state at each symbol.

    A position holds a symbol with a probability of 1 / (1 + gap), so `gap` noise tokens stand
    between two symbols on average.
    """

    length: int = 128
    """Positions of the training sequences."""
    gap: int = 3
    """Noise tokens for each symbol; with 0 every position is a symbol."""

    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=64, width=64, depth=2)

    def __post_init__(self) -> None:
        within("gap", self.gap, 0)
        within("length", self.length, 1)
        if self.length < 16 * (1 + self.gap):
            raise SpecError(
                f"With a gap of {self.gap} a sequence needs {16 * (1 + self.gap)} positions at "
                f"least, not {self.length}."
            )

    @property
    def size(self) -> int:
        """Two symbols, which are the first states' labels too, and the noise."""
        return 2 + NOISE

    @property
    def max_length(self) -> int:
        """The training sequence; further evaluations are longer."""
        return self.length

    @property
    def chance(self) -> float:
        """Any state."""
        return 1 / STATES

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What was measured: the first states can be read off their places."""
        return by_default(self, {"linear model": 0.192, "boosted trees": 0.208})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw sequences of the training length."""
        return self.drawn(n, self.length, rng)

    def drawn(self, n: int, length: int, rng: torch.Generator) -> Batch:
        """Draw sequences of any length."""
        symbols = torch.randint(2, (n, length), generator=rng)
        noise = torch.randint(2, self.size, (n, length), generator=rng)
        inputs = symbols.where(torch.randint(1 + self.gap, (n, length), generator=rng) == 0, noise)
        table = torch.tensor([*zip(*NEXT, strict=True)])
        state, states = torch.zeros(n, dtype=torch.long), []
        for token in inputs.unbind(1):
            moved = table[token.clamp(max=1), state]
            state = torch.where(token < 2, moved, state)
            states.append(torch.where(token < 2, state, IGNORED))
        return Batch(inputs, torch.stack(states, 1))

    def evaluations(self) -> Mapping[str, Callable[[], Evaluation]]:
        """Ask about sequences two and four times as long."""
        lengths = [factor * self.length for factor in FACTORS]
        return at_lengths(self, lengths, lambda l, rng: self.drawn(512, l, rng))

    def oracle(self, batch: Batch) -> Float[Tensor, "b l c"]:
        """Take the noise out, and walk."""
        found = torch.zeros_like(batch.inputs)
        for row, tokens in enumerate(batch.inputs.tolist()):
            state = 0
            for place in (i for i, token in enumerate(tokens) if token < 2):
                state = NEXT[state][tokens[place]]
                found[row, place] = state
        return one_hot(found, self.size)
