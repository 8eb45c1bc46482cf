"""Changes of memory layout that torch leaves slow.

Axes: b batch, l length, d channels; r chunks, m positions of one.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SMALL = 1 << 16
"""Numbers of one sequence up to which torch's own copy stays in the cache."""


def transposed(x: Float[Tensor, "b l d"]) -> Float[Tensor, "b d l"]:
    """Return a contiguous copy with the last two axes swapped.

    torch swaps two axes in tiles only if there is no third; else it reads a cache line for every
    number, ten times slower at 262,144 positions of 128 channels.
    """
    if x[:1].numel() <= SMALL:
        return x.mT.clone(memory_format=torch.contiguous_format)
    swapped = x.new_empty(x.shape[0], x.shape[2], x.shape[1])
    for source, target in zip(x, swapped, strict=True):
        target.copy_(source.T)
    return swapped


def in_chunks(x: Float[Tensor, "b l d"], size: int) -> Float[Tensor, "d br m"]:
    """Lay sequences out in r chunks of m positions each, the last filled up with zeros.

    Chunks are transposed one by one in memory, since a whole sequence does not fit into the cache.
    """
    if missing := -x.shape[1] % size:
        x = F.pad(x, (0, 0, 0, missing))
    return x.reshape(-1, size, x.shape[-1]).mT.contiguous().transpose(0, 1)


def join_chunks(chunks: Float[Tensor, "d br m"], whole: Float[Tensor, "b l d"]) -> None:
    """Undo `in_chunks`, into a tensor that is there."""
    batch, length, channels = whole.shape
    whole.copy_(chunks.reshape(channels, batch, -1)[..., :length].permute(1, 2, 0))
