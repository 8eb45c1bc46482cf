"""What probes on tokens share: a token asked at some positions, of models that see the past."""

from abc import ABC, abstractmethod
from typing import ClassVar

from harness.api import GeneratedTask, Split, StepLabels, Tokens


class TokenTask(GeneratedTask, ABC):
    """Tokens in; tokens of the same vocabulary asked at some or at all positions."""

    examples: ClassVar[dict[Split, int]] = {"train": 1024, "validation": 512, "test": 1024}

    @property
    @abstractmethod
    def size(self) -> int:
        """Different tokens, and as many labels."""

    @property
    def inputs(self) -> Tokens:
        """The vocabulary."""
        return Tokens(self.size)

    @property
    def outputs(self) -> StepLabels:
        """A token of the vocabulary; `sequence_accuracy` asks for all of a sequence's."""
        return StepLabels(self.size)

    @property
    def causal(self) -> bool:
        """A label belongs to the past."""
        return True
