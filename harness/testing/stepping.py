"""The checks of a model's second face: a step at a time, the way it generates.

Axes: b batch, l length, d width.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from harness.contract.model import Recipe
from harness.contract.network import Network, State, state_tensors, tensor_bytes
from harness.core.errors import UnsupportedError
from harness.core.seeding import scope, stream
from harness.nn.backbone import Backbone
from harness.testing.check import Check, CheckError, NotApplicableError, check_on_device
from harness.testing.model_under_test import ModelUnderTest, causal_only, in_precision
from harness.testing.tiny_tasks import LENGTH, WIDTH, features_task
from harness.testing.tolerance import agree, near_in_half_precision

DEPTH = 3
"""Blocks of a small network: enough for layers that differ by their number."""

FAR = 100
"""Positions between two threads, so that they need not the same of what belongs to positions."""

ROUNDS = 20
"""How often each of two threads generates a sequence."""

LONG = 1100
"""Positions after which a cache that is held in blocks has grown to the second."""


@causal_only
def steps_as_it_sees(model: ModelUnderTest) -> None:
    """Stepping through a sequence gives what a whole forward pass gives."""
    for dtype in (torch.float64, torch.float32):
        network, u = model.network(dtype), model.features(dtype=dtype)
        outputs, _ = _stepped(network, u)
        with torch.no_grad():
            agree(torch.stack(outputs, 1), network(u), "A step gives another output than forward")


@causal_only
def prefills_as_it_steps(model: ModelUnderTest) -> None:
    """After `prefill` generation goes on as after stepping through the same positions."""
    network, u = model.network(), model.features()
    for read in (1, LENGTH // 2, LENGTH - 1):
        _, stepped = _stepped(network, u[:, :read])
        with torch.no_grad():
            state = network.prefill(u[:, :read])
        expected, _ = _stepped(network, u[:, read:], stepped)
        outputs, _ = _stepped(network, u[:, read:], state)
        claim = f"After a prefill of {read} positions the steps give other outputs"
        agree(torch.stack(outputs, 1), torch.stack(expected, 1), claim)


@causal_only
def advances_in_pieces(model: ModelUnderTest) -> None:
    """A sequence cut in pieces, its state carried from one to the next, comes out as in one go."""
    network, u = model.network(), model.features()
    _check_pieces(network, u)


@causal_only
def takes_an_empty_piece(model: ModelUnderTest) -> None:
    """A piece of no positions gives no outputs and leaves the state as it was."""
    network, u = model.network(), model.features()
    for read in (0, LENGTH // 2):
        with torch.no_grad():
            state = network.prefill(u[:, :read])
            before = [part.clone() for part in state_tensors(state)]
            output, after = network.advance(u[:, :0], state)
        if output.shape != u[:, :0].shape:
            raise CheckError(f"A piece of no positions gives an output of {tuple(output.shape)}.")
        if not all(map(torch.equal, before, state_tensors(after))):
            raise CheckError(f"A piece of no positions changes the state after {read} positions.")


@causal_only
@torch.no_grad()
def steps_an_empty_batch(model: ModelUnderTest) -> None:
    """No sequences give no outputs by any face of generation, and states that go on."""
    network, u = model.network(), model.features(0)
    output, state = network.step(u[:, 0], network.initial_state(0))
    pieces, after = network.advance(u, state)
    for made, asked in ((output, u[:, 0]), (pieces, u), (network.step(u[:, 0], after)[0], u[:, 0])):
        if made.shape != asked.shape:
            raise CheckError(f"No sequences give an output of {tuple(made.shape)}.")
    network.step(u[:, 0], network.prefill(u))


@check_on_device
def steps_inside_the_backbone(recipe: Recipe, device: str) -> None:
    """In a network of several blocks, norms and maps included, it steps as it sees."""
    task = features_task(causal=True)
    if reason := recipe.refusal(task):
        raise NotApplicableError(reason)
    with scope("conformance", "init"):
        network = recipe.assemble(Backbone, task, WIDTH, DEPTH, 0.0)
    network = in_precision(network, torch.float64).to(device).eval()
    u = task.inputs.random(2, LENGTH, stream("conformance")).to(device, torch.float64)
    try:
        outputs, _ = _stepped(network, u)
    except UnsupportedError as error:
        raise NotApplicableError(str(error)) from error
    with torch.no_grad():
        agree(torch.stack(outputs, 1), network(u), "Stepping gives other predictions than forward")
    _check_pieces(network, u)


@causal_only
def steps_in_two_threads(model: ModelUnderTest) -> None:
    """Two threads that step one network at once get what each of them gets alone."""
    network, far = model.network(), FAR if not model.recipe.too_long(FAR + LENGTH) else 0
    u = model.features(1, far + LENGTH)

    @torch.no_grad()
    def generated(read: int) -> Tensor:
        outputs, _ = _stepped(network, u[:, read : read + LENGTH], network.prefill(u[:, :read]))
        return torch.stack(outputs, 1)

    alone = {read: generated(read) for read in (0, far)}
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(generated, [*alone] * ROUNDS))
    finally:
        sys.setswitchinterval(before)
    for expected, output in zip([*alone.values()] * ROUNDS, together, strict=True):
        agree(output, expected, "Stepped from two threads at once it gives other outputs")


@causal_only
def steps_in_half_precision(model: ModelUnderTest) -> None:
    """Under bfloat16 autocast steps and pieces stay near forward, their state as large as ever."""
    network, u = model.network(torch.float32), model.features(1, dtype=torch.float32)
    with torch.no_grad():
        exact = network(u)
        with torch.autocast(u.device.type, torch.bfloat16):
            stepped, state = _stepped(network, u)
            advanced, after = network.advance(u, network.initial_state(1))
    near_in_half_precision(torch.stack(stepped, 1), exact, "output of the steps")
    near_in_half_precision(advanced, exact, "output of a piece")
    for each in (state, after):
        _check_state_bytes(network, each, LENGTH)


@causal_only
def weighs_its_state(model: ModelUnderTest) -> None:
    """`state_bytes` is what the state of one sequence really holds."""
    long = min(LONG, model.recipe.max_length or LONG)
    network, u = model.network(torch.float32), model.features(1, long, torch.float32)
    for length in (1, LENGTH):
        _, state = _stepped(network, u[:, :length])
        _check_state_bytes(network, state, length)
    with torch.no_grad():
        _check_state_bytes(network, network.prefill(u), long)


@torch.no_grad()
def _check_pieces(network: Network, u: Tensor) -> None:
    whole = network(u)
    for cuts in ((1, LENGTH - 1), (LENGTH // 2, 0, LENGTH // 2), (LENGTH - 1, 1)):
        state, outputs = network.initial_state(len(u)), []
        for piece in u.split(cuts, 1):
            output, state = network.advance(piece, state)
            outputs.append(output)
        claim = f"Pieces of {', '.join(map(str, cuts))} positions give other outputs than the whole"
        agree(torch.cat(outputs, 1), whole, claim)


@torch.no_grad()
def _stepped(network: Network, u: Tensor, state: State = None) -> tuple[list[Tensor], State]:
    state = network.initial_state(len(u)) if state is None else state
    outputs = []
    for position in range(u.shape[1]):
        output, state = network.step(u[:, position], state)
        outputs.append(output)
    return outputs, state


def _check_state_bytes(network: Network, state: State, length: int) -> None:
    held = tensor_bytes(state)
    try:
        said = network.state_bytes(length)
    except UnsupportedError as error:
        raise CheckError(str(error)) from error
    if said != held:
        raise CheckError(
            f"state_bytes({length}) says {said} bytes, but the state holds {held}; a model whose "
            f"state grows must write its own `state_bytes`."
        )


STEPPING_CHECKS: tuple[Check, ...] = (
    steps_as_it_sees,
    prefills_as_it_steps,
    advances_in_pieces,
    takes_an_empty_piece,
    steps_an_empty_batch,
    steps_inside_the_backbone,
    steps_in_two_threads,
    steps_in_half_precision,
    weighs_its_state,
)
