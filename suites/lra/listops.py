"""Evaluate a long nested expression: ListOps, drawn here by the published generator's rules.

Source: Long Range Arena (Tay et al. 2020, arXiv 2011.04006) after Nangia and Bowman 2018. The
released sets were drawn without a seed; these have the same distribution and the same sizes, and
are not the released ones.

The task is a ladder of shortcuts: 17 % for the commonest label, 37 % from the root's operator, 60 %
from the exact value of the top level with each nested argument guessed from its operator.

Axes: b batch, l positions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from harness.api import Batch, OneLabel, PregeneratedTask, Protocol, Split, Tokens, one_hot
from suites._trees import CLOSE, DIGIT, OPERATOR, OPERATORS, PAD, Rules, drawn
from suites.lra._averages import Averages, both

RULES = Rules(deepest=10, arguments=10, shorter=500, longer=2000)
BATCH = 256
"""Trees that are drawn at once; about a third of them are kept."""
MEANING: Mapping[str, Callable[[list[int]], int]] = {
    "MIN": min,
    "MAX": max,
    "MED": lambda values: int(np.median(values)),
    "SM": lambda values: sum(values) % 10,
}
USUAL: Mapping[str, int] = {"MIN": 0, "MAX": 9, "MED": 4, "SM": 5}
"""The commonest value of each operator; SM has hardly one."""


@final
@dataclass(frozen=True, kw_only=True)
class ListOps(PregeneratedTask):
    """`[MAX 4 3 [MIN 2 3 ] 1 ]` and so on, 501 to 1,999 tokens; the label is the value, 0 to 9.

    Parentheses are left out, closing brackets are kept.
    """

    pool: Literal["mean", "first"] = "mean"
    """What the head reads: the average of all positions, as S4's models do, or the first one, as
    the arena's own do. A causal model sees nothing but the root's operator there."""

    examples: ClassVar[Mapping[Split, int]] = {"train": 96_000, "validation": 2000, "test": 2000}
    shortcuts: ClassVar[Mapping[str, float]] = {"root operator": 0.373, "top level": 0.597}
    protocol: ClassVar[Protocol] = Protocol(steps=2000, batch=32, width=64, depth=2)

    @property
    def inputs(self) -> Tokens:
        """Padding, ten digits, four operators and the closing bracket."""
        return Tokens(CLOSE + 1)

    @property
    def outputs(self) -> OneLabel:
        """The value of the expression."""
        return OneLabel(10, self.pool)

    @property
    def max_length(self) -> int:
        """As published."""
        return 2000

    @property
    def causal(self) -> bool:
        """A classifier may see everything."""
        return False

    @property
    def chance(self) -> float:
        """0 and 9 are the commonest labels."""
        return 0.174

    def depends_on(self) -> object:
        """What the head reads changes no tree."""
        return {}

    def averages(self) -> Averages:
        """Those of both variants; S4's takes the mean, and of an end that it appends."""
        return both("original") | (both("s4") if self.pool == "mean" else {})

    def sample(self, n: int, rng: torch.Generator) -> Batch:
        """Draw trees until n are kept."""
        own = np.random.default_rng(int(torch.randint(2**62, (), generator=rng)))
        rows: list[Tensor] = []
        labels: list[int] = []
        while len(rows) < n:
            found = drawn(BATCH, RULES, own)
            ends = np.cumsum(found.lengths)[:-1]
            rows += map(torch.from_numpy, np.split(found.tokens, ends))
            labels += found.values.tolist()
        inputs = torch.nn.utils.rnn.pad_sequence(rows[:n], batch_first=True, padding_value=PAD)
        lengths = torch.tensor([len(row) for row in rows[:n]])
        return Batch(inputs, torch.tensor(labels[:n]), lengths)

    def oracle(self, batch: Batch) -> Float[Tensor, "b 10"]:
        """Read each expression from the left with a stack."""
        return answers(batch, RULES.deepest)

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:
        """Evaluate no level, or the top one, and guess what is nested from its operator."""
        return {"root operator": answers(batch, 0), "top level": answers(batch, 1)}


def answers(batch: Batch, levels: int) -> Float[Tensor, "b 10"]:
    """Evaluate so many levels of each expression, and guess the deeper ones."""
    values = [evaluated(row[row != PAD].tolist(), levels) for row in batch.inputs]
    return one_hot(torch.tensor(values), 10)


def evaluated(tokens: list[int], levels: int = RULES.deepest) -> int:
    """Return the value of an expression, given as token ids.

    Args:
        tokens: From the root's operator to its bracket.
        levels: How many are evaluated, from the root's on; deeper ones count as `USUAL`.
    """
    open_: list[tuple[str, list[int]]] = [("", [])]
    for token in tokens:
        if token == CLOSE:
            name, values = open_.pop()
            exact = len(open_) <= levels
            open_[-1][1].append(MEANING[name](values) if exact else USUAL[name])
        elif token >= OPERATOR:
            open_.append((OPERATORS[token - OPERATOR], []))
        else:
            open_[-1][1].append(token - DIGIT)
    return open_[0][1][0]
