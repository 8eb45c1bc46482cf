"""A recurrence over long sequences whose gradient computes each segment of them a second time.

Only the inputs and the states between segments outlive the forward pass, so what a segment needs
inside is held once however long the sequence is (Chen et al. 2016, "Training Deep Nets with
Sublinear Memory Cost"). torch's own checkpoint keeps the graph of what it forgets, some objects for
every operator: for a loop over positions that is more than the numbers themselves.

Axes: b batch, l length.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

State = tuple[Tensor, ...]
Recurrence = Callable[..., tuple[Tensor, State]]
"""Maps a state, the (b, l, ...) inputs of some positions and parameters to (b, l, ...) outputs and
the state after them."""


def checkpointed_scan(
    recurrence: Recurrence,
    segment: int,
    state: State,
    inputs: tuple[Tensor, ...],
    parameters: tuple[Tensor, ...] = (),
) -> tuple[Tensor, State]:
    """Run a recurrence over segments of so many positions, each from the state the last one left.

    Args:
        recurrence: Differentiable in all its tensors, and in nothing else that has a gradient.
        segment: Positions of a segment.
        state: Before the first position; none for a map of each position.
        inputs: (b, l, ...) each.
        parameters: What all positions share.

    Returns:
        (b, l, ...) outputs and the state after the last position.
    """
    counts, given = (len(state), len(inputs), len(parameters)), (*state, *inputs, *parameters)
    output, *last = _CheckpointedScan.apply(recurrence, segment, counts, *given)  # type: ignore[no-untyped-call]
    return output, tuple(last)


class _CheckpointedScan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, recurrence: Recurrence, segment: int, counts: Sequence[int], *given: Tensor
    ) -> tuple[Tensor, ...]:
        state, inputs, parameters = _parted(given, counts)
        starts: State = ()
        whole, start, length = None, 0, inputs[0].shape[1]
        for part in zip(*(x.split(segment, 1) for x in inputs), strict=True):
            starts += state
            output, state = recurrence(state, *part, *parameters)
            if output.shape[1] == length:
                whole = output
                break
            # Written where it belongs at once: joining all in the end would hold them twice.
            if whole is None:
                whole = output.new_empty(len(output), length, *output.shape[2:])
            whole[:, start : start + output.shape[1]] = output
            start += output.shape[1]
        ctx.save_for_backward(*inputs, *parameters, *starts)
        ctx.recurrence, ctx.segment, ctx.counts = recurrence, segment, counts
        device = inputs[0].device.type
        ctx.autocast = torch.autocast(
            device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        )
        return cast("Tensor", whole), *state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *state_grad: Tensor) -> tuple[Tensor | None, ...]:
        size, count, _ = ctx.counts
        inputs, parameters, starts = _parted(ctx.saved_tensors, ctx.counts[1:])
        # A state between segments has a gradient even where nobody asks for the first one's.
        needed = [True] * size + list(ctx.needs_input_grad[3 + size :])
        several = grad.shape[1] > ctx.segment
        gradients = [torch.empty_like(x) for x in inputs] if several else []
        shared: list[Tensor | None] = [None] * len(parameters)
        split = [x.split(ctx.segment, 1) for x in (grad, *inputs, *gradients)]
        for number, (above, *both) in reversed(list(enumerate(zip(*split, strict=True)))):
            state = starts[number * size : (number + 1) * size]
            given = zip((*state, *both[:count], *parameters), needed, strict=True)
            leaves = [x.detach().requires_grad_(need) for x, need in given]
            with torch.enable_grad(), ctx.autocast:
                output, after = ctx.recurrence(tuple(leaves[:size]), *leaves[size:])
            wanted = [x for x in leaves if x.requires_grad]
            found = iter(torch.autograd.grad((output, *after), wanted, (above, *state_grad)))
            every = [next(found) if need else None for need in needed]
            state_grad, below, shares = _parted(every, ctx.counts)
            if not several:
                gradients = list(below)
            for target, gradient in zip(both[count:], below, strict=False):
                if gradient is not None:
                    target.copy_(gradient)
            shared = [b if a is None else a + b for a, b in zip(shared, shares, strict=True)]
        return None, None, None, *state_grad, *gradients, *shared


def _parted(every: Sequence[Any], counts: Sequence[int]) -> tuple[tuple[Any, ...], ...]:
    """Part a sequence into so many, so many, and the rest."""
    first, second = counts[0], counts[0] + counts[1]
    return tuple(every[:first]), tuple(every[first:second]), tuple(every[second:])
