"""When something that is made of parameters has to be made again."""

from collections.abc import Iterable

from torch import nn


def own(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters of a module itself, without the walk through parts that it has not.

    `parameters` takes a quarter of a short step, as it looks for parts and for what they share.
    """
    held = module._parameters.values()  # noqa: SLF001 - its only name
    return [parameter for parameter in held if parameter is not None]


def version(parameters: Iterable[nn.Parameter]) -> tuple[object, ...]:
    """Return a value that differs after any parameter has changed in a way that torch counts.

    A parameter's version counts its changes in place, its address and type show the others. What
    is written through `p.data` or a numpy view of it torch does not count, so it stays unseen.
    """
    return tuple([(p.data_ptr(), p.dtype, p._version) for p in parameters])  # noqa: SLF001 - its only name
