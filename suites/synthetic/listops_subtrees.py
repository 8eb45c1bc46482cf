"""Say the value of every subexpression at its closing bracket: can a model evaluate as it reads?

Source: task ListOpsSubTrees of Gupta et al. 2022, arXiv 2212.00768, and the generator and settings
in github.com/ag1988/dlr; expressions drawn here by its rules, **not** the released files.

Axes: b batch, l positions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from harness.api import (
    IGNORED,
    Batch,
    PregeneratedTask,
    Protocol,
    SpecError,
    Split,
    StepLabels,
    Tokens,
    one_hot,
)
from suites._options import within
from suites._trees import CLOSE, DIGIT, OPERATOR, OPERATORS, PAD, Rules
from suites.synthetic._chosen_trees import kept_trees, labelled

WIDEST = 50
"""Most arguments that may be asked for: five times those of the published sets."""
MEANING: Mapping[str, Callable[[list[int]], int]] = {
    "MIN": min,
    "MAX": max,
    "MED": lambda values: int(median(values)),
    "SM": lambda values: sum(values) % 10,
}


@final
@dataclass(frozen=True, kw_only=True)
class ListOpsSubTrees(PregeneratedTask):
    """As `lra/listops`, but longer, and the value (0 to 9) is asked at each closing bracket.

    The options are those of the authors' short set. Their long one, the paper's, is
    `[shorter=7000,longer=8180,deepest=15,arguments=9]`. Most subexpressions hold only digits, so
    who evaluates one level, and guesses from its operator what is nested in it, is right at 80 %.
    """

    shorter: int = 1500
    """Expressions have more tokens than this..."""
    longer: int = 2000
    """... and fewer than this."""
    deepest: int = 10
    """Level at which only digits stand; the root is at level 1."""
    arguments: int = 10
    """Most arguments of an operator; the least are two."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 96_000, "validation": 2000, "test": 2000}
    shard_size: ClassVar[int] = 500
    shortcuts: ClassVar[Mapping[str, float]] = {"own operator": 0.314, "one level": 0.799}
    protocol: ClassVar[Protocol] = Protocol(steps=1000, batch=16, width=64, depth=2)

    def __post_init__(self) -> None:
        within("shorter", self.shorter, 0)
        within("longer", self.longer, 5)
        within("deepest", self.deepest, 2)
        within("arguments", self.arguments, 2, WIDEST)
        if self.longer - self.shorter < 2:
            raise SpecError(
                "The options must hold shorter + 2 <= longer, not "
                f"shorter={self.shorter}, longer={self.longer}."
            )

    @property
    def inputs(self) -> Tokens:
        """Padding, ten digits, four operators and the closing bracket."""
        return Tokens(CLOSE + 1)

    @property
    def outputs(self) -> StepLabels:
        """A value at each closing bracket."""
        return StepLabels(10)

    @property
    def max_length(self) -> int:
        """The longest expression that is kept."""
        return self.longer - 1

    @property
    def causal(self) -> bool:
        """As in the paper: a subexpression lies before its closing bracket."""
        return True

    @property
    def chance(self) -> float:
        """0 and 9 are the commonest values."""
        return 0.147

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw trees until n are kept.

        Raises:
            SpecError: Almost no tree is of such a length.
        """
        rules = Rules(self.deepest, self.arguments, self.shorter, self.longer)
        own = np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))
        found: list[tuple[Tensor, Tensor]] = []
        while len(found) < n:
            found += labelled(kept_trees(rules, own))
        rows, labels = zip(*found[:n], strict=True)
        inputs = pad_sequence(list(rows), batch_first=True, padding_value=PAD)
        targets = pad_sequence(list(labels), batch_first=True, padding_value=IGNORED)
        return Batch(inputs, targets, (inputs != PAD).sum(1))

    def oracle(self, batch: Batch) -> Float[Tensor, "b l 10"]:
        """Read each expression from the left with a stack."""
        rows = [values_read(row) for row in batch.inputs.tolist()]
        return one_hot(torch.tensor(rows), 10)


def values_read(tokens: list[int]) -> list[int]:
    """Return at every closing bracket the value of what it closes; 0 elsewhere."""
    stack: list[int] = []
    found = [0] * len(tokens)
    for place, token in enumerate(tokens):
        if token != CLOSE:
            stack.append(token)
            continue
        values: list[int] = []
        while (top := stack.pop()) < OPERATOR:
            values.append(top - DIGIT)
        found[place] = MEANING[OPERATORS[top - OPERATOR]](values)
        stack.append(found[place] + DIGIT)
    return found
