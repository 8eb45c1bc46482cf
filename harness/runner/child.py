"""Runs a module as `python -m` would, in a process that ends with who reads its lines.

`python -m harness.runner.child harness.runner.worker plan`: a worker imports torch for seconds, in
which a parent that was killed could not end it, and a run that nobody stores may take hours.
"""

import os
import runpy
import select
import signal
import sys
import threading


def end_with_the_reader(pipe: int) -> None:
    """End this process, and all of its group if it leads one, once nobody reads a pipe."""

    def watch() -> None:
        watched = select.poll()
        watched.register(pipe, 0)
        watched.poll()
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with_the_reader(os.dup(1))  # whatever the module makes of its standard output
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
