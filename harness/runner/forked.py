"""Processes forked by one that has imported torch: what asks for them, and what they are here.

The one that forks is `harness.runner.warm`, which says why. Where it cannot fork nobody answers,
and the run gets a process that was started anew. No torch.
"""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, Self, final

from msgspec import json

from harness.measure import machine
from harness.runner.ending import terminate

SERVER = "harness.runner.warm"
"""The module that forks."""
WORD = struct.Struct("=ii")
"""What is said of a process: its number, and its status as `waitpid` has it."""
MOST_REFUSED = 2
"""How often in a row nobody need answer until nobody is asked any more."""
PATIENCE_S = 60.0
"""How long torch may take to be imported, or a process to be forked."""


@final
class Forked:
    """A process that was forked for us by another, with the face of `subprocess.Popen`."""

    def __init__(self, pid: int, told: IO[bytes], stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self.pid, self.told, self.stdin, self.stdout = pid, told, stdin, stdout
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """Return how it ended.

        If its parent is gone nobody knows; then it is, too, for that one's watcher ends all.

        Raises:
            subprocess.TimeoutExpired: It has not ended yet.
        """
        if self.returncode is None:
            if not heard(self.told, timeout):
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            said = self.told.read(WORD.size)
            status = WORD.unpack(said)[1] if len(said) == WORD.size else int(signal.SIGKILL)
            self.returncode = os.waitstatus_to_exitcode(status)
            self.told.close()
        return self.returncode


@final
class Warm:
    """Where forked processes come from; the first that is asked for has torch imported.

    Args:
        threads: Of their libraries, as `machine.pinned_environment` takes them.
    """

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads
        self.alone = threading.Lock()
        self.refused = 0
        """How often nobody answered since somebody did."""
        self.server: subprocess.Popen[bytes] | None = None
        self.asked: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(
        self, errors: int, stop: int | None = None, within_s: float | None = None
    ) -> Forked | None:
        """Return a new process that does one job; None where it cannot be.

        It may use the cores of the thread that calls this.

        Args:
            errors: The descriptor of its standard error.
            stop: A descriptor that can be read once nobody wants the process any more.
            within_s: Seconds after which nobody does either.
        """
        if sys.platform != "linux" or self.refused >= MOST_REFUSED:
            return None
        with self.alone:
            asked = self._asked()
        (stdin, our_stdin), (our_stdout, stdout), (our_told, told) = (os.pipe() for _ in range(3))
        feeds = os.fdopen(our_stdin, "wb")  # buffered: a long job is written whole
        hears, ends = (os.fdopen(end, "rb", 0) for end in (our_stdout, our_told))
        with suppress(OSError):  # it has ended
            socket.send_fds(
                asked, [json.encode(sorted(machine.allowed()))], [stdin, stdout, errors, told]
            )
        for end in (stdin, stdout, told):
            os.close(end)
        patience_s = PATIENCE_S if within_s is None else min(within_s, PATIENCE_S)
        answered = heard(ends, max(0.0, patience_s), stop)
        if said := ends.read(WORD.size) if answered else b"":
            self.refused = 0
            return Forked(WORD.unpack(said)[0], ends, feeds, hears)
        self.refused += answered  # or else it was we who gave up
        for file in (feeds, hears, ends):
            file.close()
        return None

    def _asked(self) -> socket.socket:
        """Return the socket of a process that lives."""
        if self.server is not None and self.server.poll() is not None:
            self.close()
        if self.asked is None:
            self.asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self.server = subprocess.Popen(
                    machine.python("-m", "harness.runner.child", SERVER),
                    stdin=theirs.fileno(),
                    stdout=subprocess.PIPE,  # which nobody uses: its end says that we are gone
                    stderr=subprocess.DEVNULL,
                    env=machine.pinned_environment(self.threads),
                    start_new_session=True,
                )
        return self.asked

    def close(self) -> None:
        """End the process that forks."""
        if self.asked is not None:
            self.asked.close()
        if self.server is not None:
            terminate(self.server)
        self.server = self.asked = None


def heard(file: IO[bytes], timeout_s: float | None, stop: int | None = None) -> bool:
    """Wait until a file can be read; False if that takes too long, or nobody wants it any more."""
    waited = select.poll()
    for each in (file.fileno(), *([] if stop is None else [stop])):
        waited.register(each, select.POLLIN)
    ready = dict(waited.poll(None if timeout_s is None else 1e3 * timeout_s))
    return file.fileno() in ready and stop not in ready
