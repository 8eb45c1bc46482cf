"""What can be seen of a task's inputs at little cost, question by question.

A question is a place of the targets that carries a label or values; a causal task shows the inputs
up to it, any other all of them.

Axes: b batch, l length, c channels, p places of an example's targets, q questions, k summaries,
s size of a value, v tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.contract.batch import Batch
from harness.contract.denoising import IGNORED
from harness.contract.task import LearningTask

Array = npt.NDArray[Any]
TOGETHER = 16
"""Examples that are looked at at once, so that the summaries of long ones fit into memory."""

LOOKUP = "beside the last occurrence"
"""The token behind the last earlier one that is the same as that at the question's position."""


@dataclass(frozen=True)
class Questions:
    """Questions in the order of their examples, their answers, and what is seen before each."""

    example: Array
    """(q,)"""
    place: Array
    """(q,) among the places of its example's targets."""
    answers: Array
    """(q,) labels, or (q, s) values."""
    summaries: dict[str, Array]
    """(q, c) of each kind: real numbers. What a token is called counts as its number."""
    tokens: dict[str, Array]
    """(q,) of each kind: a token, -1 where there is none. Empty if the inputs are signals."""

    @property
    def numbers(self) -> Array:
        """All summaries and the place, (q, k)."""
        return np.concatenate([*self.summaries.values(), self.place[:, None]], 1)

    @property
    def hints(self) -> Array:
        """All tokens but the one that was looked up, (q, k): with it, recall would be learnt."""
        return np.stack([each for name, each in self.tokens.items() if name != LOOKUP], 1)

    @property
    def table(self) -> Array:
        """All numbers and hints, (q, k)."""
        return np.concatenate([self.numbers, self.hints], 1) if self.tokens else self.numbers


def answers(batch: Batch) -> Tensor:
    """Return the targets with an axis of places, of one where there is one answer: (b, p, ...)."""
    return batch.targets[:, None] if batch.targets.ndim == 1 else batch.targets


def asked(batch: Batch) -> Array:
    """Say which places of the targets are questions, (b, p)."""
    found = answers(batch)
    mask = torch.ones(found.shape[:2]) > 0 if found.is_floating_point() else found != IGNORED
    return np.asarray(mask)


def questions(task: LearningTask, batch: Batch, chosen: Array, labels: Array) -> Questions:
    """Look at the inputs of the chosen questions.

    Args:
        task: What asks.
        batch: Its examples.
        chosen: (b, p), which questions.
        labels: All labels that occur in training. Only what is one of them is a value.
    """
    parts = [
        _look(task, batch[start : start + TOGETHER], chosen[start : start + TOGETHER], labels)
        for start in range(0, len(batch), TOGETHER)
    ]
    example, place = np.nonzero(chosen)
    return Questions(
        example=example,
        place=place,
        answers=answers(batch).numpy()[example, place],
        summaries={k: np.concatenate([one[k] for one, _ in parts]) for k in parts[0][0]},
        tokens={k: np.concatenate([one[k] for _, one in parts]) for k in parts[0][1]},
    )


def _look(
    task: LearningTask, batch: Batch, chosen: Array, labels: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    at, ends = _positions(task, batch, chosen.shape[1])
    example, place = np.nonzero(chosen)
    at, ends = at[example, place], ends[example, place]
    real = batch.inputs.is_floating_point()
    inputs = batch.inputs if real else batch.inputs[..., None]
    views = {name: view[example, ends - 1] for name, view in _so_far(inputs.double().numpy())}
    views |= {"input at the place": inputs.double().numpy()[example, at]}
    if real:
        step = place * ends // chosen.shape[1]
        views["input in step"] = inputs.double().numpy()[example, step]
    told: dict[str, list[Array]] = {}
    for row, line in enumerate([] if real else batch.inputs.numpy()):
        own = example == row
        for name, found in _values(line, at[own], ends[own], labels):
            told.setdefault(name, []).append(found)
    return views, {name: np.concatenate(found) for name, found in told.items()}


def _positions(task: LearningTask, batch: Batch, places: int) -> tuple[Array, Array]:
    """Return for each place its position in the input, and how many positions are shown: (b, p)."""
    b, length = batch.inputs.shape[:2]
    lengths = torch.full((b,), length) if batch.lengths is None else batch.lengths
    if places == 1:
        at = lengths[:, None] - 1
    else:
        # Whoever reads features of positions reads the positions themselves.
        position = torch.arange(length).double().expand(b, -1)[..., None]
        at = task.outputs.gather(position, batch.lengths)[..., 0].long().expand(-1, places)
    shown = at + 1 if task.causal else lengths[:, None].expand_as(at)
    return at.numpy(), shown.numpy()


def _so_far(x: Array) -> Iterator[tuple[str, Array]]:
    """Yield summaries of all positions up to each: (b, l, c).

    Beside mean, spread and ends these are the steps to the position before and, as in an image, to
    the one above; and where the mass lies, in the sequence and in the image's rows.
    """
    length, side = x.shape[1], isqrt(x.shape[1])
    time = (np.arange(length) / length)[:, None]
    across = (np.arange(length) % side / side)[:, None]
    count = np.arange(1, length + 1)[:, None]
    averaged = {
        "mean so far": x,
        "power": x * x,
        "step": abs(np.diff(x, axis=1, prepend=x[:, :1])),
        "step down": abs(x - np.concatenate([x[:, :side], x[:, :-side]], 1)),
        "late": x * time,
        "late power": x * time**2,
        "across": x * across,
        "across power": x * across**2,
    }
    for name, values in averaged.items():
        yield name, values.cumsum(1) / count
    yield "least so far", np.minimum.accumulate(x, 1)
    yield "largest so far", np.maximum.accumulate(x, 1)
    yield "first input", np.broadcast_to(x[:, :1], x.shape)
    yield "last input", x


def _values(line: Array, at: Array, ends: Array, labels: Array) -> Iterator[tuple[str, Array]]:
    """Yield what the tokens of one example, (l,), say at once about questions that are values."""
    place = np.arange(len(line))
    value = np.isin(line, labels)
    named = np.append(line, -1)  # the token of position -1, which is nowhere
    last = np.maximum.accumulate(np.where(value, place, -1))
    first = value.argmax()
    yield "last value", named[last[ends - 1]]
    yield "first value", np.where(last[ends - 1] >= 0, named[first], -1)
    yield "commonest value", _commonest(line, value, ends)
    yield "token at the place", line[at]
    order = line.argsort(kind="stable")
    before = np.full(len(line), -2)
    same = line[order[1:]] == line[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    yield LOOKUP, named[before[at] + 1]


def _commonest(line: Array, value: Array, ends: Array) -> Array:
    """Return the value that occurs most often up to each end; -1 before there is one."""
    kinds, number = np.unique(line[value], return_inverse=True)
    if not len(kinds):
        return np.full(len(ends), -1)
    counts = np.zeros((len(line), len(kinds)), np.int32)
    counts[np.flatnonzero(value), number] = 1
    counts = counts.cumsum(0)[ends - 1]
    return np.where(counts.any(1), kinds[counts.argmax(1)], -1)
