"""Texts written side by side out of cells, of which each text leaves out what it does not use.

Axes: n texts, e rows of a table, s tokens of a cell, l tokens of a text.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

Cells = tuple[Int[Tensor, "n _ _"], Bool[Tensor, "n _ _"]]
"""Tokens of each text in rows, (n, e, s), and which of them are written."""


def cells(tokens: Int[Tensor, "n e s"], where: Bool[Tensor, "n e"]) -> Cells:
    """Write the tokens of some rows."""
    return tokens, where[..., None].expand_as(tokens)


def sign(token: int, where: Bool[Tensor, "n e"]) -> Cells:
    """Write one and the same token in some rows."""
    return cells(torch.full((*where.shape, 1), token), where)


def table(*columns: Cells) -> Cells:
    """Put cells side by side."""
    tokens, used = zip(*columns, strict=True)
    return torch.cat(tokens, 2), torch.cat(used, 2)


def line(words: Int[Tensor, " s"], n: int) -> Cells:
    """Write the same words in all texts."""
    return cells(words.expand(n, 1, -1), torch.ones(n, 1, dtype=torch.bool))


def concatenate(
    parts: Sequence[Cells], padding: int
) -> tuple[Int[Tensor, "n l"], Int[Tensor, " n"]]:
    """Write parts one behind the other, row by row, without gaps.

    Returns:
        The texts, padded on the right, and the number of tokens of each.
    """
    tokens = torch.cat([tokens.flatten(1) for tokens, _ in parts], 1)
    used = torch.cat([used.flatten(1) for _, used in parts], 1)
    sizes = used.sum(1)
    rows = tokens[used].split(sizes.tolist())
    return pad_sequence(list(rows), batch_first=True, padding_value=padding), sizes
