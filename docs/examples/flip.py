"""Say a sequence of letters backwards: the last thing heard is wanted first."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from harness.api import IGNORED, Batch, GeneratedTask, StepLabels, Tokens, one_hot

LETTERS = 8
BLANK = LETTERS


@final
@dataclass(frozen=True, kw_only=True)
class Flip(GeneratedTask):
    """Letters, then as many blanks; at the blanks, the letters are wanted in reverse."""

    letters: int = 16

    @property
    def inputs(self) -> Tokens:
        """The letters and the blank."""
        return Tokens(LETTERS + 1)

    @property
    def outputs(self) -> StepLabels:
        """A letter at every blank, nothing before."""
        return StepLabels(LETTERS)

    @property
    def max_length(self) -> int:
        """Letters and blanks."""
        return 2 * self.letters

    @property
    def causal(self) -> bool:
        """What is asked for comes after what it depends on."""
        return True

    @property
    def chance(self) -> float:
        """All letters are equally likely."""
        return 1 / LETTERS

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw letters."""
        letters = torch.randint(LETTERS, (n, self.letters), generator=rng)
        blanks = torch.full_like(letters, BLANK)
        nothing = torch.full_like(letters, IGNORED)
        return Batch(torch.cat([letters, blanks], 1), torch.cat([nothing, letters.flip(1)], 1))

    def oracle(self, batch: Batch) -> Tensor:
        """Read the inputs from their end."""
        return one_hot(batch.inputs.flip(1) % LETTERS, LETTERS)
