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
import socket
from contextlib import suppress
from typing import NamedTuple, NoReturn

from msgspec import json

from harness.measure import machine
from harness.measure.process_tree import tasks
from harness.runner.child import run_supervised
from harness.runner.forked import WORD

BEGUN = -1
"""A status that no process ends with: it has a session of its own now."""


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
    """Import what every run needs, then fork; in each that is forked, do one job.

    Raises:
        RuntimeError: A process that is forked here would seem to hold less than it does.
    """
    import harness.api  # noqa: F401, PLC0415 - plugins do; whoever asks needs none of these
    from harness.core.seeding import forget  # noqa: PLC0415
    from harness.measure.mapped import map_again, mapped  # noqa: PLC0415
    from harness.plugins.registry import registry  # noqa: PLC0415
    from harness.runner import worker  # noqa: PLC0415

    registry(())  # reads every plugin's first lines
    machine.code()
    forget()  # which loads what it takes
    touched = mapped()
    if not (pid := os.fork()):  # BLAS ends its threads at a fork, until they are needed
        os._exit(not map_again(touched))
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("What is forked here cannot take the pages of code that this has.")
    gc.collect()
    gc.freeze()
    become(Server(socket.socket(fileno=os.dup(0))).serve())
    map_again(touched)
    forget()
    worker.main("run")


if __name__ == "__main__":
    main()
