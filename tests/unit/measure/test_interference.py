"""What else used the processors: read, judged by recorded figures, and waited out."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from harness.core.interference import Interference
from harness.measure import interference
from harness.measure.interference import Watch, busy_s, pressure_s, quietest, waited_s
from tests.unit.report.made_records import MACHINE, measured, ran_beside, scored

QUIET = Interference(
    wall_s=2.925,
    cpu_s=5.79,
    voluntary_switches=1,
    involuntary_switches=370,
    waited_s=0.045,
    pressure_s=0.039,
    others_s=0.04,
    cores=2,
)
"""A training of `dlr` on `synthetic/cumsum[length=256]`, as recorded on two cores and alone."""
BUSY = Interference(
    wall_s=3.05,
    cpu_s=1.4,
    voluntary_switches=4,
    involuntary_switches=386,
    waited_s=4.62,
    pressure_s=2.94,
    others_s=4.65,
    cores=2,
)
"""Products of matrices on two threads of two cores, as recorded beside a load of nine."""
UNKNOWN = msgspec.structs.replace(QUIET, waited_s=None, pressure_s=None, others_s=None)


def changed(found, **fields):
    return msgspec.structs.replace(found, **fields)


@pytest.mark.parametrize(
    ("found", "disturbed"),
    [
        (QUIET, False),
        (BUSY, True),
        (changed(QUIET, waited_s=0.2), True),
        (changed(QUIET, others_s=0.2), False),  # of six seconds on two cores
        (changed(QUIET, others_s=0.4), True),
        (changed(QUIET, throttled_s=0.2), True),
        (changed(QUIET, pressure_s=2.9), False),  # somebody waited, and not we
        (changed(QUIET, waited_s=None, pressure_s=2.9), True),
        (changed(QUIET, wall_s=0.1, others_s=0.03), False),  # three ticks of a clock
        (UNKNOWN, None),
        (changed(UNKNOWN, throttled_s=1.0), True),
    ],
)
def test_one_rule_says_whether_a_section_was_disturbed(found, disturbed):
    assert found.disturbed is disturbed


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_older_record_is_disturbed_if_its_calls_had_no_processor(device):
    def older(cpu_s):
        machine = {**MACHINE, "after": {"cpu_s": 1.0 + cpu_s}}
        found = scored(0.9, machine=machine)  # it trained for 20 s
        return msgspec.structs.replace(
            found, spec=type(found.spec)(**{**vars(found.spec), "device": device})
        )

    assert older(15.0).disturbed is (True if device == "cpu" else None)
    assert older(21.0).disturbed is None, "that is no proof of quiet"
    assert scored(0.9).disturbed is None
    assert measured(64, [1.0], interference=BUSY).disturbed is True


@pytest.fixture
def linux(tmp_path):
    """Give a system of two cores and one with a process of two threads."""
    files = {
        "proc/stat": "cpu  9 9 9 9\ncpu0 100 20 30 900 50 1 2 7 0 0\ncpu1 1 0 0 5 0 0 0 0 0 0\n"
        "intr 5\n",
        "proc/self/task/1/schedstat": "900 1500000000 3\n",
        "proc/self/task/2/schedstat": "900 500000000 3\n",
        "proc/pressure/cpu": "some avg10=1.00 avg60=2.00 avg300=3.00 total=2500000\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_counters_are_read_as_the_kernel_writes_them(linux):
    tick = os.sysconf("SC_CLK_TCK")
    assert busy_s({0}, linux) == pytest.approx(160 / tick), "taken by the host, not idle or waiting"
    assert busy_s({0, 1}, linux) == pytest.approx(161 / tick)
    assert waited_s(linux) == pytest.approx(2.0)
    assert pressure_s(linux) == pytest.approx(2.5)


@pytest.mark.parametrize("text", [None, "", "nonsense\n"])
def test_what_a_system_does_not_say_is_unknown(tmp_path, text):
    for name in ("proc/stat", "proc/self/task/1/schedstat", "proc/pressure/cpu") if text else ():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert (waited_s(tmp_path), pressure_s(tmp_path)) == (None, None)
    assert busy_s({0}, tmp_path) is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux says it")
def test_what_others_use_is_seen_and_what_we_and_ours_use_is_not_theirs():
    ours = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        watch = Watch()
        time.sleep(0.3)
        seen = watch.stop()
    finally:
        ours.kill()
        ours.wait()
    assert seen.cpu_s > 0.02, "a child's time is ours"
    assert seen.others_s + seen.cpu_s <= 1.3 * seen.wall_s * seen.cores


def test_a_disturbed_timing_is_repeated_once_it_is_quiet_and_the_best_is_kept(monkeypatch):
    seen = iter([(1, ran_beside(0.5, 0.2)), (2, ran_beside(0.8, 0.2)), (3, ran_beside(0.0, 0.2))])
    monkeypatch.setattr(interference, "watched", lambda timed: (timed(), next(seen))[1])
    monkeypatch.setattr(interference, "quiet_again", lambda _: True)
    assert quietest(lambda: None, 60.0) == (3, ran_beside(0.0, 0.2))


def test_a_machine_that_stays_busy_is_not_waited_for_beyond_the_budget(monkeypatch):
    seen = iter([(1, ran_beside(0.5, 0.2)), *[(None, ran_beside(0.9, 0.2))] * 99])
    monkeypatch.setattr(interference, "watched", lambda timed: (timed(), next(seen))[1])
    monkeypatch.setattr(interference, "PROBE_S", 0.01)
    began = time.monotonic()
    assert quietest(lambda: time.sleep(0.01), 0.2)[0] == 1
    assert time.monotonic() - began < 5
