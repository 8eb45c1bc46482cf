"""When something that is made of parameters has to be made again."""

from collections.abc import Sequence

from torch import Tensor, nn

from harness.core.private_torch import private_torch


def own_tensors(module: nn.Module) -> list[Tensor]:
    """Return a module's own parameters and buffers, without the walk through parts it has not.

    `parameters` takes a quarter of a short step, as it looks for parts and for what they share.
    """
    parameters = private_torch("torch.nn.Module()._parameters")(module)
    buffers = private_torch("torch.nn.Module()._buffers")(module)
    return [tensor for tensor in (*parameters.values(), *buffers.values()) if tensor is not None]


def tensor_versions(tensors: Sequence[Tensor]) -> list[int]:
    """Return numbers that differ after any tensor has changed in a way that torch counts.

    A tensor's version counts its changes in place, its address shows the others. What is written
    through `p.data` or a numpy view of it torch does not count, so it stays unseen.
    """
    # As flat as can be: behind a large product a pair for each tensor took twice the time.
    version = private_torch("torch.Tensor()._version")
    return [*map(Tensor.data_ptr, tensors), *map(version, tensors)]
