"""When something that is made of parameters has to be made again."""

from collections.abc import Sequence
from operator import attrgetter

from torch import Tensor, nn

ADDRESS, VERSION = Tensor.data_ptr, attrgetter("_version")


def own_tensors(module: nn.Module) -> list[Tensor]:
    """Return a module's own parameters and buffers, without the walk through parts it has not.

    `parameters` takes a quarter of a short step, as it looks for parts and for what they share.
    """
    held = (*module._parameters.values(), *module._buffers.values())  # noqa: SLF001 - no other name
    return [tensor for tensor in held if tensor is not None]


def tensor_versions(tensors: Sequence[Tensor]) -> list[int]:
    """Return numbers that differ after any tensor has changed in a way that torch counts.

    A tensor's version counts its changes in place, its address shows the others. What is written
    through `p.data` or a numpy view of it torch does not count, so it stays unseen.
    """
    # As flat as can be: behind a large product a pair for each tensor took twice the time.
    return [*map(ADDRESS, tensors), *map(VERSION, tensors)]
