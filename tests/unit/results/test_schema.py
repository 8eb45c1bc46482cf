"""Records of every older schema are read as what they were, and can be rewritten for good."""

import json
import shutil
from pathlib import Path

import pytest

from harness import cli
from harness.core import codec
from harness.core.config import Protocol
from harness.core.errors import SpecError
from harness.core.record import SCHEMA
from harness.results import schema
from harness.results.aggregate import comparable_groups
from harness.results.store import Store
from tests.unit.report.made_records import blank, scored

FIRST = Path(__file__).parents[2] / "golden" / "schema-1"


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copytree(FIRST, tmp_path / "old"))


def test_a_run_of_the_first_schema_is_named_by_what_was_chosen():
    s4d, transformer, refused = Store(FIRST).records()

    assert (s4d.spec.task, s4d.spec.model) == ("images/smnist@1", "s4d@1")
    assert transformer.spec.model == "transformer@1[heads=1]"
    assert refused.spec.task == "scaling/train@1[length=262144]"
    assert s4d.model_options["disc"] == "zoh", "what the defaults of its time were is kept"
    assert "real" not in s4d.model_options, "an option that came later"
    assert s4d.sources["model"].origin == "ssm-bench"
    assert all(each.run_id == each.spec.run_id for each in (s4d, transformer, refused))


def test_an_old_record_and_one_made_today_are_seeds_of_one_cell():
    old = Store(FIRST).records()[0]
    new = scored(task="images/smnist", protocol=old.spec.protocol, seed=1)

    (group,) = comparable_groups([old, new])

    assert set(group.labels.values()) == {"s4d"}
    assert isinstance(old.spec.protocol, Protocol)


def test_upgrading_rewrites_every_old_line_once_and_changes_no_record(old):
    records = Store(old).records()
    Store(old).append(blank(seed=7))

    assert schema.upgrade(old) == 3
    assert schema.upgrade(old) == 0
    assert [each for each in Store(old).records() if each.spec.seed != 7] == records
    lines = [json.loads(path.read_text().splitlines()[0]) for path in old.rglob("*.jsonl")]
    assert {line["schema"] for line in lines} == {SCHEMA}
    assert not list(old.rglob("*.upgraded"))


def test_what_cannot_be_upgraded_leaves_its_file_alone(old):
    path = old / "images/smnist/s4d.jsonl"
    text = path.read_bytes() + codec.encode({**codec.builtins(blank()), "schema": 0}) + b"\n"
    path.write_bytes(text)

    with pytest.raises(SpecError, match=r"line 2: its schema is 0"):
        schema.upgrade(old)
    assert path.read_bytes() == text


def test_the_command_says_how_many_records_it_upgraded(old, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ssm-bench", "store", "upgrade", "--results", str(old)])

    with pytest.raises(SystemExit):
        cli.main()
    assert "Upgraded 3 records" in capsys.readouterr().out
