"""Steps of generation that are recorded once and replayed: one launch for all their operators.

A step is dozens of small operators, which a processor gives out more slowly than a GPU does them. A
CUDA graph gives them out together, always to the addresses at which it was recorded. So input and
state lie in memory of the recording's own, and what a step leaves is moved to where the next one
expects it. A state may come back to its arrangement after several steps, as one that is held in
blocks does: then every step of the round has a recording.

A step may be recorded if it reads nothing on the host, where `recording()` tells it to, and does
the same to all states of one arrangement: of the same shapes and strides, sharing the same memory.
A component that makes room at some steps, or does the work of several positions there, says by
`replayable(state)` how many come before the next of these.
"""

import copy
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from harness.contract.network import State, Stepper, state_tensors
from harness.core.errors import SpecError
from harness.nn.recording import Recorder, recorded

MOST = 64
"""Recordings of one sequence. A state that has taken so many arrangements and come back to none
takes another one at every step."""


@dataclass(eq=False)
class _Recording:
    """A step on memory of its own."""

    u: Tensor
    before: State
    output: Tensor
    after: State
    """Where the state lies behind it."""
    replay: Callable[[], object]
    next: "_Recording | None" = None
    """The one whose state that is, once there is one."""


@final
class Steps:
    """The steps of one generation, replayed where they can be.

    Args:
        network: Whose steps they are.
        state: Before the first of them, in whose memory they may work.
        record: Records a step; None to do without.
    """

    def __init__(self, network: Stepper, state: State, record: Recorder | None) -> None:
        self.network, self.record = network, record
        self.refusal = ""
        """Why no step is replayed any more, in a sentence."""
        self.replayed = False
        """Whether any step has been."""
        self._state = state
        self._home: torch.device | None = None  # where its counters come from
        self._last: _Recording | None = None  # it has the state, if there is one
        self._left = 0
        self._known: dict[Hashable, _Recording] = {}

    def __call__(self, u: Tensor) -> Tensor:
        """Advance one position; what is returned may be filled anew by the next step."""
        replayed = None if self.record is None else self._replayed(u)
        if replayed is None:
            replayed, self._state = self.network.step(u, self._state)
        return replayed

    def forget(self) -> tuple[str, str]:
        """Give up all recordings and their memory, and record none any more.

        Returns:
            `graphs` if steps were replayed until now, and why they were not.
        """
        self._leave()
        self._drop()
        self.record = None
        return "graphs" if self.replayed and not self.refusal else "", self.refusal

    @torch.no_grad()
    def _replayed(self, u: Tensor) -> Tensor | None:
        """Replay one position; None if it cannot be."""
        if not self._left:
            self._leave()
            self._left = self.network.replayable(self._state)
        if not self._left:
            return None
        try:
            recording = self._next(u)
        except (RuntimeError, SpecError) as error:
            self.refusal = f"Its step cannot be recorded: {_cause(error)}"
            self.forget()
            return None
        recording.u.copy_(u)
        recording.replay()
        self._last, self._left, self.replayed = recording, self._left - 1, True
        return recording.output

    def _next(self, u: Tensor) -> _Recording:
        """Return the recording of the next step."""
        if self._last is None:
            return self._entered(u)
        if self._last.next is None:
            self._last.next = self._recorded(u, self._last.after)
        return self._last.next

    def _entered(self, u: Tensor) -> _Recording:
        """Return the recording for the present state, which is given to it."""
        parts = state_tensors(self._state)
        self._home = next((part.device for part in parts if _counts(part)), None)
        known = self._known.get(_arrangement(self._state))
        if known is None:
            self._drop()  # a state that has grown comes back to none of them
            known = self._recorded(u, _moved(self._state, u.device, copied=True))
        else:
            _fill(known.before, self._state)
        self._state = None
        return known

    def _leave(self) -> None:
        """Take the state from the recordings, its counters where they came from."""
        if self._last is not None:
            self._state = _moved(self._last.after, self._home, copied=False)
        self._last, self._left = None, 0

    def _drop(self) -> None:
        """Let the recordings go, of which one holds the next, and with them their memory."""
        for each in self._known.values():
            each.next = None
        self._known.clear()

    def _recorded(self, u: Tensor, state: State) -> _Recording:
        """Record the step from a state, which lies where it stays.

        Raises:
            RuntimeError: It cannot be recorded, or too many are already.
        """
        assert self.record is not None
        if len(self._known) == MOST:
            raise RuntimeError(f"the state takes more than {MOST} shapes.")
        key, u = _arrangement(state), u.clone()
        places = {key: state} | {each: known.before for each, known in self._known.items()}

        def work() -> tuple[Tensor, State, Hashable]:
            output, after = self.network.step(u, state)
            output = output.clone()  # it may lie in the state's memory
            arrived = _arrangement(after)
            if arrived in places:
                _fill(places[arrived], after)
            return output, places.get(arrived, after), arrived

        def rehearse() -> None:
            self.network.step(u.clone(), copy.deepcopy(state))

        with recorded():
            replay, (output, after, arrived) = self.record(work, rehearse)
        made = self._known[key] = _Recording(u, state, output, after, replay)
        made.next = self._known.get(arrived)
        return made


def _cause(error: BaseException) -> str:
    """Return what was said first: a capture that ends early raises once more."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0]


def _counts(part: Tensor) -> bool:
    """Say whether a tensor of a state is a counter."""
    return not part.ndim and not part.is_floating_point() and not part.is_complex()


def _moved(state: State, device: torch.device | None, *, copied: bool) -> State:
    """Return a state with its counters on a device; the rest copied, or the same tensors."""
    parts = list(state_tensors(state))
    memo: dict[int, Any] = {} if copied else {id(part): part for part in parts}
    for part in filter(_counts, parts):
        memo[id(part)] = part.to(device or part.device, copy=copied)
    return copy.deepcopy(state, memo)


def _arrangement(state: State) -> Hashable:
    """Return what states have in common on which a recording does the same."""
    numbers: dict[int, int] = {}

    def told(part: State) -> Hashable:
        if isinstance(part, (dict, tuple, list)):
            parts = part.items() if isinstance(part, dict) else enumerate(part)
            return type(part), tuple((name, told(one)) for name, one in parts)
        held = part.untyped_storage()
        number = numbers.setdefault(held.data_ptr(), len(numbers))
        place = number, held.nbytes(), part.storage_offset()
        return (*place, part.shape, part.stride(), part.dtype)

    return told(state)


def _fill(state: State, given: State) -> None:
    """Move a state into the memory of another one of the same arrangement."""
    pairs = {}
    for mine, theirs in zip(state_tensors(state), state_tensors(given), strict=True):
        to, of = _whole(mine), _whole(theirs)
        if to.data_ptr() != of.data_ptr():
            pairs[to.data_ptr()] = to, of
    # One that would be overwritten before it is read, as where two change places, is put aside.
    sources = [of.clone() if of.data_ptr() in pairs else of for _, of in pairs.values()]
    for (to, _), of in zip(pairs.values(), sources, strict=True):
        to.copy_(of)


def _whole(part: Tensor) -> Tensor:
    """Return all that lies in the memory of a tensor, which others may share."""
    return part.as_strided((part.untyped_storage().nbytes() // part.element_size(),), (1,), 0)
