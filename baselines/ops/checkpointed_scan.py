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
        held, count, _ = ctx.counts
        inputs, parameters, starts = _parted(ctx.saved_tensors, ctx.counts[1:])
        gradients = [torch.empty_like(x) for x in inputs]
        shared: State = ()
        parts = list(
            zip(*(x.split(ctx.segment, 1) for x in (grad, *inputs, *gradients)), strict=True)
        )
        for number in range(len(parts) - 1, -1, -1):
            above, *both = parts[number]
            state = starts[number * held : (number + 1) * held]
            leaves = [x.detach().requires_grad_() for x in (*state, *both[:count], *parameters)]
            with torch.enable_grad(), ctx.autocast:
                output, after = ctx.recurrence(tuple(leaves[:held]), *leaves[held:])
            found = torch.autograd.grad((output, *after), leaves, (above, *state_grad))
            state_grad, below, shares = _parted(found, ctx.counts)
            for target, gradient in zip(both[count:], below, strict=True):
                target.copy_(gradient)
            shared = tuple(map(torch.add, shared, shares)) if shared else shares
        return None, None, None, *state_grad, *gradients, *shared


def _parted(tensors: Sequence[Tensor], counts: Sequence[int]) -> tuple[State, State, State]:
    """Part tensors into so many, so many, and the rest."""
    first, second = counts[0], counts[0] + counts[1]
    return tuple(tensors[:first]), tuple(tensors[first:second]), tuple(tensors[second:])
