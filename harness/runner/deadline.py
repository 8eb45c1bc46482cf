"""When a run has had its time: what its child waits for its data does not count."""

from harness.core.messages import Progress
from harness.measure.clock import now

PATIENCE_S = 600.0
"""Seconds of one wait that do not count; a child that says nothing new for longer may hang."""


class Deadline:
    """The end of a child's time, which is put off by what it says.

    While a child says that it waits, its clock stands still. A batch that it drew between two lines
    is given back with the later one.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.end = now() + timeout_s
        self.given_s = 0.0
        self.last, self.since = Progress(step=0, steps=0), self.end

    def listen(self) -> None:
        """Expect another child: what the last one said is over, and the time goes on."""
        self.hear(Progress(step=0, steps=0, drawn_s=self.last.drawn_s))
        self.last = Progress(step=0, steps=0)

    def hear(self, progress: Progress) -> None:
        """Give back what the child has waited since it last said something."""
        self._give(progress.drawn_s - self.last.drawn_s)
        if progress.status != self.last.status:
            if self.last.status:
                self._give(min(now() - self.since, PATIENCE_S))
            self.since = now()
        self.last = progress

    def left(self) -> float | None:
        """Return in how many seconds the time is over if no more is said; None: never."""
        if not self.timeout_s:
            return None
        return self.end + (PATIENCE_S if self.last.status else 0) - now()

    def reason(self) -> str:
        """Say why the child was stopped."""
        waited = f" and {self.given_s:.0f} s of drawing data" if self.given_s >= 1 else ""
        return f"Stopped after {self.timeout_s:g} s{waited}."

    def _give(self, seconds: float) -> None:
        self.end += seconds
        self.given_s += seconds
