"""Processes that need not import torch: one has done so, and forks each that is asked for.

Importing takes two seconds, which is more than many a run. So one process imports the worker, but
no plugin, and waits at a socket. What it forks goes on as a process that was started anew: in a
session of its own, watched, and with the worker's own `main`; see `harness.runner.child`. Nothing
comes back from it but how it ended, so no run learns of another.

Whoever forks must have a single thread, for of others only the locks would be copied, and must
have kept away from CUDA; where that cannot be, or nothing can be forked, nobody answers, and the
run gets a process that was started anew.
"""

import gc
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, NamedTuple, NoReturn, Self, final

from msgspec import json

from harness.measure import machine
from harness.measure.process_tree import tasks
from harness.runner.child import run_supervised
from harness.runner.ending import terminate

WORD = struct.Struct("=ii")
"""What is said of a process: its number, and its status as `waitpid` has it."""
BEGUN = -1
"""A status that no process ends with: it has a session of its own now."""
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
        feeds = os.fdopen(our_stdin, "wb", 0)
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
                    machine.python("-m", "harness.runner.child", __name__),
                    stdin=theirs,
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


class Asked(NamedTuple):
    """A process that somebody asks for."""

    cores: list[int]
    files: list[int]
    """Its standard input, output and error, and where is said what becomes of it."""


class Server:
    """The process that forks.

    Args:
        asked: Where the descriptors of each process come from.
    """

    def __init__(self, asked: socket.socket) -> None:
        self.asked = asked
        self.running: dict[int, tuple[int, int]] = {}
        """A process and where it is told how it ends, by the descriptor that says that it did."""

    def serve(self) -> Asked:
        """Fork processes until nobody asks any more; return in each of them, and nowhere else."""
        while True:
            waited = select.poll()
            for each in (self.asked.fileno(), *self.running):
                waited.register(each, select.POLLIN)
            for each, _ in waited.poll():
                if each in self.running:
                    self.tell(each)
                elif asked := self.forked():
                    return asked

    def forked(self) -> Asked | None:
        """Fork what is asked for, and return that in the new process."""
        message, files, _, _ = socket.recv_fds(self.asked, 1 << 16, 4)
        if not message:
            os._exit(0)
        pid = -1
        if threads() == 1:
            with suppress(OSError):
                pid = os.fork()
        if pid == 0:
            self.asked.close()
            for ended, (_, tells) in self.running.items():
                os.close(ended)
                os.close(tells)
            return Asked(json.decode(message, type=list[int]), files)
        for each in files[:3]:
            os.close(each)
        if pid > 0:
            self.running[os.pidfd_open(pid)] = pid, files[3]
        else:
            os.close(files[3])
        return None

    def tell(self, ended: int) -> None:
        """Say how a process has ended."""
        pid, tells = self.running.pop(ended)
        with suppress(OSError):
            os.write(tells, WORD.pack(pid, os.waitpid(pid, 0)[1]))
        os.close(tells)
        os.close(ended)


def threads() -> int:
    """Return how many threads this process has, those of libraries too."""
    return len(tasks(os.getpid()))


def become(asked: Asked) -> None:
    """Make of a forked process what it would be if it had been started anew."""
    os.setsid()
    os.sched_setaffinity(0, asked.cores)
    for place, file in enumerate(asked.files[:3]):
        os.dup2(file, place)
        os.close(file)
    os.write(asked.files[3], WORD.pack(os.getpid(), BEGUN))
    os.close(asked.files[3])
    run_supervised()


def main() -> NoReturn:
    """Import what every run needs, then fork; in each that is forked, do one job."""
    import numpy as np  # noqa: PLC0415 - whoever asks needs none of these

    import harness.api  # noqa: F401, PLC0415 - plugins do
    from harness.measure.mapped import map_again, mapped  # noqa: PLC0415
    from harness.plugins.registry import registry  # noqa: PLC0415
    from harness.runner import worker  # noqa: PLC0415

    registry(())  # reads every plugin's first lines
    machine.code()
    np.random.seed()  # noqa: NPY002 - a plugin may use it
    touched = mapped()
    if not (pid := os.fork()):  # BLAS ends its threads at a fork, until they are needed
        os._exit(not map_again(touched))
    if os.waitpid(pid, 0)[1]:
        sys.exit("A process that is forked here would seem to hold less than it does.")
    gc.collect()
    gc.freeze()
    become(Server(socket.socket(fileno=os.dup(0))).serve())
    map_again(touched)
    np.random.seed()  # noqa: NPY002 - every process that is started anew has another
    worker.main("run")


if __name__ == "__main__":
    main()
