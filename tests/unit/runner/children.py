"""Finds the processes that do runs for these tests, wherever their parents have gone."""

import os

import psutil

MARK = ("SSM_BENCH_TESTS_OF", str(os.getpid()))
os.environ.update([MARK])  # all that this process starts inherits it


def workers():
    """Return the processes that do a run and were started from here, directly or not."""
    return [each for each in psutil.process_iter() if does_a_run(each)]


def does_a_run(process):
    """Say whether a process is one of ours that does a run; one that has just ended is none."""
    try:
        if "harness.runner.worker" not in process.cmdline():
            return False
        return MARK in process.environ().items()
    except psutil.Error:
        return False
