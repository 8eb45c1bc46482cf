"""Say the value of every subexpression at its closing bracket: can a model evaluate as it reads?

Source: task ListOpsSubTrees of Gupta et al. 2022, arXiv 2212.00768, and the generator and settings
in github.com/ag1988/dlr; expressions drawn here by its rules, **not** the released files.

Axes: b batch, l positions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
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
    stream,
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
USUAL: Mapping[str, int] = {"MIN": 0, "MAX": 9, "MED": 4, "SM": 8}
"""The commonest value of each operator; SM has hardly one."""
REACHED = {(1500, 2000, 10, 10): (0.147, 0.314, 0.799), (7000, 8180, 15, 9): (0.140, 0.299, 0.778)}
"""Of the short and of the long set: what the commonest value and the two shortcuts reach."""


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
        return reached(self)[0]

    @property
    def shortcuts(self) -> Mapping[str, float]:
        """What the operator alone, or one level and the operators in it, tell of a value."""
        return dict(zip(("own operator", "one level"), reached(self)[1:], strict=True))

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

    def shortcut_predictions(self, batch: Batch) -> Mapping[str, Tensor]:
        """Evaluate no level, or one, and guess what is nested from its operator."""
        rows = batch.inputs.tolist()
        ways = {
            name: torch.tensor([values_read(row, levels) for row in rows])
            for levels, name in enumerate(("own operator", "one level"))
        }
        return {name: one_hot(answers, 10) for name, answers in ways.items()}


@cache
def reached(task: ListOpsSubTrees) -> tuple[float, float, float]:
    """Return what the commonest value, the own operator and one level reach, from the lowest on.

    Of the authors' two sets that was measured once and for all; of others it is on a sample.
    """
    options = (task.shorter, task.longer, task.deepest, task.arguments)
    if options in REACHED:
        return REACHED[options]
    batch = task.sample(64, stream(task.name, task.version, "reached", *options))
    asked = batch.targets != IGNORED
    labels = batch.targets[asked]
    operator, level = (
        (answers.argmax(2)[asked] == labels).double().mean().item()
        for answers in task.shortcut_predictions(batch).values()
    )
    return labels.bincount().max().item() / len(labels), operator, level


def values_read(tokens: list[int], levels: int | None = None) -> list[int]:
    """Return at every closing bracket the value of what it closes; 0 elsewhere.

    Args:
        tokens: From the root's operator on.
        levels: How many are evaluated, none or one; what is deeper counts as `USUAL`.
    """
    stack: list[int] = []
    found = [0] * len(tokens)
    for place, token in enumerate(tokens):
        if token != CLOSE:
            stack.append(token)
            continue
        values: list[int] = []
        while (top := stack.pop()) < OPERATOR:
            values.append(top - DIGIT)
        name = OPERATORS[top - OPERATOR]
        found[place] = USUAL[name] if levels == 0 else MEANING[name](values)
        stack.append(DIGIT + (found[place] if levels is None else USUAL[name]))
    return found
