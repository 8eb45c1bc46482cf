"""Counts what a layer gives a GPU to do, and the bytes of it, where there is no GPU.

    python -P -m tools.cuda.launches lru hawk

A layer on tensors without memory takes the ways of a GPU and computes nothing, so any length is
counted at once. An operator of torch counts as one launch, though a few are more (a sort, a
transform). The bytes are those of all tensors that launches read or write, each once a launch; the
floor is that of the layer's inputs, outputs, parameters and their gradients. No time follows.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, final
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from baselines.ops.kernels import launch
from harness.contract.model import Model
from harness.plugins.loading import load_model

LENGTHS = 4096, 16_384, 262_144
WIDTH = 512
VIEWS = "alias", "detach", "_unsafe_view"
ROOM = "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"
FREE = {*VIEWS, *ROOM, "promote_types"}
"""Operators that launch nothing, beside those that return views."""


class Given(NamedTuple):
    """What a forward and backward pass of a layer gave a device to do."""

    launches: Counter[str]
    """By kernel, and by operator of torch."""
    bytes: int
    floor: int
    """Bytes that are read or written in any case."""


@final
class Counting(TorchDispatchMode):
    """Counts launches of torch and of kernels, and their bytes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launches: Counter[str] = Counter()
        self.bytes = 0

    def add(self, name: str, given: Iterable[Any]) -> None:
        """Count a launch that reads or writes the tensors among what it is given."""
        self.launches[name] += 1
        self.bytes += touched(given)

    def announce(self, kernel: Any, arguments: tuple[Any, ...], constants: dict[str, Any]) -> None:
        """Count a kernel."""
        del constants
        self.add(kernel.__name__, arguments)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count an operator of torch, and run it."""
        del types
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if not function.is_view and name not in FREE:
            self.add(name, tree_leaves((args, kwargs, result)))
        return result


def touched(tensors: Iterable[Any]) -> int:
    """Return the bytes of several tensors, each once; an expanded one has those that it has."""
    seen = {id(each): each for each in tensors if isinstance(each, Tensor)}
    return sum(
        each.element_size()
        * torch.Size(n for n, s in zip(each.shape, each.stride(), strict=True) if s).numel()
        for each in seen.values()
    )


def given(recipe: Model, *, width: int, length: int, batch: int = 1) -> Given:
    """Count a pass, forward and backward, of a causal layer on tensors without memory."""
    counting = Counting()
    floor = 2 * touched(passed(recipe, (batch, length, width), counting.announce, counting))
    return Given(counting.launches, counting.bytes, floor)


def passed(
    recipe: Model,
    shape: tuple[int, int, int],
    announce: Callable[..., None],
    within: AbstractContextManager[Any] | None = None,
) -> list[Tensor]:
    """Let a layer go forwards and backwards over (b, l, d) features without memory.

    Args:
        recipe: Of the layer, which is causal.
        shape: Of its inputs.
        announce: Is told of each kernel, what it is given, and what it is compiled for.
        within: Sees what the passes do.

    Returns:
        Parameters, inputs and outputs.
    """
    layer = recipe.build(width=shape[2], length=shape[1], causal=True).to("meta")
    u = torch.empty(shape, device="meta", requires_grad=True)
    # torch knows no automatic casts of tensors without memory, and there are none here; and its
    # RMS norm is on CUDA the kernel of its layer norm, elsewhere a dozen operators.
    as_there = mock.patch.multiple(
        torch,
        rms_norm=lambda x, shape, scale, eps: F.layer_norm(x, shape, scale, None, eps),
        autocast=lambda *_, **__: nullcontext(),
        is_autocast_enabled=lambda *_: False,
        get_autocast_dtype=lambda _: torch.float32,
    )
    with mock.patch.object(launch, "announce", announce), as_there, within or nullcontext():
        y = layer(u)
        y.backward(torch.empty_like(y))
    return [*layer.parameters(), u, y]


def table(names: Sequence[str]) -> str:
    """Return rows of layers in Markdown: launches at each length, bytes at the longest."""
    head = "| layer | " + " | ".join(f"launches at {length:,}" for length in LENGTHS)
    rows = [f"{head} | GB at {LENGTHS[-1]:,} | floor |", "|---|" + "--:|" * (len(LENGTHS) + 2)]
    for name in names:
        seen = [given(load_model(name), width=WIDTH, length=length) for length in LENGTHS]
        counts = " | ".join(f"{each.launches.total():,}" for each in seen)
        rows.append(
            f"| {name} | {counts} | {seen[-1].bytes / 1e9:.1f} | {seen[-1].floor / 1e9:.1f} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table(sys.argv[1:]) + "\n")
