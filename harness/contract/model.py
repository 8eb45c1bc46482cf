"""Models as recipes: frozen values that build a mixer, or a whole network."""

import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, final

from torch import nn

from harness.contract.block import ParameterGroup, Trunk
from harness.contract.network import Mixer, Network
from harness.contract.task import Task
from harness.core.plugin_names import plugin_name


class Assembler(typing.Protocol):
    """Builds the common backbone around a model's mixers."""

    def __call__(
        self, model: "Model", task: Task, width: int, depth: int, dropout: float
    ) -> Network:
        """Return a network for the task."""
        ...


class Recipe(ABC):
    """What every model has in common, whether it builds a mixer or the whole network."""

    kind: ClassVar[str] = "model"
    name: ClassVar[str] = ""
    """The plugin's name, which its module has given it since the class was made."""
    version: ClassVar[int] = 1
    """Raised whenever its numbers or its defaults change."""
    lr: ClassVar[float] = 1e-3
    """The learning rate its authors train it at; a protocol may scale it, or state another."""
    trains: ClassVar[bool] = True
    """Whether its networks have parameters; without, a sweep has nothing to choose for them."""
    groups: ClassVar[Mapping[str, ParameterGroup]] = {}
    """Parameters that train apart, by the last part of their name."""
    reference: ClassVar[str] = ""
    """Keys of its papers, with commas between them, in a `.bib` file beside its module."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.name = plugin_name(cls.__module__, "model")

    def parameter_groups(self) -> Mapping[str, ParameterGroup]:
        """Return what trains apart under the recipe's options; `groups` unless they change it."""
        return self.groups

    @property
    def max_length(self) -> int:
        """The most positions that it takes, 0 for any number; a constant or an option overrides it.

        Longer tasks are skipped without a word in `skip`, and checks ask for no more.
        """
        return 0

    def skip(self, task: Task) -> str:  # noqa: ARG002
        """Return why this model cannot do a task, in a sentence; empty if it can."""
        return ""

    @final
    def refusal(self, task: Task) -> str:
        """Return what `skip` says, or that a task is longer than `max_length`; empty if neither."""
        return self.skip(task) or self.too_long(task.max_length)

    @final
    def too_long(self, length: int) -> str:
        """Return that so many positions are more than `max_length`; empty if they are not."""
        if not 0 < self.max_length < length:
            return ""
        return f"It takes {self.max_length} positions at most, and these are {length}."

    @abstractmethod
    def assemble(
        self, backbone: Assembler, task: Task, width: int, depth: int, dropout: float
    ) -> Network:
        """Return a network for a task, with or without the backbone that is offered."""


class Model(Recipe):
    """A recipe of a mixer. To add a model, subclass it as a final frozen dataclass in one file."""

    trunk: ClassVar[Trunk] = Trunk()
    """What its paper puts around the mixer in each block."""

    @abstractmethod
    def build(self, *, width: int, length: int, causal: bool) -> Mixer:
        """Build the mixer.

        Args:
            width: d, features of its input and output.
            length: The longest sequence expected; others must work too.
            causal: Whether a position may see only itself and the past.
        """

    def stack(self, *, depth: int, width: int, length: int, causal: bool) -> Sequence[Mixer]:
        """Build the mixers of all blocks, the first one first.

        Override it where layers differ, or share parameters; the other arguments are `build`'s.
        """
        return [self.build(width=width, length=length, causal=causal) for _ in range(depth)]

    def feed_forward(self, *, width: int, layer: int) -> nn.Module | None:  # noqa: ARG002
        """Build a position-wise map of its own for a block's second branch; None for the trunk's.

        Args:
            width: d, features of its input and output.
            layer: The block's number, from 0.
        """
        return None

    @final
    def assemble(
        self, backbone: Assembler, task: Task, width: int, depth: int, dropout: float
    ) -> Network:
        """Put the backbone around the mixer."""
        return backbone(self, task, width, depth, dropout)


class NetworkModel(Recipe):
    """A recipe of a whole network, for outside models and baselines without a mixer."""

    @abstractmethod
    def build_network(self, task: Task, *, width: int, depth: int) -> Network:
        """Build everything from the task's inputs to its predictions."""

    @final
    def assemble(
        self,
        backbone: Assembler,  # noqa: ARG002
        task: Task,
        width: int,
        depth: int,
        dropout: float,  # noqa: ARG002
    ) -> Network:
        """Leave the backbone aside."""
        return self.build_network(task, width=width, depth=depth)
