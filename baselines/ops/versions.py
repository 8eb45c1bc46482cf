"""When something that is made of parameters has to be made again."""

from collections.abc import Iterable

from torch import nn


def version(parameters: Iterable[nn.Parameter]) -> tuple[object, ...]:
    """Return a value that differs after any parameter has changed.

    A parameter's version counts its changes in place, its address and type show the others.
    """
    return tuple((p.data_ptr(), p.dtype, p._version) for p in parameters)  # noqa: SLF001 - its only name
