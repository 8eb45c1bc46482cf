import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core import codec
from harness.core.config import Limits
from harness.core.record import Record
from harness.results.repair import repair
from harness.results.schema import upgraded
from harness.results.store import Store
from tests.unit.report.made_records import blank, measured, ran_beside

NONE = Limits()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Give a new folder at every call: hypothesis calls a test more than once."""
    return lambda: tmp_path_factory.mktemp("results")


def read_by(call):
    """Return how many bytes this process reads, of whatever file, while something is called."""

    def read():
        return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])

    before = read()
    call()
    return read() - before


def test_what_was_read_once_is_not_read_again(tmp_path):
    runs = [blank(seed=seed) for seed in range(200)]
    Store(tmp_path).append(runs[0])
    path = Store(tmp_path).path(runs[0].spec)
    line = len(codec.encode(runs[0])) + 1
    path.write_bytes(b"".join(codec.encode(run) + b"\n" for run in runs))
    store = Store(tmp_path)
    assert read_by(lambda: store.finished(runs[0], NONE)) > 200 * (line - 10)

    for seed in range(200, 220):
        run = blank(seed=seed)
        assert read_by(lambda run=run: store.append(run)) < 2 * line
        assert read_by(lambda run=run: store.finished(run, NONE)) < 5 * line
    assert read_by(store.faults) < 2 * line


def test_what_another_process_adds_is_seen_at_the_next_look(tmp_path):
    store = Store(tmp_path)
    for seed in range(3):
        run = blank(seed=seed)
        assert store.finished(run, NONE) is None
        Store(tmp_path).append(run)
        assert store.finished(run, NONE) == run
    other = blank(model="lru")
    Store(tmp_path).append(other)
    assert store.get(other.run_id) == other


def test_a_record_in_a_file_of_another_name_counts(tmp_path):
    Store(tmp_path).append(blank())
    (tmp_path / "moved").mkdir()
    Store(tmp_path).path(blank().spec).rename(tmp_path / "moved" / "all.jsonl")
    assert Store(tmp_path).finished(blank(), NONE) == blank()


def test_folders_whose_names_begin_with_a_point_hold_no_records(tmp_path):
    Store(tmp_path / ".leases").append(blank())
    assert Store(tmp_path).records() == []
    assert Store(tmp_path / ".leases").records() == [blank()]


def test_a_file_that_goes_is_forgotten(tmp_path):
    store = Store(tmp_path)
    store.append(blank())
    assert store.get(blank().run_id) == blank()
    store.path(blank().spec).unlink()
    assert store.get(blank().run_id) is None
    assert store.finished(blank(), NONE) is None


BUSY, QUIET = ran_beside(0.9), ran_beside(0.0)
LINES = [
    *(codec.encode(blank(seed=seed)) for seed in range(2)),
    codec.encode(blank(outcome="killed", reason="Stopped.")),
    codec.encode(measured(64, [0.1], interference=QUIET)),
    codec.encode(measured(64, [0.3], interference=BUSY)),
    *(b"", b"  ", b"[1]", b'{"schema":3}', b"\xff", b'{"schema":2,"schema":1}'),
]


def long_way(path: Path) -> tuple[dict[str, list[Record]], list[int]]:
    """Read a file as it was read before: all of it, a step at a time, and nothing kept."""
    found: dict[str, list[Record]] = {}
    faults = []
    *lines, rest = path.read_bytes().split(b"\n")
    for number, line in enumerate([*lines, *([rest] if rest.endswith(b"}") else [])], 1):
        try:
            if line.strip():
                raw = msgspec.json.decode(line, type=dict)
                record = codec.convert(upgraded(raw), Record)
                found.setdefault(record.run_id, []).append(record)
        except (ValueError, TypeError, LookupError):
            faults.append(number)
    return found, faults


def kept(records: list[Record]) -> Record:
    """Return the record of a run that counts."""
    best = records[0]
    for record in records[1:]:
        best = best if best.outweighs(record) else record
    return best


line = st.one_of(
    st.sampled_from(LINES),
    st.builds(
        lambda line, place, byte: line[:place] + bytes([byte]) + line[place + 1 :],
        st.sampled_from(LINES[:5]),
        st.integers(0, 400),
        st.integers(32, 126),
    ),
)
step = st.one_of(
    st.tuples(st.just("add"), st.lists(line, min_size=1, max_size=4)),
    st.tuples(st.just("cut"), st.integers(1, 3)),
    st.tuples(st.just("repair"), st.none()),
    st.tuples(st.just("end"), st.sampled_from(LINES[:2])),
)


@given(steps=st.lists(step, max_size=6))
def test_a_file_that_grows_is_read_as_if_it_were_read_anew(folders, steps):
    folder = folders()
    path = folder / "a" / "b.jsonl"
    path.parent.mkdir()
    path.touch()
    store = Store(folder)
    for what, given_ in steps:
        text = path.read_bytes()
        if what == "add":
            path.write_bytes(text + b"\n".join([b"", *given_, b""]))
        elif what == "end":
            path.write_bytes(text.removesuffix(b"\n") + b"\n" + given_)
        elif what == "cut":
            path.write_bytes(b"".join(text.splitlines(keepends=True)[given_:]))
        else:
            list(repair(folder))
        found, faults = long_way(path)
        for run_id, records in found.items():
            assert store.get(run_id) == kept(records)
        assert [fault.line for fault in store.faults()] == faults
        assert store.records() == Store(folder).records() == [*map(kept, found.values())]
