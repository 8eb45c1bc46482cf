import math
import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core import codec
from harness.core.config import Limits
from harness.core.errors import SpecError
from harness.core.record import SCHEMA
from harness.results import schema
from harness.results.journal import TornLineWarning
from harness.results.repair import repair
from harness.results.store import Store
from harness.results.table import DamagedLineWarning, read_records
from tests.unit.report.made_records import (
    blank,
    lost,
    made_of,
    measured,
    ran_beside,
    scored,
    sweep,
)

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Give a new folder at every call: hypothesis calls a test more than once."""
    return lambda: tmp_path_factory.mktemp("results")


@given(
    score=finite, low=finite, step_s=st.lists(st.floats(1e-6, 1e3), min_size=1), reason=st.text()
)
def test_a_record_is_read_back_as_it_was_appended(folders, score, low, step_s, reason):
    record = scored(0.5, step_s=step_s, reason=reason)
    learned = msgspec.structs.replace(record.learned, score=score, interval=(low, score))
    record = msgspec.structs.replace(record, learned=learned)
    store = Store(folders())
    store.append(record)
    assert Store(store.folder).records() == [record]


def test_a_file_is_named_by_the_task_and_the_model_without_their_options(tmp_path):
    record = blank("scaling/train[length=4096]", "s4d[state=32]")
    Store(tmp_path).append(record)
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.jsonl")] == [
        Path("scaling/train/s4d.jsonl")
    ]


def test_the_latest_record_of_a_run_wins_and_keeps_its_place(tmp_path):
    store = Store(tmp_path)
    first, second = blank(outcome="killed", reason="Stopped."), blank(seed=1)
    retried = msgspec.structs.replace(first, outcome="ok", reason="")
    for record in (first, second, retried):
        store.append(record)
        assert store.get(record.run_id) == record
    assert store.records() == [retried, second]


@given(data=st.data())
def test_a_line_torn_at_any_byte_is_ignored_then_healed(folders, data):
    store = Store(folders())
    whole, torn, new = blank(seed=0), blank(seed=1, reason="é"), blank(seed=2)
    store.append(whole)
    path = store.path(whole.spec)
    line = codec.encode(torn)
    kept = data.draw(st.integers(1, len(line) - 1))
    path.write_bytes(path.read_bytes() + line[:kept])
    with pytest.warns(TornLineWarning, match="ends in the middle of a line"):
        assert store.records() == [whole]
    assert store.records() == [whole], "reported once"
    store.append(new)
    assert Store(store.folder).records() == [whole, new]


def test_a_last_line_that_only_lacks_its_end_is_kept(tmp_path):
    store = Store(tmp_path)
    store.append(blank(seed=0))
    path = store.path(blank().spec)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert store.records() == [blank(seed=0)]
    store.append(blank(seed=1))
    assert Store(tmp_path).records() == [blank(seed=0), blank(seed=1)]


@pytest.mark.parametrize(
    "line",
    [
        *(b'{"schema": 1', b"not ours", b"[1]", b'{"schema": [1]}', b'{"schema": 1}', b"\xff\x00"),
        b'{"schema": 2, "task": "\xff"}',
        b"[" * 100_000,
        b'{"schema":' * 100_000,
        codec.encode(blank(machine={"packages": [], "before": 3})),
        codec.encode(blank(machine={"before": {"cpu_s": "x"}, "after": {"cpu_s": 1}})),
    ],
    ids=lambda line: line[:14].decode(errors="replace") + str(len(line)),
)
def test_a_damaged_line_hides_no_other_and_is_named_with_its_file_and_number(tmp_path, line):
    store = Store(tmp_path)
    store.append(blank(seed=0))
    path = store.path(blank().spec)
    path.write_bytes(path.read_bytes() + line + b"\n\n" + codec.encode(blank(seed=1)) + b"\n")

    assert store.records() == [blank(seed=0), blank(seed=1)]
    [fault] = store.faults()
    assert (fault.path, fault.line) == (path, 2)
    assert re.match(r".*s4d\.jsonl, line 2: not a record .* store repair", str(fault))
    with pytest.warns(DamagedLineWarning, match=r"line 2: not a record"):
        assert len(read_records(tmp_path)) == 2


def test_a_folder_that_is_called_like_a_file_of_records_hides_none(tmp_path):
    Store(tmp_path).append(blank())
    (tmp_path / "a.jsonl").mkdir()

    assert Store(tmp_path).records() == [blank()]
    assert "Is a directory" in str(Store(tmp_path).faults()[0])


@pytest.mark.parametrize("rest", [b'{"schema": "\xff', b"\xff", b'{"schema":' * 100_000])
def test_a_torn_line_of_damaged_bytes_stops_neither_a_reader_nor_the_next_writer(tmp_path, rest):
    store = Store(tmp_path)
    store.append(blank(seed=0))
    path = store.path(blank().spec)
    path.write_bytes(path.read_bytes() + rest)

    with pytest.warns(TornLineWarning):
        assert store.records() == [blank(seed=0)]
    store.append(blank(seed=1))
    assert Store(tmp_path).records() == [blank(seed=0), blank(seed=1)]


def test_damaged_bytes_and_folders_stop_neither_an_upgrade_nor_a_repair(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "a.jsonl").write_bytes(b"[" * 100_000 + b"\n")

    with pytest.raises(SpecError, match=r"a\.jsonl, line 1: .* store repair"):
        schema.upgrade(tmp_path)
    assert [done.lines for done in repair(tmp_path)] == [1]
    assert schema.upgrade(tmp_path) == 0


def test_what_lies_behind_a_link_is_read_once_though_links_lead_in_circles(tmp_path):
    elsewhere, results = tmp_path / "disk", tmp_path / "results"
    elsewhere.mkdir()
    results.mkdir()
    (results / "synthetic").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "round").symlink_to(results, target_is_directory=True)

    Store(results).append(blank())

    assert Store(results).records() == [blank()]
    assert Store(results).finished(blank(), Limits()) == blank()


def test_a_pipe_that_is_called_like_a_file_of_records_keeps_no_reader_waiting(tmp_path):
    os.mkfifo(tmp_path / "a.jsonl")

    assert [str(fault) for fault in Store(tmp_path).faults()] == [
        f"{tmp_path / 'a.jsonl'}: Not a file."
    ]


def test_a_last_line_of_someone_else_is_not_cut_off_by_the_next_writer(tmp_path):
    store = Store(tmp_path)
    path = store.path(blank().spec)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"my notes")

    store.append(blank())

    assert path.read_bytes().startswith(b"my notes\n")
    assert store.records() == [blank()]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_by_name_and_leaves_no_line(tmp_path, value):
    store = Store(tmp_path)
    with pytest.raises(SpecError, match=r"record\.learned\.step_s\[1\] .* not finite"):
        store.append(scored(step_s=[0.1, value]))
    assert store.records() == []


def test_an_older_schema_is_upgraded_a_step_at_a_time(tmp_path, monkeypatch):
    # Two versions before this one: first the model was called `net`, then `model_name`.
    made = {
        SCHEMA - 2: lambda raw: {**raw, "model_name": raw.pop("net")},
        SCHEMA - 1: lambda raw: {**raw, "model": raw.pop("model_name")},
    }
    monkeypatch.setattr(schema, "UPGRADES", made)
    record = scored()
    old = codec.builtins(record)
    old.update(schema=SCHEMA - 2, net=old.pop("model"))
    path = Store(tmp_path).path(record.spec)
    path.parent.mkdir(parents=True)
    path.write_bytes(codec.encode(old) + b"\n")
    Store(tmp_path).append(blank(seed=1))
    assert Store(tmp_path).records() == [record, blank(seed=1)]


@pytest.mark.parametrize("version", [SCHEMA + 1, 0])
def test_what_a_newer_version_wrote_is_named_and_stays(tmp_path, version):
    path = tmp_path / "a.jsonl"
    path.write_bytes(codec.encode({**codec.builtins(blank()), "schema": version}) + b"\n")
    [fault] = Store(tmp_path).faults()
    assert re.search(r"line 1: its schema is .* use the ssm-bench that wrote it", str(fault))
    assert list(repair(tmp_path)) == []
    assert Store(tmp_path).faults() == [fault]


def test_a_repair_moves_damaged_lines_to_a_named_file_and_loses_no_byte(tmp_path):
    store = Store(tmp_path)
    for seed in (0, 1):
        store.append(blank(seed=seed))
    path = store.path(blank().spec)
    first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"odd\r\n" + second + b"odd\r\n" + b"no end")

    [done] = repair(tmp_path)

    assert (done.path, done.lines, done.aside.name) == (path, 3, "s4d.jsonl.damaged")
    assert done.aside.read_bytes() == b"odd\r\nodd\r\nno end\n"
    assert path.read_bytes() == first + second
    assert store.faults() == []
    path.write_bytes(path.read_bytes() + b"later\n")
    list(repair(tmp_path))
    assert done.aside.read_bytes().endswith(b"no end\nlater\n")
    assert {each.name for each in path.parent.iterdir()} == {"s4d.jsonl", "s4d.jsonl.damaged"}


@pytest.mark.parametrize("outcome", ["ok", "skipped", "diverged"])
def test_what_another_try_would_repeat_is_finished_under_any_limits(tmp_path, outcome):
    store, record = Store(tmp_path), blank(outcome=outcome)
    assert store.finished(record, Limits()) is None
    store.append(record)
    assert store.finished(record, Limits(timeout_s=9e9, memory_bytes=2**60)) == record


@pytest.mark.parametrize("outcome", ["killed", "failed", "not-run"])
def test_what_was_killed_failed_or_not_run_is_tried_again(tmp_path, outcome):
    store, record = Store(tmp_path), blank(outcome=outcome)
    store.append(record)
    assert store.finished(record, Limits(timeout_s=1, memory_bytes=1)) is None


@pytest.mark.parametrize("outcome", ["timed-out", "out-of-memory"])
@pytest.mark.parametrize(
    ("stored", "asked", "stands"),
    [
        (Limits(timeout_s=60), Limits(timeout_s=60), True),
        (Limits(timeout_s=60), Limits(timeout_s=30), True),
        (Limits(timeout_s=60), Limits(timeout_s=90), False),
        (Limits(timeout_s=60), Limits(), False),
        (Limits(), Limits(timeout_s=60), True),
        (Limits(memory_bytes=100), Limits(memory_bytes=101), False),
        (Limits(memory_bytes=100, timeout_s=9), Limits(memory_bytes=100, timeout_s=9), True),
    ],
)
def test_a_run_over_a_limit_is_finished_unless_more_is_allowed_now(
    tmp_path, outcome, stored, asked, stands
):
    store, record = Store(tmp_path), blank(outcome=outcome, limits=stored)
    store.append(record)
    assert (store.finished(record, asked) == record) is stands


def test_another_digest_makes_a_run_stale_and_keeps_the_record_of_the_old_code(tmp_path):
    store = Store(tmp_path)
    old, new = (blank(sources=made_of(digest)) for digest in ("a", "b"))
    store.append(old)

    assert store.finished(old, Limits()) == old
    assert store.finished(new, Limits()) is None
    assert store.finished(blank(sources={}), Limits()) is None, "nobody noted its code"
    store.append(new)
    assert store.finished(new, Limits()) == new
    assert store.finished(old, Limits()) is None, "what is stored last is what is shown"
    assert store.records() == [old, new]


WRITER = """
import sys
from harness.results.store import Store
from tests.unit.report.made_records import scored

for seed in range(int(sys.argv[2]), int(sys.argv[2]) + 20):
    Store(sys.argv[1]).append(scored(seed=seed))
"""


def test_writers_in_several_processes_do_not_mix_their_lines(tmp_path):
    root = Path(__file__).parents[3]  # `python -c` finds the tests from there
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(first)], cwd=root)
        for first in (0, 20, 40)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert sorted(record.spec.seed for record in Store(tmp_path).records()) == list(range(60))


def test_a_table_has_a_row_a_run_with_units_in_its_columns(tmp_path):
    records = [
        scored(0.75, seed=3),
        measured(1024, [0.5, 0.25, 1.0]),
        lost("a", "b", "killed", "!"),
    ]
    for record in records:
        Store(tmp_path).append(record)
    frame = read_records(tmp_path).set_index("run_id").loc[[r.run_id for r in records]]
    assert list(frame["outcome"]) == ["ok", "ok", "killed"]
    first, second, third = (row for _, row in frame.iterrows())
    assert (first["score"], first["seed"], first["metric"]) == (0.75, 3, "accuracy")
    assert (first["interval_low"], first["interval_high"]) == (0.73, 0.77)
    assert first["step_s_median"] == 0.021
    assert (second["call_s_median"], second["tokens_per_s"]) == (0.5, 2048)
    assert second["delta_bytes"] == 512_000
    assert third["reason"] == "!"
    assert third.isna()[["score", "call_s_median", "peak_bytes"]].all()
    assert first["commit"].startswith("0123")


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(SpecError, match="no results folder"):
        read_records(tmp_path / "nowhere")
    assert Store(tmp_path / "nowhere").records() == []


def test_a_whole_sweep_survives_the_disk(tmp_path):
    store, records = Store(tmp_path), sweep()
    for record in records:
        store.append(record)
    by_id = {record.run_id: record for record in Store(tmp_path).records()}
    assert by_id == {record.run_id: record for record in records}
    assert len(by_id) == len(records)


def test_importing_the_store_loads_no_heavy_library():
    code = "import sys, harness.results.store; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "numpy", "scipy"} & set(done.stdout.split())


def test_a_disturbed_measurement_is_run_again_and_the_quieter_one_shown(tmp_path):
    store = Store(tmp_path)
    noisy, worse, calm = (
        measured(64, [seconds], interference=ran_beside(others))
        for seconds, others in ((2.0, 0.5), (3.0, 0.9), (1.0, 0.0))
    )
    store.append(noisy)
    assert store.finished(noisy, Limits()) is None
    store.append(worse)
    assert store.records() == [noisy]
    store.append(lost("scaling/forward[length=64]", "s4d", "not-run", "Too long."))
    assert store.records() == [noisy], "what was not started hides nothing"
    store.append(calm)
    assert store.records() == [calm]
    assert store.finished(calm, Limits()) == calm


def test_a_training_is_never_repeated_for_its_times(tmp_path):
    store, busy = Store(tmp_path), scored(0.9, interference=ran_beside(0.9))
    store.append(busy)
    assert store.finished(busy, Limits()) == busy
