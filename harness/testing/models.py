"""The checks that every model must pass, on its mixer or its whole network, at tiny size.

Axes: b batch, l length, d width.
"""

import math
import warnings

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError, gradcheck

from harness.contract.model import Recipe
from harness.contract.network import Network
from harness.core.seeding import scope
from harness.nn.backbone import Backbone
from harness.testing.check import (
    Check,
    CheckError,
    NotApplicableError,
    check_on_device,
)
from harness.testing.clues import float32_inside, forward_by_steps
from harness.testing.generators import advance_global_generators
from harness.testing.model_under_test import ModelUnderTest, causal_and_noncausal, causal_only
from harness.testing.replaying import replays_as_it_steps
from harness.testing.stepping import STEPPING_CHECKS
from harness.testing.tiny_tasks import EVERY_OUTPUT, LENGTH, WIDTH
from harness.testing.tolerance import agree, near_in_half_precision

OTHER_LENGTHS = (1, 7, 2 * LENGTH + 1)
"""None is what the model was built for; the odd ones find halves that do not meet."""
ORDER = (0.0, 1e-12)
"""How far two backward passes may differ on a CPU, and on a GPU, where sums have no fixed order."""


@causal_and_noncausal
def keeps_shape_and_dtype(model: ModelUnderTest) -> None:
    """A (b, l, d) input of float32 or float64 gives a finite output of its shape and dtype."""
    for dtype in (torch.float32, torch.float64):
        u = model.features(dtype=dtype)
        _check_shape_and_dtype(model.network(dtype)(u), u)


@causal_and_noncausal
def takes_other_lengths(model: ModelUnderTest) -> None:
    """Sequences shorter or longer than the model was built for give finite outputs."""
    network = model.network()
    for length in (n for n in OTHER_LENGTHS if not model.recipe.too_long(n)):
        u = model.features(length=length)
        output = network(u)
        _check_shape_and_dtype(output, u)
        if model.causal:
            start = network(u[:, : length // 2 + 1])
            claim = f"The start of {length} positions changes when the rest is cut off"
            agree(start, output[:, : length // 2 + 1], claim)


@causal_and_noncausal
def takes_empty_inputs(model: ModelUnderTest) -> None:
    """No sequences, or sequences of no positions, give outputs as empty."""
    network = model.network()
    for batch, length in ((0, LENGTH), (2, 0), (0, 0)):
        u = model.features(batch, length)
        for lengths in (None, torch.full((batch,), length, device=u.device)):
            _check_shape_and_dtype(network(u, lengths), u)


@causal_only
def sees_no_future(model: ModelUnderTest) -> None:
    """A change at one position moves no output before it."""
    network, u, other = model.network(), model.features(1), model.features(1, draw="second")
    before = network(u)
    for position in range(1, LENGTH):
        changed = u.clone()
        changed[:, position] = 3 * other[:, position]
        claim = f"A change at position {position} moves the outputs before it"
        agree(network(changed)[:, :position], before[:, :position], claim)


@causal_and_noncausal
def keeps_sequences_apart(model: ModelUnderTest) -> None:
    """What one sequence of a batch holds changes nothing for the others."""
    network, u = model.network(), model.features()
    changed = u.clone()
    changed[1] = model.features(draw="second")[1]
    output = network(u)
    agree(network(changed)[::2], output[::2], "Sequence 1 of the batch changes its neighbours")
    agree(network(u[1:2]), output[1:2], "Sequence 1 comes out otherwise when it is alone")


@causal_and_noncausal
def ignores_padding(model: ModelUnderTest) -> None:
    """Neither the content nor the number of padded positions changes the valid ones.

    Not even if the content is no number, or so large that a transform rounds everything else away.
    """
    network, u = model.network(), model.features()
    others = 10 * model.features(draw="second"), torch.full_like(u, 1e6), u + torch.nan
    lengths = torch.tensor([LENGTH, LENGTH - 5, 1], device=u.device)
    padded = torch.arange(LENGTH, device=u.device) >= lengths[:, None]
    output = network(u, lengths)
    refilled = [network(torch.where(padded[..., None], other, u), lengths) for other in others]
    for row, length in enumerate(lengths.tolist()):
        valid = output[row, :length]
        claim = f"The content of {LENGTH - length} padded positions leaks into {length} valid ones"
        for filled in refilled:
            agree(filled[row, :length], valid, claim)
        claim = f"{length} valid positions come out otherwise with padding than without"
        agree(valid, network(u[row : row + 1, :length])[0], claim)


@causal_and_noncausal
def gives_every_parameter_a_gradient(model: ModelUnderTest) -> None:
    """Every trainable parameter gets a finite gradient, and not zeros only."""
    network, u = model.network().train(), model.features()
    trainable = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if trainable and not model.recipe.trains:
        raise CheckError(f"Its recipe says that it trains nothing, but {min(trainable)} can be.")
    if not trainable:
        raise NotApplicableError("It has no trainable parameters.")
    idle = _zero_gradients(network, u, trainable)
    # A map that starts at zero holds back what lies before it; a step away from there it must not.
    with torch.no_grad(), scope("conformance", "nudge"):
        for parameter in trainable.values():
            # Drawn on the CPU: the scope seeds a GPU's generators only once something ran there.
            drawn = torch.randn(parameter.shape, dtype=parameter.dtype)
            parameter.add_(0.01 * drawn.to(parameter.device))
    network.zero_grad()
    for name in idle & _zero_gradients(network, u, trainable):
        raise CheckError(f"The gradient of the parameter {name!r} is zero everywhere.")


@causal_and_noncausal
def runs_in_half_precision(model: ModelUnderTest) -> None:
    """Under bfloat16 autocast it stays near its float32 self, or refuses with a sentence."""
    network, u = model.network(torch.float32), model.features(dtype=torch.float32)
    exact = network(u).detach()
    try:
        with torch.autocast(u.device.type, torch.bfloat16):
            output = network(u)
    except RuntimeError as error:
        said = (str(error) or "RuntimeError").strip().splitlines()[-1]
        raise CheckError(
            f"Under bfloat16 autocast it raises {said} Leave autocast for what fails in it "
            f"(`torch.autocast(u.device.type, enabled=False)`), or raise UnsupportedError with a "
            f"sentence."
        ) from error
    near_in_half_precision(output, exact, "output")
    if output.requires_grad:
        output.float().square().sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            raise CheckError(f"Under bfloat16 autocast the gradient of {name!r} is not finite.")


@causal_and_noncausal
def repeats_itself(model: ModelUnderTest) -> None:
    """Built twice from one seed it has the same bytes, whatever other generators did."""
    first = model.network()
    advance_global_generators()
    second = model.network()
    twins = dict(second.state_dict())
    for name, value in first.state_dict().items():
        if not torch.equal(value, twins[name]):
            raise CheckError(f"From one seed {name!r} starts from other values the second time.")
    u = model.features()
    before = first(u)
    advance_global_generators()
    if not torch.equal(second(u), before):
        raise CheckError("Two networks with the same parameters give different bytes.")


@causal_and_noncausal
def differentiates_exactly(model: ModelUnderTest) -> None:
    """Gradients agree with finite differences in float64 (torch's `gradcheck`)."""
    network, u = model.network(), model.features(1, 5).requires_grad_()
    if not network(u).requires_grad:
        raise NotApplicableError("Its output depends neither on its input nor on parameters.")
    parameters = [p for p in network.parameters() if p.requires_grad]
    # gradcheck varies its arguments in place, so the network sees its own parameters change.
    try:
        gradcheck(
            lambda u, *_: network(u), (u, *parameters), fast_mode=True, nondet_tol=ORDER[u.is_cuda]
        )
    except GradcheckError as error:
        if clue := float32_inside(network, u):
            raise CheckError(f"Finite differences cannot tell its gradients.{clue}") from error
        found = " ".join(str(error).partition("The above quantities")[0].split())[:300]
        raise CheckError(f"A gradient is not the derivative: {found}") from error


@check_on_device
def serves_every_output(recipe: Recipe, device: str) -> None:
    """A network for labels, pairs, step labels or values gives predictions that can be scored."""
    reasons = []
    for task in EVERY_OUTPUT:
        kind = type(task.outputs).__name__
        reasons.append(recipe.refusal(task))
        if reasons[-1]:
            continue
        with scope("conformance", "init"):
            network = recipe.assemble(Backbone, task, WIDTH, 2, 0.0).to(device)
        batch = task.split("test").to(torch.device(device))
        predictions = network(batch.inputs, batch.lengths)
        try:
            with warnings.catch_warnings(action="error"):
                loss = task.outputs.loss(predictions, batch.targets).item()
        except (RuntimeError, ValueError, IndexError, UserWarning) as error:
            shapes = f"{tuple(predictions.shape)} against targets {tuple(batch.targets.shape)}"
            raise CheckError(f"Predictions of {kind} cannot be scored: {shapes}.") from error
        if not math.isfinite(loss):
            raise CheckError(f"The loss on a task with {kind} is {loss}.")
    if all(reasons):
        raise NotApplicableError(reasons[0])


def _check_shape_and_dtype(output: Tensor, u: Tensor) -> None:
    if output.shape != u.shape or output.dtype != u.dtype:
        raise CheckError(
            f"An input of {tuple(u.shape)} {u.dtype} gives an output of {tuple(output.shape)} "
            f"{output.dtype}; both must be the input's."
        )
    if not output.isfinite().all():
        raise CheckError(f"The output for {u.shape[1]} positions in {u.dtype} is not finite.")


def _zero_gradients(network: Network, u: Tensor, trainable: dict[str, nn.Parameter]) -> set[str]:
    """Go backward once and return the parameters whose gradient is zero everywhere."""
    output = network(u)
    if not output.requires_grad:
        clue = forward_by_steps(network, u)
        raise CheckError(f"The output depends on no parameter, but it has trainable ones.{clue}")
    # A plain sum would be blind to what only moves values about.
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype, device=u.device)
    (output * weights.view_as(output).cos()).sum().backward()
    for name, parameter in trainable.items():
        if parameter.grad is None:
            clue = forward_by_steps(network, u)
            clue = clue or " Use it, or freeze it with `requires_grad_(False)`."
            raise CheckError(
                f"The parameter {name!r} gets no gradient: the output ignores it.{clue}"
            )
        if not parameter.grad.isfinite().all():
            raise CheckError(f"The gradient of the parameter {name!r} is not finite.")
    return {name for name, p in trainable.items() if p.grad is not None and not p.grad.any()}


MODEL_CHECKS: tuple[Check, ...] = (
    keeps_shape_and_dtype,
    takes_other_lengths,
    takes_empty_inputs,
    serves_every_output,
    sees_no_future,
    keeps_sequences_apart,
    ignores_padding,
    gives_every_parameter_a_gradient,
    differentiates_exactly,
    runs_in_half_precision,
    repeats_itself,
    *STEPPING_CHECKS,
    replays_as_it_steps,
)
