"""Rows of a cache at a position: a number, or an index on the device that nothing reads.

A step that is recorded to be replayed meets other positions later, so its rows are chosen there; a
slice is the faster way everywhere else.

Axes: b batch, p rows, n features.
"""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

Position = int | Int[Tensor, " 1"]


def row(rows: Shaped[Tensor, "b p *n"], at: Position) -> Shaped[Tensor, "b *n"]:
    """Return the row at a position; of a number it is a view."""
    return rows[:, at] if isinstance(at, int) else rows.index_select(1, at).squeeze(1)


def write(rows: Shaped[Tensor, "b p *n"], at: Position, new: Shaped[Tensor, "b *n"]) -> None:
    """Put a row in the place of the one at a position."""
    if isinstance(at, int):
        rows[:, at] = new
    else:
        rows.index_copy_(1, at, new.to(rows.dtype)[:, None])


def filled(rows: Shaped[Tensor, "b p *n"], at: Int[Tensor, " 1"]) -> Bool[Tensor, "b p"]:
    """Return which rows lie up to a position."""
    return (torch.arange(rows.shape[1], device=rows.device) <= at).expand(len(rows), -1)
