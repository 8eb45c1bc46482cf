"""Runs a module as `python -m` would, in a process that leaves nothing behind, however it ends.

`python -m harness.runner.child harness.runner.worker plan`: what is started are two processes. The
first imports next to nothing; it forks the second, which runs the module, and watches. Whatever the
module starts, in a session of its own or not, becomes the first's child when its parent ends (on
Linux: `PR_SET_CHILD_SUBREAPER`). When the module has ended, or when nobody reads the standard
output any more, the first ends all that is left; then it ends as the module did. So a pipe's end is
seen as soon as the module has ended, and a parent that is killed while torch is imported, or whose
run takes hours, leaves none behind.
"""

import ctypes
import os
import resource
import runpy
import select
import signal
import sys
from contextlib import suppress

from harness.measure.process_tree import descendants

PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
"""As in `linux/prctl.h`."""
ROUNDS = 500
"""How often what is left is ended, 10 ms apart: it may start others meanwhile."""


def control(option: int, value: int | bytes) -> None:
    """Tell the kernel something of this process; elsewhere than on Linux nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def run_supervised() -> None:
    """Fork; return in the process that shall do the work, and never in the one that watches."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    control(PR_SET_CHILD_SUBREAPER, 1)
    watcher, worker = os.getpid(), os.fork()
    if worker:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)  # the group has it too, and we are to end last
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        status = watched(worker, woken)
        end_all()
        end_as(status)
    control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != watcher:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(woken)
    os.close(wake)


def watched(worker: int, woken: int) -> int:
    """Wait until a child ends, or until nobody reads our output; return the child's status."""
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    poll.register(1, 0)
    while True:
        for event, _ in poll.poll():
            if event == 1:
                return signal.SIGKILL
            with suppress(BlockingIOError):
                os.read(woken, 1 << 16)
        for pid, status in ended():
            if pid == worker:
                return status


def ended() -> list[tuple[int, int]]:
    """Return the children that have ended since, and how; those that were adopted too."""
    found = []
    with suppress(ChildProcessError):
        while (child := os.waitpid(-1, os.WNOHANG))[0]:
            found.append(child)
    return found


def end_all() -> None:
    """End all that the module has started, until there is nothing left of it."""
    for _ in range(ROUNDS):
        for pid in descendants(os.getpid()):
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
            select.select([], [], [], 0.01)
            continue
        return


def end_as(status: int) -> None:
    """End as a child did, which left a status as `waitpid` has it."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the module's own is there
        with suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 1)


if __name__ == "__main__":
    run_supervised()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
