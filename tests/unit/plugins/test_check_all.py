"""`check --all` looks at every plugin in a process of its own and hides no failure."""

import subprocess

import msgspec
import pytest

from harness.plugins import check_all as module
from harness.plugins.check_all import HEADING, Verdict, check_all, command, verdict
from harness.plugins.registry import Entry, Registry

GOOD = Entry(name="chance", kind="model", module="baselines.chance", path=None, origin="ssm-bench")
WRECK = Entry(name="wreck", kind="task", module="x", path=None, origin="here", error="SyntaxError")


def test_every_model_and_task_is_looked_at_and_a_broken_one_is_told(monkeypatch):
    monkeypatch.setattr(module, "registry", lambda _: Registry((GOOD, WRECK)))

    good, wreck = check_all()

    assert (good.name, good.complaints) == ("chance", [])
    assert good.counts["passed"] > 0 == good.counts["failed"]
    assert good.seconds > 0
    assert (wreck.kind, wreck.complaints) == ("task", ["It is broken: SyntaxError"])


def test_a_plugin_that_cannot_be_imported_is_a_complaint(tmp_path):
    path = tmp_path / "wreck.py"
    path.write_text("from harness.api import Model, Nothing\n\nclass Wreck(Model): ...\n")

    found = verdict("model", "wreck", (str(path),))

    assert "cannot be imported" in found.complaints[0]
    assert found.counts["passed"] == 0


NEEDY = '''"""Reads a file that nobody has."""

from dataclasses import dataclass

from harness.api import FileTask, OneLabel, RemoteFile, Tokens


@dataclass(frozen=True, kw_only=True)
class Needy(FileTask):
    inputs = Tokens(2)
    outputs = OneLabel(2)
    max_length = 4
    causal = True
    chance = 0.5

    def files(self):
        return (RemoteFile(name="needy/x.csv", urls=("http://127.0.0.1/",), checksum=None, size=1),)

    def load(self, split, folder):
        raise AssertionError
'''


def test_a_task_whose_files_are_absent_is_not_green_and_no_failure_among_all(tmp_path):
    path = tmp_path / "needy.py"
    path.write_text(NEEDY)
    reason = f"needy/x.csv is not there; run `ssm-bench data fetch needy --plugin {path}`."

    found = verdict("task", "needy", (str(path),))

    assert found.complaints == []
    assert found.counts["not-checked"] == 9
    assert found.unchecked == reason
    assert found.as_text(400).splitlines()[1:] == [f"  Not checked: {reason}"]
    asked = subprocess.run(
        command("auto", "needy", (str(path),)), capture_output=True, text=True, check=False
    )
    assert asked.returncode == 1
    assert f"not-checked    chance-is-what-the-best-constant-scores  {reason}" in asked.stdout


@pytest.mark.parametrize("complaints", [[], ["adds-up: It does not.", "long: " + "It is. " * 30]])
def test_a_verdict_is_a_row_with_its_complaints_below(complaints):
    made = Verdict(
        "model",
        "s4d",
        {"passed": 3, "failed": 1, "not-checked": 0, "not-applicable": 2},
        complaints,
        1.25,
    )

    row, *below = made.as_text(80).splitlines()

    assert row.split() == ["model", "s4d", "3", "1", "0", "2", "1.2"]
    assert " ".join(" ".join(below).split()) == " ".join(complaints).strip()
    assert all(len(line) <= 80 for line in below)
    assert sum(line[2] != " " for line in below) == len(complaints)
    assert len(row) == len(HEADING)
    assert msgspec.json.decode(made.as_json())["counts"]["failed"] == 1
