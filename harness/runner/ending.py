"""Sees and says how a child has ended, whoever keeps its pipes; ends one with all it started."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import IO, Protocol

from harness.core.messages import Result
from harness.core.traces import signal_name
from harness.measure.process_tree import descendants

GRACE_S = 5.0
"""How long a child may take to end after it was asked to."""


class Child(Protocol):
    """What is known of a child: a `subprocess.Popen`, or what has the face of one."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def stdin(self) -> IO[bytes] | None:
        """What it reads from."""
        ...

    @property
    def stdout(self) -> IO[bytes] | None:
        """What it writes to."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended, once it has.

        Raises:
            subprocess.TimeoutExpired: It has not yet.
        """
        ...


@contextlib.contextmanager
def end_of(pid: int) -> Iterator[list[int]]:
    """Offer what can be read once a process has ended, though others may keep its pipes.

    It is a descriptor, or nothing where the system knows none of processes.
    """
    try:
        end = os.pidfd_open(pid)
    except (AttributeError, OSError):
        yield []
        return
    try:
        yield [end]
    finally:
        os.close(end)


def terminate(child: Child) -> None:
    """Make sure that the child and all that it started are gone.

    It is asked to end, then read no more, at which its watcher ends all of it, then killed.
    """
    assert child.stdout is not None
    steps: tuple[tuple[Callable[[], object], float | None], ...] = (
        (lambda: None, 0.5),
        (lambda: os.killpg(child.pid, signal.SIGTERM), GRACE_S),
        (child.stdout.close, GRACE_S),
        (lambda: kill_all(child.pid), None),
    )
    for step, wait in steps:
        with contextlib.suppress(ProcessLookupError):
            step()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(wait)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


def kill_all(pid: int) -> None:
    """Kill a watcher that does not answer, and first those that it would have ended."""
    for each in [*descendants(pid)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    os.killpg(pid, signal.SIGKILL)


def exit_result(code: int, words: list[str], killed: int) -> Result:
    """Say what ended a child that left no result.

    Args:
        code: How the process ended, as `subprocess` says it.
        words: The last lines that it wrote to standard error.
        killed: Processes of our control group that the kernel ended for memory meanwhile.
    """
    said = f" Its last words: {words[-1].strip()[:300]}" if words else ""
    if code < 0:
        name = signal_name(-code)
        if name == "SIGKILL" and killed:
            reason = f"The kernel ended it for the memory of its control group.{said}"
            return Result(outcome="out-of-memory", reason=reason, traceback=words)
        hint = " (the kernel sends it when memory runs out)" if name == "SIGKILL" else ""
        reason = f"The process was ended by {name}{hint}.{said}"
        return Result(outcome="killed", reason=reason, traceback=words)
    reason = f"The process ended with code {code}.{said}"
    return Result(outcome="failed", reason=reason, traceback=words)
