"""What a training leaves besides the parameters, and who listens while it goes on."""

from collections.abc import Callable
from dataclasses import dataclass, field

Listener = Callable[[int, float], None]
"""Called with the step and the training loss, outside the timed span."""


@dataclass
class Fitted:
    """What a training left, besides the parameters in the network."""

    curve: list[tuple[int, float]] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    step_s: list[float] = field(default_factory=list)
    """Seconds of every step."""
    evaluate_s: float = 0.0
