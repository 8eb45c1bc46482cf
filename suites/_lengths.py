"""Further evaluations at other lengths than the training's, each from a stream of its own."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch

from harness.api import Batch, Evaluation, GeneratedTask, stream


def at_lengths(
    task: GeneratedTask, lengths: Iterable[int], drawn: Callable[[int, torch.Generator], Batch]
) -> Mapping[str, Callable[[], Evaluation]]:
    """Return one evaluation a length, made when it is its turn.

    Args:
        task: Names the streams.
        lengths: What to ask for.
        drawn: Draws the set of a length.
    """

    def made(length: int) -> Evaluation:
        return Evaluation(drawn(length, stream(task.name, task.version, "length", length)))

    return {f"length-{length}": partial(made, length) for length in lengths}
