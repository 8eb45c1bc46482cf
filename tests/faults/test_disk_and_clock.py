"""A disk that fills and a clock that goes backwards lose nothing that was finished."""

import errno
import os
import platform
import resource
import signal
from contextlib import contextmanager

import msgspec
import pytest

from harness.core.errors import SpecError
from harness.results.destination import keep
from harness.results.leases import Leases
from harness.results.store import Store
from tests.unit.report.made_records import scored


@contextmanager
def files_end_at(size):
    """Let no file grow beyond some bytes, as on a disk that is full: a write is cut short there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_record_that_does_not_fit_leaves_the_file_as_it_was_and_is_told_in_a_sentence(
    room, tmp_path, monkeypatch
):
    store, first, second = Store(tmp_path), scored(0.5), scored(0.75, seed=1)
    store.append(first)
    path = store.path(first.spec)
    before = path.read_bytes()

    with files_end_at(len(before) + room), pytest.raises(OSError, match="File too large"):
        store.append(second)
    assert path.read_bytes() == before

    def full(record):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store, "append", full)
    with pytest.raises(SpecError, match="No space left on device; the record"):
        keep(store, second)
    monkeypatch.undo()
    store.append(second)
    assert Store(tmp_path).records() == [first, second]


def test_a_record_from_the_future_hides_no_later_one(tmp_path):
    store, early = Store(tmp_path), scored(0.5, started="2099-01-01T00:00:00Z")
    late = msgspec.structs.replace(early, started="1999-01-01T00:00:00Z", outcome="failed")
    store.append(late)
    store.append(early)

    [shown] = Store(tmp_path).records()

    assert shown == early, "what came later in the file counts, whatever a clock said"
    assert store.finished(early, early.limits) == early


def test_a_clock_that_goes_backwards_neither_takes_a_lease_away_nor_keeps_one_for_the_dead(
    tmp_path,
):
    future = (4e9, 4e9)
    with Leases(tmp_path) as living, Leases(tmp_path) as other:
        assert living.take("run")
        os.utime(living.sweep, future)
        assert not other.take("run")

    dead = tmp_path / ".leases" / "dead.sweep"
    dead.write_text(f"1 {platform.node()}")
    dead.with_name("run").write_text(dead.name)
    os.utime(dead, future)
    with Leases(tmp_path) as other:
        assert other.take("run")
