"""The check of steps that are replayed, by CUDA graphs or, where there is no CUDA, by a tape.

A tape is operators on the tensors that they were recorded with. As in a graph, what a number in
Python was stays what it was, a tensor stays where it was, nothing is read on the host, and what is
recorded is not done yet. What runs outside of torch's dispatcher is not recorded, as it would not
be on another stream.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar, final

import torch
from torch import Tensor, UntypedStorage

from harness.core.private_torch import private_torch
from harness.nn.recording import cuda_graph
from harness.nn.replay import Steps
from harness.testing.check import NotApplicableError
from harness.testing.model_under_test import ModelUnderTest, causal_only
from harness.testing.tiny_tasks import LENGTH
from harness.testing.tolerance import agree

T = TypeVar("T")
ROUND = 70
"""Positions in which a state that is held in blocks comes back to its arrangement twice."""
BORDER = 1024
"""Positions after which a cache that is held in blocks grows."""
READERS = ("aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal")
"""Operators whose results, or the shapes of them, a host waits for."""


@causal_only
@torch.no_grad()
def replays_as_it_steps(model: ModelUnderTest) -> None:
    """Steps that are recorded once and then replayed give what steps give."""
    network, record = model.network(), cuda_graph if model.device == "cuda" else tape
    for read, count in ((0, min(ROUND, model.recipe.max_length or ROUND)), (BORDER - 2, LENGTH)):
        if model.recipe.too_long(read + count):
            continue
        u = model.features(2, read + count)
        eager, replayed = (
            Steps(network, network.prefill(u[:, :read]), each) for each in (None, record)
        )
        for position in range(read, read + count):
            found, expected = replayed(u[:, position]), eager(u[:, position])
            if replayed.refusal:
                raise NotApplicableError(replayed.refusal)
            agree(found, expected, f"Replayed after {read} positions, it gives another output")


def tape(work: Callable[[], T], rehearse: Callable[[], object]) -> tuple[Callable[[], object], T]:
    """Record as `harness.nn.recording.cuda_graph` does.

    Raises:
        RuntimeError: The work reads what a device alone would know.
    """
    rehearse()
    recorded = _Tape()
    try:
        with _observer()(recorded.run):
            result = work()
    finally:
        recorded.rewind()
    return recorded.replay, result


@final
class _Tape:
    """Operators in order, and what was in memory before them."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []
        self.before: dict[int, tuple[UntypedStorage, UntypedStorage]] = {}

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator and note it."""
        if str(func).startswith(READERS):
            raise RuntimeError(f"{func} waits for what a device has computed.")
        for tensor in _tensors((args, tuple(kwargs.values()))):
            held = tensor.untyped_storage()
            if held.data_ptr() not in self.before:
                self.before[held.data_ptr()] = held, held.clone()
        out = func(*args, **kwargs)
        # Torch's recurrent layers turn in place what an operator gave: that moves no memory, so it
        # is nothing to be done again, and what was given is kept in the shape that it had.
        if torch.Tag.inplace_view not in func.tags:
            self.calls.append((func, args, kwargs, [tensor.detach() for tensor in _tensors(out)]))
        return out

    def rewind(self) -> None:
        """Undo what recording did."""
        for held, before in self.before.values():
            held.copy_(before)
        self.before.clear()

    def replay(self) -> None:
        """Run the operators again, each into what it gave when it was recorded."""
        for func, args, kwargs, out in self.calls:
            again = func(*args, **kwargs)
            for old, new in zip(out, _tensors(again), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


@cache
def _observer() -> Any:
    """Make what hands operators over; `harness.measure.flops` says why its class is found here."""
    mode = private_torch("torch.utils._python_dispatch.TorchDispatchMode")
    private_torch("torch.utils._python_dispatch.TorchDispatchMode._should_skip_dynamo")

    class Observer(mode):  # type: ignore[misc, valid-type]  # it is found while this runs
        """Hands every operator over."""

        def __init__(self, run: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> None:
            super().__init__()
            self.run = run

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            """Nothing is compiled here, so the compiler need not be loaded to stay out."""
            return False

        def __torch_dispatch__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
        ) -> Any:
            """Hand one over."""
            return self.run(func, args, kwargs or {})

    return Observer


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of what an operator takes or gives."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)
