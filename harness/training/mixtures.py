"""Rows of samples that objectives write, and mixtures of objectives by name.

A row is samples one behind the other, each `prompt GO answer`, with the token of its class first or
last in the prompt, as likely. Targets stand on the position before their token, and only on
answers. Blouir et al. 2024, "Birdie", has rows of 2,048 tokens; here lengths are shares of a row,
and grids are thinner, so that rows of some hundred tokens hold them.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import torch

from harness.contract.batch import Batch
from harness.contract.denoising import IGNORED
from harness.training.gaps import Autoencoding, Infilling
from harness.training.objectives import (
    GO,
    LEAST,
    MARKS,
    Copying,
    Deshuffling,
    NextToken,
    Objective,
    Prefix,
    SelectiveCopying,
    below,
)

SHORT, LONG = (1 / 16, 1 / 4), (1 / 4, 1 / 2)
GRID: tuple[Objective, ...] = (
    NextToken(),
    Prefix(shares=(1 / 4, 1)),
    *(Copying(shares=shares) for shares in (SHORT, LONG)),
    *(Deshuffling(shares=a, shuffled=b) for a, b in product((SHORT, LONG), (0.5, 1.0))),
    *(
        SelectiveCopying(shares=(1 / 4, 3 / 4), count=count, before=before)
        for count, before in product((1, 4), (True, False))
    ),
    *(
        Infilling(shares=shares, masked=masked, span=span)
        for shares, masked, span in product((SHORT, (1 / 4, 1)), (0.15, 0.5), (3, 8))
    ),
    *(
        Autoencoding(shares=LONG, masked=masked, span=span, shuffle=shuffle)
        for masked, span, shuffle in product((0.15, 0.85), (3, 8), (False, True))
    ),
)
"""Every configuration of Birdie's classes."""
KINDS = tuple(dict.fromkeys(objective.kind for objective in GRID))
SYMBOLS = MARKS + len(KINDS)
"""Tokens that are put beside a vocabulary."""


def evenly(objectives: Sequence[Objective]) -> dict[Objective, float]:
    """Give each class the same share, and within it each configuration."""
    kinds = [objective.kind for objective in objectives]
    return {o: 1 / len(set(kinds)) / kinds.count(o.kind) for o in objectives}


MIXTURES: Mapping[str, Mapping[Objective, float]] = {
    "ntp": {NextToken(): 1.0},
    "ul2": {
        NextToken(): 0.6,
        Prefix(shares=(1 / 4, 1)): 0.2,
        Infilling(shares=(1 / 4, 1), masked=0.15, span=3): 0.1,
        Infilling(shares=(1 / 4, 1), masked=0.5, span=32): 0.1,
    },
    "fixed": evenly(GRID),
    "birdie": dict.fromkeys(GRID, 1 / len(GRID)),
}
"""Named mixtures and what share each configuration has; Birdie's is the one that it starts from.

UL2's is the one that the paper compares with. The paper's fixed ratios were tuned in more than 50
trainings and are not printed, so here every class has the same.
"""


def rows(
    texts: Sequence[list[int]],
    objectives: Sequence[Objective],
    size: int,
    vocabulary: int,
    rng: torch.Generator,
) -> Batch:
    """Write a row of samples for each text and its objective.

    Args:
        texts: Tokens below `vocabulary`.
        objectives: One for each text.
        size: Positions of the inputs.
        vocabulary: Tokens that are no marks.
        rng: A CPU generator.
    """
    inputs = torch.zeros(len(texts), size, dtype=torch.long)
    targets, lengths = torch.full_like(inputs, IGNORED), []
    for n, (text, objective) in enumerate(zip(texts, objectives, strict=True)):
        tokens, asked = row(text, objective, size + 1, vocabulary, rng)
        inputs[n, : len(tokens) - 1] = torch.tensor(tokens[:-1])
        label = torch.tensor(tokens[1:]).where(torch.tensor(asked[1:]), IGNORED)
        targets[n, : len(tokens) - 1] = label
        lengths.append(len(tokens) - 1)
    return Batch(inputs, targets, torch.tensor(lengths))


def row(
    text: list[int], objective: Objective, size: int, vocabulary: int, rng: torch.Generator
) -> tuple[list[int], list[bool]]:
    """Write samples until no further one fits into `size` tokens; says which are asked for."""
    tokens: list[int] = []
    asked: list[bool] = []
    paradigm = vocabulary + MARKS + KINDS.index(objective.kind)
    low, high = (max(LEAST, round(share * size)) for share in objective.shares)
    while (most := min(objective.longest(size - len(tokens)), len(text))) >= LEAST or not tokens:
        length = min(below(low, high + 1, rng), max(1, most))
        start = below(0, len(text) - length + 1, rng)
        prompt, answer = objective.write(text[start : start + length], vocabulary, rng)
        first = bool(below(0, 2, rng))
        prompt = [paradigm, *prompt] if first else [*prompt, paradigm]
        tokens += [*prompt, vocabulary + GO, *answer]
        asked += [False] * (len(prompt) + 1) + [True] * len(answer)
    return tokens[:size], asked[:size]
