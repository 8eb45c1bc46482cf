"""One process for many measurements, since starting one on a GPU takes longer than most of them.

What it holds is charged to no run: memory is read from CUDA's allocator, which counts exactly, and
what one run leaves is freed before the next. A run that fails takes the process along.
"""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import IO

from harness.core import codec
from harness.core.messages import Job, Progress, Result
from harness.core.record import FAILURES
from harness.core.traces import last_words
from harness.measure.machine import pinned_environment, python
from harness.runner.channel import Speaker
from harness.runner.deadline import Deadline
from harness.runner.ending import exit_result, terminate
from harness.runner.executors.process import read_events


class WarmExecutor:
    """Does jobs one after the other in a child that stays."""

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this lives

    def execute(self, job: Job, on_progress: Callable[[Progress], None]) -> Result:
        """Do a job and return what became of it; the child ends with one that failed."""
        child = self.child = self.child or self.started()
        with contextlib.suppress(BrokenPipeError):
            assert child.stdin is not None
            child.stdin.write(codec.encode(job) + b"\n")
            child.stdin.flush()
        result = read_events(child, job, on_progress, Deadline(job.limits.timeout_s))
        if result is None or result.outcome in FAILURES:
            self.close()
        return result or exit_result(child.wait(), last_words(self.errors), 0)

    def started(self) -> subprocess.Popen[bytes]:
        """Start the child."""
        return subprocess.Popen(
            python("-m", "harness.runner.child", __name__),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=pinned_environment(),
            start_new_session=True,
        )

    def close(self) -> None:
        """End the child."""
        if self.child is not None:
            terminate(self.child)
            self.child = None


def serve() -> None:
    """Be the child: do the jobs that come, a line each."""
    from harness.runner import worker  # noqa: PLC0415 - torch is the child's

    speaker = Speaker()
    worker.use_allowed_threads(1)
    for line in sys.stdin.buffer:
        speaker.say(worker.run(codec.decode(line, Job), speaker.say))


if __name__ == "__main__":
    serve()
