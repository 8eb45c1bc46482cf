"""The other processes of a training on several devices: started, watched, and ended with this one.

The worker that its parent started is rank 0: it alone tells of its progress, writes, is timed and
weighed, and scores. Each other rank is a worker beside it, in its process group, told the same job.
Fabric finds them as it finds those of any launcher, by `LOCAL_RANK` and the address of rank 0.
"""

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread

from msgspec.structs import replace

from harness.core import codec
from harness.core.messages import Job, Result
from harness.core.traces import signal_name
from harness.measure.machine import python

GRACE_S = 3.0
"""How long an error here waits for another rank's, of which it may come."""


@contextmanager
def others(job: Job, devices: int, end: Callable[[Result], None]) -> Iterator[None]:
    """Let the other ranks of a training live as long as what is done here.

    Args:
        job: What all do.
        devices: How many ranks there are.
        end: Told of the first rank that fails; whatever is done here waits for that one in vain,
            so it ends this process.
    """
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "NODE_RANK": "0"}
    os.environ.update(where, LOCAL_RANK="0")
    over = Flag()
    started = {rank: start(replace(job, rank=rank, token="")) for rank in range(1, devices)}
    watches = [
        Thread(target=watch, args=(rank, process, over, end), daemon=True)
        for rank, process in started.items()
    ]
    for each in watches:
        each.start()
    try:
        yield
    except Exception:
        for each in watches:
            each.join(GRACE_S / len(watches))
        raise
    finally:
        over.set()
        for process in started.values():
            process.kill()
            process.wait()


def start(job: Job) -> subprocess.Popen[bytes]:
    """Start a rank and tell it its job."""
    process = subprocess.Popen(
        python("-m", "harness.runner.child", "harness.runner.worker", "run"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "LOCAL_RANK": str(job.rank)},
    )
    assert process.stdin is not None
    process.stdin.write(codec.encode(job))
    process.stdin.close()
    return process


def watch(
    rank: int, process: subprocess.Popen[bytes], over: Flag, end: Callable[[Result], None]
) -> None:
    """Read a rank's one line, and pass on what it failed of, unless all is over."""
    assert process.stdout is not None
    said = process.stdout.read()
    code = process.wait()
    if over.is_set():
        return
    try:
        result: Result = codec.decode(said, Result)
    except ValueError:
        by = signal_name(-code) if code < 0 else f"code {code}"
        reason = f"Its rank {rank} was ended by {by}."
        end(Result(outcome="killed" if code < 0 else "failed", reason=reason))
    else:
        same = result.outcome == "diverged"  # the loss is one of all ranks
        if result.outcome != "ok":
            end(result if same else replace(result, reason=f"Rank {rank}: {result.reason}"))


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port
