"""What a run told of itself on its way, kept in case that it comes to no end."""

import math
from collections.abc import Callable

from harness.core.messages import Progress
from harness.core.record import Partial

MOST_POINTS = 300


class Trail:
    """Passes progress on, and remembers the last of it and the losses that it told of."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self.on_progress = on_progress
        self.last = Progress(step=0, steps=0)
        self.curve: dict[int, float] = {}

    def __call__(self, progress: Progress) -> None:
        """Take a run's progress."""
        self.last = progress
        if progress.loss is not None and math.isfinite(progress.loss):
            self.curve[progress.step] = progress.loss
        if len(self.curve) > 2 * MOST_POINTS:
            self.curve = dict(list(self.curve.items())[1::2])
        self.on_progress(progress)

    def partial(self, traceback: list[str]) -> Partial:
        """Return how far the run came."""
        return Partial(
            step=self.last.step,
            steps=self.last.steps,
            status=self.last.status,
            curve=list(self.curve.items()),
            traceback=traceback,
        )
