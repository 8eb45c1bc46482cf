"""A run is done by one sweep at a time, and by another once that one is dead."""

import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results import leases as module
from harness.results.leases import STALE_S, Leases, NoLeaseWarning
from harness.results.store import Store

RUN = "0123456789abcdef"
HOLDER = f"""
import sys
from harness.results.leases import Leases
leases = Leases(sys.argv[1])
assert leases.take({RUN!r})
print("taken", flush=True)
sys.stdin.read()
"""


def age(folder, seconds, run=RUN):
    """Let the heart of the sweep that has a run have beaten so long ago."""
    file = folder / ".leases" / (folder / ".leases" / run).read_text()
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


@pytest.fixture
def other(tmp_path):
    """Start another process that has the lease, and end it."""
    words = [sys.executable, "-P", "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"taken\n"
        yield process
        process.kill()


def test_a_lease_is_of_one_sweep_until_it_is_given_back(tmp_path):
    with Leases(tmp_path) as ours, Leases(tmp_path) as theirs:
        assert ours.take(RUN)
        assert ours.holds(RUN)
        assert not theirs.take(RUN)
        assert theirs.owner(RUN).startswith(f"process {os.getpid()} on ")
        assert ours.owner(RUN) == ""
        assert theirs.take("another")
        ours.release(RUN)
        assert theirs.owner(RUN) == ""
        assert theirs.take(RUN)


def test_a_sweep_that_ends_leaves_no_lease_and_no_file_of_its_own(tmp_path):
    with Leases(tmp_path) as ours:
        ours.take(RUN)

    left = {path.name for path in (tmp_path / ".leases").iterdir()}
    assert left == {".gitignore", "lock"}
    assert Store(tmp_path).records() == Store(tmp_path).faults() == []


def test_a_sweep_of_this_machine_that_was_killed_is_followed_at_once(tmp_path, other):
    with Leases(tmp_path) as ours:
        assert not ours.take(RUN)
        other.kill()
        other.wait()
        assert ours.take(RUN)


def test_a_sweep_of_another_machine_is_followed_once_its_heart_has_stopped(
    tmp_path, other, monkeypatch
):
    monkeypatch.setattr(module.platform, "node", lambda: "elsewhere")
    with Leases(tmp_path) as ours:
        other.kill()
        other.wait()
        assert not ours.take(RUN), "from here nobody can tell that it is dead"
        age(tmp_path, STALE_S - 5)
        assert not ours.take(RUN)
        age(tmp_path, 10)
        assert ours.take(RUN)


def test_who_was_held_for_dead_gives_back_no_lease_of_another(tmp_path):
    with Leases(tmp_path) as ours:
        with Leases(tmp_path) as sleeper:
            sleeper.take(RUN)
            age(tmp_path, STALE_S + 1)
            assert ours.take(RUN)
            assert not sleeper.holds(RUN)
            sleeper.release(RUN)
        assert ours.holds(RUN)


def test_a_heart_beats_as_long_as_its_sweep_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEAT_S", 0.05)
    with Leases(tmp_path) as ours, Leases(tmp_path) as theirs:
        ours.take(RUN)
        age(tmp_path, STALE_S + 1)
        threading.Event().wait(0.5)

        assert not theirs.take(RUN)


@given(takers=st.integers(2, 12), runs=st.integers(1, 4), dead=st.booleans())
def test_of_many_takers_one_wins_each_run(tmp_path_factory, takers, runs, dead):
    folder = tmp_path_factory.mktemp("many")
    names, won = [f"run{number}" for number in range(runs)], []
    all_there = threading.Barrier(takers)
    late = Leases(folder)
    if dead:
        assert all(map(late.take, names))
        age(folder, STALE_S + 1, names[0])

    def compete(leases):
        all_there.wait()
        won.extend(name for name in names if leases.take(name))

    several = [Leases(folder) for _ in range(takers)]
    threads = [threading.Thread(target=compete, args=(each,)) for each in several]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert sorted(won) == names
    for each in (*several, late):
        each.__exit__(None, None, None)


def test_of_many_processes_that_follow_a_dead_one_one_wins(tmp_path, other):
    other.kill()
    other.wait()
    code = HOLDER.replace("assert leases", "taken = leases").replace('"taken"', "taken")
    words = [sys.executable, "-P", "-c", code, str(tmp_path)]
    several = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(6)
    ]
    said = [each.stdout.readline() for each in several]
    for each in several:
        each.communicate(timeout=30)

    assert sorted(said) == [b"False\n"] * 5 + [b"True\n"]


def test_a_folder_that_takes_no_leases_is_told_of_once_and_runs_are_done(tmp_path):
    (tmp_path / ".leases").write_text("a file in the way")
    with Leases(tmp_path) as ours:
        with pytest.warns(NoLeaseWarning, match="another sweep over the same folder"):
            assert ours.take(RUN)
        assert ours.take(RUN)
        assert ours.holds(RUN)
        assert ours.owner(RUN) == ""


@pytest.mark.parametrize("text", ["", "../../outside", "no-such.sweep", "\x00\xff", "lock"])
def test_a_lease_that_names_no_sweep_is_nobodys(tmp_path, text):
    with Leases(tmp_path) as ours:
        ours.take("first")
        (tmp_path / ".leases" / RUN).write_text(text, "latin-1")

        assert ours.take(RUN)
