"""A model as its checks see it: its mixer or its whole network, with one face for both.

Axes: b batch, l length, d width.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from harness.contract.model import Model, Recipe
from harness.contract.network import Mixer, Network, State
from harness.contract.task import Task
from harness.core.errors import UnsupportedError
from harness.core.seeding import scope, stream
from harness.testing.check import (
    Check,
    CheckError,
    DisagreementError,
    NotApplicableError,
    check_on_device,
)
from harness.testing.clues import float32_inside
from harness.testing.tiny_tasks import LENGTH, WIDTH, TinyTask, features_task


@final
class BareMixer(Network):
    """A mixer with nothing around it."""

    def __init__(self, mixer: Mixer) -> None:
        super().__init__()
        self.mixer = mixer

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Mix."""
        mixed: Tensor = self.mixer(inputs, lengths)
        return mixed

    def initial_state(self, batch: int) -> State:
        """Ask the mixer."""
        return self.mixer.initial_state(batch)

    def step(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Ask the mixer."""
        return self.mixer.step(u, state)

    def advance(self, u: Tensor, state: State) -> tuple[Tensor, State]:
        """Ask the mixer."""
        return self.mixer.advance(u, state)

    def prefill(self, u: Tensor) -> State:
        """Ask the mixer."""
        return self.mixer.prefill(u)

    def replayable(self, state: State) -> int:
        """Ask the mixer."""
        return self.mixer.replayable(state)

    def state_bytes(self, length: int) -> int:
        """Ask the mixer."""
        return self.mixer.state_bytes(length)


def bare(model: Model, task: Task, width: int, depth: int, dropout: float) -> Network:  # noqa: ARG001 - the face of an assembler
    """Leave out the backbone, so that a mixer and a whole network are checked alike."""
    return BareMixer(model.build(width=width, length=task.max_length, causal=task.causal))


@final
@dataclass(frozen=True)
class ModelUnderTest:
    """A model to be checked: its mixer, or its whole network, with one face for both."""

    recipe: Recipe
    causal: bool
    device: str = "cpu"
    """Where it computes; initial values and inputs are drawn on the CPU, the same everywhere."""

    @property
    def task(self) -> TinyTask:
        """The task that its networks are built for."""
        return features_task(self.causal)

    def network(self, dtype: torch.dtype = torch.float64) -> Network:
        """Build it, always from the same draws: (b, l, d) to (b, l, d)."""
        with scope("conformance", "init"):
            network = self.recipe.assemble(bare, self.task, WIDTH, 1, 0.0)
        return in_precision(network, dtype).to(self.device).eval()

    def features(
        self,
        batch: int = 3,
        length: int = LENGTH,
        dtype: torch.dtype = torch.float64,
        draw: str = "first",
    ) -> Tensor:
        """Draw (b, l, d) inputs, always the same ones for a name of the draw."""
        rng = stream("conformance", draw)
        return self.task.inputs.random(batch, length, rng).to(self.device, dtype)


def in_precision(network: Network, dtype: torch.dtype) -> Network:
    """Convert a network's real numbers, and the parts of its complex ones, to a real dtype.

    `Module.to` would make complex numbers real.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.is_complex():
            tensor.data = tensor.data.to(dtype.to_complex())
        elif tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)
    return network


def causal_and_noncausal(rule: Callable[[ModelUnderTest], None]) -> Check:
    """Make a check that looks at a model built causal and built not."""
    return check_on_device(lambda recipe, device: _over(rule, recipe, device, (True, False)), rule)


def causal_only(rule: Callable[[ModelUnderTest], None]) -> Check:
    """Make a check that looks at a model built causal."""
    return check_on_device(lambda recipe, device: _over(rule, recipe, device, (True,)), rule)


def _over(
    rule: Callable[[ModelUnderTest], None], recipe: Recipe, device: str, ways: tuple[bool, ...]
) -> None:
    reasons = []
    for causal in ways:
        model = ModelUnderTest(recipe, causal, device)
        reason = recipe.refusal(model.task)
        try:
            if not reason:
                rule(model)
        except (UnsupportedError, NotApplicableError) as error:
            reason = str(error)
        except CheckError as error:
            far = isinstance(error, DisagreementError)
            clue = float32_inside(model.network(), model.features()) if far else ""
            way = f"Built with causal={str(causal).lower()}"
            raise CheckError(f"{way}: {error}{clue}") from error
        reasons.append(reason)
    if all(reasons):
        raise NotApplicableError(reasons[0])
