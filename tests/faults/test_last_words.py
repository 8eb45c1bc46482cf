"""What a process leaves when it ends is told, whatever ended it and however much it said."""

import io
import os
import signal
import subprocess
import sys

import pytest

from harness.core.traces import MOST_WORDS, last_words
from harness.runner.ending import exit_result


class Counting(io.BytesIO):
    """Notes how much of it was read."""

    taken = 0

    def read(self, size=-1):
        """Read, and note it."""
        found = super().read(size)
        self.taken += len(found)
        return found


def test_of_a_flood_only_the_end_is_read():
    flood = Counting(b"x" * (64 * MOST_WORDS) + b"\nThe last line.\n")

    assert last_words(flood)[-1] == "The last line."
    assert flood.taken <= MOST_WORDS


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGRTMIN + 3, "signal 37")]
)
def test_a_signal_is_told_of_by_its_name_or_its_number(number, name):
    result = exit_result(-number, [], 0)

    assert result.outcome == "killed"
    assert name in result.reason


def test_a_child_ends_with_its_reader_while_it_still_imports(tmp_path):
    (tmp_path / "slow_to_import.py").write_text(
        "import os, sys, time\nos.write(1, b'here')\nos.dup2(2, 1)\ntime.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "harness.runner.child", "slow_to_import"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.read(4) == b"here"

    child.stdout.close()

    assert child.wait(10) == -signal.SIGKILL
