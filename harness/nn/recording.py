"""What records a step on a device, and how the step learns of it.

What is recorded is done again at other positions and on other numbers. So nothing may be read on
the host meanwhile, and a counter, elsewhere a number, is an index on the device.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
REHEARSALS = 3
"""Steps before a recording, in which tables are made, kernels compiled and libraries set up."""

_RECORDING: ContextVar[bool] = ContextVar("recording", default=False)


def recording() -> bool:
    """Say whether the step that runs is being recorded, so that it must read nothing."""
    return _RECORDING.get()


def counted(count: Tensor) -> int | Tensor:
    """Return what a counter has come to; in a step that is recorded, an index (1,) instead."""
    return count.view(1) if _RECORDING.get() else int(count)


class Recorder(Protocol):
    """Records work on a device without doing it."""

    def __call__(
        self, work: Callable[[], T], rehearse: Callable[[], object]
    ) -> tuple[Callable[[], object], T]:
        """Return what does the work again, and what the work returned, which it fills anew.

        Args:
            work: What is recorded.
            rehearse: The same on other memory, to be called before.

        Raises:
            RuntimeError: It cannot be recorded, since it reads what only the device knows.
        """
        ...


def cuda_graph(
    work: Callable[[], T], rehearse: Callable[[], object]
) -> tuple[Callable[[], object], T]:
    """Record a CUDA graph, after rehearsals on a stream beside, as torch's documentation asks."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(REHEARSALS):
            rehearse()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()
    return graph.replay, result


def recorder(device: torch.device) -> Recorder | None:
    """Return what records steps on a device; None if they cost little there to be given out."""
    return cuda_graph if device.type == "cuda" else None


@contextmanager
def recorded() -> Iterator[None]:
    """Let what is stepped inside be recorded."""
    before = _RECORDING.set(True)
    try:
        yield
    finally:
        _RECORDING.reset(before)
