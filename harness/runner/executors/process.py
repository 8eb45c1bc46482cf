"""Does one job in a child process of this machine, wherever that is: every executor does.

The parent enforces the limits: it waits for the child's lines without spinning, looks at its memory
a few times a second, and ends its whole process group when a limit is passed. The child's own limit
on address space makes most large allocations fail before that, with a better story to tell. A run
that finds too little memory is done once more by a child that keeps none of what it frees, and one
that fails in a child that was forked (see `harness.runner.warm`) once more in a fresh one.
"""

import contextlib
import os
import select
import subprocess
from collections.abc import Callable, Iterator
from typing import Self

from msgspec.structs import replace

from harness.core import codec
from harness.core.config import Limits
from harness.core.messages import Event, Job, Progress, Result
from harness.measure import allocator, control_group, process_tree
from harness.measure.machine import pinned_environment, python
from harness.runner.channel import LastWords, genuine, new_token
from harness.runner.deadline import Deadline
from harness.runner.ending import Child, end_of, exit_result, terminate
from harness.runner.forked import Warm
from harness.runner.lines import Lines

POLL_S = 0.25
"""How often the child's memory is read while it is silent."""
SLACK = 1.1
"""How far above the limit the parent lets memory go: the child's own limit should act first."""


class Stop:
    """A pipe whose end can be read once `pull` has closed the other."""

    def __init__(self) -> None:
        end, other = os.pipe()
        self.end, self.other = os.fdopen(end, "rb"), os.fdopen(other, "wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pull(self) -> None:
        """Ask for a job's end."""
        self.other.close()

    def close(self) -> None:
        """Close what is still open."""
        self.other.close()
        self.end.close()


def execute(
    job: Job,
    on_progress: Callable[[Progress], None],
    *,
    threads: int = 0,
    stop: int | None = None,
    warm: Warm | None = None,
) -> Result:
    """Do a job in a child process and return what became of it, whatever that was.

    The child may use the cores of the thread that calls this.

    Args:
        job: What is to be done.
        on_progress: Is told how far it has come, in the thread that calls this.
        threads: Of the child's libraries; 0: one for every core.
        stop: A descriptor that can be read once the job shall end before its time.
        warm: Where a child comes from that need not be fresh, unless it fails.
    """
    deadline = Deadline(job.limits.timeout_s)

    def attempted(job: Job, warm: Warm | None = None) -> Result:
        return attempt(job, on_progress, deadline, threads=threads, stop=stop, warm=warm)

    result = attempted(job, warm)
    if result.conditions.get("isolation") == "warm" and doubtful(result, stop):
        why, result = f"{result.outcome}: {result.reason}", attempted(job)
        result = replace(result, conditions={**result.conditions, "warm": why})
    if result.outcome == "out-of-memory" and keeps(job):
        again = attempted(replace(job, keeps_memory=False))
        if again.outcome not in {"out-of-memory", "timed-out"}:
            result = replace(again, conditions={**result.conditions, **again.conditions})
    return result


def attempt(
    job: Job,
    on_progress: Callable[[Progress], None],
    deadline: Deadline,
    *,
    threads: int,
    stop: int | None,
    warm: Warm | None = None,
) -> Result:
    """Do a job once; its time counts from when the first attempt began."""
    killed, job = control_group.killed(), replace(job, token=new_token())
    with LastWords() as errors:
        forked = warm and warm.start(errors.sink, stop, deadline.left())
        child: Child = forked or fresh(errors.sink, threads)
        try:
            with contextlib.suppress(BrokenPipeError):
                assert child.stdin is not None
                child.stdin.write(codec.encode(job))
                child.stdin.close()
            result = read_events(child, job, on_progress, deadline, stop)
        finally:
            terminate(child)
        said = errors.told()
        if result is None:
            result = exit_result(child.wait(), said, control_group.killed() - killed)
        elif result.outcome in {"timed-out", "out-of-memory"} and not result.traceback:
            result = replace(result, traceback=said)
    isolation = "warm" if forked else "fresh"
    return replace(result, conditions={**result.conditions, "isolation": isolation})


def fresh(errors: int, threads: int) -> subprocess.Popen[bytes]:
    """Start a child that imports all it needs, with a descriptor as its standard error."""
    return subprocess.Popen(
        python("-m", "harness.runner.child", "harness.runner.worker", "run"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env=pinned_environment(threads),
        start_new_session=True,
    )


def doubtful(result: Result, stop: int | None) -> bool:
    """Say whether a forked child's result may be the fault of that: what had its time had it all.

    Args:
        result: What it left.
        stop: A descriptor that can be read once nobody wants to know any more.
    """
    wanted = stop is None or not readable([stop], 0)
    return wanted and result.outcome in {"failed", "killed", "out-of-memory"}


def keeps(job: Job) -> bool:
    """Say whether a job's child keeps memory that another would give back."""
    return job.keeps_memory and allocator.expected() != allocator.allocator()


def read_events(
    child: Child,
    job: Job,
    on_progress: Callable[[Progress], None],
    deadline: Deadline,
    stop: int | None = None,
) -> Result | None:
    """Read the child's lines until its result, its end, or a limit; None if it died silently."""
    assert child.stdout is not None
    deadline.listen()
    pipe, lines = child.stdout.fileno(), Lines()
    with end_of(child.pid) as end:
        files = [pipe, *end, *([] if stop is None else [stop])]
        while True:
            left = deadline.left()
            if left is not None and left <= 0:
                return Result(outcome="timed-out", reason=deadline.reason())
            exceeded = exceeded_limit(child.pid, job.limits)
            if exceeded:
                return exceeded
            ready = readable(files, poll_timeout(job.limits, left))
            if stop in ready:
                return Result(outcome="killed", reason="It was cancelled.")
            chunk = os.read(pipe, 1 << 16) if pipe in ready else b"" if ready else None
            if chunk == b"":
                return None
            for event in events_of(lines, chunk or b"", job.token):
                if isinstance(event, Result):
                    return event
                deadline.hear(event)
                on_progress(event)


def readable(files: list[int], timeout_s: float | None) -> list[int]:
    """Wait until a descriptor can be read, or its other end is closed; however high its number."""
    waited = select.poll()
    for file in files:
        waited.register(file, select.POLLIN)
    day_s = 86_400.0  # a poll counts milliseconds, but not to centuries
    seconds = day_s if timeout_s is None else min(timeout_s, day_s)
    return [file for file, _ in waited.poll(1e3 * seconds)]


def events_of(lines: Lines, chunk: bytes, token: str) -> Iterator[Event]:
    """Read the child's own lines that end; one that is no message ends the run: what was lost?"""
    try:
        for line in genuine(lines.cut(chunk), token):
            yield codec.decode(line, Event)
    except ValueError as error:
        yield Result(outcome="failed", reason=f"Its process sent no result: {error}.")


def poll_timeout(limits: Limits, left: float | None) -> float | None:
    """Return how long to wait for a line before the limits are looked at; None for ever."""
    waits = [left, POLL_S if limits.memory_bytes else None]
    return min((wait for wait in waits if wait is not None), default=None)


def exceeded_limit(pid: int, limits: Limits) -> Result | None:
    """Return the result of a child that holds more than it may, None of one that does not."""
    allowed = limits.memory_bytes
    held = process_tree.held_bytes(pid, SLACK * allowed) if allowed else 0
    if held > SLACK * allowed:
        reason = f"Stopped at {held / 2**30:.3g} GiB resident of {allowed / 2**30:.3g} GiB allowed."
        return Result(outcome="out-of-memory", reason=reason)
    return None
