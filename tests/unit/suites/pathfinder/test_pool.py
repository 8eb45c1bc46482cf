"""Images that several processes draw, and what becomes of these."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from suites._pathfinder.pool import images
from suites._pathfinder.style import LRA

SCRIPT = """
import signal
import torch
from suites._pathfinder.pool import images
from suites._pathfinder.style import LRA

signal.signal(signal.SIGINT, signal.default_int_handler)
while True:
    images(LRA[32], range(64), 2)
    print("drawn", flush=True)
"""
"""No other process may run it again, since nothing in it asks whether it is the first."""


def workers() -> list[psutil.Process]:
    """Return the processes that draw for this one."""
    children = psutil.Process().children()
    return [child for child in children if any("spawn_main" in word for word in child.cmdline())]


@contextmanager
def drawing(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """Run the script in a session of its own; yield it and all that it has started."""
    path = folder / "script.py"
    path.write_text(SCRIPT)
    started: list[psutil.Process] = []
    with subprocess.Popen(
        [sys.executable, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    ) as script:
        try:
            assert script.stdout is not None
            assert script.stdout.readline() == "drawn\n", script.communicate()
            started = psutil.Process(script.pid).children(recursive=True)
            yield script, started
        finally:
            script.kill()
            for process in started:
                if process.is_running():
                    process.kill()


def test_several_processes_draw_the_images_of_one_and_load_no_torch() -> None:
    alone, shared = images(LRA[32], range(40), 1), images(LRA[32], range(40), 2)
    assert all((one == other).all() for one, other in zip(alone, shared, strict=True))
    (worker,) = workers()
    assert not [mapped.path for mapped in worker.memory_maps() if "torch" in mapped.path]


def test_few_images_start_no_process() -> None:
    before = workers()
    images(LRA[32], range(31), 2)
    assert workers() == before


def test_what_a_worker_raises_is_told_as_it_is() -> None:
    with pytest.raises(ValueError, match="expected non-negative integer"):
        images(LRA[32], [*range(39), -1], 2)
    assert len(images(LRA[32], range(40), 2).labels) == 40


def test_a_worker_that_ends_is_told_in_a_sentence_and_replaced() -> None:
    images(LRA[32], range(40), 2)
    (worker,) = workers()
    worker.kill()
    with pytest.raises(ChildProcessError, match="has ended; run the command again"):
        images(LRA[32], range(40), 2)
    assert len(images(LRA[32], range(40), 2).labels) == 40


def test_a_killed_process_leaves_none_behind(tmp_path: Path) -> None:
    with drawing(tmp_path) as (script, started):
        script.kill()
        assert psutil.wait_procs(started, timeout=60)[1] == []
    assert len(started) >= 1


def test_ctrl_c_ends_all_and_only_the_first_says_so(tmp_path: Path) -> None:
    with drawing(tmp_path) as (script, started):
        os.killpg(script.pid, signal.SIGINT)
        begun = time.monotonic()
        _, said = script.communicate(timeout=60)
        assert time.monotonic() - begun < 30
        assert said.count("Traceback") == 1, said
        assert said.rstrip().endswith("KeyboardInterrupt")
        assert psutil.wait_procs(started, timeout=60)[1] == []
