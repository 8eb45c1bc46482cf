"""Publishing adds settled records of committed code, and never changes the source."""

from dataclasses import replace

import pytest

from harness import cli
from harness.core import codec
from harness.core.config import RunSpec, Selector
from harness.core.errors import SpecError
from harness.core.record import Record
from harness.results.publish import publish
from harness.results.store import Store

COMMITTED = {"commit": "abc", "dirty": False}


def record(seed, outcome="ok", machine=COMMITTED):
    spec = replace(RunSpec(task="synthetic/shift@1", model="s4d"), seed=seed)
    return Record(
        run_id=spec.run_id,
        outcome=outcome,
        task=Selector("synthetic/shift"),
        model=spec.model,
        task_version=1,
        spec=spec,
        machine=machine,
    )


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "local", tmp_path / "records" / "v1"


def test_settled_records_are_added_once(folders):
    source, target = folders
    for made in (record(0), record(1, "killed"), record(2, "skipped")):
        Store(source).append(made)

    assert publish(source, target) == (2, 0, 1)
    assert publish(source, target) == (0, 2, 1)
    assert Store(target).records() == [record(0), record(2, "skipped")]
    assert len(Store(source).records()) == 3


@pytest.mark.parametrize("machine", [{"commit": "abc", "dirty": True}, {"commit": ""}, {}])
def test_records_of_uncommitted_code_are_refused_and_nothing_is_added(folders, machine):
    source, target = folders
    Store(source).append(record(0))
    Store(source).append(record(1, machine=machine))

    with pytest.raises(SpecError, match=r"1 of 2 records, synthetic/shift with s4d among them"):
        publish(source, target)
    assert not target.exists()


def test_an_empty_folder_is_a_users_mistake(folders):
    with pytest.raises(SpecError, match="There are no records"):
        publish(*folders)


def test_a_record_survives_the_way_through_json():
    made = record(3)

    assert codec.decode(codec.encode(made), Record) == made


@pytest.mark.parametrize("drawn", [True, False])
def test_tables_are_drawn_anew_unless_they_are_not_wanted(folders, drawn, monkeypatch, capfd):
    source, target = folders
    Store(source).append(record(0))
    words = ["publish", "--results", str(source), "--to", str(target)]
    monkeypatch.setattr("sys.argv", ["ssm-bench", *words, *([] if drawn else ["--no-tables"])])

    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert not ended.value.code
    assert "Added 1 records" in capfd.readouterr().out
    assert Store(target).records() == [record(0)]
    assert (target.parent.parent / "tables" / "v1" / "report.md").exists() == drawn
