"""What computes: mixers and networks, each with a face for sequences and a face for steps.

Axes: b batch, l length, d width.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor, nn

from harness.contract.batch import mask_padding
from harness.core.errors import SpecError, UnsupportedError

State = Any
"""What generation carries from step to step: tensors, or tuples, lists and dicts of them.

Its tensors may share memory, and their axes are the component's own business: copy a state with
`copy.deepcopy`, which keeps what is shared. A tensor of an integer without axes is a counter, which
may lie on the CPU wherever the network does, and which `counted` reads."""


class Stepper(nn.Module, ABC):
    """Something with two faces that agree: a whole sequence at once, or a step at a time.

    The second face is for generation: whatever a subclass makes of `step`, `advance` and `prefill`
    runs without gradients, and a step may reuse the memory of the state it was given. A component
    that has no second face keeps these defaults, which say so.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for face in {"step", "advance", "prefill"} & vars(cls).keys():
            setattr(cls, face, torch.no_grad()(vars(cls)[face]))
        for face in {"forward"} & vars(cls).keys():
            setattr(cls, face, _of_clean_inputs(vars(cls)[face]))

    def initial_state(self, batch: int) -> State:
        """Return the state before the first position.

        Raises:
            UnsupportedError: It cannot generate step by step.
        """
        raise UnsupportedError(f"{type(self).__name__} has no step mode, so it cannot decode.")

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance one position: the input and output of `forward` without the length axis."""
        raise UnsupportedError(f"{type(self).__name__} has no step mode, so it cannot decode.")

    def advance(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Continue from a state over the next piece of a sequence, as `step` would.

        This walks the piece; a component that can do it in parallel should.

        Returns:
            What `forward` gives at these positions, and the state after them.
        """
        outputs = []
        for position in range(u.shape[1]):
            output, state = self.step(u[:, position], state)
            outputs.append(output)
        return torch.stack(outputs, 1) if outputs else u[:, :0], state

    def prefill(self, u: Tensor) -> State:
        """Return the state after a whole sequence, as `step` would leave it."""
        return self.advance(u, self.initial_state(len(u)))[1]

    def replayable(self, state: State) -> int:
        """Return how many of the next steps may be replays; `harness.nn.replay` says which may."""
        return sys.maxsize

    def resample(self, rate: float) -> None:
        """Read inputs that are sampled so many times more coarsely than those of the training.

        Raises:
            UnsupportedError: It knows no time between samples.
        """
        if rate != 1:
            raise UnsupportedError(
                f"{type(self).__name__} follows no other sampling rate than that of its training."
            )

    def state_bytes(self, length: int) -> int:
        """Return the bytes that generation holds for one sequence of so many positions.

        By default the state before the first position is weighed. A component whose state grows
        says here how large it is then.

        Raises:
            UnsupportedError: It cannot generate, or nobody says how its state grows.
        """
        held = tensor_bytes(self.initial_state(1))
        if not held:
            raise UnsupportedError(
                f"The state of {type(self).__name__} starts empty and no `state_bytes(length)` "
                f"says how large it becomes; write one."
            )
        return held

    def path(self) -> str:
        """Name the implementation that ran, such as `sdpa` or `split`; `torch` if there is one."""
        return "torch"


def _of_clean_inputs(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    # A weight of zero keeps finite padding out, but not NaN; a transform mixes whatever is large.
    @wraps(forward)
    def asked(
        component: Stepper, u: Tensor, lengths: Tensor | None = None, *more: Any, **own: Any
    ) -> Tensor:
        clean = mask_padding(u, lengths) if u.is_floating_point() else u
        return forward(component, clean, lengths, *more, **own)

    return asked


class Mixer(Stepper):
    """The layer that mixes positions: (b, l, d) to (b, l, d).

    Padding is on the right. Padded positions never influence valid ones, in either direction of
    time, so `forward` is given zeros in their place, whatever they held; what stands in the output
    there is nobody's business. Without sequences or positions the contract answers for the layer:
    empty outputs, and the state as it was.

    A layer that says that it is not causal gets no first state: whoever asks for one, by any of the
    faces for generation, is told why.
    """

    causal: bool = True
    """Whether a position sees only itself and the past."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for face in _GUARDS.keys() & vars(cls).keys():
            setattr(cls, face, _GUARDS[face](vars(cls)[face]))

    @abstractmethod
    def forward(self, u: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Mix a whole sequence.

        Args:
            u: (b, l, d) features.
            lengths: (b,) valid positions of each sequence; None if all are.

        Returns:
            (b, l, d) features.
        """

    def no_step_mode(self) -> str:
        """Return why it cannot step although it has the code to, in a sentence; empty if it can."""
        if self.causal:
            return ""
        return "A bidirectional layer sees the future, so it has no step mode."


def _if_it_steps(initial_state: Callable[[Any, int], State]) -> Callable[[Any, int], State]:
    @wraps(initial_state)
    def asked(mixer: Mixer, batch: int) -> State:
        if reason := mixer.no_step_mode():
            raise UnsupportedError(reason)
        return initial_state(mixer, batch)

    return asked


def _unless_empty(otherwise: Callable[..., Any], face: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(face)
    def asked(mixer: Mixer, u: Tensor, *more: Any, **own: Any) -> Any:
        return (face if u.numel() else otherwise)(mixer, u, *more, **own)

    return asked


_GUARDS: Mapping[str, Callable[[Any], Any]] = {
    "forward": partial(_unless_empty, lambda _, u, *more, **own: u),  # noqa: ARG005
    "initial_state": _if_it_steps,
    "step": partial(_unless_empty, lambda _, u, state: (u, state)),
    "advance": partial(_unless_empty, lambda _, u, state: (u, state)),
    "prefill": partial(_unless_empty, lambda mixer, u: mixer.initial_state(len(u))),
}
"""What the contract puts around a layer's own faces."""


class Network(Stepper):
    """A whole network: a task's inputs, zeros where padding is, to its outputs' predictions."""

    @abstractmethod
    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Map a batch's inputs to predictions."""


def tensor_bytes(state: State) -> int:
    """Return the bytes that a state's tensors hold; those that share memory count once.

    Raises:
        SpecError: It holds something that is no tensor.
    """
    storages = (tensor.untyped_storage() for tensor in state_tensors(state))
    return sum({held.data_ptr(): held.nbytes() for held in storages}.values())


def state_tensors(state: State) -> Iterator[Tensor]:
    """Yield a state's tensors.

    Raises:
        SpecError: It holds something that is no tensor.
    """
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, (dict, tuple, list)):
        for part in state.values() if isinstance(state, dict) else state:
            yield from state_tensors(part)
    else:
        raise SpecError(
            f"A state holds {type(state).__name__!r}, which can be neither weighed nor copied; it "
            f"must be tensors, or tuples, lists and dicts of them, a counter included."
        )
