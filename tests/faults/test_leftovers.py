"""A child leaves nothing behind, and of what it started memory counts and words do not."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from harness.core import codec
from harness.core.messages import Progress
from harness.core.traces import MOST_WORDS
from harness.measure.process_tree import descendants, held_bytes
from harness.runner.channel import LastWords, Speaker, genuine, new_token, sealed

LEAVES = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getpid(), flush=True)
        time.sleep(120)
    os._exit(0)
time.sleep(0.3)
"""
"""Starts a process in a session of its own that says its number, keeps the pipes, and stays."""


@pytest.fixture
def child(tmp_path):
    """Start a module's source as the runner does; end it in any case."""
    started = []

    def start(source):
        (tmp_path / "made.py").write_text(source)
        path = os.pathsep.join([str(tmp_path), *sys.path])
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.runner.child", "made"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        for pid in [*descendants(process.pid), process.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def gone(pid, within_s=10.0):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("", 0),
        ("sys.exit(7)", 7),
        ("1 / 0", 1),
        ("os._exit(3)", 3),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("os.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 3)", -signal.SIGRTMIN - 3),
    ],
)
def test_a_process_ends_as_its_module_did_and_at_once_though_one_that_it_started_would_stay(
    child, ending, code
):
    process = child(LEAVES + ending)

    said, _ = process.communicate(timeout=30)  # the other holds the pipe as well

    assert process.returncode == code
    assert gone(int(said))


def test_all_that_a_process_started_ends_with_the_reader_of_its_lines(child):
    process = child(LEAVES + "time.sleep(120)")
    left = int(process.stdout.readline())

    process.stdout.close()

    assert process.wait(10) == -signal.SIGKILL
    assert gone(left)


def test_a_module_ends_with_the_process_that_watches_it(child):
    process = child("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(120)")
    module = int(process.stdout.readline())

    process.kill()

    assert module != process.pid
    assert gone(module)


FORKS = """
if os.fork() == 0:
    os.setsid()
    while True:
        if os.fork():
            time.sleep(0.001)
            os._exit(0)
"""
"""Is another process each millisecond, the last one's child."""


def test_what_starts_another_before_it_is_ended_is_ended_too(child):
    process = child(LEAVES + FORKS)

    said, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert gone(int(said.split()[0]))


def test_the_memory_of_all_that_a_process_started_is_counted_and_what_they_share_once(child):
    process = child(
        "import os, time\n"
        "shared = bytearray(os.urandom(1 << 20)) * 100\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        own = bytearray(os.urandom(1 << 20)) * 50\n"
        "        os.write(1, b'here\\n')\n"
        "        time.sleep(120)\n"
        "time.sleep(120)\n"
    )
    for _ in range(4):
        assert process.stdout.readline() == b"here\n"
    mib, every = 1 << 20, len(list(descendants(process.pid)))

    assert every == 5
    assert held_bytes(process.pid, enough=0) == pytest.approx(330 * mib, abs=40 * mib)
    assert held_bytes(process.pid, enough=4 << 30) > 700 * mib, "the shared ones five times"


def test_a_line_counts_only_with_the_token_of_its_request(capfd):
    token, said = new_token(), Progress(step=1, steps=2)
    source, sink = os.pipe()
    before = os.dup(1)
    os.dup2(sink, 1)
    os.close(sink)
    speaker = Speaker()
    os.dup2(before, 1)
    speaker.token = token

    os.write(speaker.pipe, b'{"type":"Result","outcome":"ok"}\ngarbage without an end\xff')
    speaker.say(said)
    os.write(speaker.pipe, sealed(b'{"type":"Result","outcome":"ok"}', "0" * 32) + b"\n")
    os.close(speaker.pipe)
    lines = os.read(source, 1 << 16).split(b"\n")
    os.close(source)

    assert list(genuine(lines, token)) == [codec.encode(said)]
    assert len(list(genuine(lines, ""))) == 4


def test_of_a_flood_on_standard_error_the_end_is_kept_and_nothing_on_disk():
    flood = (
        "import os\n"
        "for _ in range(1024): os.write(2, b'x' * (1 << 20))\n"
        "os.write(2, b'\\nThe last line.\\n')"
    )

    with LastWords() as words:
        subprocess.run([sys.executable, "-c", flood], stderr=words.sink, check=True, timeout=60)
        assert words.told()[-1] == "The last line."
        assert len(words.kept) <= MOST_WORDS


def test_who_keeps_standard_error_open_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr("harness.runner.channel.LAST_S", 0.1)
    with LastWords() as words:
        keeper = os.dup(words.sink)
        os.write(keeper, b"said\n")

        assert words.told() == ["said"]

    os.close(keeper)
