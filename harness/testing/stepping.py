"""The checks of a model's second face: a step at a time, the way it generates.

Axes: b batch, l length, d width.
"""

import torch
from torch import Tensor

from harness.contract.network import Network, State, tensor_bytes
from harness.testing.check import Check, CheckError
from harness.testing.probes import LENGTH
from harness.testing.subject import Subject, causally
from harness.testing.tolerance import agree

LONG = 1100
"""Positions after which a cache that is held in blocks has grown to the second."""


@causally
def steps_as_it_sees(subject: Subject) -> None:
    """Stepping through a sequence gives what a whole forward pass gives."""
    for dtype in (torch.float64, torch.float32):
        network, u = subject.network(dtype), subject.features(dtype=dtype)
        outputs, _ = _stepped(network, u)
        with torch.no_grad():
            agree(torch.stack(outputs, 1), network(u), "A step gives another output than forward")


@causally
def prefills_as_it_steps(subject: Subject) -> None:
    """After `prefill` generation goes on as after stepping through the same positions."""
    network, u = subject.network(), subject.features()
    for read in (1, LENGTH // 2, LENGTH - 1):
        _, walked = _stepped(network, u[:, :read])
        with torch.no_grad():
            state = network.prefill(u[:, :read])
        expected, _ = _stepped(network, u[:, read:], walked)
        outputs, _ = _stepped(network, u[:, read:], state)
        claim = f"After a prefill of {read} positions the steps give other outputs"
        agree(torch.stack(outputs, 1), torch.stack(expected, 1), claim)


@causally
def weighs_its_state(subject: Subject) -> None:
    """`state_bytes` is what the state of one sequence really holds."""
    network, u = subject.network(torch.float32), subject.features(1, LONG, torch.float32)
    for length in (1, LENGTH):
        _, state = _stepped(network, u[:, :length])
        _weigh(network, state, length)
    with torch.no_grad():
        _weigh(network, network.prefill(u), LONG)


@torch.no_grad()
def _stepped(network: Network, u: Tensor, state: State = None) -> tuple[list[Tensor], State]:
    state = network.initial_state(len(u)) if state is None else state
    outputs = []
    for position in range(u.shape[1]):
        output, state = network.step(u[:, position], state)
        outputs.append(output)
    return outputs, state


def _weigh(network: Network, state: State, length: int) -> None:
    said, held = network.state_bytes(length), tensor_bytes(state)
    if said != held:
        raise CheckError(f"state_bytes({length}) says {said} bytes, but the state holds {held}.")


STEPPING_CHECKS: tuple[Check, ...] = (steps_as_it_sees, prefills_as_it_steps, weighs_its_state)
